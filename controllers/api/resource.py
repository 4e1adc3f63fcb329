"""Names of Kubernetes resource types, and the key of one object.

Values only: every room above speaks of resources by these, so that a plural or a version stands in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

Manifest = dict[str, Any]
"""A raw Kubernetes object as JSON. The one place where `Any` is welcome."""


class Key(NamedTuple):
    """One object of a known resource type; `namespace` is "" for cluster-scoped objects."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type as discovery names it: `apps/v1 deployments Deployment`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`, as an object's `apiVersion` has it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The REST path: `/apis/apps/v1/namespaces/ns/deployments/name/status`. All of a type where `name` is ""."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = f"/{name}" if name else ""
        sub = f"/{subresource}" if subresource else ""
        return f"{root}{scope}/{self.plural}{tail}{sub}"


def key_of(manifest: Manifest) -> Key:
    """The key of a manifest that has metadata.name."""
    meta = manifest["metadata"]
    return Key(meta.get("namespace") or "", meta["name"])
