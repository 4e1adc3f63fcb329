"""Watches of everything that is not our own custom resource: target Secrets, key Secrets, drift, health.

Metadata only unless asked otherwise, selected by the server, on a session of its own. List, then watch from there, for
ever. What can go wrong, and what is done: a version too old (410) → list again and tell the listener of what vanished
meanwhile, as DELETED, since nobody else will; a stream on which nothing comes, not even bookmarks → broken off by the
client and begun anew; refused, or the kind not served → tried again with growing, jittered pauses. The listener gets
each object's latest state at least once and must not care how often.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing

from controllers.api.resource import Key, Manifest, Resource, key_of

from ..kube import ApiError, Gone, KubeClient, NotFound, WatchEvent
from ..metrics import Metrics
from ..store import version_of

log = logging.getLogger(__name__)

OnEvent = Callable[[WatchEvent], None]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_ABSENT_PAUSE = 10.0  # how late a kind whose CRD comes later is seen, at most


class Watch:
    """Made by `Manager.watch`, which runs it. `on_event` must not block; its exceptions are logged."""

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        on_event: OnEvent,
        *,
        label_selector: str = "",
        field_selector: str = "",
        namespace: str = "",
        metadata_only: bool = True,
        timeout: float = 300.0,
        metrics: Metrics | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set after the first complete list has been told."""
        self.absent = False
        """Whether the last answer was that the kind is not served."""
        self.last_seen = time.monotonic()
        """Monotonic seconds of the last list, event or bookmark."""
        self._kube, self._on_event, self._metrics = kube, on_event, metrics
        self._label_selector, self._field_selector = label_selector, field_selector
        self._namespace, self._metadata_only, self._timeout = namespace, metadata_only, timeout
        self._known: dict[Key, tuple[str, str]] = {}
        self._version = ""

    @property
    def age(self) -> float:
        """Seconds since anything was heard."""
        return time.monotonic() - self.last_seen

    async def run(self) -> None:
        """Until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._stream()
                pause = _FIRST_PAUSE
            except Gone:
                self._version = ""
                await asyncio.sleep(_jittered(0.1))
            except ApiError as error:
                log.log(
                    self._level(error, pause),
                    "watch of %s: %s; retrying in about %.0f s",
                    self.resource.plural,
                    error.message,
                    pause,
                )
                if isinstance(error, NotFound):  # its CRD is not there (yet, or any more)
                    self._version, self.absent = "", True
                    self._heard()
                await asyncio.sleep(_jittered(pause))
                pause = min(_ABSENT_PAUSE if self.absent else _LONGEST_PAUSE, pause * 2)
            if self._metrics is not None:
                self._metrics.watch_restarts.labels(self.resource.plural).inc()

    def _level(self, error: ApiError, pause: float) -> int:
        """A kind that is not served is said once; any other trouble is a warning from its second time on."""
        if isinstance(error, NotFound):
            return logging.DEBUG if self.absent else logging.INFO
        return logging.WARNING if pause > _FIRST_PAUSE else logging.INFO

    async def _list(self) -> None:
        listed = await self._kube.list(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
        )
        present = {key_of(item) for item in listed.items}
        for key in self._known.keys() - present:
            self._vanished(key)
        for item in listed.items:
            key, version = key_of(item), version_of(item)
            before = self._known.get(key)
            if before is not None and before[0] != version[0]:
                self._vanished(key)  # deleted and made anew: another object
                before = None
            if before != version:
                self._take(WatchEvent("ADDED" if before is None else "MODIFIED", item))
        self._version = listed.resource_version
        self.absent = False
        self._heard()
        self.synced.set()

    async def _stream(self) -> None:
        stream = self._kube.watch(
            self.resource,
            self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            timeout=self._timeout * random.uniform(0.8, 1.0),  # noqa: S311 - so that watches do not end together
        )
        async with aclosing(stream) as events:
            self._heard()
            async for event in events:
                self._heard()
                self._version = version_of(event.object)[1] or self._version
                if event.type != "BOOKMARK":
                    self._take(event)

    def _take(self, event: WatchEvent) -> None:
        key = key_of(event.object)
        if event.type == "DELETED":
            self._known.pop(key, None)
        else:
            self._known[key] = version_of(event.object)
        self._tell(event)

    def _vanished(self, key: Key) -> None:
        """A deletion that nobody told: the object we make up has what is still known of it."""
        uid, version = self._known.pop(key)
        meta: Manifest = {"name": key.name, "uid": uid, "resourceVersion": version}
        if key.namespace:
            meta["namespace"] = key.namespace
        body = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, "metadata": meta}
        self._tell(WatchEvent("DELETED", body))

    def _tell(self, event: WatchEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("watch of %s: listener failed with an unexpected error", self.resource.plural)

    def _heard(self) -> None:
        self.last_seen = time.monotonic()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.7, 1.3)  # noqa: S311 - spreads retries, guards nothing
