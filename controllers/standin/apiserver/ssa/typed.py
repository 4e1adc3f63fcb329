"""Values under a schema: which fields they set, how two of them merge, what changed, what is left without some
fields.

The semantics are those of Kubernetes' structured merge: maps and structs merge by key, lists by `list_type`, what is
atomic is one field. All functions are pure; results share parts with their arguments and must not be changed in
place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..schema.node import MISSING, Node
from .fieldset import FieldSet, Path, key_element, value_element


class BadList(Exception):
    """A list that cannot be merged: an item without its key, or one key twice. Says where."""


def element(node: Node, item: Any, path: Path) -> str:
    """The path element of an item of an associative list. Raises BadList."""
    if node.list_type == "set":
        if isinstance(item, dict | list):
            raise BadList(f"{_where(path)}: associative list without keys has an element that's a {_kind(item)}")
        return value_element(item)
    if not isinstance(item, dict):
        raise BadList(f"{_where(path)}: associative list with keys may not have non-map elements")
    found: dict[str, Any] = {}
    for key in node.keys:
        if item.get(key) is not None:
            found[key] = item[key]
        elif (default := node.item().child(key).default) is not MISSING:
            found[key] = default
    if not found:
        listed = ", ".join(node.keys)
        raise BadList(
            f"{_where(path)}: element 0: associative list with keys has an element that omits key field "
            f'"{listed}" (and doesn\'t have default value)'
        )
    return key_element(found)


def _where(path: Path) -> str:
    from .fieldset import show

    return show(path) or "."


def _kind(value: Any) -> str:
    return "map type" if isinstance(value, dict) else "list type"


def _items(node: Node, value: list[Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in value:
        name = element(node, item, path)
        if name in found:
            raise BadList(f"{_where(path)}: duplicate entries for key [{name[2:]}]")
        found[name] = item
    return found


def _lenient_items(node: Node, value: list[Any], path: Path) -> dict[str, Any]:
    """Like _items for stored objects: the first of two with one key stands for both."""
    found: dict[str, Any] = {}
    for item in value:
        try:
            found.setdefault(element(node, item, path), item)
        except BadList:
            found.setdefault("i:" + json.dumps(len(found)), item)
    return found


def is_map(node: Node, value: Any) -> bool:
    """Whether the value merges by its keys."""
    return isinstance(value, dict) and not node.atomic


def is_associative(node: Node, value: Any) -> bool:
    """Whether the value merges by its items."""
    return isinstance(value, list) and node.list_type != "atomic"


# --- which fields a value sets ----------------------------------------------------------------------------------------


def field_set(node: Node, value: Any) -> FieldSet:
    """The fields that an applied configuration sets. Raises BadList."""
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
        for name, item in _items(node, value, path).items():
            child_path = (*path, name)
            _collect(node.item(), item, child_path, found)
            found.add(child_path)
    else:
        found.add(path)


# --- merging ----------------------------------------------------------------------------------------------------------


def merge(node: Node, live: Any, config: Any, path: Path = ()) -> Any:
    """`live` with everything that `config` says."""
    if is_map(node, live) and is_map(node, config):
        merged = dict(live)
        for name, item in config.items():
            if name in live:
                merged[name] = merge(node.child(name), live[name], item, (*path, f"f:{name}"))
            else:
                merged[name] = item
        return merged
    if is_associative(node, live) and is_associative(node, config):
        return _merge_lists(node, live, config, path)
    return config


def _merge_lists(node: Node, live: list[Any], config: list[Any], path: Path) -> list[Any]:
    """Items of `config` in its order; those only in `live` stay where they stood relative to their neighbours."""
    left, right = _lenient_items(node, live, path), _items(node, config, path)
    merged: list[Any] = []
    left_names = list(left)
    position = 0
    placed: set[str] = set()
    for name, item in right.items():
        if name in left and name not in placed:
            while position < len(left_names) and left_names[position] != name:
                other = left_names[position]
                position += 1
                if other not in right:
                    merged.append(left[other])
                else:
                    placed.add(other)
            position += 1
        elif name not in left:
            while position < len(left_names) and left_names[position] not in right:
                merged.append(left[left_names[position]])
                position += 1
        merged.append(merge(node.item(), left[name], item, (*path, name)) if name in left else item)
    emitted = {id(item) for item in merged}
    merged.extend(left[name] for name in left_names if name not in right and id(left[name]) not in emitted)
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
    if old is MISSING or new is MISSING:
        one, target = (new, found.added) if old is MISSING else (old, found.removed)
        _mark_all(node, one, path, target)
        return
    empty = not old and not new
    if is_map(node, old) and is_map(node, new) and not empty:
        for name in {**old, **new}:
            _compare(node.child(name), old.get(name, MISSING), new.get(name, MISSING), (*path, f"f:{name}"), found)
    elif is_associative(node, old) and is_associative(node, new) and not empty:
        left, right = _lenient_items(node, old, path), _lenient_items(node, new, path)
        for name in {**left, **right}:
            _compare(node.item(), left.get(name, MISSING), right.get(name, MISSING), (*path, name), found)
    elif type(old) is type(new) or not isinstance(old, dict | list) or not isinstance(new, dict | list):
        if not same(old, new):
            found.modified.add(path)
    else:
        _mark_all(node, old, path, found.removed)
        _mark_all(node, new, path, found.added)


def _mark_all(node: Node, value: Any, path: Path, target: set[Path]) -> None:
    target.add(path)
    if is_map(node, value):
        for name, item in value.items():
            _mark_all(node.child(name), item, (*path, f"f:{name}"), target)
    elif is_associative(node, value):
        for name, item in _lenient_items(node, value, path).items():
            _mark_all(node.item(), item, (*path, name), target)


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
    for path in paths:
        current = node
        for depth, name in enumerate(path[:-1]):
            if name.startswith("f:"):
                if name[2:] in current.properties:
                    found.add(path[: depth + 1])
                current = current.child(name[2:])
            else:
                current = current.item()
    return frozenset(found)


Trie = dict[str, Any]


def remove(node: Node, value: Any, paths: FieldSet) -> Any:
    """`value` without these fields; maps and lists that lost all they had are gone too (MISSING)."""
    trie: Trie = {}
    for path in paths:
        current = trie
        for name in path:
            current = current.setdefault(name, {})
        current["."] = True
    return _remove(node, value, trie, ()) if trie else value


def _remove(node: Node, value: Any, trie: Trie, path: Path) -> Any:
    if is_map(node, value):
        kept: dict[str, Any] = {}
        for name, item in value.items():
            below = trie.get(f"f:{name}")
            if below is None:
                kept[name] = item
            elif "." not in below:
                left = _remove(node.child(name), item, below, (*path, f"f:{name}"))
                if left is not MISSING:
                    kept[name] = left
        return kept if kept or not value else MISSING
    if is_associative(node, value):
        rest: list[Any] = []
        for name, item in _lenient_items(node, value, path).items():
            below = trie.get(name)
            if below is None:
                rest.append(item)
            elif "." not in below:
                left = _remove(node.item(), item, below, (*path, name))
                if left is not MISSING:
                    rest.append(left)
        return rest if rest or not value else MISSING
    return value
