"""The one door to the API server: reads, writes, watches, and cheap views that impersonate or dry-run.

Thin on purpose: manifests in, manifests out, errors as in `errors`. A view shares connection, discovery and token with
the client it was made from and adds headers or a parameter, so a tenant's applies cost nothing extra.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

from controllers.api.core import SERVICE_ACCOUNTS, SUBJECT_ACCESS_REVIEWS
from controllers.api.resource import Manifest, Resource, key_of
from controllers.api.timestamps import parse_timestamp

from ..sensitive import Sensitive
from .config import KubeConfig
from .connection import Call, Connection, Observe, Params, Timeouts
from .discovery import Discovery
from .errors import ApiError, Gone, error_from_status

FIELD_MANAGER = "inhaul"

_PATCHES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=1,application/json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=1,application/json"


@dataclass(frozen=True, slots=True)
class ObjectList:
    """All pages of a list. A watch from `resource_version` misses nothing that came after."""

    items: list[Manifest]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK (whose object has metadata.resourceVersion alone)."""

    type: str
    object: Manifest


@dataclass(frozen=True, slots=True)
class Token:
    """A service account's token from the TokenRequest API."""

    token: Sensitive
    expires: datetime


class KubeClient:
    """Asynchronous. Every method raises ApiError (see `errors` for the tree)."""

    def __init__(
        self,
        config: KubeConfig,
        *,
        limit: int = 32,
        timeouts: Timeouts | None = None,
        observe: Observe | None = None,
    ) -> None:
        """`limit` bounds the connections for calls; watches are not counted."""
        self._connection = Connection(config, limit=limit, timeouts=timeouts, observe=observe)
        self._discovery = Discovery(self._connection)
        self._headers: tuple[tuple[str, str], ...] = ()
        self._dry_run = False

    @property
    def config(self) -> KubeConfig:
        return self._connection.config

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection that all views share."""
        await self._connection.close()

    # Views

    def impersonate(self, user: str, groups: Sequence[str] = ()) -> KubeClient:
        """The same client as somebody else; what they may do, the API server decides."""
        view = self._view()
        view._headers = (("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups))
        return view

    def dry_run(self) -> KubeClient:
        """The same client whose writes are admitted, defaulted and answered, but not kept."""
        view = self._view()
        view._dry_run = True
        return view

    def _view(self) -> KubeClient:
        view = object.__new__(KubeClient)
        view._connection, view._discovery = self._connection, self._discovery
        view._headers, view._dry_run = self._headers, self._dry_run
        return view

    # Reads

    async def get(self, resource: Resource, name: str, namespace: str = "", *, metadata_only: bool = False) -> Manifest:
        accept = _METADATA if metadata_only else "application/json"
        return _typed(await self._call("GET", resource.path(namespace, _segment(name)), accept=accept), resource)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
    ) -> ObjectList:
        """All pages, `limit` objects each. Where the snapshot expires between pages, once more in one piece."""
        params = _selectors(label_selector, field_selector)
        accept = _METADATA_LIST if metadata_only else "application/json"
        path = resource.path(namespace)
        items: list[Manifest] = []
        version = token = ""
        while True:
            page = [("limit", str(limit))] if limit else []
            page += [("continue", token)] if token else []
            try:
                document = await self._call("GET", path, params=(*params, *page), accept=accept)
            except Gone:
                if not token:
                    raise
                items, version, token, limit = [], "", "", 0
                continue
            items += (_typed(item, resource) for item in document.get("items") or ())
            meta = document.get("metadata") or {}
            version = version or meta.get("resourceVersion") or ""
            token = meta.get("continue") or ""
            if not token:
                return ObjectList(items, version)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        timeout: float = 300,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version`, until the server closes at `timeout` seconds. Raises Gone when it is old.

        Close the iterator (`contextlib.aclosing`) when leaving early: it holds a connection.
        """
        params = (
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(max(1, round(timeout)))),
            *_selectors(label_selector, field_selector),
        )
        accept = _METADATA if metadata_only else "application/json"
        call = Call("GET", resource.path(namespace), params, accept=accept, headers=self._headers)
        async for line in self._connection.lines(call):
            yield _event(line, resource, secret=call.secret)

    # Writes

    async def create(
        self, resource: Resource, body: Manifest, namespace: str = "", *, field_manager: str = FIELD_MANAGER
    ) -> Manifest:
        place = namespace or (body.get("metadata") or {}).get("namespace") or ""
        params = (("fieldManager", field_manager),)
        return _typed(await self._write("POST", resource.path(place), body, params), resource)

    async def replace(
        self, resource: Resource, body: Manifest, *, field_manager: str = FIELD_MANAGER, subresource: str = ""
    ) -> Manifest:
        key = key_of(body)
        path = resource.path(key.namespace, _segment(key.name), subresource)
        return _typed(await self._write("PUT", path, body, (("fieldManager", field_manager),)), resource)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        body: Any,
        kind: Literal["merge", "json", "strategic"] = "merge",
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Manifest:
        path = resource.path(namespace, _segment(name), subresource)
        params = (("fieldManager", field_manager),)
        return _typed(await self._write("PATCH", path, body, params, content_type=_PATCHES[kind]), resource)

    async def apply(
        self, resource: Resource, body: Manifest, *, field_manager: str, force: bool = True, subresource: str = ""
    ) -> Manifest:
        """Server-side apply: creates, or merges the fields of `field_manager`. Raises Conflict without `force`."""
        key = key_of(body)
        path = resource.path(key.namespace, _segment(key.name), subresource)
        params = (("fieldManager", field_manager), ("force", "true" if force else "false"))
        answer = await self._write("PATCH", path, body, params, content_type="application/apply-patch+yaml")
        return _typed(answer, resource)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
    ) -> None:
        """With `uid` or `resource_version`, only that very object: Conflict otherwise. NotFound is the caller's."""
        body: Manifest = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            body["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if self._dry_run:
            body["dryRun"] = ["All"]  # with a body, the server ignores the parameter
        await self._write("DELETE", resource.path(namespace, _segment(name)), body)

    async def token_request(
        self, namespace: str, service_account: str, *, audiences: Sequence[str], expiration: float = 3600
    ) -> Token:
        """A token of a service account for `audiences`, valid for `expiration` seconds (the server may shorten it)."""
        spec = {"audiences": list(audiences), "expirationSeconds": round(expiration)}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = SERVICE_ACCOUNTS.path(namespace, _segment(service_account), "token")
        status = (await self._call("POST", path, body=body)).get("status") or {}
        try:
            return Token(Sensitive(status["token"]), parse_timestamp(status["expirationTimestamp"]))
        except (KeyError, TypeError, ValueError):
            raise ApiError(200, "BadAnswer", "the TokenRequest response has no token or expiry") from None

    async def can(
        self,
        *,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        user: str = "",
        groups: Sequence[str] = (),
    ) -> bool:
        """Whether `user` may (SubjectAccessReview), or we ourselves without one (SelfSubjectAccessReview)."""
        attributes = {"verb": verb, "group": resource.group, "version": resource.version, "resource": resource.plural}
        attributes |= {"namespace": namespace} if namespace else {}
        attributes |= {"name": name} if name else {}
        spec: dict[str, Any] = {"resourceAttributes": attributes}
        kind, plural = "SelfSubjectAccessReview", "selfsubjectaccessreviews"
        if user:
            spec |= {"user": user, "groups": list(groups)}
            kind, plural = SUBJECT_ACCESS_REVIEWS.kind, SUBJECT_ACCESS_REVIEWS.plural
        review = replace(SUBJECT_ACCESS_REVIEWS, kind=kind, plural=plural)
        body = {"apiVersion": review.api_version, "kind": kind, "spec": spec}
        status = (await self._call("POST", review.path(), body=body)).get("status") or {}
        return status.get("allowed") is True

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Manifest:
        """The raw door: any path. A dry-run view still adds its parameter to writes."""
        items = params.items() if isinstance(params, Mapping) else params
        given = tuple(items or ())
        if method == "GET":
            return await self._call(method, path, params=given)
        return await self._write(method, path, body, given, content_type=content_type)

    # Discovery

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """Cached; re-read on a miss. Raises UnknownKindError."""
        return await self._discovery.resource_for(api_version, kind)

    async def served(self, resource: Resource) -> bool:
        """Whether the type can be listed now (its CRD is Established). Never cached."""
        return await self._discovery.served(resource)

    # The wire

    async def _write(
        self,
        method: str,
        path: str,
        body: Any,
        params: tuple[tuple[str, str], ...] = (),
        *,
        content_type: str = "application/json",
    ) -> Manifest:
        if self._dry_run:
            params = (*params, ("dryRun", "All"))
        return await self._call(method, path, params=params, body=body, content_type=content_type)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: tuple[tuple[str, str], ...] = (),
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Manifest:
        return await self._connection.call(Call(method, path, params, body, content_type, accept, self._headers))


def _segment(name: str) -> str:
    """A name as one path segment. A slash or a dot-dot in a name from a manifest must not reach another object."""
    if not name or name in (".", "..") or any(char in name for char in "/%?#\\") or not name.isprintable():
        raise ApiError(422, "Invalid", f"metadata.name: found {name!r}, expected a name without / and %")
    return name


def _selectors(label_selector: str, field_selector: str) -> tuple[tuple[str, str], ...]:
    pairs = (("labelSelector", label_selector), ("fieldSelector", field_selector))
    return tuple(pair for pair in pairs if pair[1])


def _typed(manifest: Manifest, resource: Resource) -> Manifest:
    """Items of lists and metadata-only answers do not say what they are: kind and apiVersion are filled in."""
    if manifest.get("kind") in (None, "PartialObjectMetadata"):
        manifest["apiVersion"], manifest["kind"] = resource.api_version, resource.kind
    return manifest


def _event(line: bytes, resource: Resource, *, secret: bool) -> WatchEvent:
    try:
        document = json.loads(line)
        kind, body = document["type"], document["object"]
        if kind == "ERROR":
            raise error_from_status(body, int(body.get("code") or 500), secret=secret)
        return WatchEvent(kind, _typed(body, resource))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ApiError(200, "BadAnswer", "invalid watch event: expected a JSON object with type and object") from None
