"""ClusterExternalSecret: makes, mends and removes an ExternalSecret in each namespace that it selects.

Reads itself, namespaces and children from memory and writes only what differs. An ExternalSecret that is not its own
is never touched: the namespace counts as failed, with the reason. Children go with their owner by garbage collection,
and where a namespace is no longer selected, by a delete that asks the API server first. No finalizer is put anywhere;
those that upstream left on ClusterExternalSecrets and on namespaces are taken away when these are deleted, or they
would hang.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from controllers.api.base import parse
from controllers.api.core import NAMESPACES
from controllers.api.duration import parse_duration
from controllers.api.external_secrets import CLUSTER_EXTERNAL_SECRETS, EXTERNAL_SECRETS, ClusterExternalSecretSpec
from controllers.api.resource import Key, Manifest
from controllers.runtime.controller import Controller
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import drop_finalizer
from controllers.runtime.kube import AlreadyExists, ApiError, KubeClient, NotFound
from controllers.runtime.result import Result, Stalled
from controllers.runtime.status import StatusWriter
from controllers.runtime.store import Store

from . import fanout

log = logging.getLogger(__name__)
FINALIZER = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"
NAMESPACE_FINALIZER = "externalsecrets.external-secrets.io/ces-"
DEFAULT_REFRESH, _RETRY = 3600.0, 60.0
_AT_ONCE = 16  # writes of one fan-out


class ClusterReconciler:
    """Registered by `handlers`."""

    def __init__(
        self,
        kube: KubeClient,
        children: Store,
        namespaces: Store,
        status: StatusWriter,
        *,
        controller: Callable[[], Controller],
    ) -> None:
        self._kube, self._children, self._namespaces = kube, children, namespaces
        self._status, self._controller = status, controller
        self._releasing: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Hears of namespaces and children from now on."""
        self._children.index("parent", fanout.parents)
        self._controller().store.index("child", lambda manifest: [fanout.child_name(manifest)])
        self._namespaces.subscribe(self.on_namespace)
        self._children.subscribe(self.on_child)

    async def __call__(self, key: Key) -> Result:
        draft = self._controller().draft(key)
        manifest = draft.manifest
        if manifest is None:
            return Result()
        if manifest["metadata"].get("deletionTimestamp"):
            draft.skip_status = True
            return await self._finalize(manifest)
        spec = parse(ClusterExternalSecretSpec, manifest)
        interval = _interval(spec)
        name, before = fanout.child_name(manifest), manifest.get("status") or {}
        failed = await self._remove_outdated(manifest, spec, name)
        wanted = [item["metadata"]["name"] for item in self._namespaces.list() if fanout.selected(spec, item)]
        failed |= await self._provision(manifest, wanted)
        provisioned = [namespace for namespace in wanted if namespace not in failed]
        status = fanout.status(before, name=name, provisioned=provisioned, failed=failed)
        self._say(draft, before.get("failedNamespaces") or [], failed)
        await self._status.write(CLUSTER_EXTERNAL_SECRETS, manifest, status)
        return Result(min(_RETRY, interval) if failed else interval)

    def _say(self, draft: Draft, before: Iterable[Manifest], failed: dict[str, str]) -> None:
        known = {item.get("namespace"): item.get("reason") for item in before}
        for namespace, reason in sorted(failed.items()):
            if known.get(namespace) != reason:
                draft.event("NamespaceFailed", f"{namespace}: {reason}", warning=True)

    # --- children that should be

    async def _provision(self, parent: Manifest, namespaces: Iterable[str]) -> dict[str, str]:
        """Namespace → why it failed."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(namespace: str) -> tuple[str, str]:
            known = self._children.get(Key(namespace, fanout.child_name(parent)))
            ours = known is not None and fanout.owned(known, parent)
            if known is not None and ours and fanout.same(fanout.child(parent, namespace, known), known):
                return namespace, ""
            async with limit:
                return namespace, await self._write(parent, namespace)

        return {namespace: why for namespace, why in await asyncio.gather(*map(one, namespaces)) if why}

    async def _write(self, parent: Manifest, namespace: str) -> str:
        """Makes one child what it should be; why it could not, "" where it could."""
        try:
            live = await self._kube.get(EXTERNAL_SECRETS, fanout.child_name(parent), namespace)
        except NotFound:
            live = None
        except ApiError as error:
            return error.message
        try:
            if live is None:
                await self._kube.create(EXTERNAL_SECRETS, fanout.child(parent, namespace), namespace)
                return ""
            if not fanout.owned(live, parent):
                return fanout.NOT_OURS
            wanted = fanout.child(parent, namespace, live)
            if not fanout.same(wanted, live):
                await self._kube.replace(EXTERNAL_SECRETS, wanted)
        except AlreadyExists:
            return fanout.NOT_OURS
        except ApiError as error:
            return error.message
        return ""

    # --- children that should not be

    async def _remove_outdated(self, parent: Manifest, spec: ClusterExternalSecretSpec, name: str) -> dict[str, str]:
        """Children under a former name, and those where the namespace is no longer selected. Namespace → failure."""
        failed: dict[str, str] = {}
        for child in self._children.by_index("parent", parent["metadata"]["name"]):
            meta = child["metadata"]
            if not fanout.owned(child, parent) or meta.get("deletionTimestamp"):
                continue
            if meta["name"] == name and self._selected(spec, meta["namespace"]):
                continue
            try:
                if meta["name"] == name and await self._selected_live(spec, meta["namespace"]):
                    continue
                await self._kube.delete(EXTERNAL_SECRETS, meta["name"], meta["namespace"], uid=meta["uid"])
            except NotFound:
                continue
            except ApiError as error:
                failed[meta["namespace"]] = error.message
        return failed

    def _selected(self, spec: ClusterExternalSecretSpec, namespace: str) -> bool:
        known = self._namespaces.get(Key("", namespace))
        return known is not None and fanout.selected(spec, known)

    async def _selected_live(self, spec: ClusterExternalSecretSpec, namespace: str) -> bool:
        """Nothing is removed on memory's word. A namespace that is gone or going takes its objects along itself."""
        try:
            live = await self._kube.get(NAMESPACES, namespace, metadata_only=True)
        except NotFound:
            return True
        return bool(live["metadata"].get("deletionTimestamp")) or fanout.selected(spec, live)

    # --- finalizers that upstream left

    async def _finalize(self, manifest: Manifest) -> Result:
        """Its children go by their owner reference; upstream's finalizers go here."""
        meta = manifest["metadata"]
        if FINALIZER not in (meta.get("finalizers") or []):
            return Result()
        for namespace in (manifest.get("status") or {}).get("provisionedNamespaces") or []:
            await self._release(str(namespace), frozenset((f"{NAMESPACE_FINALIZER}{meta['name']}",)))
        await drop_finalizer(self._kube, CLUSTER_EXTERNAL_SECRETS, manifest, FINALIZER)
        return Result()

    def on_namespace(self, before: Manifest | None, after: Manifest | None) -> None:
        """A listener of the namespaces' store: labels select, and a namespace that goes is let go."""
        if after is not None and after["metadata"].get("deletionTimestamp"):
            finalizers = after["metadata"].get("finalizers") or []
            if stale := frozenset(name for name in finalizers if name.startswith(NAMESPACE_FINALIZER)):
                task = asyncio.get_running_loop().create_task(self._let_go(after["metadata"]["name"], stale))
                self._releasing.add(task)
                task.add_done_callback(self._releasing.discard)
        if _labels(before) != _labels(after):
            for manifest in self._controller().store.list():
                self._controller().queue.changed(Key("", manifest["metadata"]["name"]))

    def on_child(self, before: Manifest | None, after: Manifest | None) -> None:
        """A listener of the ExternalSecrets' store: one that was edited or deleted is put right."""
        if _shape(before) != _shape(after):
            name = (after or before or {})["metadata"]["name"]
            for manifest in self._controller().store.by_index("child", name):
                self._controller().queue.add(Key("", manifest["metadata"]["name"]))

    async def _let_go(self, namespace: str, finalizers: frozenset[str]) -> None:
        try:
            await self._release(namespace, finalizers)
        except ApiError as error:
            named = ", ".join(sorted(finalizers))
            log.warning("namespace %s cannot end: upstream's finalizers stay (%s): %s", namespace, named, error.message)

    async def _release(self, namespace: str, finalizers: frozenset[str]) -> None:
        """Takes finalizers off a namespace. Raises ApiError."""
        try:
            live = await self._kube.get(NAMESPACES, namespace, metadata_only=True)
        except NotFound:
            return
        meta = live["metadata"]
        kept = [name for name in meta.get("finalizers") or [] if name not in finalizers]
        if kept == (meta.get("finalizers") or []):
            return
        body = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "finalizers": kept}}
        try:
            await self._kube.patch(NAMESPACES, namespace, body=body)
        except NotFound:
            return


def _labels(namespace: Manifest | None) -> tuple[bool, object, bool]:
    """What of a namespace decides: that it is there, its labels, whether it is going."""
    meta = (namespace or {}).get("metadata") or {}
    return namespace is not None, meta.get("labels") or {}, bool(meta.get("deletionTimestamp"))


def _shape(child: Manifest | None) -> tuple[object, ...]:
    """What of a child its parent decides over."""
    meta = (child or {}).get("metadata") or {}
    return (child or {}).get("spec"), *(meta.get(part) for part in ("uid", "labels", "annotations", "ownerReferences"))


def _interval(spec: ClusterExternalSecretSpec) -> float:
    try:
        given = parse_duration(spec.refresh_time) if spec.refresh_time else DEFAULT_REFRESH
    except ValueError as error:
        raise Stalled("InvalidSpecError", f"spec.refreshTime: {error}") from None
    return max(given, 1.0) if given > 0 else DEFAULT_REFRESH
