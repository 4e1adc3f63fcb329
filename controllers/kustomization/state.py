"""What this process remembers of a Kustomization between two reconciles. All of it may be lost at any moment."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from .apply.apply import Identity, Known
from .build.render import Rendered
from .drift.annotations import HeldField
from .watch.affected import Reads


@dataclass(slots=True)
class Memory:
    """`done` is what the last whole run was made of: equal again and not yet due, nothing needs to be done."""

    done: str = ""
    due: float = 0.0
    """Monotonic seconds at which everything is looked at again whatever did not change."""
    applied: str = ""
    """What was applied and is waited for; "" where nothing is."""
    waiting_since: float = 0.0
    current: frozenset[Identity] = frozenset()
    """Objects that were current at the last look of the wait for health."""
    applied_at: datetime | None = None
    known: dict[Identity, Known] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    """Lines (`Kind/ns/name configured`) of the apply that is waited for."""
    was_healthy: bool = True
    started: float = 0.0
    skipped: frozenset[Identity] = frozenset()
    held: tuple[HeldField, ...] | None = None
    """Fields that are left to humans; None: as the annotation tells."""
    reads: Reads | None = None
    """What the last render read; None before the first."""
    foreign: dict[Identity, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Subject and paths of what other managers added."""


class RenderCache:
    """Rendered objects by render key, the least recently used dropped beyond `limit` bytes (estimated)."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._entries: OrderedDict[str, tuple[Rendered, int]] = OrderedDict()

    def get(self, key: str) -> Rendered | None:
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: str, rendered: Rendered, size: int) -> None:
        if key in self._entries or size > self._limit:
            return
        self._entries[key] = rendered, size
        self._size += size
        while self._size > self._limit:
            _, (_, dropped) = self._entries.popitem(last=False)
            self._size -= dropped
