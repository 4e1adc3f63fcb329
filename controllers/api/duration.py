"""Durations as Go writes them (`1h30m`, `250ms`), in seconds."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds of a Go duration. Raises ValueError with the text found and what was expected."""
    body = text[1:] if text[:1] in "+-" else text
    sign = -1.0 if text.startswith("-") else 1.0
    if body == "0":
        return 0.0
    at, total = 0, 0.0
    while at < len(body):
        part = _PART.match(body, at)
        if part is None:
            break
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    if not body or at < len(body):
        raise ValueError(f"{text!r} is not a duration; expected for example 30s, 5m or 1h30m")
    return sign * total


def format_duration(seconds: float) -> str:
    """The shortest exact Go form down to milliseconds: 90 → `1m30s`, 0.25 → `250ms`."""
    millis = round(abs(seconds) * 1000)
    sign = "-" if seconds < 0 and millis else ""
    if millis < 1000:
        return f"{sign}{millis}ms" if millis else "0s"
    hours, rest = divmod(millis, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    secs = f"{rest / 1000:g}s" if rest or not (hours or minutes) else ""
    return sign + (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + secs
