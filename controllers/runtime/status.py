"""Writes a status, and only where it differs.

A merge patch of the status subresource that names the object's uid: an object deleted and made anew under the same name
never gets its predecessor's status (the API server answers Conflict). No resourceVersion: a label edited meanwhile by
somebody else is no reason to reconcile again, and status has one writer.

Two of us writing the same status is the fight that DESIGN forbids: `contended` looks for another manager of the status
that wrote after our own lease began.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from controllers.api.resource import Manifest, Resource, key_of
from controllers.api.timestamps import timestamp_or_none

from .conditions import status_patch
from .kube import FIELD_MANAGER, KubeClient

OnWritten = Callable[[Resource, Manifest], None]


class StatusWriter:
    """`on_written` hears of each object that was written, with the server's answer."""

    def __init__(self, kube: KubeClient, on_written: OnWritten | None = None) -> None:
        self._kube = kube
        self._on_written = on_written

    async def write(self, resource: Resource, manifest: Manifest, status: Mapping[str, Any]) -> Manifest:
        """The object as it is after the write; `manifest` itself where nothing differs. Raises ApiError."""
        patch = status_patch(manifest.get("status"), status)
        if patch is None:
            self._tell(resource, manifest)
            return manifest
        key = key_of(manifest)
        body = {"metadata": {"uid": manifest["metadata"]["uid"]}, "status": patch}
        written = await self._kube.patch(
            resource, key.name, key.namespace, body=body, subresource="status", field_manager=FIELD_MANAGER
        )
        self._tell(resource, written)
        return written

    def _tell(self, resource: Resource, manifest: Manifest) -> None:
        if self._on_written is not None:
            self._on_written(resource, manifest)


def contended(manifest: Manifest, *, since: datetime) -> str:
    """The name of another manager that wrote this object's status after `since`; "" where there is none."""
    for entry in (manifest.get("metadata") or {}).get("managedFields") or ():
        if not isinstance(entry, dict) or entry.get("subresource") != "status" or entry.get("manager") == FIELD_MANAGER:
            continue
        wrote = timestamp_or_none(entry.get("time"))
        if wrote is not None and wrote > since:
            return str(entry.get("manager"))
    return ""


def with_status(manifest: Manifest, status: Mapping[str, Any]) -> Manifest:
    """A copy of the manifest that has this status."""
    return {**manifest, "status": copy.deepcopy(dict(status))}
