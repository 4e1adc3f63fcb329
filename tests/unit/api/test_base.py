"""Reading a spec: what is wrong is named by path, by what was found and by what was expected, and never shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers.api.base import InvalidSpecError, parse
from controllers.api.bitnami import SealedSecretSpec
from controllers.api.crdgen import KINDS
from controllers.api.external_secrets import ExternalSecretSpec, SecretStoreSpec
from controllers.api.kustomize import KustomizationSpec
from controllers.api.source import GitRepositorySpec

KUSTOMIZATION = {"interval": "1m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "platform"}}


def refused(model: Any, spec: Any) -> InvalidSpecError:
    with pytest.raises(InvalidSpecError) as caught:
        parse(model, {"spec": spec})
    return caught.value


@pytest.mark.parametrize(
    ("change", "field", "found", "expected"),
    [
        ({"interval": "1 minute"}, "spec.interval", "'1 minute'", "a string that matches"),
        ({"interval": 60}, "spec.interval", "an integer", "a string"),
        ({"prune": "yes"}, "spec.prune", "a string of 3 characters", "true or false"),
        ({"prune": 1}, "spec.prune", "an integer", "true or false"),
        ({"sourceRef": {"kind": "GitRepository"}}, "spec.sourceRef.name", "nothing", "the field is required"),
        ({"sourceRef": None}, "spec.sourceRef", "nothing", "the field is required"),
        ({"sourceRef": []}, "spec.sourceRef", "a list", "an object"),
        ({"sourceRef": {"kind": "Helm", "name": "a"}}, "spec.sourceRef.kind", "'Helm'", "one of "),
        ({"patches": {}}, "spec.patches", "an object", "a list"),
        ({"patches": [{"patch": "a"}, {"target": {}}]}, "spec.patches[1].patch", "nothing", "the field is required"),
        ({"postBuild": {"substitute": {"a": 1}}}, "spec.postBuild.substitute.a", "an integer", "a string"),
        ({"postBuild": {"substitute": []}}, "spec.postBuild.substitute", "a list", "an object"),
        (
            {"targetNamespace": "n" * 64},
            "spec.targetNamespace",
            "a string of 64 characters",
            "no more than 63 characters",
        ),
        ({"namePrefix": ""}, "spec.namePrefix", "an empty string", "at least 1 characters"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_found_and_expected(
    change: Any, field: str, found: str, expected: str
) -> None:
    error = refused(KustomizationSpec, KUSTOMIZATION | change)
    assert (error.field, error.found) == (field, found)
    assert expected in error.expected
    assert str(error) == f"{error.field}: found {error.found}, expected {error.expected}"


@pytest.mark.parametrize("spec", [None, {}, "text", [1], 5])
def test_a_manifest_without_a_usable_spec_is_refused_by_its_first_field(spec: Any) -> None:
    assert refused(KustomizationSpec, spec).field.startswith("spec")


def test_a_value_is_never_part_of_an_error() -> None:
    error = refused(SealedSecretSpec, {"encryptedData": {"password": ["hunter2"]}})
    assert "hunter2" not in str(error) and "hunter2" not in repr(error)
    assert error.__cause__ is None and error.__suppress_context__


def test_a_url_that_may_hold_a_password_is_not_quoted() -> None:
    error = refused(GitRepositorySpec, {"interval": "1m", "url": "git://bot:hunter2@host/x"})
    assert error.field == "spec.url" and "hunter2" not in str(error)


@pytest.mark.parametrize("value", [[], 1.5, True, {}])
def test_an_interval_that_is_neither_number_nor_text_is_named_as_one_field(value: Any) -> None:
    error = refused(SecretStoreSpec, {"provider": {"fake": {"data": []}}, "refreshInterval": value})
    assert (error.field, error.expected) == ("spec.refreshInterval", "an integer or a string")


def test_unknown_fields_are_kept() -> None:
    spec = parse(KustomizationSpec, {"spec": KUSTOMIZATION | {"newInUpstream": {"a": 1}}})
    assert spec.model_extra == {"newInUpstream": {"a": 1}}


def test_null_means_absent_as_it_does_to_an_api_server() -> None:
    spec = parse(KustomizationSpec, {"spec": KUSTOMIZATION | {"path": None, "patches": None, "suspend": None}})
    assert (spec.path, spec.patches, spec.suspend) == ("", (), False)


@pytest.mark.parametrize(
    "provider", [{}, {"aws": {"service": "SecretsManager", "region": "x"}, "vault": {}}, {"a": {}, "b": {}}]
)
def test_a_store_has_exactly_one_provider(provider: Any) -> None:
    error = refused(SecretStoreSpec, {"provider": provider})
    assert error.field == "spec.provider" and "exactly one" in error.expected


def test_a_provider_that_only_a_newer_upstream_knows_is_still_one_provider() -> None:
    spec = parse(SecretStoreSpec, {"spec": {"provider": {"quantumvault": {"url": "x"}}}})
    assert spec.provider.model_extra == {"quantumvault": {"url": "x"}}


def test_a_null_beside_the_one_provider_does_not_count() -> None:
    spec = parse(SecretStoreSpec, {"spec": {"provider": {"fake": {"data": []}, "vault": None}}})
    assert spec.provider.fake is not None and spec.provider.fake.data == ()


@pytest.mark.parametrize("value", [300, "5m"])
def test_a_stores_interval_is_seconds_or_a_duration(value: int | str) -> None:
    assert (
        parse(
            SecretStoreSpec, {"spec": {"provider": {"fake": {"data": []}}, "refreshInterval": value}}
        ).refresh_interval
        == value
    )


def test_specs_do_not_change_once_read() -> None:
    spec = parse(ExternalSecretSpec, {"spec": {}})
    with pytest.raises(ValidationError):
        spec.refresh_interval = "5m"


def test_defaults_of_one_spec_are_not_shared_with_another() -> None:
    first, second = (parse(KustomizationSpec, {"spec": KUSTOMIZATION | {"postBuild": {}}}) for _ in range(2))
    assert first.post_build and second.post_build
    first.post_build.substitute["a"] = "b"
    assert second.post_build.substitute == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELD_NAMES = sorted({field.alias or name for kind in KINDS for name, field in kind.spec.model_fields.items()})


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELD_NAMES), JSON, max_size=6) | JSON)
def test_hostile_specs_are_read_or_refused_and_nothing_else(kind: Any, spec: Any) -> None:
    try:
        parse(kind.spec, {"spec": spec})
    except InvalidSpecError as error:
        assert error.field.startswith("spec") and error.found and error.expected
