"""Fields of live objects by stable paths, and who holds them. Pure.

A path is a JSON pointer in which a member of a keyed list is named by its keys and not by its place, as the API server
itself names it: `/spec/template/spec/containers/[name=app]/image`. A place would come to mean another member as soon as
Git adds one before it. Which lists are keyed, and by what, is read from `managedFields`; a list that nobody holds
member by member is one field.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest

from .diff import escape, segments
from .normalize import for_comparison

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()
"""Stands for a field that is not there, which is not the same as null."""

_KEY_NAMES = re.compile(r"(?:^|,)([A-Za-z_][A-Za-z0-9_.-]*)=")
_Positions = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that applying would change: what is wanted and what is live (each may be ABSENT)."""

    path: str
    wanted: Any
    live: Any


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wrote a field, as managedFields tell."""

    manager: str = ""
    operation: str = ""
    time: str = ""


def differences(live: Manifest, dry_run: Manifest) -> list[Difference]:
    """What differs between an object and the server's dry-run answer, beside names, status and others' metadata."""
    positions = [*_roots(live), *_roots(dry_run)]
    found = list(_walk(for_comparison(live), for_comparison(dry_run), positions, ""))
    for name in ("labels", "annotations"):
        old, new = ((side.get("metadata") or {}).get(name) or {} for side in (live, dry_run))
        found += _walk(old, new, [], f"/metadata/{name}")
    return found


def _roots(manifest: Manifest) -> _Positions:
    entries = (manifest.get("metadata") or {}).get("managedFields") or []
    return [fields for each in entries if isinstance(fields := each.get("fieldsV1"), dict)]


def _walk(live: Any, wanted: Any, positions: _Positions, path: str) -> Iterator[Difference]:
    if isinstance(live, dict) and isinstance(wanted, dict):
        for key in sorted({*live, *wanted}, key=str):
            below = [inner for each in positions if isinstance(inner := each.get(f"f:{key}"), dict)]
            yield from _walk(
                live.get(key, ABSENT), wanted.get(key, ABSENT), below, f"{path}/{escape(str(key))}"
            )  # fmt: skip
    elif isinstance(live, list) and isinstance(wanted, list) and (keyed := _keyed(live, wanted, positions)):
        one, other = keyed
        for member in [*one, *(each for each in other if each not in one)]:
            below = [each[key] for each in positions for key in each if _segment_of_key(key) == member]
            inner = f"{path}/{escape(member)}"
            yield from _walk(one.get(member, ABSENT), other.get(member, ABSENT), below, inner)
    elif not _same(live, wanted):
        yield Difference(path, wanted, live)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _keyed(live: list[Any], wanted: list[Any], positions: _Positions) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Both lists by their members' segments; None where the list is one field."""
    names: set[str] = set()
    values = False
    for key in (key for each in positions for key in each):
        if key.startswith("k:"):
            names |= json.loads(key[2:]).keys()
        values = values or key.startswith("v:")
    if not names and not values:
        return None
    one, other = ({_segment(item, sorted(names)): item for item in side} for side in (live, wanted))
    return (one, other) if len(one) == len(live) and len(other) == len(wanted) else None


def _segment(item: Any, names: Sequence[str]) -> str:
    if names and isinstance(item, dict):
        return "[" + ",".join(f"{name}={_text(item[name])}" for name in names if name in item) + "]"
    return f"[={_text(item)}]"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _segment_of_key(key: str) -> str:
    """`k:{"name":"app"}` → `[name=app]`, `v:"x"` → `[=x]`; "" for a field."""
    if key.startswith("k:"):
        item = json.loads(key[2:])
        return _segment(item, sorted(item))
    return f"[={_text(json.loads(key[2:]))}]" if key.startswith("v:") else ""


def lookup(manifest: Any, path: str) -> Any:
    """The value at a path; ABSENT where there is none."""
    value = manifest
    for part in segments(path):
        value = _child(value, part)
        if value is ABSENT:
            return ABSENT
    return value


