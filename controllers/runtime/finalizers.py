"""Takes a finalizer off an object that is being deleted."""

from __future__ import annotations

from controllers.api.resource import Manifest, Resource

from .kube import KubeClient, NotFound


async def release(kube: KubeClient, resource: Resource, manifest: Manifest, finalizer: str) -> None:
    """Only from the object as it was read: raises Conflict where it changed meanwhile. One that is gone is well."""
    meta = manifest["metadata"]
    precise = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    left = [name for name in meta.get("finalizers") or [] if name != finalizer]
    try:
        body = {"metadata": {**precise, "finalizers": left}}
        await kube.patch(resource, meta["name"], meta.get("namespace") or "", body=body)
    except NotFound:
        return
