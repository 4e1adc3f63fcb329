"""Each key of a Secret says where it came from, whatever renamed or merged it; entries without a store are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.aws.events import AwsChange
from controllers.external_secrets.events import version_diff as sweep
from controllers.external_secrets.events.match import announced, announced_at, mark
from controllers.external_secrets.providers.secrets_manager import SECRETS_MANAGER
from controllers.external_secrets.refresh import versions_of
from controllers.external_secrets.target.template import Engine
from controllers.external_secrets.values.entries import Fetched, StoreRef, StoreView, plan, resolve
from controllers.external_secrets.values.errors import EntryError, MissingValueError, SpecError

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
STORE = StoreRef("SecretStore", "aws")
STORES = {STORE: StoreView(STORE, SECRETS_MANAGER)}


def found(**values: str) -> dict[str, Fetched]:
    return {
        name.replace("__", "/"): Fetched(value.encode(), arn=f"arn:{name}", version=f"v-{name}")
        for name, value in values.items()
    }


def provenance(entry: dict[str, Any], outcome: Any) -> dict[str, Any]:
    spec = {"secretStoreRef": {"name": "aws"}, "dataFrom": [entry]}
    resolved = resolve(plan(ExternalSecretSpec.model_validate(spec), STORES), {0: outcome}, render=Engine().text)
    assert not resolved.failed and resolved.provenance.keys() == resolved.data.keys()
    return resolved.provenance


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ([], {"team_a": "team__a", "team_b": "team__b"}),
        ([{"regexp": {"source": "^team/", "target": "x-"}}], {"x-a": "team__a", "x-b": "team__b"}),
        (
            [{"regexp": {"source": "/", "target": "."}}, {"transform": {"template": "{{ .value | upper }}"}}],
            {"TEAM.A": "team__a", "TEAM.B": "team__b"},
        ),
        ([{"merge": {}}], {"one": "team__a", "two": "team__b"}),
    ],
    ids=["conversion", "regexp", "regexp, then transform", "merge"],
)
def test_a_renamed_or_merged_key_keeps_its_source(steps: list[Any], names: dict[str, str]) -> None:
    made = provenance({"find": {"path": "team"}, "rewrite": steps}, found(team__a='{"one": 1}', team__b='{"two": 2}'))
    assert {key: source["arn"] for key, source in made.items()} == {key: f"arn:{name}" for key, name in names.items()}
    assert {source["version"] for source in made.values()} == {"v-team__a", "v-team__b"}


def test_a_key_merged_of_many_names_all_and_a_sweep_reads_them() -> None:
    step = {"merge": {"strategy": "JSON", "into": "all"}}
    made = provenance({"find": {"path": "x"}, "rewrite": [step]}, found(a='{"one": 1}', b='{"two": 2}'))
    assert made["all"] == {"arn": "arn:a", "version": "v-a", "also": [{"arn": "arn:b", "version": "v-b"}]}
    generated = {"pw": {"generator": "Password pw"}}
    assert sweep.provenance(json.dumps({"all": made["all"], **generated})) == {
        "arn:a": frozenset({"v-a"}), "arn:b": frozenset({"v-b"})
    }  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    [
        {"data": [{"secretKey": "k", "remoteRef": {"key": "k"}}]},
        {"dataFrom": [{"extract": {"key": "k"}}]},
        {"dataFrom": [{"find": {"path": "k"}}]},
        {"secretStoreRef": {"kind": "ClusterSecretStore"}, "dataFrom": [{"find": {"path": "k"}}]},
    ],
)
def test_an_entry_without_a_store_is_named(spec: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"spec\.data(From)?\[0\]: no store is named"):
        plan(ExternalSecretSpec.model_validate(spec), {})


def test_what_a_generator_makes_needs_no_store() -> None:
    spec = {"dataFrom": [{"sourceRef": {"generatorRef": {"kind": "Password", "name": "pw"}}}]}
    (entry,) = plan(ExternalSecretSpec.model_validate(spec), {})
    assert entry.generator is not None and entry.generator.name == "pw" and entry.remote is None
    outcome = {"password": Fetched(b"x", generator="Password pw")}
    resolved = resolve([entry], {0: outcome}, render=Engine().text)
    assert resolved.data == {"password": b"x"}
    assert resolved.provenance == {"password": {"generator": "Password pw"}}


def test_an_event_without_a_version_is_marked_and_nothing_waits_for_it() -> None:
    change = AwsChange("ssm", "Update", "/host", "", "123456789012", "eu-west-1", NOW, event_id="7f3a")
    later = NOW + timedelta(seconds=2)
    assert mark(change) == "2026-06-01T12:00:00Z event=7f3a"
    assert announced(mark(change), later) is None
    assert announced_at(mark(change), later) == 2.0
    assert announced_at("2026-06-01T12:00:00Z", later) is None, "a person's own word is no event"


def test_versions_that_a_find_found_count_as_read() -> None:
    outcomes: list[Fetched | EntryError | Mapping[str, Fetched]] = [
        Fetched(b"", version="a"),
        {"x": Fetched(b"", version="b"), "y": Fetched(b"")},
        MissingValueError("gone"),
    ]
    assert versions_of(outcomes) == {"a", "b"}
