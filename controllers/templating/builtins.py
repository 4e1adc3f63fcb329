"""The functions that Go's text/template always has. `and` and `or` are the evaluator's own: they short-circuit."""

from __future__ import annotations

from urllib.parse import quote_plus

from .errors import FunctionError
from .goformat import sprint, sprintf, sprintln
from .registry import Function, FunctionSet, functions
from .values import NOTHING, StringMap, Value, equal, less, to_bytes, to_text, truth, type_name

_HTML = {'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"}
_JS = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D",
}  # fmt: skip


def _index_of(value: Value, length: int, *, upper: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        what = "nil" if value is None or value is NOTHING else f"type {type_name(value)}"
        raise FunctionError(f"cannot index slice/array with {what}")
    if not 0 <= value < upper:
        raise FunctionError(f"index out of range: {value}")
    return value


def index(item: Value, *keys: Value) -> Value:
    """`index x 1 "k"` is x[1]["k"]; a key that a map lacks is its zero value."""
    if item is None or item is NOTHING:
        raise FunctionError("index of untyped nil")
    for key in keys:
        if isinstance(item, str | bytes):
            raw = to_bytes(item) if isinstance(item, str) else item
            item = raw[_index_of(key, len(raw), upper=len(raw))]
        elif isinstance(item, list | tuple):
            item = item[_index_of(key, len(item), upper=len(item))]
        elif isinstance(item, dict):
            item = _map_index(item, key)
        elif item is None or item is NOTHING:
            raise FunctionError("index of nil pointer")
        else:
            raise FunctionError(f"can't index item of type {type_name(item)}")
    return item


def _map_index(mapping: dict[Value, Value], key: Value) -> Value:
    if key is None or key is NOTHING:
        raise FunctionError("value is nil; should be of type string")
    kind = next(iter(mapping), "")
    if type_name(key) != type_name(kind):
        raise FunctionError(f"value has type {type_name(key)}; should be {type_name(kind)}")
    return mapping.get(key, "" if isinstance(mapping, StringMap) else None)


def slice_(item: Value, *indexes: Value) -> Value:
    if item is None or item is NOTHING:
        raise FunctionError("slice of untyped nil")
    if len(indexes) > 3:
        raise FunctionError(f"too many slice indexes: {len(indexes)}")
    if isinstance(item, str) and len(indexes) == 3:
        raise FunctionError("cannot 3-index slice a string")
    if not isinstance(item, str | bytes | list | tuple):
        raise FunctionError(f"can't slice item of type {type_name(item)}")
    body = to_bytes(item) if isinstance(item, str) else item
    bounds = [_index_of(value, len(body), upper=len(body) + 1) for value in indexes]
    start, end = (bounds + [0, len(body)][len(bounds) :])[:2] if len(bounds) < 2 else bounds[:2]
    if start > end or (len(bounds) == 3 and end > bounds[2]):
        raise FunctionError(f"invalid slice index: {start} > {end}")
    part = body[start:end]
    return to_text(part) if isinstance(item, str) and isinstance(part, bytes) else part


def length(item: Value) -> int:
    if item is None or item is NOTHING:
        raise FunctionError("len of nil pointer")
    if isinstance(item, str):
        return len(to_bytes(item))
    if isinstance(item, bytes | list | tuple | dict):
        return len(item)
    raise FunctionError(f"len of type {type_name(item)}")


def _printed(values: tuple[Value, ...]) -> str:
    """What html, js and urlquery escape: a missing value reads as it prints."""
    return sprint(tuple("<no value>" if value is None or value is NOTHING else value for value in values))


def html(*values: Value) -> str:
    return "".join(_HTML.get(char, char) for char in _printed(values))


def js(*values: Value) -> str:
    out = []
    for char in _printed(values):
        if char in _JS:
            out.append(_JS[char])
        elif char < " ":
            out.append(f"\\u{ord(char):04X}")
        elif char.isprintable() or ord(char) < 127:
            out.append(char)
        else:
            out.append(f"\\u{ord(char):04X}")
    return "".join(out)


def urlquery(*values: Value) -> str:
    return quote_plus(to_bytes(_printed(values)), safe="-_.~")


def call(function: Value, *arguments: Value) -> Value:
    if isinstance(function, Function):
        return function.call(*arguments)
    if function is None or function is NOTHING:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function of type {type_name(function)}")


def eq(first: Value, *others: Value) -> bool:
    return equal(first, others)


def ne(first: Value, second: Value) -> bool:
    return not equal(first, (second,))


def le(first: Value, second: Value) -> bool:
    return less(first, second) or equal(first, (second,))


BUILTINS = FunctionSet(
    functions(
        {
            "and": ("aa*", lambda first, *rest: next((v for v in (first, *rest) if not truth(v)), (first, *rest)[-1])),
            "or": ("aa*", lambda first, *rest: next((v for v in (first, *rest) if truth(v)), (first, *rest)[-1])),
            "not": ("a", lambda value: not truth(value)),
            "eq": ("aa*", eq),
            "ne": ("aa", ne),
            "lt": ("aa", less),
            "le": ("aa", le),
            "gt": ("aa", lambda first, second: not le(first, second)),
            "ge": ("aa", lambda first, second: not less(first, second)),
            "index": ("aa*", index),
            "slice": ("aa*", slice_),
            "len": ("a", length),
            "call": ("aa*", call),
            "print": ("a*", lambda *values: sprint(values)),
            "println": ("a*", lambda *values: sprintln(values)),
            "printf": ("sa*", lambda text, *values: sprintf(text, values)),
            "html": ("a*", html),
            "js": ("a*", js),
            "urlquery": ("a*", urlquery),
        }
    )
)
