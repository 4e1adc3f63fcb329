"""Discovery: which groups, versions and types there are, in the old form (several requests) and the aggregated one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from ..storage import dump
from .registry import Registry, Served

AGGREGATED = "APIGroupDiscoveryList"
AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
SUBRESOURCE_KINDS: Mapping[str, tuple[str, str, str]] = {
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}


class Discovery:
    """Answers, cached until a type comes or goes."""

    def __init__(self, registry: Registry, address: str = "") -> None:
        self._registry = registry
        self._address = address
        self._generation = -1
        self._cache: dict[str, bytes | None] = {}

    def answer(self, path: str, accept: str) -> tuple[bytes, str] | None:
        """The answer for a discovery path and its media type, or None where there is nothing of that name."""
        if self._generation != self._registry.generation:
            self._cache.clear()
            self._generation = self._registry.generation
        path = path.rstrip("/")
        aggregated = path in ("/api", "/apis") and AGGREGATED in accept and "v=v2;" in accept.replace(" ", "") + ";"
        key = f"{path}?aggregated" if aggregated else path
        if key not in self._cache:
            found = self._aggregated(core=path == "/api") if aggregated else self._plain(path)
            self._cache[key] = dump(found) if found is not None else None
        data = self._cache[key]
        return None if data is None else (data, AGGREGATED_TYPE if aggregated else "application/json")

    # --- the old form ---

    def _plain(self, path: str) -> Any:
        parts = path.strip("/").split("/")
        groups = self._registry.group_versions()
        if parts == ["api"]:
            by_client = [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": by_client}
        if parts == ["apis"]:
            listed = [_group(name, versions) for name, versions in groups.items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        if parts[0] == "apis" and len(parts) == 2 and parts[1] in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups[parts[1]])}
        if parts == ["api", "v1"]:
            return self._resources("", "v1")
        if parts[0] == "apis" and len(parts) == 3 and parts[2] in groups.get(parts[1], ()):
            return self._resources(parts[1], parts[2])
        return None

    def _served(self, group: str, version: str) -> list[Served]:
        found = [e.versions[version] for e in self._registry if e.group == group and version in e.versions]
        return sorted(found, key=lambda served: served.info.plural)

    def _resources(self, group: str, version: str) -> dict[str, Any]:
        listed = []
        for served in self._served(group, version):
            info = served.info
            entry: dict[str, Any] = {
                "name": info.plural,
                "singularName": info.singular,
                "namespaced": info.namespaced,
                "kind": info.kind,
                "verbs": list(_ordered(served)),
            }
            if info.short_names:
                entry["shortNames"] = list(info.short_names)
            if info.categories:
                entry["categories"] = list(info.categories)
            if served.handler is None:
                entry["storageVersionHash"] = self._storage_hash(group, info.plural)
            listed.append(entry)
            listed.extend(_subresource(served, name) for name in info.subresources)
        group_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}

    def _storage_hash(self, group: str, plural: str) -> str:
        """Tells clients whether two types are stored as one: a hash of group, stored version and kind."""
        entry = self._registry.get(group, plural)
        stored = f"{entry.storage_api_version}/{entry.info.kind}" if entry else ""
        return base64.b64encode(hashlib.sha256(stored.encode()).digest()[:8]).decode()

    # --- the aggregated form ---

    def _aggregated(self, *, core: bool) -> dict[str, Any]:
        items = []
        for group, versions in self._registry.group_versions().items():
            if (group == "") is core:
                listed = [
                    {"version": version, "resources": self._described(group, version), "freshness": "Current"}
                    for version in versions
                ]
                items.append({"metadata": {"name": group} if group else {}, "versions": listed})
        return {"kind": AGGREGATED, "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}

    def _described(self, group: str, version: str) -> list[dict[str, Any]]:
        listed = []
        for served in self._served(group, version):
            info = served.info
            entry: dict[str, Any] = {
                "resource": info.plural,
                "responseKind": {"group": group, "version": version, "kind": info.kind},
                "scope": "Namespaced" if info.namespaced else "Cluster",
                "singularResource": info.singular,
                "verbs": list(info.verbs or ("create",)),
            }
            if info.short_names:
                entry["shortNames"] = list(info.short_names)
            if info.categories:
                entry["categories"] = list(info.categories)
            if info.subresources:
                entry["subresources"] = [_described_subresource(served, name) for name in info.subresources]
            listed.append(entry)
        return listed


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _ordered(served: Served) -> tuple[str, ...]:
    """The verbs of a type, in the order in which the server lists those of custom types and of its own."""
    if served.info.custom:
        return ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
    return served.info.verbs or ("create",)


def _verbs(name: str) -> list[str]:
    return ["create"] if name in ("token", "eviction", "binding") else ["get", "patch", "update"]


def _subresource(served: Served, name: str) -> dict[str, Any]:
    info = served.info
    entry: dict[str, Any] = {
        "name": f"{info.plural}/{name}",
        "singularName": "",
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": _verbs(name),
    }
    if name in SUBRESOURCE_KINDS:
        entry["group"], entry["version"], entry["kind"] = SUBRESOURCE_KINDS[name]
    return entry


def _described_subresource(served: Served, name: str) -> dict[str, Any]:
    info = served.info
    group, version, kind = SUBRESOURCE_KINDS.get(name, (info.group, info.version, info.kind))
    return {
        "subresource": name,
        "responseKind": {"group": group, "version": version, "kind": kind},
        "verbs": _verbs(name),
    }
