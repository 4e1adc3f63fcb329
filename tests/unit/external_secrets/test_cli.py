"""`inhaul secrets render`, `explain` and `diff`, and the comparisons behind them; what the documents show."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp
from controllers.cli import main
from controllers.external_secrets.cli.explanation import ADVICE, explain, version_of
from controllers.external_secrets.cli.offline import read_values
from controllers.external_secrets.providers.secrets_manager import SECRETS_MANAGER
from controllers.external_secrets.target.desired import PROVENANCE, DesiredSecret
from controllers.external_secrets.target.desired import manifest as secret_manifest
from controllers.external_secrets.target.diff import named_keys, of_objects, of_secrets, of_shapes
from controllers.external_secrets.target.hashing import field_manager
from controllers.external_secrets.values.entries import StoreRef, StoreView
from controllers.runtime.cli.command import CommandError

from .manifests import ROOT, data, files, secret, store

# --- render

VALUES = """
db: {user: app, password: "p@ss", big: 12345678901234567890}
db (AWSPREVIOUS): {password: old}
pay/flag: on
pay/version: 1.10
---
pay/flag: {team: "1"}
"""


def test_render_shows_what_the_controller_would_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "values.yaml").write_text(VALUES)
    template = {
        "type": "kubernetes.io/basic-auth",
        "data": {"url": "x://{{ .user }}:{{ .password }}"},
        "templateFrom": [{"secret": {"name": "extra", "items": [{"key": "t"}]}}],
    }
    extra = {
        "kind": "Secret",
        "metadata": {"name": "extra", "namespace": "a"},
        "stringData": {"t": "{{ .user | upper }}"},
    }
    one = secret(
        data=[
            *data("db", property="user"),
            {"secretKey": "password", "remoteRef": {"key": "db", "property": "password"}},
        ],
        target={"template": template},
    )
    one["spec"]["data"][0]["secretKey"] = "user"
    two = secret("flags", dataFrom=[{"find": {"name": {"regexp": "^pay/"}, "tags": {"team": "1"}}}], data=[
        {"secretKey": "v", "remoteRef": {"key": "pay/version"}},
        {"secretKey": "old", "remoteRef": {"key": "db", "version": "AWSPREVIOUS", "property": "password"}},
        {"secretKey": "big", "remoteRef": {"key": "db", "property": "big"}},
    ])  # fmt: skip
    path = files(tmp_path, store(), one, two, extra)
    assert main(["secrets", "render", "-f", path, "--with", str(tmp_path / "values.yaml")]) == 0
    found = {each["metadata"]["name"]: each for each in yaml.safe_load_all(capsys.readouterr().out)}
    assert found["db"]["stringData"] == {"url": "x://app:p@ss", "t": "APP"}
    assert found["db"]["type"] == "kubernetes.io/basic-auth"
    assert found["flags"]["stringData"] == {"pay_flag": "on", "v": "1.10", "old": "old", "big": "12345678901234567890"}


def test_render_names_what_is_missing_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "values.yaml").write_text(VALUES)
    generator = {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Password", "name": "x"}
    generated = secret("generated", dataFrom=[{"sourceRef": {"generatorRef": generator}}])
    path = files(tmp_path, store(), secret(data=data("absent")), generated)
    assert main(["secrets", "render", "-f", path, "--with", str(tmp_path / "values.yaml")]) == 1
    said = capsys.readouterr().err
    assert "a/db: absent: NotFound: key absent: not in the values file" in said
    assert "a/generated: spec.dataFrom[0]: Unsupported" in said


def test_render_refuses_a_key_that_no_secret_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "values.yaml").write_text("db: {größe: 1, ok: 2}")
    path = files(tmp_path, store(), secret(dataFrom=[{"extract": {"key": "db"}}]))
    assert main(["secrets", "render", "-f", path, "--with", str(tmp_path / "values.yaml")]) != 0
    assert "key größe: not valid in a Secret" in capsys.readouterr().err


def test_a_values_file_is_read_as_it_is_written() -> None:
    made = read_values("v", VALUES)
    assert (made.values["pay/flag"], made.values["pay/version"]) == (b"on", b"1.10")
    assert json.loads(made.values["db"])["big"] == 12345678901234567890
    assert "p@ss" not in repr(made)
    for bad in ("- 1", "a: 1\n---\nb: c", "a: 1\n---\n{}\n---\n{}"):
        with pytest.raises(CommandError):
            read_values("v", bad)


# --- explain

NOW = datetime(2026, 8, 10, 12, 0, tzinfo=UTC)
VIEWS = {StoreRef("SecretStore", "aws"): StoreView(StoreRef("SecretStore", "aws"), SECRETS_MANAGER)}


def live(ready: str = "True", message: str = "secret synced", ago: float = 600, **spec: Any) -> Manifest:
    made = secret(data=data("shop/db"), **spec)
    made["metadata"] |= {"uid": "u", "generation": 1}
    reason = "SecretSynced" if ready == "True" else "SecretSyncedError"
    made["status"] = {
        "refreshTime": timestamp(NOW - timedelta(seconds=ago)),
        "syncedResourceVersion": version_of(made),
        "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": message}],
    }
    return made


def target(provenance: dict[str, Any] | str) -> Manifest:
    owner = {"apiVersion": "x", "kind": "ExternalSecret", "name": "db", "uid": "u", "controller": True}
    text = provenance if isinstance(provenance, str) else json.dumps(provenance)
    made = secret_manifest(DesiredSecret("a", "db", "Opaque", {"db": b"v"},
                                         {"reconcile.external-secrets.io/managed": "true"},
                                  {PROVENANCE: text}, owner))  # fmt: skip
    entry = {"manager": field_manager("db"), "fieldsV1": {
        "f:data": {"f:db": {}},
        "f:metadata": {"f:labels": {f"f:{key}": {} for key in made["metadata"]["labels"]},
                       "f:annotations": {f"f:{key}": {} for key in made["metadata"]["annotations"]}},
    }}  # fmt: skip
    made["metadata"] |= {"uid": "s", "resourceVersion": "5", "managedFields": [entry]}
    del made["data"]
    return made


SOURCE = {"arn": "arn:aws:secretsmanager:eu-west-1:1:secret:shop/db-AbCdEf", "version": "v1", "stage": "AWSCURRENT"}


def test_explain_says_what_each_key_was_made_of_and_when_next() -> None:
    found = explain(live(), VIEWS, target({"db": SOURCE}), now=NOW)
    assert found.well and found.target_state == "as it was written"
    assert found.keys[0].made == ({"key": "db", **SOURCE},)
    assert not found.due.now and found.next is not None
    assert timedelta(minutes=43) < found.next - NOW <= timedelta(minutes=50)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("db: AccessDenied: not authorized for key shop/db (and 2 more)", "AccessDenied"),
        ("spec.dataFrom[0]: PropertyMissing: key x does not exist", "PropertyMissing"),
        ("could not render the target: template x", ""),
        ("SecretStore aws is not ready: Nonsense: x", ""),
    ],
)
def test_explain_knows_the_cause_by_its_class(message: str, cause: str) -> None:
    found = explain(live("False", message), VIEWS, None, now=NOW)
    assert (found.well, found.cause, found.message) == (False, cause, message)
    assert found.advice == ADVICE.get(cause, "")
    assert (found.target_state, found.due.now) == ("does not exist", True)


def test_a_touched_target_and_a_broken_provenance_are_told() -> None:
    touched = target({"db": SOURCE})
    touched["metadata"]["managedFields"].append({"manager": "kubectl", "fieldsV1": {"f:data": {"f:db": {}}}})
    found = explain(live(), VIEWS, touched, now=NOW)
    assert "changed" in found.target_state and found.due.now
    for broken in ("{", "[]", '{"db": 5}', "[" * 10_000):
        assert explain(live(), VIEWS, target(broken), now=NOW).keys[0].made == ()


def test_keys_of_extracts_and_finds_are_told_apart_by_where_they_came_from() -> None:
    other = {"arn": "arn:aws:secretsmanager:eu-west-1:1:secret:pay/x-AbCdEf", "version": "v2"}
    manifest = live(dataFrom=[{"find": {"name": {"regexp": "^pay/"}}}, {"extract": {"key": "shop/db"}}])
    made = target({"db": SOURCE, "user": SOURCE, "pay_x": other})
    found = explain(manifest, VIEWS, made, now=NOW)
    by_entry = {key.entry: [each["key"] for each in key.made] for key in found.keys}
    assert by_entry["db"] == ["db"] and by_entry["spec.dataFrom[1]"] == ["user"]
    assert by_entry["spec.dataFrom[0]"] == ["pay_x"]


# --- diff


def test_pointers_are_compared_field_by_field() -> None:
    new = secret(data=data("shop/db", "shop/new"), refreshInterval="5m")
    new["metadata"]["labels"] = {"x": "1"}
    said = [str(each) for each in of_objects(live(), new)]
    assert "ExternalSecret spec.refreshInterval: 1h -> 5m" in said
    assert any(line.startswith("ExternalSecret spec.data[1]: (absent) ->") for line in said)
    assert "ExternalSecret metadata.labels.x: (absent) -> 1" in said


def test_secrets_are_compared_without_a_value() -> None:
    before = {"metadata": {"labels": {"a": "1"}}, "type": "Opaque"}
    wanted = DesiredSecret(
        "a", "db", "kubernetes.io/tls", {"same": b"1", "new": b"CANARY", "other": b"CANARY"}, {"a": "CANARY"}
    )
    said = [str(each) for each in of_secrets(secret(), before, wanted, {"same": b"1", "other": b"x", "old": b"y"})]
    assert said == [
        "Secret db data.new: would be added",
        "Secret db data.old: would be removed",
        "Secret db data.other: would change",
        "Secret db type: Opaque, the spec asks for kubernetes.io/tls: refused, since it is immutable",
        "Secret db metadata.labels.a: would change",
    ]
    assert not of_secrets(secret(), before, DesiredSecret("a", "db", "Opaque", {"k": b"1"}), {"k": b"1"})
    merge = secret(target={"creationPolicy": "Merge"})
    assert not of_secrets(merge, before, DesiredSecret("a", "db", "Opaque", {"k": b"1"}), {"k": b"1", "theirs": b"2"})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"data": data("x")}, ({"x"}, True)),
        ({"data": data("x"), "dataFrom": [{"extract": {"key": "y"}}]}, ({"x"}, False)),
        ({"data": data("x"), "target": {"template": {"data": {"u": "t"}}}}, ({"u"}, True)),
        ({"data": data("x"), "target": {"template": {"data": {"u": "t"}, "mergePolicy": "Merge"}}}, ({"x", "u"}, True)),
        ({"data": data("x"), "target": {"template": {"templateFrom": [{"literal": "a"}]}}}, (set(), False)),
        ({"dataFrom": [{"extract": {"key": "y"}}], "target": {"template": {"data": {"u": "t"}}}}, ({"u"}, True)),
    ],
)
def test_without_values_the_names_of_keys_are_compared_where_the_spec_says_them(
    spec: dict[str, Any], expected: tuple[set[str], bool]
) -> None:
    assert named_keys(ExternalSecretSpec.model_validate(spec)) == expected


def test_a_difference_in_names_needs_no_value() -> None:
    before = {"metadata": {}, "type": "Opaque", "data": {"x": "", "old": ""}}
    said = of_shapes(secret(data=data("x", "y")), before)
    assert [str(each) for each in said if each.real] == [
        "Secret db data.y: would be added",
        "Secret db data.old: would be removed",
    ]
    assert [each.text for each in of_shapes(secret(data=data("x")), None)] == ["would be created"]


def _shown_in_docs() -> list[tuple[str, str]]:
    """(command, its output) of the offline commands in docs/cli.md."""
    text = (ROOT / "docs" / "cli.md").read_text()
    blocks = [block.split("\n```", 1)[0] for block in text.split("```\n$ ")[1:]]
    pairs = [block.split("\n", 1) for block in blocks]
    return [
        (command, output)
        for command, output in pairs
        if command.startswith(("inhaul secrets plan", "inhaul secrets render"))
    ]


@pytest.mark.parametrize(("command", "output"), _shown_in_docs())
def test_the_commands_of_the_documents_say_what_the_documents_show(
    command: str, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(command.split()[1:]) == 0
    assert capsys.readouterr().out.strip() == output.strip()


def test_the_documents_show_both_offline_commands() -> None:
    assert [command.split()[2] for command, _ in _shown_in_docs()] == ["plan", "render"]


def test_render_asks_for_values_that_the_stores_do_not_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = files(tmp_path, store(), secret(data=data("db")))
    assert main(["secrets", "render", "-f", path]) == 2
    assert "found no values of SecretStore aws, expected --with VALUES" in capsys.readouterr().err
