"""Structural schemas out of the models: what a CustomResourceDefinition says of `spec` and `status`.

pydantic's own JSON schema is not one that an API server takes (`$ref`, `anyOf` for optional fields, `title`), and it
knows neither list types nor CEL. So the models are walked here, when the CRD files are written or the embedded API
server starts. What a field means is read from the text below it in the source, so that the two cannot drift apart.

A construction that this walker does not know raises TypeError: better no CRD than one that says less than the model.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from .base import Fields, Format, Implied, ListType, Nullable, OneOf, SchemaDefault

Schema = dict[str, Any]

_SCALARS: dict[object, str] = {str: "string", int: "integer", bool: "boolean", float: "number"}


def schema_of(model: type[Fields]) -> Schema:
    """The structural schema of a model: an object with its properties in alphabetical order."""
    schema: Schema = {"type": "object", "description": _text(inspect.getdoc(model))}
    properties = {field.alias or name: _property(model, name, field) for name, field in model.model_fields.items()}
    schema["properties"] = dict(sorted(properties.items()))
    if required := sorted(field.alias or name for name, field in model.model_fields.items() if field.is_required()):
        schema["required"] = required
    if issubclass(model, OneOf):
        schema |= {"minProperties": 1, "maxProperties": 1}
    if model.open:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    if model.atomic:
        schema["x-kubernetes-map-type"] = "atomic"
    if model.cel:
        schema["x-kubernetes-validations"] = [{"rule": rule.rule, "message": rule.message} for rule in model.cel]
    return schema


def _property(model: type[Fields], name: str, field: FieldInfo) -> Schema:
    schema = _of(field.annotation, field.metadata)
    described: Schema = {}
    if description := _description(model, name) or schema.get("description", ""):
        described["description"] = description
    has_default, value = _default(field)
    if has_default:
        described["default"] = value
    return described | {key: item for key, item in schema.items() if key != "description"}


def _default(field: FieldInfo) -> tuple[bool, Any]:
    marks = {type(mark): mark for mark in _flat(field.metadata)}
    explicit = marks.get(SchemaDefault)
    if isinstance(explicit, SchemaDefault):
        return True, explicit.value
    value = field.default
    if Implied in marks or field.is_required() or not value or isinstance(value, Fields | dict):
        return False, None
    return True, list(value) if isinstance(value, tuple) else value


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    """Metadata with nested `Field(...)` laid open."""
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            yield from _flat(mark.metadata)
        else:
            yield mark


def _of(annotation: Any, metadata: Iterable[Any] = ()) -> Schema:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(args[0], [*args[1:], *metadata])
    if origin in (Union, types.UnionType):
        return _of_union([arg for arg in args if arg is not types.NoneType], metadata)
    if annotation is Any:
        return {"x-kubernetes-preserve-unknown-fields": True}
    if isinstance(annotation, type) and issubclass(annotation, Fields):
        return schema_of(annotation) | _constraints(metadata)
    if origin is Literal:
        return {"type": _SCALARS[type(args[0])], "enum": list(args)} | _constraints(metadata)
    if origin is tuple and args[1:] == (Ellipsis,):
        return {"type": "array", "items": _of(args[0])} | _constraints(metadata, "Items")
    if origin is dict and args[0] is str:
        values = _of(args[1])
        free = values == {"x-kubernetes-preserve-unknown-fields": True}
        return {"type": "object"} | (values if free else {"additionalProperties": values}) | _constraints(metadata)
    if annotation in _SCALARS:
        return {"type": _SCALARS[annotation]} | _constraints(metadata)
    raise TypeError(f"no structural schema for {annotation!r}")


def _of_union(args: list[Any], metadata: Iterable[Any]) -> Schema:
    if len(args) == 1:
        return _of(args[0], metadata)
    if {get_args(arg)[0] if get_origin(arg) is Annotated else arg for arg in args} == {int, str}:
        return {"x-kubernetes-int-or-string": True} | _constraints(metadata)
    raise TypeError(f"no structural schema for a union of {args!r}")


def _constraints(metadata: Iterable[Any], noun: str = "Length") -> Schema:
    schema: Schema = {}
    for mark in _flat(metadata):
        match mark:
            case annotated_types.MinLen(bound):
                schema[f"min{noun}"] = bound
            case annotated_types.MaxLen(bound):
                schema[f"max{noun}"] = bound
            case annotated_types.Ge(bound):
                schema["minimum"] = bound
            case annotated_types.Le(bound):
                schema["maximum"] = bound
            case Format(name):
                schema["format"] = name
            case Nullable():
                schema["nullable"] = True
            case ListType(kind, keys):
                schema["x-kubernetes-list-type"] = kind
                if keys:
                    schema["x-kubernetes-list-map-keys"] = list(keys)
            case _ if pattern := getattr(mark, "pattern", None):
                schema["pattern"] = pattern
    return schema


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _description(model: type[Fields], name: str) -> str:
    for owner in model.__mro__:
        if found := _attribute_texts(owner.__module__).get((owner.__name__, name)):
            return found
    return ""


@cache
def _attribute_texts(module: str) -> dict[tuple[str, str], str]:
    """Of a module of ours: (class, attribute) → the string that stands below the attribute."""
    if not module.startswith(__package__ or "controllers.api"):
        return {}
    tree = ast.parse(inspect.getsource(__import__(module, fromlist=["_"])))
    texts: dict[tuple[str, str], str] = {}
    for owner in tree.body:
        if not isinstance(owner, ast.ClassDef):
            continue
        for before, node in zip(owner.body, owner.body[1:], strict=False):
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
                match node:
                    case ast.Expr(ast.Constant(str(text))):
                        texts[owner.name, before.target.id] = _text(text)
    return texts
