"""Conversions that sprig's functions share: to text, to numbers, to JSON as Go's encoding/json writes it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from .errors import FunctionError
from .goformat import float_text, sprint
from .values import NOTHING, Int64, NilList, NilStrings, Struct, Value, sort_key, to_text, type_name, valid_text

_INT64 = 1 << 63
_SURROGATES = re.compile(r"\\u[dD]|[\ud800-\udfff]")
_LITERAL = re.compile(
    r"(?P<prefix>0[xX](?=(_?[0-9a-fA-F])+\Z)|0[bB](?=(_?[01])+\Z)|0[oO](?=(_?[0-7])+\Z))[0-9a-fA-F_]+"
    r"|(?P<zero>0)(_?[0-7])+|[1-9](_?[0-9])*|0"
)
_BASES = {"": 10, "0": 8, "0o": 8, "0x": 16, "0b": 2}
_WITH_FRACTION = re.compile(r"([-+]?[0-9]*)\.[0-9]*")
_SPECIAL = re.compile(r"[-+]?(inf|infinity)|nan", re.IGNORECASE)
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"[-+]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][-+]?[0-9]+")
_UNDERSCORE = re.compile("(?<=[0-9])_(?=[0-9])")
_MISPLACED = re.compile("(?<![0-9])_|_(?![0-9])")
_MISPLACED_HEX = re.compile("(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")


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


def wrap64(value: int) -> Int64:
    """Two's complement, as int64 arithmetic overflows."""
    return Int64((value + _INT64) % (2 * _INT64) - _INT64)


def parse_int(text: str, base: int = 0) -> int | None:
    """strconv.ParseInt of any size, None where the text has not its form. Base 0: `0x`, `0o`, `0b`, a leading zero for
    octal, and underscores where Go's literals have them."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if base == 0:
        found = _LITERAL.fullmatch(digits)
        if found is None:
            return None
        prefix = found["prefix"] or found["zero"] or ""
        base = _BASES[prefix.lower()]
        digits = digits.replace("_", "")[len(prefix) :]
    if not digits.isascii() or not (digits.isdigit() if base <= 10 else digits.isalnum()):
        return None
    try:
        number = int(digits, base)
    except ValueError:
        return None
    return -number if text[:1] == "-" else number


def atoi(text: str) -> int:
    """strconv.Atoi without its error: decimal only; beyond 64 bits it is the nearest that fits."""
    value = parse_int(text, 10)
    return 0 if value is None else max(-_INT64, min(value, _INT64 - 1))


def _without_fraction(text: str) -> str:
    """`3.9` counts as 3, as the `cast` that External Secrets builds with has it; `.5` as 0."""
    found = _WITH_FRACTION.fullmatch(text)
    if found is None:
        return text
    return found[1] + "0" if found[1] in ("", "+", "-") else found[1]


def integer(value: Value) -> Int64:
    """cast.ToInt64: what is no number is 0."""
    if isinstance(value, bool | int):
        return wrap64(int(value))
    if isinstance(value, float):
        fits = math.isfinite(value) and -_INT64 <= value < _INT64
        return Int64(int(value) if fits else -_INT64)  # out of range is the least of all, as amd64 converts
    if isinstance(value, str):
        number = parse_int(_without_fraction(value))
        return Int64(number if number is not None and -_INT64 <= number < _INT64 else 0)
    return Int64(0)


def real(value: Value) -> float:
    """cast.ToFloat64: what is no number is 0."""
    if isinstance(value, bool | int | float):
        return float(value)
    number = parse_float(value) if isinstance(value, str) else None
    return 0.0 if number is None else number


def parse_float(text: str) -> float | None:
    """strconv.ParseFloat: None where the text has not its form or the number is too large."""
    if _SPECIAL.fullmatch(text):
        return float(text)
    plain = _UNDERSCORE.sub("", text)
    if _DECIMAL.fullmatch(plain) and not _MISPLACED.search(text):
        number = float(plain)
        return number if math.isfinite(number) else None
    hexadecimal = text.replace("_", "")
    if _HEXADECIMAL.fullmatch(hexadecimal) and not _MISPLACED_HEX.search(text):
        try:
            return float.fromhex(hexadecimal)
        except OverflowError:
            return None
    return None


def from_json(text: str) -> Value:
    """encoding/json into interface{}: every number a float64. Raises ValueError without the text."""
    try:
        loaded = json.loads(text, parse_int=float, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("invalid JSON") from None
    return _valid(loaded) if _SURROGATES.search(text) else loaded


def _valid(value: Any) -> Any:
    """Lone surrogates, and bytes that are not UTF-8, are U+FFFD in texts and keys."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, list):
        return [_valid(item) for item in value]
    if isinstance(value, dict):
        return {valid_text(key): _valid(item) for key, item in value.items()}
    return value


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
    if value is None or value is NOTHING or isinstance(value, NilList | NilStrings):
        out.append("null")
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, float):
        out.append(json_number(value))
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


def json_number(value: float) -> str:
    """A float64 as encoding/json writes it. Raises FunctionError where JSON has no form for it."""
    if not math.isfinite(value):
        raise FunctionError("json: unsupported value")
    if value and not 1e-6 <= abs(value) < 1e21:
        text = float_text(value, "e")
        head, _, exponent = text.partition("e")
        return f"{head}e{exponent[0]}{exponent[1:].lstrip('0')}" if exponent.startswith("-0") else text
    return float_text(value, "f")


def json_string(text: str, *, escape_html: bool = True) -> str:
    """A JSON string literal as Go writes it; bytes that are not UTF-8 become U+FFFD."""
    body = json.dumps(valid_text(text), ensure_ascii=False)
    body = body.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x7f", "\x7f")
    if escape_html:
        body = body.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return body
