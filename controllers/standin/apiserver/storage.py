"""The objects, in memory: one table per resource type, one counter of resourceVersions, a bounded history for
watches.

Nothing here takes time in proportion to all objects but a list that asks for them: keys are kept sorted, each object
keeps its JSON once it was sent, and a paged list keeps the rest of its pages as references (objects are never changed
in place), so all pages are of one moment. History and snapshots are bounded; what fell out is answered with 410.
"""

from __future__ import annotations

import json
import marshal
import secrets
import time
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from controllers.api.resource import Manifest

from .status_errors import gone

HISTORY = 20_000
SNAPSHOTS = 200
SNAPSHOT_SECONDS = 300.0
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
TableKey = tuple[str, str]


class Item:
    """One state of one object, with its JSON (made when first asked for)."""

    __slots__ = ("_raw", "object", "version")

    def __init__(self, obj: Manifest, version: int) -> None:
        self.object = obj
        self.version = version
        self._raw: bytes | None = None

    @property
    def raw(self) -> bytes:
        """Compact JSON."""
        if self._raw is None:
            self._raw = dump(self.object)
        return self._raw


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def dump(value: object) -> bytes:
    """Compact JSON."""
    return _encode(value).encode("utf-8", "surrogatepass")


def copied(value: Any) -> Any:
    """A deep copy of a JSON value, several times faster than copy.deepcopy."""
    return marshal.loads(marshal.dumps(value))  # noqa: S302  (what was dumped this moment)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One write. Of DELETED, `item` is the last state, with the resourceVersion of the deletion."""

    version: int
    type: EventType
    item: Item
    old: Item | None


Listener = Callable[[StoredEvent], None]


class Table:
    """The objects of one type, by `namespace/name` (`name` alone for cluster-scoped types)."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.keys: list[str] = []
        self.history: deque[StoredEvent] = deque()
        self.compacted = 0
        """The newest resourceVersion whose event is gone; a watch from before it gets 410."""
        self.listeners: dict[int, Listener] = {}

    def range(self, namespace: str) -> list[str]:
        """The keys of a namespace, or all, sorted."""
        if not namespace:
            return self.keys
        start = bisect_left(self.keys, namespace + "/")
        return self.keys[start : bisect_left(self.keys, namespace + "0", start)]

    def since(self, version: int) -> Iterator[StoredEvent]:
        """The events after `version`, oldest first. Raises StatusError 410 where they are no longer all kept."""
        if version < self.compacted:
            raise gone(f"too old resource version: {version} ({self.compacted})")
        events = []
        for event in reversed(self.history):
            if event.version <= version:
                break
            events.append(event)
        return reversed(events)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects of a paged list, at the moment of its first page."""

    items: list[Item]
    version: int
    made: float
    scope: str


class MemoryStorage:
    """All tables."""

    def __init__(self, *, history: int = HISTORY, clock: Callable[[], float] = time.monotonic) -> None:
        self.version = 1
        self._history = history
        self._clock = clock
        self._tables: dict[TableKey, Table] = {}
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()
        self._next_listener = 0
        self.any_listeners: dict[int, Callable[[TableKey, StoredEvent], None]] = {}

    def table(self, key: TableKey) -> Table:
        """The table of a type, made when first asked for."""
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = Table()
            found.compacted = 0
        return found

    def get(self, key: TableKey, name: str) -> Item | None:
        """One object by `namespace/name`."""
        table = self._tables.get(key)
        return table.items.get(name) if table else None

    def put(self, key: TableKey, name: str, obj: Manifest) -> Item:
        """Stores a new state; gives it the next resourceVersion (into `obj`, which the caller made for this)."""
        table = self.table(key)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        item = Item(obj, self.version)
        old = table.items.get(name)
        table.items[name] = item
        if old is None:
            insort(table.keys, name)
        self._tell(key, table, StoredEvent(self.version, "MODIFIED" if old else "ADDED", item, old))
        return item

    def remove(self, key: TableKey, name: str, last: Manifest | None = None) -> Item:
        """Deletes an object. `last` is the state that the event shows, if not the stored one."""
        table = self.table(key)
        old = table.items.pop(name)
        index = bisect_left(table.keys, name)
        del table.keys[index]
        self.version += 1
        obj = last or old.object
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        item = Item(obj, self.version)
        self._tell(key, table, StoredEvent(self.version, "DELETED", item, old))
        return item

    def _tell(self, key: TableKey, table: Table, event: StoredEvent) -> None:
        history = table.history
        history.append(event)
        if len(history) > self._history:
            table.compacted = history.popleft().version
        for listener in list(table.listeners.values()):
            listener(event)
        for any_listener in list(self.any_listeners.values()):
            any_listener(key, event)

    def listen(self, key: TableKey, listener: Listener) -> Callable[[], None]:
        """Calls `listener` at each write of a type; returns what ends it."""
        self._next_listener += 1
        number = self._next_listener
        listeners = self.table(key).listeners
        listeners[number] = listener
        return lambda: listeners.pop(number, None) and None

    def listen_all(self, listener: Callable[[TableKey, StoredEvent], None]) -> Callable[[], None]:
        """The same for all types."""
        self._next_listener += 1
        number = self._next_listener
        self.any_listeners[number] = listener
        return lambda: self.any_listeners.pop(number, None) and None

    def compact(self) -> None:
        """Forgets all history and all half-read lists, as an etcd compaction does; tests ask for it."""
        for table in self._tables.values():
            table.history.clear()
            table.compacted = self.version
        self._snapshots.clear()

    # --- paged lists ---

    def keep(self, items: list[Item], version: int, scope: str) -> str:
        """Keeps a list whose first page was sent; returns the name its continue tokens begin with."""
        name = secrets.token_urlsafe(18).replace(".", "_")
        self._snapshots[name] = Snapshot(items, version, self._clock(), scope)
        while len(self._snapshots) > SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return name

    def resume(self, name: str, scope: str) -> Snapshot:
        """A list that is kept. Raises StatusError 410 where it is not kept (any more)."""
        found = self._snapshots.get(name)
        if found is None or found.scope != scope or self._clock() - found.made > SNAPSHOT_SECONDS:
            self._snapshots.pop(name, None)
            raise gone(
                "The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."
            )
        return found
