"""A lenient JSON scanner that keeps every value's raw text.

Why our own: gjson's results are the document's own bytes (whitespace, number text, order, first of duplicate keys), and
it reads broken JSON as far as it goes. A parser that builds objects loses all of that. The scanner never raises: what
is cut off ends the value. Work is linear in the text; nesting is skipped by counting, not by recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["null", "false", "true", "number", "string", "json"]

_STRING_STOP = re.compile(r'["\\]')
_NESTING_STOP = re.compile(r'["{}\[\]()]')
_NUMBER_END = re.compile(r"[\x00-\x20,\]}]")
_LITERAL_END = re.compile(r"[^a-z]")
_VALUE_START = re.compile(r'["{\[tfn0-9+\-iIN]')
_ELEMENT = re.compile(r'["{\[\]tfn0-9+\-iIN]')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")


@dataclass(frozen=True, slots=True)
class Value:
    """One JSON value: its kind, raw text, and for strings the unescaped text."""

    kind: Kind
    raw: str
    text: str = ""

    @property
    def is_object(self) -> bool:
        return self.kind == "json" and self.raw[:1] == "{"

    @property
    def is_array(self) -> bool:
        return self.kind == "json" and self.raw[:1] == "["


def string_end(text: str, start: int) -> int:
    """Offset behind the closing quote of the string that opens at `start`; the end of text where it never closes."""
    at = start + 1
    while found := _STRING_STOP.search(text, at):
        if found[0] == '"':
            return found.end()
        at = found.end() + 1
    return len(text)


def nested_end(text: str, start: int) -> int:
    """Offset behind the bracket that closes the one at `start`."""
    depth, at = 0, start
    while found := _NESTING_STOP.search(text, at):
        char = found[0]
        if char == '"':
            at = string_end(text, found.start())
            continue
        depth += 1 if char in "{[(" else -1
        at = found.end()
        if depth == 0:
            return at
    return len(text)


def unescape(body: str) -> str:
    """The text of a string's inside. What is no escape ends it."""
    if "\\" not in body:
        return body
    out, at = [], 0
    while at < len(body):
        slash = body.find("\\", at)
        if slash < 0:
            out.append(body[at:])
            break
        out.append(body[at:slash])
        char = body[slash + 1 : slash + 2]
        if char == "u" and _HEX4.match(body, slash + 2):
            code, at = _unicode(body, slash)
            out.append(code)
        elif char in _ESCAPES and char:
            out.append(_ESCAPES[char])
            at = slash + 2
        else:
            break
    return "".join(out)


def _unicode(body: str, slash: int) -> tuple[str, int]:
    code = int(body[slash + 2 : slash + 6], 16)
    at = slash + 6
    if 0xD800 <= code < 0xE000:
        low = _HEX4.match(body, at + 2) if body[at : at + 2] == "\\u" else None
        if code < 0xDC00 and low and 0xDC00 <= int(low[0], 16) < 0xE000:
            return chr(0x10000 + ((code - 0xD800) << 10) + int(low[0], 16) - 0xDC00), at + 6
        return "\ufffd", at
    return chr(code), at


def _string(raw: str) -> Value:
    body = raw[1:-1] if len(raw) > 1 and raw.endswith('"') else raw[1:]
    return Value("string", raw, unescape(body))


def value_at(text: str, start: int) -> tuple[Value, int]:
    """(the value whose first character stands at `start`, the offset behind it)."""
    char = text[start]
    if char == '"':
        end = string_end(text, start)
        return _string(text[start:end]), end
    if char in "{[":
        end = nested_end(text, start)
        return Value("json", text[start:end]), end
    if char in "tf" or (char == "n" and text[start + 1 : start + 2] != "a"):
        found = _LITERAL_END.search(text, start)
        end = found.start() if found else len(text)
        kind: Kind = "true" if char == "t" else "false" if char == "f" else "null"
        return Value(kind, text[start:end]), end
    found = _NUMBER_END.search(text, start)
    end = max(found.start() if found else len(text), start + 1)
    return Value("number", text[start:end]), end


def parse(text: str) -> Value | None:
    """The first value in a text, None where there is none."""
    for at, char in enumerate(text):
        if char in "{[":
            return Value("json", text[at:])
        if char <= " ":
            continue
        if char in '"tfn+-0123456789iIN':
            return value_at(text, at)[0]
        return None
    return None


def members(raw: str) -> Iterator[tuple[str, str, Value]]:
    """(key, the key's raw text, value) of an object, in order, duplicates included."""
    at = raw.find("{") + 1
    while True:
        start = raw.find('"', at)
        close = raw.find("}", at)
        if start < 0 or 0 <= close < start:
            return
        key_end = string_end(raw, start)
        key_raw = raw[start:key_end]
        found = _VALUE_START.search(raw, key_end)
        if found is None:
            return
        value, at = value_at(raw, found.start())
        yield _string(key_raw).text, key_raw, value


def elements(raw: str) -> Iterator[Value]:
    """The elements of an array, in order."""
    at = raw.find("[") + 1
    while found := _ELEMENT.search(raw, at):
        if found[0] == "]":
            return
        value, at = value_at(raw, found.start())
        yield value
