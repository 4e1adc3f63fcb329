"""Go's literals: quoted strings, character constants and numbers."""

from __future__ import annotations

import re

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|\\|(\n)")
_INT = re.compile(r"[+-]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|0[0-7_]*|[1-9][0-9_]*)\Z")


def unquote(text: str) -> str:
    """The string that a quoted Go literal stands for. Raises ValueError."""
    quote, body = text[0], text[1:-1]
    if quote == "`":
        return body.replace("\r", "")
    out, raw_bytes = [], False
    at = 0
    for found in _ESCAPE.finditer(body):
        out.append(body[at : found.start()])
        at = found.end()
        simple, hexa, octal, short, long, newline = found.groups()
        if simple:
            if simple in "'\"" and simple != quote:
                raise ValueError("invalid syntax")
            out.append(_ESCAPES.get(simple, simple))
        elif hexa or octal:
            byte = int(hexa, 16) if hexa else int(octal, 8)
            if byte > 255:
                raise ValueError("invalid syntax")
            out.append(chr(byte) if byte < 128 else chr(0xDC00 + byte))
            raw_bytes = raw_bytes or byte >= 128
        elif short or long:
            code = int(short or long, 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise ValueError("invalid syntax")
            out.append(chr(code))
        else:
            raise ValueError("invalid syntax" if newline is None else "newline in string")
    out.append(body[at:])
    joined = "".join(out)
    return joined.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") if raw_bytes else joined


def char_constant(text: str) -> int:
    """The code point of `'x'`. Raises ValueError."""
    value = unquote(text)
    if len(value) != 1:
        raise ValueError("malformed character constant")
    code = ord(value)
    return code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code


def number(text: str) -> tuple[int | None, float | None]:
    """(as integer, as float); None where it is not one. Raises ValueError when it is neither."""
    if _INT.match(text):
        sign = -1 if text[0] == "-" else 1
        digits = text.lstrip("+-").replace("_", "")
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        value = sign * int(digits, 8 if octal else 0)
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError("integer overflow")
        return value, float(value)
    plain = text.replace("_", "")
    lowered = plain.lower()
    value_f = float.fromhex(plain) if "0x" in lowered and "p" in lowered else float(plain)
    whole = value_f.is_integer() and abs(value_f) < 1 << 63
    return (int(value_f) if whole else None), value_f
