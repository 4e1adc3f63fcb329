"""Values under a schema: which fields they set, how two of them merge, what changed, what is left without some
fields.

The semantics are those of Kubernetes' structured merge: maps and structs merge by key, lists by `list_type`, what is
atomic is one field. A null is a value of its own (MISSING is absence): it stands for an empty map or list where the
other side has one. All functions are pure; results share parts with their arguments and must not be changed in place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..schema.node import MISSING, Node
from .fieldset import FieldSet, Path, key_element, show, value_element


class InvalidListError(Exception):
    """A list that cannot be merged: an item without its key, or one key twice. Says where."""


def element(node: Node, item: Any, path: Path) -> str:
    """The path element of an item of an associative list. Raises InvalidListError."""
    if node.list_type == "set":
        if isinstance(item, dict | list):
            raise InvalidListError(
                f"{_where(path)}: associative list without keys has an element that's a {_kind(item)}"
            )
        return value_element(item)
    if not isinstance(item, dict):
        raise InvalidListError(f"{_where(path)}: associative list with keys may not have non-map elements")
    found: dict[str, Any] = {}
    for key in node.keys:
        if item.get(key) is not None:
            found[key] = item[key]
        elif (default := node.item().child(key).default) is not MISSING:
            found[key] = default
    if not found:
        listed = " ".join(json.dumps(key) for key in node.keys)
        raise InvalidListError(
            f"{_where(path)}: element 0: associative list with keys has an element that omits all key fields "
            f"[{listed}] (and doesn't have default values for any key fields)"
        )
    return key_element(found)


def _where(path: Path) -> str:
    return show(path) or "."


def _kind(value: Any) -> str:
    return "map type" if isinstance(value, dict) else "list type"


def _items(node: Node, value: Iterable[Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in value:
        name = element(node, item, path)
        if name in found:
            raise InvalidListError(f"{_where(path)}: duplicate entries for key {show((name,))}")
        found[name] = item
    return found


def _named(node: Node, value: Iterable[Any], path: Path) -> list[tuple[str, Any]]:
    """Each item of a stored list with its path element. An item without a key of its own goes by its place."""
    found: list[tuple[str, Any]] = []
    for place, item in enumerate(value):
        try:
            found.append((element(node, item, path), item))
        except InvalidListError:
            found.append((f"i:{place}", item))
    return found


def _grouped(node: Node, value: Iterable[Any], path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, item in _named(node, value, path):
        found.setdefault(name, []).append(item)
    return found


def is_map(node: Node, value: Any) -> bool:
    """Whether the value merges by its keys."""
    return isinstance(value, dict) and not node.atomic


def is_associative(node: Node, value: Any) -> bool:
    """Whether the value merges by its items."""
    return isinstance(value, list) and node.list_type != "atomic"


def _both(kind: type, left: Any, right: Any) -> bool:
    """Whether two values walk as this kind: one is of it, the other too, or null or absent; and not both empty."""
    sides = [value for value in (left, right) if value is not MISSING and value is not None]
    return bool(sides) and all(isinstance(value, kind) for value in sides) and any(sides)


def _maps(node: Node, left: Any, right: Any) -> bool:
    return not node.atomic and _both(dict, left, right)


def _lists(node: Node, left: Any, right: Any) -> bool:
    return node.list_type != "atomic" and _both(list, left, right)


def _or_empty(value: Any, empty: Any) -> Any:
    return empty if value is MISSING or value is None else value


# --- which fields a value sets ----------------------------------------------------------------------------------------


def field_set(node: Node, value: Any) -> FieldSet:
    """The fields that an applied configuration sets. Raises InvalidListError."""
    check_lists(node, value, ())
    return members(node, value)


def check_lists(node: Node, value: Any, path: Path) -> None:
    """Raises InvalidListError for an item without its key, or one key twice."""
    if is_map(node, value):
        for name, item in value.items():
            if isinstance(item, dict | list):
                check_lists(node.child(name), item, (*path, f"f:{name}"))
    elif is_associative(node, value):
        for name, item in _items(node, value, path).items():
            if isinstance(item, dict | list):
                check_lists(node.item(), item, (*path, name))


def members(node: Node, value: Any) -> FieldSet:
    """The fields that a stored object sets. Items that share a key are one field, without what they hold."""
    found: set[Path] = set()
    _collect(node, value, (), found)
    return frozenset(found)


def _collect(node: Node, value: Any, path: Path, found: set[Path]) -> None:
    if is_map(node, value):
        for name, item in value.items():
            child_path = (*path, f"f:{name}")
            _collect(node.child(name), item, child_path, found)
            if item is None or item == {} or name not in node.properties:
                found.add(child_path)
    elif is_associative(node, value):
        for name, items in _grouped(node, value, path).items():
            child_path = (*path, name)
            if len(items) == 1:
                _collect(node.item(), items[0], child_path, found)
            found.add(child_path)
    elif path:
        found.add(path)


# --- merging ----------------------------------------------------------------------------------------------------------


def merge(node: Node, live: Any, config: Any, path: Path = ()) -> Any:
    """`live` with everything that `config` says; either may be MISSING."""
    if _maps(node, live, config):
        left, right = _or_empty(live, {}), _or_empty(config, {})
        merged = dict(left)
        for name, item in right.items():
            merged[name] = merge(node.child(name), left.get(name, MISSING), item, (*path, f"f:{name}"))
        return merged
    if _lists(node, live, config):
        return _merge_lists(node, _or_empty(live, []), _or_empty(config, []), path)
    return live if config is MISSING else config


def _merge_lists(node: Node, live: list[Any], config: list[Any], path: Path) -> list[Any]:
    """Items of `config` in its order; those only in `live` stay where they stood relative to their neighbours."""
    left, right = _named(node, live, path), list(_items(node, config, path).items())
    in_left: dict[str, Any] = {}
    for name, item in left:
        in_left[name] = MISSING if name in in_left else item  # items that share a key are not merged with a new one
    in_right = dict(right)
    shared = [name for name, _ in right if name in in_left]
    merged: list[Any] = []
    done: set[str] = set()
    at = 0

    def take(name: str, item: Any) -> None:
        done.add(name)
        merged.append(merge(node.item(), in_left.get(name, MISSING), item, (*path, name)))
        if shared and shared[0] == name:
            del shared[0]

    for name, item in right:
        while at < len(left) and left[at][0] != name:
            other, kept = left[at]
            if other not in in_right:
                merged.append(kept)
            elif other not in done and (not shared or shared[0] == other):
                break  # shared, and wanted next: the new items before it come first
            at += 1
        take(name, item)
        if at < len(left) and left[at][0] == name:
            at += 1
    merged.extend(item for name, item in left[at:] if name not in in_right)
    return merged


# --- comparing --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Comparison:
    """What is different between two values."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def compare(node: Node, old: Any, new: Any) -> Comparison:
    """The fields that `new` adds, changes and removes."""
    found = Comparison()
    _compare(node, old, new, (), found)
    return found


