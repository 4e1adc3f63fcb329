"""Manifests as upstream's users write them, with every field of every kind: admitted, kept, read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from controllers.api.base import Fields, OneOf, parse
from controllers.api.crdgen import KINDS, crds

MANIFESTS: list[dict[str, Any]] = [
    manifest
    for path in sorted((Path(__file__).parent / "manifests").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
]
MODELS = {kind.resource.kind: kind for kind in KINDS}


def _id(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    return {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds()}


def _json_schema(schema: Any) -> Any:
    """The schema as a JSON Schema validator understands it: two extensions said in its own words."""
    if isinstance(schema, list):
        return [_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _json_schema(value) for key, value in schema.items()}
    if schema.get("nullable") is True:
        out["type"] = [schema["type"], "null"]
    if schema.get("x-kubernetes-int-or-string") is True:
        out["type"] = ["integer", "string"]
    return out


def _pruned(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Paths that an API server would drop."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _pruned(item, schema.get("items", {}), f"{where}[{index}]")
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    for key, item in value.items():
        below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
        if below is None:
            yield f"{where}.{key}"
        else:
            yield from _pruned(item, below, f"{where}.{key}")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=_id)
def test_a_manifest_of_upstream_is_admitted(manifest: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(_json_schema(_schemas()[manifest["kind"]])).validate(manifest)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=_id)
def test_no_field_of_a_manifest_is_pruned(manifest: dict[str, Any]) -> None:
    body = {key: value for key, value in manifest.items() if key != "metadata"}
    assert list(_pruned(body, _schemas()[manifest["kind"]], "")) == []


@pytest.mark.parametrize("manifest", MANIFESTS, ids=_id)
def test_a_manifest_is_read_into_its_model_with_no_field_unknown(manifest: dict[str, Any]) -> None:
    assert list(_extras(parse(MODELS[manifest["kind"]].spec, manifest), "spec")) == []


def _extras(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, Fields):
        yield from (f"{where}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _extras(item, f"{where}[{index}]")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=_id)
def test_what_was_read_says_what_the_manifest_says(manifest: dict[str, Any]) -> None:
    read = parse(MODELS[manifest["kind"]].spec, manifest)
    assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == manifest["spec"]


def test_the_manifests_set_every_field_of_every_spec() -> None:
    """So that the promises above are about whole schemas. Other providers and generators count as one."""
    used: set[tuple[str, str]] = set()
    wanted: set[tuple[str, str]] = set()
    for manifest in MANIFESTS:
        model = MODELS[manifest["kind"]].spec
        wanted |= set(_fields(model))
        used |= set(_used(parse(model, manifest)))
    assert sorted(wanted - used) == []


def _fields(model: type[Fields]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if not (issubclass(model, OneOf) and "JsonObject" in str(model.__annotations__.get(name))):
            yield model.__name__, name
        for below in _models(field.annotation):
            yield from _fields(below)


def _models(annotation: Any) -> Iterator[type[Fields]]:
    if isinstance(annotation, type) and issubclass(annotation, Fields):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _used(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Fields):
        for name in value.model_fields_set:
            yield type(value).__name__, name
            yield from _used(getattr(value, name, None))
    elif isinstance(value, tuple):
        for item in value:
            yield from _used(item)
