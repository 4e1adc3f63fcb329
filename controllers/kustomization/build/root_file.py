"""The root kustomization file as Flux reads it: into Go's types, then written out for kustomize. Pure.

Read so, a number or boolean where text belongs becomes text (`newTag: 1234567`, `namespace: 123`), and a key that no
field has is dropped; kustomize itself, which reads every other kustomization file, refuses both. Only the fields are
made text that the library reaches: within generators and targets, whose Go types are embedded, it does not. A key that
differs from a field's name by case alone is refused here: to Go it would be that field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controllers.lang.yaml_scalars import single_text


@dataclass(frozen=True, slots=True)
class _Struct:
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _List:
    item: Any


@dataclass(frozen=True, slots=True)
class _Map:
    item: Any


_TEXT, _ANY = "text", "any"
_TEXTS = _List(_TEXT)
_TEXT_MAP = _Map(_TEXT)
_FIELD_SPECS = _List(_Struct({"path": _TEXT, "create": _ANY, "group": _ANY, "version": _ANY, "kind": _ANY}))
_SELECTOR = _Struct(
    dict.fromkeys(("group", "version", "kind", "name", "namespace"), _ANY)
    | {"labelSelector": _TEXT, "annotationSelector": _TEXT}
)
_PATCH = _Struct({"path": _TEXT, "patch": _TEXT, "target": _SELECTOR, "options": _ANY})
_IMAGE = _Struct(dict.fromkeys(("name", "newName", "tagSuffix", "newTag", "digest"), _TEXT))
_GENERATOR_OPTIONS = _Struct(
    {"labels": _TEXT_MAP, "annotations": _TEXT_MAP, "disableNameSuffixHash": _ANY, "immutable": _ANY}
)
_CONFIG_MAP = dict.fromkeys(
    ("name", "namespace", "behavior", "files", "env", "envs", "literals", "options", "kvSources"), _ANY
)
_REPLACEMENT = _Struct({"path": _TEXT, "source": _ANY, "targets": _ANY, "sourceValue": _ANY})
_ROOT = _Struct(
    {
        "apiVersion": _ANY, "kind": _ANY,
        "metadata": _Struct({"name": _TEXT, "namespace": _TEXT, "labels": _TEXT_MAP, "annotations": _TEXT_MAP}),
        "openapi": _TEXT_MAP, "namePrefix": _TEXT, "nameSuffix": _TEXT, "namespace": _TEXT,
        "commonLabels": _TEXT_MAP, "commonAnnotations": _TEXT_MAP,
        "labels": _List(_Struct({"pairs": _TEXT_MAP, "includeSelectors": _ANY, "includeTemplates": _ANY,
                                 "fields": _FIELD_SPECS})),
        "patchesStrategicMerge": _TEXTS, "patchesJson6902": _List(_PATCH), "patches": _List(_PATCH),
        "images": _List(_IMAGE), "imageTags": _List(_IMAGE), "replacements": _List(_REPLACEMENT),
        "replicas": _List(_Struct({"name": _TEXT, "count": _ANY})),
        "vars": _List(_Struct({"name": _TEXT, "objref": _ANY, "fieldref": _ANY})),
        "sortOptions": _ANY, "resources": _TEXTS, "components": _TEXTS, "crds": _TEXTS, "bases": _TEXTS,
        "configMapGenerator": _List(_Struct(_CONFIG_MAP)),
        "secretGenerator": _List(_Struct({**_CONFIG_MAP, "type": _TEXT})),
        "helmGlobals": _ANY, "helmCharts": _ANY, "helmChartInflationGenerator": _ANY,
        "generatorOptions": _GENERATOR_OPTIONS, "configurations": _TEXTS, "generators": _TEXTS,
        "transformers": _TEXTS, "validators": _TEXTS, "buildMetadata": _TEXTS,
    }
)  # fmt: skip


class AmbiguousKeyError(ValueError):
    """A key that only case keeps from being a field. The message names both."""


def typed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A root file's content in the types of kustomize's fields. Raises AmbiguousKeyError."""
    result: dict[str, Any] = _typed(content, _ROOT, "")
    return result


def _typed(value: Any, shape: Any, where: str) -> Any:
    if shape == _TEXT:
        return _text(value)
    if isinstance(shape, _Struct) and isinstance(value, dict):
        _check_keys(value, shape, where)
        return {
            name: _typed(item, shape.fields[name], f"{where}{name}.") for name, item in value.items()
            if name in shape.fields
        }  # fmt: skip
    if isinstance(shape, _Map) and isinstance(value, dict):
        return {name: _typed(item, shape.item, where) for name, item in value.items()}
    if isinstance(shape, _List) and isinstance(value, list):
        return [_typed(item, shape.item, f"{where}{index}.") for index, item in enumerate(value)]
    return value


def _check_keys(value: Mapping[str, Any], shape: _Struct, where: str) -> None:
    folded = {name.casefold(): name for name in shape.fields}
    for key in value:
        if key not in shape.fields and (name := folded.get(key.casefold())):
            raise AmbiguousKeyError(f"{where}{key}: expected {name}: the names of fields are case-sensitive")


def _text(value: Any) -> Any:
    """The text that the library makes of a number or a boolean; floats lose what 32 bits cannot hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return single_text(value)
    return str(value) if isinstance(value, int) else value
