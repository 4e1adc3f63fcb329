"""What a typed decoder would refuse: a value of another JSON type than its field has.

Built-in types and every object's metadata are checked by this before anything else looks at them, so the rules
further in may rely on types. The answer is a 400, as it is from a decoder, and not a 422.
"""

from __future__ import annotations

from typing import Any

from .loader import INT_OR_STRING, QUANTITY
from .node import Node

GO_TYPES = {"string": "string", "number": "int32", "boolean": "bool", "object": "map[string]interface", "array": "[]"}
MAX_DEPTH = 200


def decode_error(node: Node, value: Any, path: str = "") -> str:
    """The first mismatch in words, or "" where there is none. Null stands for absence everywhere."""
    return _check(node, value, path, 0)


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    names = {str: "string", int: "number", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "value")


def _check(node: Node, value: Any, path: str, depth: int) -> str:
    if value is None or node.deduced:
        return ""
    if depth > MAX_DEPTH:
        return f"{path}: nested deeper than {MAX_DEPTH}"
    if node.name in (QUANTITY, INT_OR_STRING):
        fits = isinstance(value, str | int | float) and not isinstance(value, bool)
        return "" if fits else _mismatch(value, path, node.name.rpartition(".")[2])
    if node.type == "object":
        return _check_object(node, value, path, depth)
    if node.type == "array":
        if not isinstance(value, list):
            return _mismatch(value, path, "list")
        for index, item in enumerate(value):
            found = _check(node.item(), item, f"{path}[{index}]", depth + 1)
            if found:
                return found
        return ""
    return _check_scalar(node, value, path)


def _check_scalar(node: Node, value: Any, path: str) -> str:
    if node.type == "string" and not isinstance(value, str):
        return _mismatch(value, path, "string")
    if node.type == "boolean" and not isinstance(value, bool):
        return _mismatch(value, path, "bool")
    if node.type == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _mismatch(value, path, "int32")
        if isinstance(value, float) and not value.is_integer():
            return _mismatch(value, path, "int32")
    return ""


def _check_object(node: Node, value: Any, path: str, depth: int) -> str:
    if not isinstance(value, dict):
        return _mismatch(value, path, node.name.rpartition(".")[2] or "map")
    for name, item in value.items():
        child = node.properties.get(name) or node.values
        if child is not None:
            found = _check(child, item, f"{path}.{name}" if path else name, depth + 1)
            if found:
                return found
    return ""


def _mismatch(value: Any, path: str, wanted: str) -> str:
    return f"json: cannot unmarshal {_found(value)} into Go struct field {path} of type {wanted}"
