"""Which watch sees the edits of an object: the whole cluster's, the tenant's own, or none.

The controller watches a kind once for the whole cluster where it may. Where it may not (an installation without wide
read rights), the tenant's service account watches the kind in the namespace concerned, by its own rights. Where that is
refused too, the Kustomization's interval is what finds drift. Rights are asked for, not tried: a watch that is refused
again and again would be noise in the log and load on the API server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic

from controllers.api.resource import Manifest, Resource
from controllers.kustomization.objects.labels import OWNER_NAMESPACE
from controllers.runtime.kube import ApiError, KubeClient, UnknownKindError

from .owned import OwnedObjects

ASK_AGAIN = 600.0
"""Seconds after which a right that was missing is asked for once more."""


class Coverage:
    def __init__(self, kube: KubeClient, objects: OwnedObjects, *, clock: Callable[[], float] = monotonic) -> None:
        self._kube, self._objects, self._clock = kube, objects, clock
        self._refused: dict[tuple[Resource, str], float] = {}

    async def cover(self, tenant: KubeClient, owner: str, objects: Iterable[Manifest]) -> None:
        """Sees to it that these objects are watched; `owner` is the Kustomization's namespace. Never raises for a
        right that is missing."""
        kinds = {
            (each["apiVersion"], each["kind"], each["metadata"].get("namespace") or "") for each in objects
        }  # fmt: skip
        for api_version, kind, namespace in sorted(kinds):
            try:
                resource = await self._kube.resource_for(api_version, kind)
            except UnknownKindError:
                continue  # its definition comes with this very set; the next run covers it
            await self._one(tenant, owner, resource, namespace)

    async def _one(self, tenant: KubeClient, owner: str, resource: Resource, namespace: str) -> None:
        if self._objects.watches(resource) or self._objects.watches(resource, namespace or owner):
            return
        if await self._may(self._kube, resource, "", ("", "")):
            self._objects.cover([resource])
        elif await self._may(tenant, resource, namespace, (owner, namespace)):
            selector = f"{OWNER_NAMESPACE}={owner}" if not namespace else ""
            self._objects.cover_as(tenant, resource, namespace, place=namespace or owner, selector=selector)

    async def _may(self, kube: KubeClient, resource: Resource, namespace: str, who: tuple[str, str]) -> bool:
        asked = (resource, "/".join(who))
        if self._clock() - self._refused.get(asked, -ASK_AGAIN) < ASK_AGAIN:
            return False
        try:
            for verb in ("list", "watch"):
                if not await kube.can(verb=verb, resource=resource, namespace=namespace):
                    self._refused[asked] = self._clock()
                    return False
        except ApiError:
            self._refused[asked] = self._clock()
            return False
        return True
