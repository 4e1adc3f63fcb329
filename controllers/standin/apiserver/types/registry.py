"""Which resource types are served, in which versions, with which schemas.

Built-in types are added at start (`builtin.py`), custom ones as CRDs come and go (`write/crd.py`). Look-ups are by
plural (paths) and by kind (bodies, owner references).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..schema.node import Node
from ..seams import Handler, KindInfo


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the scale subresource finds its numbers: dotted paths without the leading dot."""

    replicas: tuple[str, ...] = ("spec", "replicas")
    status_replicas: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """One version of a resource type."""

    info: KindInfo
    schema: Node
    status: bool = False
    scale: ScalePaths | None = None
    openapi: Mapping[str, Any] = field(default_factory=dict)
    handler: Handler | None = None
    deprecated: str = ""
    type_name: str = ""


@dataclass(slots=True, eq=False)
class ResourceType:
    """One resource type in all its versions; `versions` is in order of preference and holds only served ones."""

    group: str
    plural: str
    versions: dict[str, Served]
    storage: str
    custom: bool = False
    storage_schema: Node | None = None
    accepting: bool = True
    """False while the CRD is being deleted: nothing can be created."""
    crd_uid: str = ""
    shares: tuple[str, str] | None = None
    """The type whose objects these are in other words (events.k8s.io events are core events)."""

    @property
    def table(self) -> tuple[str, str]:
        """Where its objects are stored."""
        return self.shares or self.key

    @property
    def preferred(self) -> Served:
        """The version that discovery puts first."""
        return next(iter(self.versions.values()))

    @property
    def info(self) -> KindInfo:
        """The preferred version's."""
        return self.preferred.info

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return (self.group, self.plural)

    @property
    def storage_api_version(self) -> str:
        """What stored objects carry."""
        return f"{self.group}/{self.storage}" if self.group else self.storage


def version_order(name: str) -> tuple[int, int, int, str]:
    """Kubernetes' order of versions, best first: v2, v1, v1beta2, v1alpha1, then anything else by name."""
    stage_order = {"": 0, "beta": 1, "alpha": 2}
    body = name[1:] if name.startswith("v") else ""
    digits = len(body) - len(body.lstrip("0123456789"))
    major, rest = body[:digits], body[digits:]
    stage = rest.rstrip("0123456789")
    minor = rest[len(stage) :]
    if not major or stage not in stage_order or (stage and not minor) or (not stage and rest):
        return (9, 0, 0, name)
    return (stage_order[stage], -int(major), -int(minor or 0), "")


class Registry:
    """All types served now."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], ResourceType] = {}
        self._kinds: dict[tuple[str, str], Served] = {}
        self.generation = 0
        """Counts changes: caches of discovery and OpenAPI go by it."""

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(list(self._types.values()))

    def add(self, entry: ResourceType) -> None:
        """Adds or replaces a type."""
        self.remove(entry.group, entry.plural)
        self._types[entry.key] = entry
        for served in entry.versions.values():
            self._kinds.setdefault((served.info.api_version, served.info.kind), served)
        self.generation += 1

    def remove(self, group: str, plural: str) -> None:
        """Forgets a type, if it is there."""
        entry = self._types.pop((group, plural), None)
        if entry is not None:
            for served in entry.versions.values():
                if self._kinds.get((served.info.api_version, served.info.kind)) is served:
                    del self._kinds[(served.info.api_version, served.info.kind)]
            self.generation += 1

    def get(self, group: str, plural: str) -> ResourceType | None:
        """By its plural."""
        return self._types.get((group, plural))

    def built_in(self, group: str) -> bool:
        """Whether a group's paths are the server's own, and not those of custom resources."""
        return any(entry.group == group and not entry.custom for entry in self._types.values())

    def for_kind(self, api_version: str, kind: str) -> Served | None:
        """By apiVersion and kind."""
        return self._kinds.get((api_version, kind))

    def group_versions(self) -> dict[str, list[str]]:
        """The versions of each group, best first; the core group is ""."""
        found: dict[str, set[str]] = {}
        for entry in self._types.values():
            found.setdefault(entry.group, set()).update(entry.versions)
        return {group: sorted(versions, key=version_order) for group, versions in sorted(found.items())}