def _compare(node: Node, old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old is new:
        return
    if _maps(node, old, new):
        left, right = _or_empty(old, {}), _or_empty(new, {})
        for name in left.keys() | right.keys():
            _compare(node.child(name), left.get(name, MISSING), right.get(name, MISSING), (*path, f"f:{name}"), found)
    elif _lists(node, old, new):
        _compare_lists(node, _or_empty(old, []), _or_empty(new, []), path, found)
    elif isinstance(old, dict) is not isinstance(new, dict) and MISSING not in (old, new) and node.deduced:
        _compare(node, old, MISSING if isinstance(old, dict) else {}, path, found)
        _compare(node, {} if isinstance(new, dict) else MISSING, new, path, found)
        for marked in (found.added, found.removed):
            marked.discard(path)
        found.modified.add(path)
        return
    elif old is not MISSING and new is not MISSING:
        if not same(old, new):
            found.modified.add(path)
        return
    if old is MISSING:
        found.added.add(path)
    elif new is MISSING:
        found.removed.add(path)


def _compare_lists(node: Node, old: list[Any], new: list[Any], path: Path, found: Comparison) -> None:
    """Item by item; items that share a key are one value on their side."""
    left, right = _grouped(node, old, path), _grouped(node, new, path)
    for name in {**left, **right}:
        before, after = left.get(name, []), right.get(name, [])
        place = (*path, name)
        if len(before) <= 1 and len(after) <= 1:
            one, two = before[0] if before else MISSING, after[0] if after else MISSING
            _compare(node.item(), one, two, place, found)
        elif len(before) > 1 and len(after) > 1:
            if not same(before, after):
                found.modified.add(place)
        elif len(before) > 1:
            if after:
                _compare(node.item(), MISSING, after[0], place, found)
            found.removed.add(place)
        else:
            if before:
                _compare(node.item(), before[0], MISSING, place, found)
            found.added.add(place)


def same(old: Any, new: Any) -> bool:
    """Equality as JSON has it: true is not 1, the order of a map's keys does not matter."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(same(left, right) for left, right in zip(old, new, strict=True))
    return bool(old == new)


# --- removing ---------------------------------------------------------------------------------------------------------


def with_named_parents(node: Node, paths: FieldSet) -> FieldSet:
    """The set with each declared field that has members below it as a member too."""
    found = set(paths)
    nodes: dict[Path, Node] = {(): node}
    for path in paths:
        parent = path[:-1]
        if parent in nodes:
            continue  # seen with another path, and all above it
        current = node
        for depth, name in enumerate(parent):
            above = path[: depth + 1]
            if name.startswith("f:"):
                if name[2:] in current.properties:
                    found.add(above)
                current = current.child(name[2:])
            else:
                current = current.item()
            nodes[above] = current
    return frozenset(found)


Trie = dict[str, Any]


def remove(node: Node, value: Any, paths: FieldSet) -> Any:
    """`value` without these fields; a map or list that lost all it had is null."""
    trie: Trie = {}
    for path in paths:
        current = trie
        for name in path:
            current = current.setdefault(name, {})
        current["."] = True
    return _remove(node, value, trie, ()) if trie else value


def _remove(node: Node, value: Any, trie: Trie, path: Path) -> Any:
    if isinstance(value, dict):
        if node.atomic or not value:
            return None
        kept: dict[str, Any] = {}
        for name, item in value.items():
            below = trie.get(f"f:{name}")
            if below is None:
                kept[name] = item
            elif "." not in below:
                kept[name] = _remove(node.child(name), item, below, (*path, f"f:{name}"))
        return kept or None
    if isinstance(value, list):
        if node.list_type == "atomic" or not value:
            return None
        rest: list[Any] = []
        for name, item in _named(node, value, path):
            below = trie.get(name)
            if below is None:
                rest.append(item)
            elif "." not in below:
                rest.append(_remove(node.item(), item, below, (*path, name)))
        return rest or None
    return value


# --- types ------------------------------------------------------------------------------------------------------------


def misfit(node: Node, value: Any, path: Path = ()) -> str:
    """Where a configuration has a value that its schema cannot hold, in words; "" where it fits."""
    if value is None or node.deduced:
        return ""
    if node.type == "object" and isinstance(value, dict):
        parts = ((node.child(name), item, (*path, f"f:{name}")) for name, item in value.items())
        return next(filter(None, (misfit(*part) for part in parts)), "")
    if node.type == "array" and isinstance(value, list):
        places = ((node.item(), item, (*path, f"i:{place}")) for place, item in enumerate(value))
        return next(filter(None, (misfit(*part) for part in places)), "")
    wanted = _WANTED.get("" if node.int_or_string else node.type)
    if wanted is None or (isinstance(value, wanted[1]) and (node.type == "boolean" or not isinstance(value, bool))):
        return ""
    return f"{_where(path)}: expected {wanted[0]}, got {json.dumps(value)[:200]}"


_WANTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "object": ("map", (dict,)),
    "array": ("list", (list,)),
    "string": ("string", (str,)),
    "integer": ("numeric (int or float)", (int, float)),
    "number": ("numeric (int or float)", (int, float)),
    "boolean": ("boolean", (bool,)),
}
