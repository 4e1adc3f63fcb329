"""The fake provider answers as upstream's does: versions, properties, finds, validation, missing values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.resource import Manifest
from controllers.api.secret_stores import FakeProvider
from controllers.cli import main
from controllers.external_secrets.providers.fake import FAKE
from controllers.external_secrets.providers.fake.values import FakeValues
from controllers.external_secrets.providers.provider import StoreError
from controllers.external_secrets.providers.registry import store_provider
from controllers.external_secrets.values.entries import Fetched
from controllers.external_secrets.values.errors import EntryError, MissingValueError

from .manifests import data, files, planned, secret


def values(*stored: tuple[str, str, str]) -> FakeValues:
    """Of (key, value, version)."""
    listed = [{"key": key, "value": value, "version": version} for key, value, version in stored]
    return FakeValues(FakeProvider.model_validate({"data": listed}))


def asked(held: FakeValues, key: str, version: str = "") -> bytes | None:
    found = held.get(FAKE.remote_key(key, version=version))
    return found.value if isinstance(found, Fetched) else None


def fake_store(*listed: dict[str, str], name: str = "aws", **more: Any) -> Manifest:
    meta = {"name": name, "namespace": "a"}
    spec = {"provider": {"fake": {"data": list(listed), **more}}}
    return {"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": meta, "spec": spec}


def test_a_value_is_found_under_exactly_the_version_that_it_has() -> None:
    held = values(("/foo/bar", "one", "v1"), ("/foo/bar", "two", "v2"), ("plain", "three", ""))
    assert asked(held, "/foo/bar", "v1") == b"one"
    assert asked(held, "/foo/bar", "v2") == b"two"
    assert asked(held, "/foo/bar") is None
    assert asked(held, "plain") == b"three"
    assert asked(held, "plain", "v1") is None


def test_key_and_version_are_stored_as_one_text_and_the_later_counts() -> None:
    held = values(("a1", "without", ""), ("a", "with", "1"))
    assert asked(held, "a", "1") == b"with"
    assert asked(held, "a1") is None
    assert asked(values(("k", "old", ""), ("k", "new", "")), "k") == b"new"


def test_metadata_policy_is_not_looked_at() -> None:
    found = values(("k", "v", "")).get(FAKE.remote_key("k", tags=True))
    assert isinstance(found, Fetched) and found.value == b"v"


@pytest.mark.parametrize(
    ("document", "path", "text"),
    [
        ('{"a":{"b":1}}', "a.b", "1"),
        ('{"a.b":"dotted","a":{"b":"nested"}}', "a.b", "nested"),
        ('{"list":[{"n":"x"},{"n":"y"}]}', "list.#.n", '["x","y"]'),
        ('{"a":null}', "a", ""),
    ],
)
def test_a_property_is_a_gjson_path_and_nothing_else(document: str, path: str, text: str) -> None:
    assert FAKE.select(document, path, key="k") == text


@pytest.mark.parametrize("document", ["{}", "no JSON", '{"a.b": 1}'])
def test_a_property_that_is_not_there_is_a_missing_secret(document: str) -> None:
    with pytest.raises(MissingValueError):
        FAKE.select(document, "a.b", key="k")


def test_a_find_takes_the_greatest_version_of_each_key_as_text() -> None:
    held = values(("db", "nine", "v9"), ("db", "ten", "v10"), ("db", "none", ""), ("web", "w", ""))
    found = held.find({"name": {"regexp": "d"}, "path": "ignored", "tags": {"ignored": "1"}})
    assert {name: each.value for name, each in found.items()} == {"db": b"nine"}


def test_a_find_converts_names_before_they_are_rewritten_and_keeps_the_name_at_the_store() -> None:
    found = values(("/foo/bar", "v", "")).find({"name": {"regexp": "^/foo"}})
    assert {name: each.name for name, each in found.items()} == {"_foo_bar": "/foo/bar"}
    unicode = values(("/x", "v", "")).find({"name": {}, "conversionStrategy": "Unicode"})
    assert list(unicode) == ["_U002f_x"]


def test_a_find_without_a_name_and_one_whose_names_collide_are_refused() -> None:
    with pytest.raises(EntryError, match=r"find without name.regexp"):
        values(("a", "v", "")).find({"tags": {"a": "b"}})
    with pytest.raises(EntryError, match="both convert to"):
        values(("a/b", "v", ""), ("a:b", "v", "")).find({"name": {"regexp": "a"}})
    with pytest.raises(EntryError, match="not a regular expression"):
        values(("a", "v", "")).find({"name": {"regexp": "("}})


TEXTS = st.text("ab1", min_size=1, max_size=3)
STORED = st.lists(st.tuples(TEXTS, TEXTS, st.text("12v", max_size=2)), max_size=6)


@given(STORED, TEXTS, st.text("12v", max_size=2))
def test_what_is_found_is_the_last_of_its_key_and_version(
    stored: list[tuple[str, str, str]], key: str, version: str
) -> None:
    last = [each for each in stored if each[0] + each[2] == key + version][-1:]
    expected = [value.encode() for _, value, has in last if has == version]
    found = asked(values(*stored), key, version)
    assert found == (expected[0] if expected else None)


@given(STORED, STORED)
def test_values_are_equal_where_their_answers_are_and_never_shown(
    one: list[tuple[str, str, str]], other: list[tuple[str, str, str]]
) -> None:
    assert (values(*one) == values(*other)) == (dict(_stored(one)) == dict(_stored(other)) and _order(one, other))
    secret_text = values(("k", "hidden-value", ""))
    assert "hidden-value" not in repr(secret_text)
    assert "hidden-value" not in f"{secret_text}"


def _stored(listed: list[tuple[str, str, str]]) -> dict[str, tuple[str, str, str]]:
    return {key + version: (key, value, version) for key, value, version in listed}


def _order(one: list[tuple[str, str, str]], other: list[tuple[str, str, str]]) -> bool:
    return list(_stored(one)) == list(_stored(other))


@pytest.mark.parametrize("field", ["key", "value"])
def test_an_empty_key_or_value_is_named_as_upstream_s_webhook_does(field: str) -> None:
    with pytest.raises(StoreError, match=rf"spec.provider.fake.data\[1\].{field}: found an empty text"):
        store_provider(fake_store({"key": "k", "value": "v"}, {"key": "k", "value": "v", field: ""}))


def test_render_needs_no_values_for_a_store_that_holds_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [
        {"key": "/foo/bar", "value": "HELLO1", "version": "v1"},
        {"key": "/foo/bar", "value": "HELLO2", "version": "v2"},
        {"key": "/foo/baz", "value": json.dumps({"john": "doe", "n": 1}), "version": "v1"},
    ]
    one = secret(
        data=[{"secretKey": "foo_bar", "remoteRef": {"key": "/foo/bar", "version": "v1"}}],
        dataFrom=[
            {"extract": {"key": "/foo/baz", "version": "v1"}},
            {"find": {"name": {"regexp": "bar"}}, "rewrite": [{"regexp": {"source": "^_", "target": "all."}}]},
        ],
    )
    assert main(["secrets", "render", "-f", files(tmp_path, fake_store(*listed), one)]) == 0
    (found,) = yaml.safe_load_all(capsys.readouterr().out)
    assert found["stringData"] == {"foo_bar": "HELLO1", "john": "doe", "n": "1", "all.foo_bar": "HELLO2"}


def test_render_says_which_value_the_store_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secrets", "render", "-f", files(tmp_path, fake_store(), secret(data=data("db")))]) == 1
    assert "db: NotFound: key db: the store has no value of this key and version" in capsys.readouterr().err


def test_a_plan_counts_no_call_and_grants_nothing_for_a_fake_store(tmp_path: Path) -> None:
    find = {"find": {"name": {"regexp": "."}}}
    made = planned(tmp_path, fake_store({"key": "k", "value": "v"}), secret(data=data("k"), dataFrom=[find]))
    assert made.forecast.lines == ()
    assert made.policies == {}
    assert "SecretStore aws holds its values: no calls and no permissions" in made.forecast.notes
