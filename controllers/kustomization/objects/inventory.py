"""`status.inventory`: which objects a Kustomization owns, in upstream's form. Pure.

It is the only memory of what may be deleted, so two rules hold: before anything is applied it names all that is owned
and all that will be (the union), and an object leaves it only when its deletion is confirmed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest

from .labels import identity


class InvalidInventoryIdError(ValueError):
    """A text that is no inventory id."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One object. `version` is the API version under which it was applied, and no part of its identity."""

    namespace: str
    name: str
    group: str
    kind: str
    version: str = ""

    @property
    def id(self) -> str:
        """`namespace_name_group_kind`; a colon of a name is written as two underscores."""
        return f"{self.namespace}_{self.name.replace(':', '__')}_{self.group}_{self.kind}"

    @property
    def identity(self) -> tuple[str, str, str, str]:
        return self.group, self.kind, self.namespace, self.name

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


def parse_id(text: str, version: str = "") -> Entry:
    """The object that an id names. Raises InvalidInventoryIdError."""
    namespace, first, rest = text.partition("_")
    rest, last, kind = rest.rpartition("_")
    name, middle, group = rest.rpartition("_")
    if not (first and last and middle and kind and name):
        raise InvalidInventoryIdError(f"inventory id {text[:300]!r}: expected namespace_name_group_kind")
    return Entry(namespace, name.replace("__", ":"), group, kind, version)


def entry_of(manifest: Manifest) -> Entry:
    group, kind, namespace, name = identity(manifest)
    return Entry(namespace, name, group, kind, str(manifest.get("apiVersion") or "").rpartition("/")[2])


def read(status: Mapping[str, Any] | None) -> list[Entry]:
    """The inventory of a status; entries that cannot be read are an error, for they name something we own."""
    entries = ((status or {}).get("inventory") or {}).get("entries") or []
    return [parse_id(str(entry.get("id") or ""), str(entry.get("v") or "")) for entry in entries]


def write(entries: Iterable[Entry]) -> dict[str, Any]:
    """The status field, sorted, so that an unchanged inventory is an unchanged status."""
    return {"entries": [{"id": entry.id, "v": entry.version} for entry in sorted(entries)]}


def difference(one: Collection[Any], other: Collection[Any]) -> list[Any]:
    """What stands in one and not in the other, in the order of one. Works on entries (by identity) and on plain
    names."""
    gone = {_same(member) for member in other}
    return [member for member in one if _same(member) not in gone]


def union(one: Collection[Any], other: Collection[Any]) -> list[Any]:
    """Members of both; where an object stands in both, the second's version counts."""
    return [*difference(one, other), *other]


def equal(one: Collection[Any], other: Collection[Any]) -> bool:
    return {_same(member) for member in one} == {_same(member) for member in other}


def _same(member: Any) -> Any:
    return member.identity if isinstance(member, Entry) else member


DELETED = frozenset({"deleted", "skipped"})
"""Outcomes after which an object is no longer ours: it is gone, or it is not to be touched and not owned."""


def survivors(objects: Sequence[Any], outcomes: Mapping[Any, str] | None) -> list[Any]:
    """What stays in the inventory after a prune: all whose deletion is not confirmed (all, where nothing is known)."""
    outcomes = outcomes or {}
    return [member for member in objects if outcomes.get(member) not in DELETED]


@dataclass(frozen=True, slots=True)
class Deletion:
    """What happens to the objects when their Kustomization goes."""

    delete: bool
    wait: bool


def deletion(policy: str, *, prune: bool) -> Deletion:
    """`deletionPolicy` (MirrorPrune where it is not set) beside `prune`."""
    match policy or "MirrorPrune":
        case "Delete":
            return Deletion(delete=True, wait=False)
        case "WaitForTermination":
            return Deletion(delete=True, wait=True)
        case "Orphan":
            return Deletion(delete=False, wait=False)
        case _:
            return Deletion(delete=prune, wait=False)
