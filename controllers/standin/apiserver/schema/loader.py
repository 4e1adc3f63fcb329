"""Schemas of the built-in types, read from `builtin_types.txt`.

Notation, one field per line under its `@type`: `name TYPE [=DEFAULT]`. TYPE is `s` string, `b` boolean, `n` number,
`?` any scalar, `*` anything, `[T` a list that is replaced, `<T` a set, `{k,…}T` a list of objects merged by keys,
`%T` a map, or a type's name; `!` before a type, or after the name of one, makes it replaced as a whole.

The table's defaults are those of Go's zero values and of list keys; they are kept for list keys (a container port
without `protocol` is the TCP one) and to tell which objects (`={}`) and which lists and maps (`=null`, null where they
are empty) are always there, and not written into objects. `=?` marks a scalar that is left out where it is zero.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from .node import ANYTHING, Node

SCALARS = {"s": "string", "b": "boolean", "n": "number"}
QUANTITY, INT_OR_STRING = "api.resource.Quantity", "util.intstr.IntOrString"
UNTYPED = ("meta.v1.FieldsV1", "runtime.RawExtension")


@cache
def table() -> dict[str, Node]:
    """All built-in types by their short name (`core.v1.Pod`)."""
    text = resources.files(__package__).joinpath("builtin_types.txt").read_text(encoding="utf-8")
    blocks: dict[str, tuple[str, list[str]]] = {}
    fields: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            name, _, flag = line[1:].partition(" ")
            fields = []
            blocks[name] = (flag, fields)
        elif line and not line.startswith("#"):
            fields.append(line)
    nodes = {name: _type_node(name, flag) for name, (flag, _) in blocks.items()}
    for name, (flag, lines) in blocks.items():
        if flag in ("", "!"):
            for line in lines:
                _add_field(nodes[name], line, nodes)
    return nodes


def _type_node(name: str, flag: str) -> Node:
    if name in (INT_OR_STRING, QUANTITY):
        return Node("", name=name, int_or_string=True)
    if flag == "?":
        return Node("string", name=name, nullable=True)
    if flag == "*":
        return Node("object", name=name, preserve=True, deduced=True)
    return Node("object", name=name, atomic=flag == "!")


def _add_field(node: Node, line: str, nodes: dict[str, Node]) -> None:
    name, _, rest = line.partition(" ")
    text, _, default = rest.partition(" =")
    child = _parse(text, nodes)
    if default == "?":
        node.dropped = frozenset((*node.dropped, name))
    elif default:
        value: Any = json.loads(default)
        if value == {}:
            node.required = (*node.required, name)
        elif value is None:
            node.always = (*node.always, name)
        else:
            child = Node(child.type, default=value)
    node.properties[name] = child


def _parse(text: str, nodes: dict[str, Node]) -> Node:
    if text in SCALARS:
        return Node(SCALARS[text])
    if text in ("?", "*"):
        return ANYTHING
    mark, rest = text[0], text[1:]
    if mark == "[":
        return Node("array", items=_parse(rest, nodes))
    if mark == "<":
        return Node("array", items=_parse(rest, nodes), list_type="set")
    if mark == "{":
        keys, _, element = rest.partition("}")
        return Node("array", items=_parse(element, nodes), list_type="map", keys=tuple(keys.split(",")))
    if mark == "%":
        return Node("object", values=_parse(rest, nodes))
    if mark == "!":
        inner = _parse(rest, nodes)
        return Node("object", name=inner.name, properties=inner.properties, values=inner.values, atomic=True)
    return nodes[text]
