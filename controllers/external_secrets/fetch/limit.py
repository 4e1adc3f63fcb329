"""Keeps one identity that AWS throttles, or does not answer, from taking all workers: others have refreshes too.

A refresh that waits for AWS holds a worker of the queue. So while calls of a source wait long for their turn, only so
many refreshes may wait with them; further ones leave at once and come again, without a word if they are as they were.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from controllers.external_secrets.providers.source import ValueSource
from controllers.runtime.queue import URGENT
from controllers.runtime.result import NotReady

INSIDE = 24
"""Refreshes of one source that may wait: enough for full batches, a quarter of the workers."""
_LONG = 1.0  # seconds of waiting up to which every refresh is admitted
_SOON, _LATE = 2.0, 60.0  # seconds until the next try


class Backpressure(NotReady):
    """Too many wait already; `retry_after` says when to come again."""


class AdmissionLimit:
    """Shared by all refreshes."""

    def __init__(self, backlog: Callable[[ValueSource], float] = lambda source: 0.0, *, inside: int = INSIDE) -> None:
        """`backlog`: seconds that a call of this source would wait for its turn."""
        self._backlog, self._limit = backlog, inside
        self._inside: Counter[ValueSource] = Counter()

    def check(self, sources: Collection[ValueSource]) -> None:
        """Raises Backpressure. Urgent refreshes have as many places again, so that periodic ones do not block them."""
        limit = self._limit * (2 if URGENT.get() else 1)
        for source in sources:
            if self._inside[source] < limit or (seconds := self._backlog(source)) <= _LONG:
                continue
            spread = 0.75 + 0.5 * random.random()  # noqa: S311 jitter
            raise Backpressure(
                "SecretSyncedError",
                f"Throttled: {source.service} throttles or is slow for this store; refresh queued",
                retry_after=min(_LATE, max(_SOON, seconds)) * spread,
            )

    @contextmanager
    def inside(self, sources: Collection[ValueSource]) -> Iterator[None]:
        """While a refresh waits for values of these sources."""
        self._inside.update(sources)
        try:
            yield
        finally:
            self._inside.subtract(sources)
            for source in sources:
                if self._inside[source] <= 0:
                    del self._inside[source]
