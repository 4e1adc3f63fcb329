"""Checks a custom object against its structural schema, with the causes that an API server names.

Values are checked after pruning and defaulting. Patterns run on RE2, so a hostile pattern costs linear time; a
pattern that RE2 refuses was refused with the CRD. CEL rules are `cel.py`'s, and run only on objects that this module
found right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import re2

from ..status_errors import Cause, duplicate, invalid_value, not_supported, required, too_many, type_invalid
from .formats import FORMATS
from .node import Node

MAX_CAUSES = 50
BOUNDS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def validate(node: Node, value: Any, path: str = "") -> list[Cause]:
    """All that is wrong with `value`, at most MAX_CAUSES; empty where it is right."""
    causes: list[Cause] = []
    _validate(node, value, path, causes)
    return causes[:MAX_CAUSES]


def type_name(value: Any) -> str:
    """The JSON type as messages name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "unknown")


def _has_type(node: Node, value: Any) -> bool:
    if node.int_or_string:
        return isinstance(value, str | int) and not isinstance(value, bool)
    kind = type_name(value)
    if kind == node.type or (kind == "integer" and node.type == "number"):
        return True
    return node.type == "integer" and isinstance(value, float) and value.is_integer()


def _validate(node: Node, value: Any, path: str, causes: list[Cause]) -> None:
    if len(causes) >= MAX_CAUSES:
        return
    if value is None and node.nullable:
        return
    if (node.type or node.int_or_string) and not _has_type(node, value):
        wanted = "integer,string" if node.int_or_string else node.type
        found = type_name(value)
        causes.append(type_invalid(path, found, f'{path or "<nil>"} in body must be of type {wanted}: "{found}"'))
        return
    if isinstance(value, dict):
        _validate_object(node, value, path, causes)
    elif isinstance(value, list):
        _validate_list(node, value, path, causes)
    if node.constraints:
        _constraints(node.constraints, value, path, causes)


def _validate_object(node: Node, value: dict[str, Any], path: str, causes: list[Cause]) -> None:
    causes.extend(required(f"{path}.{name}" if path else name) for name in node.required if name not in value)
    for name, item in value.items():
        child = node.properties.get(name)
        if child is not None:
            if child.name == "meta.v1.ObjectMeta":  # metadata: decoded and checked apart
                continue
            _validate(child, item, f"{path}.{name}" if path else name, causes)
        elif node.values is not None:
            _validate(node.values, item, f"{path}.{name}" if path else name, causes)


def _validate_list(node: Node, value: list[Any], path: str, causes: list[Cause]) -> None:
    if node.items is not None:
        for index, item in enumerate(value):
            _validate(node.items, item, f"{path}[{index}]", causes)
    if node.list_type not in ("set", "map"):
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        shown = item
        if node.list_type == "map":
            if not isinstance(item, dict):
                continue
            shown = {key: item[key] for key in node.keys if key in item}
        text = json.dumps(shown, sort_keys=True)
        if text in seen:
            causes.append(duplicate(f"{path}[{index}]", shown))
        seen.add(text)


# --- constraints ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def _pattern(text: str) -> Any:
    return re2.compile(text)


def _constraints(rules: Mapping[str, Any], value: Any, path: str, causes: list[Cause]) -> None:
    for keyword, bound in rules.items():
        check = CHECKS.get(keyword)
        if check is not None:
            check(rules, bound, value, path, causes)


