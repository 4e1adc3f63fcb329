"""Strategic merge patch of built-in types: lists of objects merge by key, as kubectl's edit, apply, set and scale
expect.

The merge key of a list is the first of its schema's keys, sets merge by value. Directives: `$patch` (replace, delete,
merge), `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`, `$retainKeys`. Nothing is changed in place.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from ..schema.node import Node
from ..ssa.typed import same
from ..status_errors import bad_request, failed

ORDER, DELETE, PATCH, RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$patch", "$retainKeys"


def strategic_merge(node: Node, target: Any, patch: Any) -> Any:
    """`target` after `patch`. Raises StatusError 400 for directives that make no sense."""
    if not isinstance(patch, dict):
        raise bad_request("cannot patch with anything but an object")
    return _merge_map(node, target if isinstance(target, dict) else {}, patch)


def _merge_map(node: Node, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch.get(PATCH)
    if directive == "replace":
        return {name: _clean(value) for name, value in patch.items() if name != PATCH and value is not None}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type {directive!r} in map")
    merged = dict(target)
    if isinstance(patch.get(RETAIN), list):
        merged = {name: value for name, value in merged.items() if name in patch[RETAIN]}
    for name, value in patch.items():
        if name.startswith(DELETE):
            field = name.removeprefix(DELETE)
            merged[field] = _without(merged.get(field), value)
        elif not name.startswith("$"):
            if value is None:
                merged.pop(name, None)
            elif isinstance(value, list) and name not in merged:
                merged[name] = [_clean(item) for item in value if not _deleting(item)]
            else:
                merged[name] = _merge(node.child(name), merged.get(name), value)
    for name, value in patch.items():
        if name.startswith(ORDER):
            field = name.removeprefix(ORDER)
            if isinstance(merged.get(field), list) and isinstance(value, list):
                live = target.get(field)
                merged[field] = _ordered(
                    node.child(field), merged[field], value, live if isinstance(live, list) else []
                )
    return merged


def _merge(node: Node, target: Any, patch: Any) -> Any:
    if isinstance(patch, dict):
        return _merge_map(node, target if isinstance(target, dict) else {}, patch)
    if isinstance(patch, list) and node.list_type == "map":
        return _merge_list(node, target if isinstance(target, list) else [], patch)
    if isinstance(patch, list) and node.list_type == "set":
        live = list(target) if isinstance(target, list) else []
        present = list(live)
        for item in patch:
            if not any(same(item, other) for other in present):
                present.append(item)
        return _ordered(node, present, patch, live)
    return _clean(patch)


def _merge_list(node: Node, target: list[Any], patch: list[Any]) -> list[Any]:
    key = node.keys[0]
    if any(isinstance(item, dict) and item.get(PATCH) == "replace" for item in patch):
        return [_clean(item) for item in patch if not (isinstance(item, dict) and item.get(PATCH) == "replace")]
    merged = list(target)
    for item in patch:
        if not isinstance(item, dict):
            raise bad_request("a list that merges by key holds something that is no object")
        if key not in item:
            raise failed(f"map: {sorted(item)} does not contain declared merge key: {key}")
        places = [at for at, other in enumerate(merged) if isinstance(other, dict) and same(other.get(key), item[key])]
        if item.get(PATCH) == "delete":
            merged = [other for at, other in enumerate(merged) if at not in places]
        elif places:
            merged[places[0]] = _merge_map(node.item(), merged[places[0]], item)
        else:
            merged.append(_merge_map(node.item(), {}, item))
    return _ordered(node, merged, [item for item in patch if PATCH not in item], target)


def _without(present: Any, gone: Any) -> list[Any]:
    if not isinstance(gone, list):
        raise bad_request(f"{DELETE} holds no list")
    return [item for item in present or [] if not any(same(item, other) for other in gone)]


def _ordered(node: Node, items: list[Any], order: list[Any], live: list[Any]) -> list[Any]:
    """The items named in `order` in its order, the others in that of the live list, and both laid into each other:
    one of the others goes before the first named item that the live list has after it.
    """
    key = node.keys[0] if node.list_type == "map" else ""
    asked, before = [_identity(item, key) for item in order], [_identity(item, key) for item in live]
    named = sorted((item for item in items if _identity(item, key) in asked), key=lambda i: _rank(i, key, asked))
    others = sorted((item for item in items if _identity(item, key) not in asked), key=lambda i: _rank(i, key, before))
    laid: list[Any] = []
    while named and others:
        left, right = _rank(others[0], key, before), _rank(named[0], key, before)
        first = left < right < len(before)
        laid.append((others if first else named).pop(0))
    return laid + named + others


def _identity(item: Any, key: str) -> Any:
    found = item.get(key) if key and isinstance(item, dict) else item
    return json.dumps(found, sort_keys=True)


def _rank(item: Any, key: str, names: list[Any]) -> int:
    """The place of an item in a list; behind all where it is not in it."""
    name = _identity(item, key)
    return names.index(name) if name in names else len(names)


def _deleting(item: Any) -> bool:
    return isinstance(item, dict) and item.get(PATCH) == "delete"


def _clean(value: Any) -> Any:
    """A copy without directives and nulls."""
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items() if not name.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return copy.deepcopy(value)
