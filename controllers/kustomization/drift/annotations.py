"""Fields that a human edited and that are left to them: the contract between controller and `inhaul drift`. Pure.

It stands in annotations of the Kustomization, for the status is upstream's: `held` is written by the controller alone,
`release` by people (the CLI) and removed by the controller when it is done. See docs/drift.md. An annotation that
cannot be read is an error naming it, never an empty list: an empty list would overwrite what somebody holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controllers.kustomization.objects.inventory import InvalidInventoryIdError, parse_id

MODE = "drift.inhaul.dev/mode"
"""On a Kustomization or on an object: Revert, Alert or Ignore."""
RULES = "drift.inhaul.dev/rules"
HELD = "drift.inhaul.dev/held"
RELEASE = "drift.inhaul.dev/release"
IN_SYNC, DRIFTED = "InSync", "DriftDetected"
MAX_HELD = 200
LONGEST_VALUE = 256
"""Characters of a value's JSON; longer ones are cut."""


class InvalidAnnotationError(ValueError):
    """An annotation of ours that cannot be read; the message names it and not its content."""


@dataclass(frozen=True, slots=True, order=True)
class RetainedField:
    """One field: `object` is an inventory id, `path` a JSON pointer; values are JSON texts, masked where secret."""

    object: str
    path: str
    wanted: str = ""
    live: str = ""
    manager: str = ""
    operation: str = ""
    time: str = ""
    """When that manager last wrote, RFC 3339."""
    since: str = ""
    """When the controller first saw it, RFC 3339."""

    @property
    def subject(self) -> str:
        """`Kind/namespace/name`."""
        return str(parse_id(self.object))


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """What is given back to Git: all of a Kustomization (`*`), an object, or one field and what is below it."""

    object: str = "*"
    path: str = ""

    def covers(self, field: RetainedField) -> bool:
        if self.object not in ("*", field.object):
            return False
        return not self.path or field.path == self.path or field.path.startswith(f"{self.path}/")


_FIELDS = ("object", "path", "wanted", "live", "manager", "operation", "time", "since")


def read_held(annotations: Mapping[str, str]) -> list[RetainedField]:
    """Raises InvalidAnnotationError."""
    found = []
    for item in _items(annotations, HELD):
        values = {name: item.get(name, "") for name in _FIELDS}
        if not all(isinstance(value, str) for value in values.values()):
            raise InvalidAnnotationError(f"annotation {HELD}: expected texts in all fields")
        try:
            parse_id(values["object"])
        except InvalidInventoryIdError:
            raise InvalidAnnotationError(f"annotation {HELD}: object: expected namespace_name_group_kind") from None
        found.append(RetainedField(**values))
    return found


def write_held(fields: Iterable[RetainedField]) -> str | None:
    """The annotation, sorted and bounded; None (remove it) where nothing is held."""
    kept = sorted(fields)[:MAX_HELD]
    if not kept:
        return None
    items = [{name: _shown(name, value) for name in _FIELDS if (value := getattr(field, name))} for field in kept]
    return json.dumps(items, separators=(",", ":"))


def read_releases(annotations: Mapping[str, str]) -> list[Release]:
    """Raises InvalidAnnotationError."""
    return [
        Release(str(item.get("object") or "*"), str(item.get("path") or "")) for item in _items(annotations, RELEASE)
    ]


def write_releases(releases: Iterable[Release]) -> str:
    items = [{"object": each.object, **({"path": each.path} if each.path else {})} for each in sorted(set(releases))]
    return json.dumps(items, separators=(",", ":"))


def after_release(held: Iterable[RetainedField], releases: Iterable[Release]) -> list[RetainedField]:
    """What stays held."""
    asked = list(releases)
    return [field for field in held if not any(each.covers(field) for each in asked)]


def _items(annotations: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    text = annotations.get(name)
    if not text:
        return []
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidAnnotationError(f"annotation {name}: found text that is not JSON") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidAnnotationError(f"annotation {name}: expected a list of objects")
    return items


def _shown(name: str, text: str) -> str:
    return f"{text[:LONGEST_VALUE]}…" if name in ("wanted", "live") and len(text) > LONGEST_VALUE else text
