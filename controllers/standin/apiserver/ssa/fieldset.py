"""Sets of fields: what `managedFields.fieldsV1` says, as plain Python sets.

A path is a tuple of elements as FieldsV1 writes them: `f:name` for a field, `k:{"name":"x"}` for an item of a list of
objects, `v:"x"` for an item of a set, `i:0` for an index. A set holds the paths that are members; in FieldsV1 a
member with members below it has the key ".".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Any

Path = tuple[str, ...]
FieldSet = frozenset[Path]
EMPTY: FieldSet = frozenset()
MAX_DEPTH = 300


def from_fields_v1(value: Any) -> FieldSet:
    """Reads FieldsV1. What is no object is an empty set."""
    found: set[Path] = set()
    _read(value, (), found)
    return frozenset(found)


def _read(value: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(value, dict) or len(path) > MAX_DEPTH:
        return
    if path and (not value or "." in value):
        found.add(path)
    for key, child in value.items():
        if key != ".":
            _read(child, (*path, key), found)


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """Writes FieldsV1, keys sorted as the Go server sorts them."""
    root: dict[str, Any] = {}
    members: list[dict[str, Any]] = []
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        members.append(node)
    for node in members:
        if node:
            node["."] = {}
    return _ordered(root)


def _ordered(node: dict[str, Any]) -> dict[str, Any]:
    return {key: _ordered(node[key]) for key in sorted(node)}


def key_element(item: dict[str, Any]) -> str:
    """`k:{"containerPort":80,"protocol":"TCP"}`."""
    if len(item) == 1:  # nearly all of them are: `k:{"name":"x"}`
        for name, value in item.items():
            return f'k:{{"{name}":{_text(value)}}}'
    return "k:" + _encode(item)


def value_element(item: Any) -> str:
    """`v:"x"`."""
    return "v:" + _text(item)


_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode


def _text(value: Any) -> str:
    return encode_basestring(value) if isinstance(value, str) else _encode(value)


def show(path: Path) -> str:
    """As messages show a path: `.spec.containers[name="app"].image`."""
    text = ""
    for element in path:
        mark, body = element[:2], element[2:]
        if mark == "f:":
            text += f".{body}"
        elif mark == "k:":
            keys = json.loads(body)
            inner = ",".join(f"{name}={json.dumps(keys[name], ensure_ascii=False)}" for name in sorted(keys))
            text += f"[{inner}]"
        elif mark == "v:":
            text += f"[={body}]"
        else:
            text += f"[{body}]"
    return text


def under(paths: FieldSet, element: str) -> FieldSet:
    """The paths below `element`, without it."""
    return frozenset(path[1:] for path in paths if len(path) > 1 and path[0] == element)
