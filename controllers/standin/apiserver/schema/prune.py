"""Drops fields that the schema does not know, and names them; fills in defaults; drops nulls.

All three change the object in place: it is a parsed body or a fresh copy, never a stored object.
"""

from __future__ import annotations

import copy
from typing import Any

from .node import MISSING, Node

MAX_DEPTH = 500


def prune(node: Node, value: Any) -> list[str]:
    """Removes unknown fields; returns their paths, e.g. `spec.foo`, `spec.items[0].bar`, in the order of the object."""
    unknown: list[str] = []
    _prune(node, value, "", unknown, 0)
    return unknown


def _prune(node: Node, value: Any, path: str, unknown: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        _prune_object(node, value, path, unknown, depth)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                _prune(node.items, item, f"{path}[{index}]", unknown, depth + 1)


def _prune_object(node: Node, value: dict[str, Any], path: str, unknown: list[str], depth: int) -> None:
    properties, values, keep = node.properties, node.values, node.preserve or node.type not in ("object", "")
    dropped = []
    for name, item in value.items():
        child = properties.get(name)
        if child is None and values is not None:
            child = values
        if child is None:
            if not keep:
                dropped.append(name)
                unknown.append(f"{path}.{name}" if path else name)
            continue
        if isinstance(item, dict | list):
            _prune(child, item, f"{path}.{name}" if path else name, unknown, depth + 1)
    for name in dropped:
        del value[name]


def apply_defaults(node: Node, value: Any) -> None:
    """Fills in defaults, from the outside in; a null of a field that has a default and may not be null is replaced."""
    if not node.has_defaults:
        return
    if isinstance(value, dict):
        for name, child in node.properties.items():
            if child.default is not MISSING and (name not in value or (value[name] is None and not child.nullable)):
                value[name] = copy.deepcopy(child.default)
        for name, item in value.items():
            found = node.properties.get(name) or node.values
            if found is not None and found.has_defaults:
                apply_defaults(found, item)
    elif isinstance(value, list) and node.items is not None and node.items.has_defaults:
        for item in value:
            apply_defaults(node.items, item)


def null_empty(node: Node, value: dict[str, Any]) -> dict[str, list[Any]]:
    """Lists that are always encoded, as they are stored: null where they are empty. Returns how those were."""
    emptied: dict[str, list[Any]] = {name: [] for name in node.always if value.get(name) == []}
    value.update(dict.fromkeys(emptied))
    return emptied


def drop_forbidden_nulls(node: Node, value: Any) -> None:
    """Removes the nulls of declared fields that may not be null. Defaults are in by now, so these have none."""
    if isinstance(value, dict):
        for name, item in list(value.items()):
            child = node.properties.get(name) or node.values
            if child is None:
                continue
            if item is None and not child.nullable:
                del value[name]
            elif isinstance(item, dict | list):
                drop_forbidden_nulls(child, item)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            if isinstance(item, dict | list):
                drop_forbidden_nulls(node.items, item)


def drop_nulls(node: Node, value: Any) -> None:
    """Removes nulls as decoding into a typed object does. Untyped parts keep theirs."""
    if node.deduced:
        return
    if isinstance(value, dict):
        for name in [name for name, item in value.items() if item is None]:
            del value[name]
        for name, item in value.items():
            if isinstance(item, dict | list):
                drop_nulls(node.child(name), item)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            if isinstance(item, dict | list):
                drop_nulls(node.items, item)


def drop_empty(node: Node, value: Any) -> None:
    """Removes empty maps, lists and scalars from where encoding a typed object leaves them out. Structs and required
    fields stay, so do untyped parts.
    """
    if node.deduced or not isinstance(value, dict):
        if isinstance(value, list) and node.items is not None and not node.deduced:
            for item in value:
                drop_empty(node.items, item)
        return
    for name, item in list(value.items()):
        child = node.properties.get(name)
        if child is None:
            continue
        if item not in ([], {}, "", 0, False, None):
            if isinstance(item, dict | list):
                drop_empty(child, item)
            continue
        listed = (child.values is not None or child.items is not None) and isinstance(item, dict | list)
        kept = name in node.required or name in node.always
        if (listed and not kept) or (name in node.dropped and not listed and item is not None):
            del value[name]
