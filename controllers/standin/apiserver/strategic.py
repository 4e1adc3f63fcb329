"""Strategic merge patch of built-in types: lists of objects merge by key, as kubectl's edit, apply, set and scale
expect.

The merge key of a list is the first of its schema's keys, sets merge by value. Directives: `$patch` (replace, delete,
merge), `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`, `$retainKeys`. Nothing is changed in place.
"""

from __future__ import annotations

import copy
from typing import Any

from .schema.node import Node
from .ssa.typed import same
from .status_errors import bad_request

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
            else:
                merged[name] = _merge(node.child(name), merged.get(name), value)
    for name, value in patch.items():
        if name.startswith(ORDER):
            field = name.removeprefix(ORDER)
            if isinstance(merged.get(field), list) and isinstance(value, list):
                merged[field] = _ordered(node.child(field), merged[field], value)
    return merged


def _merge(node: Node, target: Any, patch: Any) -> Any:
    if isinstance(patch, dict):
        return _merge_map(node, target if isinstance(target, dict) else {}, patch)
    if isinstance(patch, list) and node.list_type == "map":
        return _merge_list(node, target if isinstance(target, list) else [], patch)
    if isinstance(patch, list) and node.list_type == "set":
        present = list(target) if isinstance(target, list) else []
        present.extend(item for item in patch if not any(same(item, other) for other in present))
        return present
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
            raise bad_request(f"map: {sorted(item)} does not contain declared merge key: {key}")
        places = [at for at, other in enumerate(merged) if isinstance(other, dict) and same(other.get(key), item[key])]
        if item.get(PATCH) == "delete":
            merged = [other for at, other in enumerate(merged) if at not in places]
        elif places:
            merged[places[0]] = _merge_map(node.item(), merged[places[0]], item)
        else:
            merged.append(_merge_map(node.item(), {}, item))
    return merged


def _without(present: Any, gone: Any) -> list[Any]:
    if not isinstance(gone, list):
        raise bad_request(f"{DELETE} holds no list")
    return [item for item in present or [] if not any(same(item, other) for other in gone)]


def _ordered(node: Node, items: list[Any], order: list[Any]) -> list[Any]:
    """The items named in `order` in its order; others keep their place relative to the one before them."""
    key = node.keys[0] if node.list_type == "map" else ""

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    names = [identity(item) for item in order]
    ranked = [item for name in names for item in items if same(identity(item), name)]
    for at, item in enumerate(items):
        if any(same(identity(item), name) for name in names):
            continue
        before = next((other for other in reversed(items[:at]) if other in ranked), None)
        ranked.insert(ranked.index(before) + 1 if before is not None else 0, item)
    return ranked


def _clean(value: Any) -> Any:
    """A copy without directives and nulls."""
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items() if not name.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return copy.deepcopy(value)
