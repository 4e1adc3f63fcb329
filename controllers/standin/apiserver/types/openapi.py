"""OpenAPI, as far as kubectl asks for it: `explain`, and whether a type's PATCH knows `fieldValidation`.

Strategic merge is not offered in the document: kubectl then takes its compiled-in types, as it does for older
servers. The second version of the document has no schemas; kubectl asks for it only where the third is missing.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ..schema.node import Node
from ..storage import dump
from .registry import Registry, Served

PREFIX = "io.k8s.api."
META_PREFIX = "io.k8s.apimachinery.pkg."
NUMBER = {"type": "integer"}


class OpenApi:
    """Documents, cached until a type comes or goes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._cache: dict[str, bytes | None] = {}

    def answer(self, path: str) -> bytes | None:
        """The document at a path, or None."""
        if self._generation != self._registry.generation:
            self._cache.clear()
            self._generation = self._registry.generation
        if path not in self._cache:
            self._cache[path] = self._make(path)
        return self._cache[path]

    def _make(self, path: str) -> bytes | None:
        if path == "/openapi/v2":
            info = {"title": "Kubernetes", "version": "standin"}
            return dump({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}})
        groups = self._registry.group_versions()
        roots = {
            (f"apis/{group}/{version}" if group else f"api/{version}"): (group, version)
            for group, versions in groups.items()
            for version in versions
        }
        if path == "/openapi/v3":
            paths = {}
            for root in roots:
                data = self.answer(f"/openapi/v3/{root}") or b""
                digest = hashlib.sha256(data).hexdigest().upper()
                paths[root] = {"serverRelativeURL": f"/openapi/v3/{root}?hash={digest}"}
            return dump({"paths": paths})
        found = roots.get(path.removeprefix("/openapi/v3/"))
        return dump(self._document(*found)) if found else None

    def _document(self, group: str, version: str) -> dict[str, Any]:
        schemas: dict[str, Any] = {}
        paths: dict[str, Any] = {}
        for entry in self._registry:
            served = entry.versions.get(version) if entry.group == group else None
            if served is not None and served.info.verbs:
                name = _component(served)
                _add_root(served, name, schemas)
                paths.update(_paths(served, name))
        info = {"title": "Kubernetes", "version": "standin"}
        return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _component(served: Served) -> str:
    if served.type_name:
        return _long(served.type_name)
    reversed_group = ".".join(reversed(served.info.group.split(".")))
    return f"{reversed_group}.{served.info.version}.{served.info.kind}"


def _long(name: str) -> str:
    if name.startswith(("meta.", "api.", "util.", "runtime.")):
        return META_PREFIX + ("apis." if name.startswith("meta.") else "") + name
    return PREFIX + name


def _gvk(served: Served) -> dict[str, str]:
    return {"group": served.info.group, "version": served.info.version, "kind": served.info.kind}


def _add_root(served: Served, name: str, schemas: dict[str, Any]) -> None:
    if served.openapi:
        metadata = _schema(served.schema.properties["metadata"], schemas)
        text = {"type": "string"}
        properties = {
            **(served.openapi.get("properties") or {}),
            "apiVersion": text,
            "kind": text,
            "metadata": metadata,
        }
        schemas[name] = {**served.openapi, "properties": properties, "x-kubernetes-group-version-kind": [_gvk(served)]}
        return
    schemas[name] = {"type": "object"}
    schemas[name] = {**_object(served.schema, schemas), "x-kubernetes-group-version-kind": [_gvk(served)]}


def _schema(node: Node, schemas: dict[str, Any]) -> dict[str, Any]:
    if node.name and node.properties:
        name = _long(node.name)
        if name not in schemas:
            schemas[name] = {"type": "object"}
            schemas[name] = _object(node, schemas)
        return {"allOf": [{"$ref": f"#/components/schemas/{name}"}]}
    if node.int_or_string:
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    if node.type == "object":
        return _object(node, schemas)
    if node.type == "array":
        found: dict[str, Any] = {"type": "array", "items": _schema(node.item(), schemas)}
        found["x-kubernetes-list-type"] = node.list_type
        if node.keys:
            found["x-kubernetes-list-map-keys"] = list(node.keys)
        return found
    if node.type == "number":
        return dict(NUMBER)
    return {"type": node.type} if node.type else {}


def _object(node: Node, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object"}
    if node.properties:
        found["properties"] = {name: _schema(child, schemas) for name, child in node.properties.items()}
    if node.values is not None:
        found["additionalProperties"] = _schema(node.values, schemas)
    if node.preserve:
        found["x-kubernetes-preserve-unknown-fields"] = True
    return found


def _paths(served: Served, name: str) -> dict[str, Any]:
    info = served.info
    root = f"/apis/{info.group}/{info.version}" if info.group else f"/api/{info.version}"
    base = f"{root}/namespaces/{{namespace}}/{info.plural}" if info.namespaced else f"{root}/{info.plural}"
    reference = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    responses = {"200": {"description": "OK", "content": {"application/json": reference}}}
    text = {"type": "string"}
    parameters = [
        {"name": word, "in": "query", "schema": text, "uniqueItems": True}
        for word in ("dryRun", "fieldManager", "fieldValidation")
    ]
    common = {"x-kubernetes-group-version-kind": _gvk(served), "parameters": parameters, "responses": responses}
    bodies = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
    patch_body = {"content": {media: {"schema": {"type": "object"}} for media in bodies}}
    patch = {**common, "x-kubernetes-action": "patch", "requestBody": patch_body}
    body = {"content": {"application/json": reference}}
    return {
        base: {
            "get": {**common, "x-kubernetes-action": "list"},
            "post": {**common, "x-kubernetes-action": "post", "requestBody": body},
        },
        f"{base}/{{name}}": {
            "get": {**common, "x-kubernetes-action": "get"},
            "put": {**common, "x-kubernetes-action": "put", "requestBody": body},
            "patch": patch,
            "delete": {**common, "x-kubernetes-action": "delete"},
        },
    }
