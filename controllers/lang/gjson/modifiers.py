"""gjson's modifiers: raw JSON and an argument in, raw JSON out. `@dig` evaluates a path and is `path.py`'s."""

from __future__ import annotations

import json
from collections.abc import Callable

from .scan import Value, elements, members, parse, string_end


def _argument(argument: str, name: str) -> Value | None:
    parsed = parse(argument)
    if parsed is None or not parsed.is_object:
        return None
    return next((value for key, _, value in members(parsed.raw) if key == name), None)


def _flag(argument: str, name: str) -> bool:
    value = _argument(argument, name)
    return value is not None and value.kind == "true"


def _inside(raw: str) -> str:
    stripped = raw.strip()
    return stripped[1:-1] if len(stripped) >= 2 and stripped[0] in "[{" else stripped


def reverse(raw: str, _: str) -> str:
    value = parse(raw)
    if value is not None and value.is_array:
        return f"[{','.join(item.raw for item in reversed(list(elements(value.raw))))}]"
    if value is not None and value.is_object:
        pairs = [f"{key}:{item.raw}" for _, key, item in members(value.raw)]
        return "{" + ",".join(reversed(pairs)) + "}"
    return raw


def flatten(raw: str, argument: str, depth: int = 0) -> str:
    value = parse(raw)
    if value is None or not value.is_array or depth > 60:
        return raw
    deep, out = _flag(argument, "deep"), []
    for item in elements(value.raw):
        piece = item.raw
        if item.is_array:
            piece = _inside(flatten(piece, argument, depth + 1) if deep else piece)
        if piece.strip():
            out.append(piece.strip())
    return f"[{','.join(out)}]"


def join(raw: str, argument: str) -> str:
    value = parse(raw)
    if value is None or not value.is_array:
        return raw
    objects = [item for item in elements(value.raw) if item.is_object]
    if _flag(argument, "preserve"):
        return "{" + ",".join(_inside(item.raw) for item in objects) + "}"
    merged: dict[str, tuple[str, str]] = {}
    for item in objects:
        for key, key_raw, member in members(item.raw):
            merged[key] = (merged.get(key, (key_raw, ""))[0], member.raw)
    return "{" + ",".join(f"{key}:{member}" for key, member in merged.values()) + "}"


def keys(raw: str, _: str) -> str:
    value = parse(raw)
    if value is None:
        return "[]"
    if value.is_object:
        return f"[{','.join(key for _, key, _ in members(value.raw))}]"
    count = sum(1 for _ in elements(value.raw)) if value.is_array else 1
    return f"[{','.join(['null'] * count)}]"


def values(raw: str, _: str) -> str:
    value = parse(raw)
    if value is None:
        return "[]"
    if value.is_array:
        return raw
    return f"[{','.join(item.raw for _, _, item in members(value.raw))}]" if value.is_object else f"[{value.raw}]"


def valid(raw: str, _: str) -> str:
    return raw if _is_valid(raw) else ""


def _is_valid(raw: str) -> bool:
    try:
        json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(name)


def from_string(raw: str, _: str) -> str:
    value = parse(raw) if _is_valid(raw) else None
    if value is None:
        return ""
    return value.text if value.kind == "string" else value.raw


def to_string(raw: str, _: str) -> str:
    quoted = json.dumps(raw, ensure_ascii=False)
    return quoted.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def group(raw: str, _: str) -> str:
    value = parse(raw)
    if value is None or not value.is_object:
        return ""
    rows: list[list[str]] = []
    for _, key, member in members(value.raw):
        if not member.is_array:
            continue
        for index, item in enumerate(elements(member.raw)):
            if index == len(rows):
                rows.append([])
            rows[index].append(f"{key}:{item.raw}")
    return "[" + ",".join("{" + ",".join(row) + "}" for row in rows) + "]"


def ugly(raw: str, _: str) -> str:
    out, at = [], 0
    while at < len(raw):
        if raw[at] == '"':
            end = string_end(raw, at)
            out.append(raw[at:end])
            at = end
            continue
        if raw[at] > " ":
            out.append(raw[at])
        at += 1
    return "".join(out)


def pretty(raw: str, argument: str) -> str:
    """Two spaces per level, an array of scalars on one line where it fits in 80 columns; ends with a newline."""
    indent, prefix = _argument(argument, "indent"), _argument(argument, "prefix")
    value = parse(raw)
    if value is None:
        return raw
    step = indent.text if indent else "  "
    lead = prefix.text if prefix else ""
    return lead + _pretty(value, step, lead, _flag(argument, "sortKeys"), 0) + "\n"


def _pretty(value: Value, step: str, lead: str, ordered: bool, depth: int) -> str:
    if value.kind != "json" or depth > 60:
        return ugly(value.raw, "")
    inner, outer = lead + step * (depth + 1), lead + step * depth
    if value.is_object:
        pairs = list(members(value.raw))
        if ordered:
            pairs.sort(key=lambda pair: pair[0])
        lines = [f"{inner}{key}: {_pretty(item, step, lead, ordered, depth + 1)}" for _, key, item in pairs]
        return "{\n" + ",\n".join(lines) + f"\n{outer}}}" if lines else "{}"
    items = list(elements(value.raw))
    flat = f"[{', '.join(ugly(item.raw, '') for item in items)}]"
    if not items or (all(item.kind != "json" for item in items) and len(outer) + len(flat) <= 80):
        return flat
    return "[\n" + ",\n".join(inner + _pretty(i, step, lead, ordered, depth + 1) for i in items) + f"\n{outer}]"


MODIFIERS: dict[str, Callable[[str, str], str]] = {
    "pretty": pretty,
    "ugly": ugly,
    "reverse": reverse,
    "this": lambda raw, _: raw,
    "flatten": flatten,
    "join": join,
    "valid": valid,
    "keys": keys,
    "values": values,
    "tostr": to_string,
    "fromstr": from_string,
    "group": group,
}
