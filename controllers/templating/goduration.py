"""Go's time.Duration: an int64 of nanoseconds, read from and written as `1h2m3.5s`."""

from __future__ import annotations

import re

from .errors import FunctionError

SECOND = 10**9
_LIMIT = 1 << 63
_UNITS = {
    "ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND,
    "h": 3600 * SECOND,
}  # fmt: skip
_PART = re.compile("(?P<whole>[0-9]*)(?:\\.(?P<fraction>[0-9]*))?(?P<unit>[^.0-9]+)")


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises FunctionError."""
    body = text[1:] if text[:1] in ("+", "-") else text
    negative = text[:1] == "-"
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body):
        found = _PART.match(body, at)
        if found is None or not (found["whole"] or found["fraction"]) or found["unit"] not in _UNITS:
            raise FunctionError("time: invalid duration")
        at = found.end()
        scale = _UNITS[found["unit"]]
        whole, fraction = int(found["whole"] or 0), found["fraction"] or ""
        total += whole * scale + (int(fraction[:18]) * scale // 10 ** len(fraction[:18]) if fraction else 0)
        if total > _LIMIT:
            raise FunctionError("time: invalid duration")
    if not body or (total == _LIMIT and not negative):
        raise FunctionError("time: invalid duration")
    return -total if negative else total


def duration_text(nanoseconds: int) -> str:
    """Duration.String: 3661 s is 1h1m1s, 1500 µs is 1.5ms."""
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left < SECOND:
        if left == 0:
            return "0s"
        scale, unit = (1, "ns") if left < 10**3 else (10**3, "\u00b5s") if left < 10**6 else (10**6, "ms")
        return f"{sign}{_decimal(left, scale)}{unit}"
    minutes, rest = divmod(left, 60 * SECOND)
    text = f"{_decimal(rest, SECOND)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = (f"{hours}h" if hours else "") + f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
