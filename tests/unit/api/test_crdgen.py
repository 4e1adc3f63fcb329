"""The CRDs: schemas that an API server takes, true to the models and to the files in crds/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import re2
import yaml

from controllers.api.base import Fields, SchemaDefault
from controllers.api.crdgen import KINDS, crds, file_name, files, main, render
from controllers.api.schema import schema_of
from controllers.lang.cel import compile_cel

CRDS = Path(__file__).parents[3] / "crds"
ALL = crds()
NAMES = [crd["metadata"]["name"] for crd in ALL]

ALLOWED = {
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}
"""What structural schemas of the API server may hold, as far as we use it."""


def root(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield where, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{where}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{where}[]")


@pytest.mark.parametrize("crd", ALL, ids=NAMES)
def test_a_schema_is_structural(crd: dict[str, Any]) -> None:
    for where, node in nodes(root(crd)):
        assert set(node) <= ALLOWED, where
        untyped = node.get("x-kubernetes-preserve-unknown-fields") or node.get("x-kubernetes-int-or-string")
        assert "type" in node or untyped, where
        assert not ("properties" in node and "additionalProperties" in node), where
        assert node.get("type") != "array" or "items" in node, where
        assert ("x-kubernetes-list-map-keys" in node) is (node.get("x-kubernetes-list-type") == "map"), where
        assert set(node.get("required", ())) <= set(node.get("properties", {})), where


@pytest.mark.parametrize("crd", ALL, ids=NAMES)
def test_a_default_is_valid_where_it_stands(crd: dict[str, Any]) -> None:
    for _, node in nodes(root(crd)):
        if "default" in node:
            jsonschema.Draft202012Validator(node).validate(node["default"])


@pytest.mark.parametrize("crd", ALL, ids=NAMES)
def test_every_pattern_is_one_that_go_reads(crd: dict[str, Any]) -> None:
    for _, node in nodes(root(crd)):
        if "pattern" in node:
            re2.compile(node["pattern"])


@pytest.mark.parametrize("crd", ALL, ids=NAMES)
def test_every_rule_is_cel(crd: dict[str, Any]) -> None:
    for _, node in nodes(root(crd)):
        for rule in node.get("x-kubernetes-validations", ()):
            compile_cel(rule["rule"], ("self", "oldSelf"))
            assert rule["message"]


def _cel(rule: str, self_: dict[str, Any]) -> bool:
    return compile_cel(rule).holds({"self": self_})


@pytest.mark.parametrize(
    ("name", "spec", "valid"),
    [
        ("imagepolicies.image.toolkit.fluxcd.io", {"interval": "5m"}, False),
        ("imagepolicies.image.toolkit.fluxcd.io", {"interval": "5m", "digestReflectionPolicy": "Always"}, True),
        ("imagepolicies.image.toolkit.fluxcd.io", {"digestReflectionPolicy": "Always"}, False),
        ("imagepolicies.image.toolkit.fluxcd.io", {"digestReflectionPolicy": "Never"}, True),
        ("gitrepositories.source.toolkit.fluxcd.io", {"serviceAccountName": "a"}, False),
        ("gitrepositories.source.toolkit.fluxcd.io", {"serviceAccountName": "a", "provider": "aws"}, True),
        ("gitrepositories.source.toolkit.fluxcd.io", {"serviceAccountName": "a", "provider": "github"}, False),
    ],
)
def test_upstreams_rules_between_fields_are_kept(name: str, spec: dict[str, Any], valid: bool) -> None:
    schema = root(ALL[NAMES.index(name)])["properties"]["spec"]
    assert all(_cel(rule["rule"], spec) for rule in schema["x-kubernetes-validations"]) is valid


@pytest.mark.parametrize("crd", ALL, ids=NAMES)
def test_a_field_that_users_write_says_what_it_means_or_has_a_name_that_does(crd: dict[str, Any]) -> None:
    spec = root(crd)["properties"]["spec"]
    assert spec["description"]
    for where, node in nodes(spec):
        assert node.get("description", "x") == " ".join(node.get("description", "x").split()), where


def test_a_schema_names_the_fields_that_its_model_names() -> None:
    for kind in KINDS:
        for model in filter(None, (kind.spec, kind.status)):
            assert set(schema_of(model)["properties"]) == {field.alias for field in model.model_fields.values()}


def test_a_default_in_the_schema_is_the_default_of_the_model() -> None:
    """Where an API server writes a default and where none does, a controller sees the same."""
    for kind in KINDS:
        for model in _reachable(kind.spec):
            for field in model.model_fields.values():
                for mark in field.metadata:
                    if isinstance(mark, SchemaDefault):
                        assert _plain(field.default, mark.value), f"{model.__name__}.{field.alias}"


def _plain(default: Any, written: Any) -> bool:
    if isinstance(default, Fields):
        dumped = default.model_dump(by_alias=True)
        return all(dumped[key] == value for key, value in written.items())
    return bool(list(default) == written if isinstance(default, tuple) else default == written)


def _reachable(model: type[Fields]) -> Iterator[type[Fields]]:
    from tests.unit.api.test_manifests import _models

    yield model
    for field in model.model_fields.values():
        for below in _models(field.annotation):
            yield from _reachable(below)


def test_a_construction_that_the_walker_does_not_know_is_an_error_and_no_hole() -> None:
    class Odd(Fields):
        """Odd."""

        field: set[str]

    with pytest.raises(TypeError, match="no structural schema"):
        schema_of(Odd)


def test_the_files_in_crds_are_those_that_the_models_make() -> None:
    assert {path.name: path.read_text() for path in CRDS.iterdir()} == files()


def test_check_names_stale_files_and_writing_mends_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    gone, changed = tmp_path / "example.com_gone.yaml", tmp_path / file_name(ALL[0])
    gone.write_text(render(ALL[0]))
    changed.write_text("changed")
    (tmp_path / "mine.yaml").write_text("not generated")
    assert main(["--check", str(tmp_path)]) == 1
    assert {"example.com_gone.yaml is", f"{changed.name} is"} <= {
        line.split("/")[-1].split(" stale")[0] for line in capsys.readouterr().err.splitlines()
    }
    assert main([str(tmp_path)]) == 0 and main(["--check", str(tmp_path)]) == 0
    assert not gone.exists() and (tmp_path / "mine.yaml").exists()


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--force", "a"]])
def test_a_wrong_call_explains_itself_and_writes_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_crds_are_marked_so_that_appliers_leave_existing_ones_alone() -> None:
    for crd in ALL:
        assert crd["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] == "IfNotPresent"
        assert crd["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_a_crd_is_small_enough_for_client_side_apply() -> None:
    for crd in ALL:
        assert len(yaml.safe_dump(crd)) < 200_000


def test_a_printed_column_is_of_a_field_that_exists() -> None:
    for crd in ALL:
        schema = root(crd)
        for column in crd["spec"]["versions"][0].get("additionalPrinterColumns", ()):
            steps = column["jsonPath"].split("[?")[0].strip(".").split(".")
            if steps[0] == "metadata":
                continue
            node = schema
            for step in steps:
                node = node["properties"][step]
