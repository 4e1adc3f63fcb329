"""Differences of two states of one object as a JSON patch that tells the old values too, secrets masked. Pure.

For people: in plans, events, conditions. An operation is `{"op", "path", "oldValue"?, "value"?}`, paths are JSON
pointers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from controllers.api.resource import Manifest

Operation = dict[str, Any]

MASK, BEFORE, AFTER = "***", "*** (before)", "*** (after)"


def escape(name: str) -> str:
    """One segment of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def segments(pointer: str) -> list[str]:
    """The segments of a JSON pointer. Raises ValueError."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError(f"JSON pointer {pointer[:200]!r}: expected a slash at the start")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def differences(old: Any, new: Any, path: str = "") -> Iterator[Operation]:
    """What turns `old` into `new`, in the order of paths."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            inner = f"{path}/{escape(str(key))}"
            if key not in new:
                yield {"op": "remove", "path": inner, "oldValue": old[key]}
            elif key not in old:
                yield {"op": "add", "path": inner, "value": new[key]}
            else:
                yield from differences(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    elif (type(old) is not type(new) or old != new) and not _same_number(old, new):
        yield {"op": "replace", "path": path, "oldValue": old, "value": new}


def _same_number(one: Any, other: Any) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return numbers and not isinstance(one, bool) and not isinstance(other, bool) and one == other


def content(existing: Manifest, dry_run: Manifest, *, rationalize: bool = False) -> list[Operation]:
    """Differences of everything but metadata and status; `rationalize` tells a field that changed in all parts as
    one."""
    old, new = ({k: v for k, v in side.items() if k not in ("metadata", "status")} for side in (existing, dry_run))
    return list(_rationalized(old, new)) if rationalize else list(differences(old, new))


def _rationalized(old: Manifest, new: Manifest) -> Iterator[Operation]:
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        found = list(differences({key: one} if key in old else {}, {key: other} if key in new else {}))
        both = isinstance(one, dict) and isinstance(other, dict)
        if both and len(found) > 1 and len(found) >= len(one or ()) and all(op["path"].count("/") == 2 for op in found):
            yield {"op": "replace", "path": f"/{escape(key)}", "oldValue": one, "value": other}
        else:
            yield from found


def metadata(existing: Manifest, dry_run: Manifest) -> list[Operation]:
    """Labels and annotations that are missing or other than wanted; further ones on the live object are not ours."""
    found: list[Operation] = []
    for field in ("annotations", "labels"):
        old = (existing.get("metadata") or {}).get(field) or {}
        new = (dry_run.get("metadata") or {}).get(field) or {}
        if old or new:
            wanted = {key: value for key, value in old.items() if key in new}
            base = f"/metadata/{field}"
            found += differences(wanted, new, base) if field in (existing.get("metadata") or {}) else _added(base, new)
    return found


def _added(path: str, values: dict[str, str]) -> list[Operation]:
    return [{"op": "add", "path": path, "value": values}] if values else []


def mask_objects(old: Manifest | None, new: Manifest | None) -> tuple[Manifest | None, Manifest | None]:
    """Two states of a Secret with values hidden; which of them differ can still be told."""
    old_data, new_data = (dict((side or {}).get("data") or {}) for side in (old, new))
    masked_old, masked_new = _mask_pair(old_data, new_data)
    return (
        None if old is None else {**old, **({"data": masked_old} if "data" in old else {})},
        None if new is None else {**new, **({"data": masked_new} if "data" in new else {})},
    )


def _mask_pair(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    changed = {key for key in old.keys() & new.keys() if old[key] != new[key]}
    return (
        {key: BEFORE if key in changed else MASK for key in old},
        {key: AFTER if key in changed else MASK for key in new},
    )


def mask_patch(patch: Sequence[Operation], *, fields: Sequence[str] = ("/data", "/stringData")) -> list[Operation]:
    """A patch with the values of these fields hidden. An empty field ("") hides every value."""
    return [_mask(operation) if _within(operation["path"], fields) else dict(operation) for operation in patch]


def _within(path: str, fields: Sequence[str]) -> bool:
    return any(not field or path == field or path.startswith(f"{field}/") for field in fields)


def _mask(operation: Operation) -> Operation:
    result = dict(operation)
    old, new = operation.get("oldValue"), operation.get("value")
    if isinstance(old, dict) and isinstance(new, dict):
        result["oldValue"], result["value"] = _mask_pair(old, new)
        return result
    both = "oldValue" in operation and "value" in operation
    for key, value, mark in (("oldValue", old, BEFORE), ("value", new, AFTER)):
        if key in operation:
            result[key] = dict.fromkeys(value, MASK) if isinstance(value, dict) else mark if both else MASK
    return result
