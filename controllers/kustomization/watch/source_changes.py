"""Edge: a source's new revision wakes its Kustomizations, those first whose files it changes.

The others have only to name the revision in their status. They do so at `PACE` a second, once for all commits that come
meanwhile, so that a commit to one path costs the API server no burst of writes and delays nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from controllers.api.resource import Key, Manifest, key_of
from controllers.runtime.result import NotReady, Stalled
from controllers.sources.source import artifact_of
from controllers.sources.tree import Reads

from .affected import concerned

log = logging.getLogger(__name__)

PACE = 100.0
"""Kustomizations a second that only note a revision."""


class Changes(Protocol):
    async def changed(self, before: Manifest, after: Manifest) -> Reads | None:
        """Directories in which a source's two artifacts differ; None where that is not known."""


class Queue(Protocol):
    def changed(self, key: Key) -> None: ...
    def add_after(self, key: Key, seconds: float) -> None: ...


class SourceWaker:
    """`note` what a source became, while `run` runs. What is noted twice before it is looked at is looked at once."""

    def __init__(
        self,
        changes: Changes,
        queue: Queue,
        users: Callable[[Key], list[Manifest]],
        reads: Callable[[Key], Reads | None],
    ) -> None:
        """`users` gives the Kustomizations of a source, `reads` what the last complete render of one read."""
        self._changes, self._queue, self._users, self._reads = changes, queue, users, reads
        self._pending: dict[Key, tuple[Manifest | None, Manifest]] = {}
        self._wanted = asyncio.Event()

    def note(self, before: Manifest | None, after: Manifest | None) -> None:
        if after is None or artifact_of(before) == artifact_of(after):
            return
        first, _ = self._pending.get(key_of(after), (before, after))
        self._pending[key_of(after)] = first, after
        self._wanted.set()

    async def run(self) -> None:
        """Each source apart: one whose host is slow holds up no other."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._pending:
                    group.create_task(self._wake(*self._pending.popitem()))

    async def _wake(self, key: Key, noted: tuple[Manifest | None, Manifest]) -> None:
        before, after = noted
        changed: Reads | None = None
        try:
            if before is not None:
                changed = await self._changes.changed(before, after)
        except (NotReady, Stalled):
            pass  # each Kustomization meets the same error and reports it in its own status
        except Exception:
            log.exception("cannot tell what a new revision of %s changes: all its Kustomizations are requeued", key)
        now, later = concerned(self._users(key), changed, self._reads)
        for each in now:
            self._queue.changed(each)
        for number, each in enumerate(later, 1):
            self._queue.add_after(each, number / PACE)
