"""Go's value model on Python values: types, truth, order, comparison.

| Go                | here                                   |
|-------------------|----------------------------------------|
| nil               | None                                   |
| bool, int, float64| bool, int, float                       |
| string            | str; bytes that are not UTF-8 are kept as lone surrogates (`surrogateescape`)
| []byte            | bytes                                  |
| int64             | Int64, an int (what sprig's arithmetic yields; not assignable to int)
| slice             | list, tuple                            |
| []string          | StringList                             |
| map               | dict (printed and ranged over in sorted key order)
| map[string]string | StringMap: a key that is absent is "" to `index`, like Go's zero value
| struct            | Struct                                 |

`NOTHING` is Go's invalid reflect.Value: what a missing key yields under missingkey=default; it prints as `<no value>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from .errors import FunctionError

Value = Any
"""Any of the values above. The interpreter is dynamically typed, as Go's is."""


class _Nothing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<no value>"


NOTHING: Final = _Nothing()


class StringMap(dict[str, str]):
    """map[string]string."""


class StringList(list[str]):
    """[]string."""


class NilList(list[Any]):
    """A nil []interface{}: an empty list that is null in JSON."""


class NilStrings(StringList):
    """A nil []string."""


class Int64(int):
    """int64: what sprig's arithmetic yields. A parameter of type int does not take it."""


class Ordered(dict[Any, Any]):
    """A mapping ranged over and printed in its own order and not by sorted keys."""


class Struct:
    """A value with named fields and methods, as a Go struct is to a template.

    `text` is what its String method would return (None: printed as `{a b}`), `marshal` the text that it is in JSON and
    YAML (None: an object of its fields). Compared and hashed by its fields, so that
    it can be a map's key. A method is a Python callable of positional arguments and raises FunctionError.
    """

    __slots__ = ("fields", "marshal", "methods", "text", "type_name")

    def __init__(
        self,
        fields: Mapping[str, Value],
        *,
        text: str | None = None,
        type_name: str = "struct",
        methods: Mapping[str, Callable[..., Value]] | None = None,
        marshal: str | None = None,
    ) -> None:
        self.fields = dict(fields)
        self.methods = dict(methods or {})
        self.text = text
        self.marshal = marshal
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Struct) and self.type_name == other.type_name and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((self.type_name, *(value for value in self.fields.values() if isinstance(value, str | int))))

    def __repr__(self) -> str:
        return f"<{self.type_name}>"


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def valid_text(text: str) -> str:
    """What encoding/json makes of a text: each byte that is not UTF-8, and each lone surrogate, is U+FFFD."""
    return _NOT_UTF8.sub("\ufffd", text)


def type_name(value: Value) -> str:
    """The Go type, for `printf "%T"`, `typeOf` and error texts."""
    if value is None or value is NOTHING:
        return "<nil>"
    for kind, name in _TYPE_NAMES:
        if isinstance(value, kind):
            return name
    if isinstance(value, Struct):
        return value.type_name
    return "func" if callable(value) else type(value).__name__


_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (Int64, "int64"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (bytes, "[]uint8"),
    (StringMap, "map[string]string"),
    (dict, "map[string]interface {}"),
    (StringList, "[]string"),
    (list, "[]interface {}"),
    (tuple, "[]interface {}"),
)


def kind_name(value: Value) -> str:
    """Go's reflect.Kind, for `kindOf`."""
    if value is None or value is NOTHING:
        return "invalid"
    if isinstance(value, dict):
        return "map"
    if isinstance(value, list | tuple | bytes):
        return "slice"
    return "struct" if isinstance(value, Struct) else type_name(value)


def truth(value: Value) -> bool:
    """Go's template truth: not the zero value, not empty."""
    if value is None or value is NOTHING:
        return False
    return bool(value) if isinstance(value, bool | int | float | str | bytes | list | tuple | dict) else True


def sort_key(value: Value) -> tuple[Any, ...]:
    """Order of map keys when ranging or printing: by kind, then by value; strings by bytes."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int | float):
        return (2, value)
    if isinstance(value, str):
        return (3, to_bytes(value))
    if isinstance(value, Struct):
        return (4, *(sort_key(field) for field in value.fields.values()))
    return (5, repr(type(value)))


def sorted_items(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The items in the order a Go template sees them."""
    if isinstance(mapping, Ordered):
        return list(mapping.items())
    return sorted(mapping.items(), key=lambda item: sort_key(item[0]))


def basic_kind(value: Value) -> str:
    """bool, int, float, string, or "" for what Go's `eq` and `lt` call not basic."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return "string" if isinstance(value, str) else ""


def equal(first: Value, others: tuple[Value, ...]) -> bool:
    """`eq`: does the first equal any of the others? Raises FunctionError where Go refuses to compare."""
    if not others:
        raise FunctionError("missing argument for comparison")
    kind = basic_kind(first)
    for other in others:
        if kind != basic_kind(other):
            if _is_nil(first) or _is_nil(other):
                continue
            raise FunctionError("incompatible types for comparison")
        if kind:
            same = first == other
        elif _is_nil(first) or _is_nil(other):
            same = _is_nil(first) and _is_nil(other)
        elif isinstance(first, Struct) and isinstance(other, Struct):
            same = first == other
        else:
            raise FunctionError(f"non-comparable types {type_name(first)}, {type_name(other)}")
        if same:
            return True
    return False


def _is_nil(value: Value) -> bool:
    return value is None or value is NOTHING


def less(first: Value, second: Value) -> bool:
    """`lt`. Raises FunctionError."""
    kind = basic_kind(first)
    if not kind or not basic_kind(second):
        raise FunctionError("invalid type for comparison")
    if kind != basic_kind(second):
        raise FunctionError("incompatible types for comparison")
    if kind == "bool":
        raise FunctionError("invalid type for comparison")
    if kind == "string":
        return to_bytes(first) < to_bytes(second)
    return bool(first < second)
