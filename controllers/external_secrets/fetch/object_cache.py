"""Objects that refreshes read beside their own: service accounts, credentials of stores, sources of templates.

What is kept (service accounts, credentials) is kept until a metadata watch says that it changed, so a steady refresh
asks the API server nothing; one read answers all who ask at the same time. What is not kept is noted by its
resourceVersion, so that who used it hears of a change. What can go wrong: the watch is not there yet, not permitted, or
silent: then what was read is good for seconds only.

Nothing here knows of identities: an entry is one object by kind, namespace and name, and each store builds its identity
from the objects that it may use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from controllers.api.resource import Key, Manifest, Resource, key_of
from controllers.api.timestamps import timestamp_or_none
from controllers.runtime.informers.watch import Watch
from controllers.runtime.kube import KubeClient, NotFound, WatchEvent

_WATCHED, _UNWATCHED = 300.0, 10.0  # seconds for which a kept object is good, with its watch in order and without
_SILENT = 180.0  # seconds without bookmark after which a watch is not trusted
_MOST = 5000  # objects kept or noted
_GONE = "gone"  # in the place of a version

OnChange = Callable[[Resource, Key, datetime | None], None]
StartWatch = Callable[[Resource, Callable[[WatchEvent], None]], Watch]


@dataclass(slots=True)
class _Entry:
    """What is known of one object. `manifest` None: not kept, or there is none."""

    manifest: Manifest | None = field(default=None, repr=False)
    version: str = ""
    until: float = 0.0
    reading: asyncio.Task[Manifest | None] | None = None
    news: str = ""  # the version that an event told of while a read was under way


class ObjectCache:
    """For one event loop."""

    def __init__(self, kube: KubeClient, watch: StartWatch, on_change: OnChange) -> None:
        """`on_change(resource, key, moment)` hears of each object of the watched kinds that came, went or became
        another; `moment`: when it was changed last, None where it is known to differ from what was read."""
        self._kube, self._start, self._on_change = kube, watch, on_change
        self._watches: dict[Resource, Watch] = {}
        self._entries: dict[tuple[Resource, Key], _Entry] = {}

    def watch(self, resource: Resource) -> None:
        """Hears of this kind from now on."""
        if resource not in self._watches:
            self._watches[resource] = self._start(resource, lambda event: self._event(resource, event))

    async def kept(self, resource: Resource, key: Key, *, metadata_only: bool = False) -> Manifest | None:
        """The object as it is now, read at most once while it does not change; None: there is none. Raises ApiError."""
        self.watch(resource)
        entry = self._entry(resource, key)
        if entry.until > asyncio.get_running_loop().time():
            return entry.manifest
        return await self._read(resource, key, entry, keep=True, metadata_only=metadata_only)

    async def read_tracked(self, resource: Resource, key: Key) -> Manifest | None:
        """The object, read now and not kept; its next change is told. None: there is none. Raises ApiError."""
        self.watch(resource)
        return await self._read(resource, key, self._entry(resource, key))

    def _trusted(self, resource: Resource) -> bool:
        watch = self._watches[resource]
        return watch.synced.is_set() and not watch.absent and watch.age < _SILENT

    def _entry(self, resource: Resource, key: Key) -> _Entry:
        known = self._entries.pop((resource, key), None)
        if known is None and len(self._entries) >= _MOST:
            oldest = next((name for name, each in self._entries.items() if each.reading is None), None)
            if oldest is not None:
                del self._entries[oldest]
        entry = self._entries[resource, key] = known or _Entry()  # the last used is the last to go
        return entry

    async def _read(
        self, resource: Resource, key: Key, entry: _Entry, *, keep: bool = False, metadata_only: bool = False
    ) -> Manifest | None:
        if entry.reading is None:
            work = self._get(resource, key, entry, keep=keep, metadata_only=metadata_only)
            entry.reading = asyncio.create_task(work)
            entry.reading.add_done_callback(_seen)
        return await asyncio.shield(entry.reading)

    async def _get(
        self, resource: Resource, key: Key, entry: _Entry, *, keep: bool, metadata_only: bool
    ) -> Manifest | None:
        entry.news = ""
        try:
            found = await self._kube.get(resource, key.name, key.namespace, metadata_only=metadata_only)
        except NotFound:
            found = None
        finally:
            entry.reading = None
        entry.version = _version(found)
        if entry.news not in ("", entry.version or _GONE) and not _older(entry.news, entry.version):
            self._on_change(resource, key, None)  # it changed while it was read
        elif keep:
            entry.manifest = found
            entry.until = asyncio.get_running_loop().time() + (_WATCHED if self._trusted(resource) else _UNWATCHED)
        return found

    def _event(self, resource: Resource, event: WatchEvent) -> None:
        key, gone = key_of(event.object), event.type == "DELETED"
        version = _GONE if gone else _version(event.object)
        entry = self._entries.get((resource, key))
        if entry is None:
            self._on_change(resource, key, None if gone else changed_at(event.object))
        elif entry.reading is not None:
            entry.news = version
        elif version != (entry.version or _GONE) and not _older(version, entry.version):
            entry.until, entry.manifest, entry.version = 0.0, None, "" if gone else version
            self._on_change(resource, key, None)


def changed_at(manifest: Manifest) -> datetime | None:
    """When an object was changed last, as its managedFields tell; None where they do not."""
    meta = manifest["metadata"]
    times = [meta.get("creationTimestamp"), *(entry.get("time") for entry in meta.get("managedFields") or [])]
    return max((moment for text in times if (moment := timestamp_or_none(text)) is not None), default=None)


def _version(manifest: Manifest | None) -> str:
    return str(((manifest or {}).get("metadata") or {}).get("resourceVersion") or "")


def _older(version: str, than: str) -> bool:
    """By the number that every known API server uses; where it is none, nothing is older."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def _seen(task: asyncio.Task[Manifest | None]) -> None:
    """Marks a failure as seen: whoever asked may have been cancelled meanwhile."""
    if not task.cancelled():
        task.exception()
