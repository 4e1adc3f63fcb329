"""Values that wait, in memory alone, for those who will still want them.

Those who share a key are due each at a moment of its own: one fetch answers all for whom it is not too old. A value is
held until the last of them could use it, and dropped at once when someone wants it newer or an event says that it
changed. Values are bounded in number and in bytes: what was fetched first goes first, and costs a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controllers.external_secrets.providers.source import SourceKey
from controllers.external_secrets.values.entries import Fetched

MAX_VALUES = 10_000
MAX_BYTES = 32 << 20
"""A secret has at most 64 KiB at AWS, a usual one less than one: both bounds are out of the way of usual clusters."""


@dataclass(frozen=True, slots=True)
class CachedValue:
    """A value of a fetch that began at loop time `began`, of use to no one after `until`."""

    fetched: Fetched
    began: float
    until: float

    @property
    def size(self) -> int:
        """Bytes of the value, or of the tags."""
        tags = sum(len(name) + len(text) for name, text in self.fetched.tags.items())
        return len(self.fetched.value or b"") + tags


class ValueCache:
    """By key of a source, the oldest first."""

    def __init__(self, max_values: int = MAX_VALUES, max_bytes: int = MAX_BYTES) -> None:
        self._max_values, self._max_bytes = max_values, max_bytes
        self._values: dict[SourceKey, CachedValue] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[SourceKey]:
        return iter(self._values)

    def get(self, wanted: SourceKey, *, since: float, now: float) -> Fetched | None:
        """The value, where it was fetched since then. One that is too old for this asker is dropped: what it fetches
        is newer, and nobody may be answered with what is older than someone else asked for."""
        held = self._values.get(wanted)
        if held is None:
            return None
        if held.began < since or held.until < now:
            self.drop(wanted)
            return None
        return held.fetched

    def since(self, wanted: SourceKey) -> float:
        """When the fetch of what is held began; minus infinity where nothing is."""
        held = self._values.get(wanted)
        return held.began if held is not None else float("-inf")

    def put(self, wanted: SourceKey, held: CachedValue) -> None:
        """Keeps the newer of two."""
        if held.began < self.since(wanted) or held.size > self._max_bytes:
            return
        self.drop(wanted)
        self._values[wanted] = held
        self.bytes += held.size
        while len(self._values) > self._max_values or self.bytes > self._max_bytes:
            self.drop(next(iter(self._values)))

    def drop(self, wanted: SourceKey) -> None:
        held = self._values.pop(wanted, None)
        if held is not None:
            self.bytes -= held.size

    def tidy(self, now: float) -> None:
        """Drops what can answer nobody any more."""
        for wanted in [wanted for wanted, held in self._values.items() if held.until < now]:
            self.drop(wanted)
