"""Who will want which key when: what a batch may take along, and for how long a value is of use.

Each asker (an ExternalSecret) is due at a moment of its own, and takes a value that was fetched at most a tenth of its
interval before it asks. An announcement ends when its asker asks, or an interval after it should have.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from itertools import count
from typing import NamedTuple

from controllers.external_secrets.providers.source import SourceKey, ValueSource
from controllers.external_secrets.values.remote_key import RemoteKey

AHEAD = 0.1
"""The share of its interval by which a key may be fetched before it is due."""


class _Due(NamedTuple):
    at: float
    interval: float

    @property
    def eligible(self) -> float:
        """A fetch that begins now or later is fresh enough at `at`."""
        return self.at - self.interval * AHEAD


class Demand:
    """Times are the loop's."""

    def __init__(self) -> None:
        self._askers: dict[SourceKey, dict[Hashable, _Due]] = {}
        self._heaps: dict[ValueSource, list[tuple[float, RemoteKey, int, Hashable]]] = {}
        self._numbers = count()  # so that heaps compare no askers

    def __len__(self) -> int:
        """Places in line to be taken along."""
        return sum(map(len, self._heaps.values()))

    def __bool__(self) -> bool:
        return bool(self._askers)

    def add(self, wanted: SourceKey, asker: Hashable, *, at: float, interval: float) -> None:
        """Replaces what this asker announced before."""
        due = self._askers.setdefault(wanted, {})[asker] = _Due(at, interval)
        if not wanted.key.pinned:  # those no batch can ask for
            place = (due.eligible, wanted.key, next(self._numbers), asker)
            heapq.heappush(self._heaps.setdefault(wanted.source, []), place)

    def asked(self, wanted: SourceKey, asker: Hashable) -> bool:
        """An asker asks, and is expected no more. Whether it was."""
        askers = self._askers.get(wanted, {})
        known = askers.pop(asker, None) is not None
        if known and not askers:
            del self._askers[wanted]
        return known

    def until(self, wanted: SourceKey, began: float) -> float:
        """Until when a value of a fetch that began then may still answer someone; 0: it answers nobody."""
        askers = self._askers.get(wanted, {}).values()
        return max((began + due.interval * AHEAD for due in askers if due.eligible <= began), default=0.0)

    def soon(
        self, source: ValueSource, now: float, *, room: int, useful: Callable[[SourceKey, float], bool]
    ) -> list[RemoteKey]:
        """Keys to take along, those due first first, at most `room`. `useful` is told since when a value would do."""
        heap = self._heaps.get(source, [])
        taken: dict[RemoteKey, None] = {}
        while heap and len(taken) < room and heap[0][0] <= now:
            eligible, key, _, asker = heapq.heappop(heap)
            wanted = SourceKey(source, key)
            due = self._askers.get(wanted, {}).get(asker)
            stale = due is None or due.eligible != eligible  # announced anew, or not at all
            if due is not None and not stale and due.at > now and useful(wanted, eligible):
                taken[key] = None
        return list(taken)

    def tidy(self, now: float, *, useful: Callable[[SourceKey, float], bool]) -> None:
        """Forgets those who never came, and lines up the others anew."""
        kept: dict[SourceKey, dict[Hashable, _Due]] = {}
        for wanted, askers in self._askers.items():
            if coming := {asker: due for asker, due in askers.items() if due.at + due.interval >= now}:
                kept[wanted] = coming
        self._askers, self._heaps = kept, {}
        for wanted, askers in kept.items():
            for asker, due in askers.items() if not wanted.key.pinned else ():
                if useful(wanted, due.eligible):
                    place = (due.eligible, wanted.key, next(self._numbers), asker)
                    self._heaps.setdefault(wanted.source, []).append(place)
        for heap in self._heaps.values():
            heapq.heapify(heap)