Check = Callable[[Mapping[str, Any], Any, Any, str, list[Cause]], None]


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _minimum(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if not _numeric(value):
        return
    if rules.get("exclusiveMinimum"):
        if value <= bound:
            causes.append(invalid_value(path, value, f"{path} in body should be greater than {bound}"))
    elif value < bound:
        causes.append(invalid_value(path, value, f"{path} in body should be greater than or equal to {bound}"))


def _maximum(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if not _numeric(value):
        return
    if rules.get("exclusiveMaximum"):
        if value >= bound:
            causes.append(invalid_value(path, value, f"{path} in body should be less than {bound}"))
    elif value > bound:
        causes.append(invalid_value(path, value, f"{path} in body should be less than or equal to {bound}"))


def _multiple(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if _numeric(value) and bound and Decimal(str(value)) % Decimal(str(bound)) != 0:
        causes.append(invalid_value(path, value, f"{path} in body should be a multiple of {bound}"))


def _enum(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if not any(type_name(item) == type_name(value) and item == value for item in bound):
        causes.append(not_supported(path, value, bound))


def _regex(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, str) and _fits(rules, value) and not _pattern(bound).search(value):
        causes.append(invalid_value(path, value, f"{path} in body should match '{bound}'"))


def _fits(rules: Mapping[str, Any], value: str) -> bool:
    """Whether a text's length is right: only then its pattern is asked about."""
    return int(rules.get("minLength") or 0) <= len(value) <= float(rules.get("maxLength", "inf"))


def _format(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, str):
        check = FORMATS.get(bound)
        if check is not None and not check(value):
            causes.append(type_invalid(path, value, f'{path} in body must be of type {bound}: "{value}"'))
    elif _numeric(value) and bound in BOUNDS:
        low, high = BOUNDS[bound]
        if not low <= value <= high:
            causes.append(invalid_value(path, value, f"{path} in body should be a number of format {bound}"))


def _min_length(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, str) and len(value) < bound:
        causes.append(invalid_value(path, value, f"{path} in body should be at least {bound} chars long"))


def _max_length(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, str) and len(value) > bound:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {bound} bytes", path))


def _min_items(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, list) and len(value) < bound:
        causes.append(invalid_value(path, value, f"{path} in body should have at least {bound} items"))


def _max_items(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, list) and len(value) > bound:
        causes.append(too_many(path, len(value), bound))


def _unique(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if bound and isinstance(value, list):
        texts = [json.dumps(item, sort_keys=True) for item in value]
        if len(set(texts)) < len(texts):
            causes.append(invalid_value(path, value, f"{path} in body shouldn't contain duplicates"))


def _min_properties(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, dict) and len(value) < bound:
        causes.append(invalid_value(path, value, f"{path} in body should have at least {bound} properties"))


def _max_properties(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, dict) and len(value) > bound:
        causes.append(too_many(path, len(value), bound))


# --- combinations -----------------------------------------------------------------------------------------------------


def _right(schema: Mapping[str, Any], value: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    _validate(_branch(json.dumps(schema, sort_keys=True)), value, path, found)
    return found


@lru_cache(maxsize=1024)
def _branch(text: str) -> Node:
    from .compile import compile_branch

    return compile_branch(json.loads(text))


def _all_of(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    for schema in bound:
        causes.extend(_right(schema, value, path))


def _any_of(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if not any(not _right(schema, value, path) for schema in bound):
        causes.append(invalid_value(path, value, f'"{path}" must validate at least one schema (anyOf)'))


def _one_of(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    count = sum(not _right(schema, value, path) for schema in bound)
    if count != 1:
        found = "none valid" if not count else f"{count} valid alternatives"
        why = f'"{path}" must validate one and only one schema (oneOf). Found {found}'
        causes.append(invalid_value(path, value, why))


def _not(rules: Mapping[str, Any], bound: Any, value: Any, path: str, causes: list[Cause]) -> None:
    if not _right(bound, value, path):
        causes.append(invalid_value(path, value, f'"{path}" must not validate the schema (not)'))


CHECKS: dict[str, Check] = {
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": _multiple,
    "enum": _enum,
    "pattern": _regex,
    "format": _format,
    "minLength": _min_length,
    "maxLength": _max_length,
    "minItems": _min_items,
    "maxItems": _max_items,
    "uniqueItems": _unique,
    "minProperties": _min_properties,
    "maxProperties": _max_properties,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
