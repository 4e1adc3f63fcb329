"""Puts a store right: each few minutes a metadata list, compared by uid and resourceVersion.

kopf tells of no deletion that happened during a re-list, and any event can be lost; this finds both. Only what differs
is fetched. What the store got to know while the list was under way is not old: an object is judged gone only by its
own GET.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from controllers.api.plural import counted
from controllers.api.resource import Key, Manifest, Resource, key_of

from ..kube import ApiError, KubeClient, NotFound
from ..metrics import Metrics
from ..store import Store, version_of

log = logging.getLogger(__name__)

OnEvent = Callable[[str, Manifest], None]


async def resync(
    kube: KubeClient,
    resource: Resource,
    store: Store,
    on_event: OnEvent,
    *,
    label_selector: str = "",
    namespace: str = "",
    interval: float = 600.0,
    metrics: Metrics | None = None,
) -> None:
    """Until cancelled: `resync_once` each `interval` seconds, give or take a fifth; the first not before half of it."""
    await asyncio.sleep(interval * random.uniform(0.5, 1.0))  # noqa: S311 - so that replicas do not list together
    while True:
        try:
            mended = await resync_once(
                kube, resource, store, on_event, label_selector=label_selector, namespace=namespace
            )
        except ApiError as error:
            log.warning("resync of %s: %s", resource.plural, error.message)
        else:
            if mended:
                log.warning("resync of %s: corrected %s", resource.plural, counted(mended, "object"))
            if metrics is not None:
                metrics.lost_events.labels(resource.plural).inc(mended)
        await asyncio.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311


async def resync_once(
    kube: KubeClient,
    resource: Resource,
    store: Store,
    on_event: OnEvent,
    *,
    label_selector: str = "",
    namespace: str = "",
) -> int:
    """Compares, fetches what differs, and tells `on_event`; the number of objects that were wrong. Raises ApiError."""
    listed = await kube.list(resource, namespace, label_selector=label_selector, metadata_only=True)
    actual = {key_of(item): version_of(item) for item in listed.items}
    known = store.versions()
    mended = 0
    for key in sorted(known.keys() | actual.keys()):
        if known.get(key) != actual.get(key):
            mended += await _mend(kube, resource, store, on_event, key, listed=key in actual)
    return mended


async def _mend(
    kube: KubeClient, resource: Resource, store: Store, on_event: OnEvent, key: Key, *, listed: bool
) -> int:
    seen = store.get(key)
    try:
        live = await kube.get(resource, key.name, key.namespace)
    except NotFound:
        live = None
    if live is None or not listed:  # deleted, or no longer selected: for us it is gone
        if seen is None or (live is not None and version_of(live) == version_of(seen)):
            return 0
        on_event("DELETED", seen)
        return 1
    if seen is not None and version_of(seen) == version_of(live):
        return 0
    if seen is not None and version_of(seen)[0] != version_of(live)[0]:
        on_event("DELETED", seen)
    on_event("MODIFIED", live)
    return 1