def _child(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, ABSENT)
    if isinstance(value, list):
        place = _place(value, part)
        return value[place] if place is not None else ABSENT
    return ABSENT


def _place(items: list[Any], part: str) -> int | None:
    if part.isdecimal():
        return int(part) if int(part) < len(items) else None
    if not (part.startswith("[") and part.endswith("]")):
        return None
    names = sorted(_KEY_NAMES.findall(part[1:-1]))
    return next((index for index, item in enumerate(items) if _names(item, names, part)), None)


def _names(item: Any, names: Sequence[str], part: str) -> bool:
    """Is this the member? A key that the server adds by default (a port's protocol) may be missing in Git."""
    if not names or not isinstance(item, dict):
        return _segment(item, []) == part
    given = dict(pair.split("=", 1) for pair in part[1:-1].split(",") if "=" in pair)
    present = [name for name in names if name in item]
    return bool(present) and all(_text(item[name]) == given.get(name) for name in present)


def without(manifest: Manifest, paths: Iterable[str]) -> Manifest:
    """A copy that says nothing about these fields; what becomes empty by that goes too."""
    result = copy.deepcopy(manifest)
    for path in paths:
        _remove(result, segments(path))
    return result


def _remove(value: Any, parts: list[str]) -> None:
    trail = [value]
    for part in parts[:-1]:
        trail.append(_child(trail[-1], part))
        if trail[-1] is ABSENT:
            return
    for parent, part in zip(reversed(trail), reversed(parts), strict=True):
        if isinstance(parent, dict):
            parent.pop(part, None)
        elif isinstance(parent, list) and (place := _place(parent, part)) is not None:
            del parent[place]
        if parent or parent is value:
            return


def holders(live: Manifest, path: str) -> list[Holder]:
    """Who holds a field of a live object, or the atomic value around it; the latest writer first."""
    parts = segments(path)
    found = [
        Holder(str(each.get("manager") or ""), str(each.get("operation") or ""), str(each.get("time") or ""))
        for each in (live.get("metadata") or {}).get("managedFields") or []
        if not each.get("subresource") and _holds(each.get("fieldsV1") or {}, parts)
    ]
    return sorted(found, key=lambda holder: holder.time, reverse=True)


def _holds(fields: Mapping[str, Any], parts: Sequence[str]) -> bool:
    position: Any = fields
    for number, part in enumerate(parts):
        if number and not position:
            return True  # a leaf above the path: the value around it is one field
        below = position.get(f"f:{part}")
        if below is None and part.startswith("["):
            below = next((value for key, value in position.items() if _segment_of_key(key) == part), None)
        if not isinstance(below, Mapping):
            return False
        position = below
    return True


def held_by_others(live: Manifest, *, ours: str) -> Iterator[tuple[str, Holder]]:
    """Every field that somebody else alone holds, status and the server's own bookkeeping left out."""
    mine = [each.get("fieldsV1") or {} for each in _entries(live) if each.get("manager") == ours]
    for each in _entries(live):
        if each.get("manager") == ours or each.get("subresource"):
            continue
        holder = Holder(str(each.get("manager") or ""), str(each.get("operation") or ""), str(each.get("time") or ""))
        for path in _leaves(each.get("fieldsV1") or {}, ""):
            if not path.startswith("/status") and not any(_holds(fields, segments(path)) for fields in mine):
                yield path, holder


def _entries(live: Manifest) -> list[Mapping[str, Any]]:
    return list((live.get("metadata") or {}).get("managedFields") or [])


def _leaves(position: Mapping[str, Any], path: str) -> Iterator[str]:
    inner = [key for key in position if key != "."]
    if not inner and path:
        yield path
    for key in inner:
        part = key[2:] if key.startswith("f:") else _segment_of_key(key)
        if part and isinstance(position[key], Mapping):
            yield from _leaves(position[key], f"{path}/{escape(part)}")
