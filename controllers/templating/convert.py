"""Conversions that sprig's functions share: to text, to numbers, to JSON as Go's encoding/json writes it."""

from __future__ import annotations

import json
import math
from typing import Any

from .errors import FunctionError
from .goformat import Flags, float_text, sprint
from .values import NOTHING, Struct, Value, sort_key, to_bytes, to_text, type_name

_INT64 = 1 << 63


def text_of(value: Value) -> str:
    """Any value as text, as sprig's `toString` does."""
    if isinstance(value, str):
        return value
    return to_text(value) if isinstance(value, bytes) else sprint((value,))


def texts_of(value: Value) -> list[str]:
    """A list of texts; nil elements are left out, a scalar is a list of one."""
    if isinstance(value, list | tuple):
        return [text_of(item) for item in value if item is not None]
    return [] if value is None or value is NOTHING else [text_of(value)]


def wrap64(value: int) -> int:
    """Two's complement, as int64 arithmetic overflows."""
    return (value + _INT64) % (2 * _INT64) - _INT64


def integer(value: Value) -> int:
    """cast.ToInt64: what is no number is 0."""
    if isinstance(value, bool | int):
        return wrap64(int(value))
    if isinstance(value, float):
        return wrap64(int(value)) if math.isfinite(value) else 0
    if isinstance(value, str):
        body = value.split(".")[0] if value.replace(".", "", 1).lstrip("+-").isdigit() and "." in value else value
        stripped = body.lstrip("+-")
        plain = stripped.lstrip("0") or "0"
        try:
            number = int(plain, 10) if plain.isdigit() else int(stripped, 0)
        except ValueError:
            return 0
        number = -number if body.startswith("-") else number
        return number if -_INT64 <= number < _INT64 else 0
    return 0


def real(value: Value) -> float:
    """cast.ToFloat64: what is no number is 0."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value.replace("_", "x"))
        except ValueError:
            return 0.0
    return 0.0


def from_json(text: str) -> Value:
    """encoding/json into interface{}: every number a float64. Raises ValueError without the text."""
    try:
        return json.loads(text, parse_int=float, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("invalid JSON") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def to_json(value: Value, *, indent: str = "", escape_html: bool = True) -> str:
    """encoding/json: keys sorted, floats in their shortest form, HTML characters escaped. Raises FunctionError."""
    out: list[str] = []
    _json(value, out, indent, "\n" if indent else "", escape_html, 0)
    return "".join(out)


def _json(value: Value, out: list[str], indent: str, newline: str, html: bool, depth: int) -> None:
    if depth > 100:
        raise FunctionError("nested too deeply")
    if value is None or value is NOTHING:
        out.append("null")
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, float):
        out.append(_json_float(value))
    elif isinstance(value, str):
        out.append(json_string(value, escape_html=html))
    elif isinstance(value, list | tuple | dict | Struct):
        _json_collection(value, out, indent, newline, html, depth)
    else:
        raise FunctionError(f"json: unsupported type: {type_name(value)}")


def _json_collection(value: Value, out: list[str], indent: str, newline: str, html: bool, depth: int) -> None:
    if isinstance(value, Struct):
        if value.marshal is not None:
            out.append(json_string(value.marshal, escape_html=html))
            return
        value = value.fields
    is_map = isinstance(value, dict)
    if not value:
        out.append("{}" if is_map else "[]")
        return
    inner = newline + indent
    out.append("{" if is_map else "[")
    items = sorted(value.items(), key=lambda item: sort_key(item[0])) if is_map else [(None, item) for item in value]
    for position, (key, item) in enumerate(items):
        out.append(("," if position else "") + (inner if newline else ""))
        if is_map:
            out.append(json_string(text_of(key), escape_html=html) + (": " if newline else ":"))
        _json(item, out, indent, inner if newline else "", html, depth + 1)
    out.append((newline if newline else "") + ("}" if is_map else "]"))


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise FunctionError("json: unsupported value")
    if value and not 1e-6 <= abs(value) < 1e21:
        text = float_text(value, "e")
        head, _, exponent = text.partition("e")
        return f"{head}e{exponent[0]}{exponent[1:].lstrip('0')}" if exponent.startswith("-0") else text
    return float_text(value, "f")


def json_string(text: str, *, escape_html: bool = True) -> str:
    """A JSON string literal as Go writes it; bytes that are not UTF-8 become U+FFFD."""
    body = json.dumps(to_bytes(text).decode("utf-8", "replace"), ensure_ascii=False)
    body = body.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x7f", "\x7f")
    if escape_html:
        body = body.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return body


__all__ = ["Flags", "from_json", "integer", "json_string", "real", "text_of", "texts_of", "to_json", "wrap64"]
