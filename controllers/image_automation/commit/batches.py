"""Automations of one repository and branch go to the host together.

The first to come opens a batch; it is closed after a quiet moment, or when it has waited long enough; then one visit
serves all. While a visit is under way the next batch gathers, and waits for its end: one writer of ours per branch.

A job is made when its batch closes, not when it joins: what its policies picked meanwhile goes along, and each such
change keeps the batch open a quiet moment longer (`touch`). So ninety policies that change together are one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from controllers.api.resource import Key
from controllers.image_automation.commit.job import Job, Outcome

Group = TypeVar("Group")
Visit = Callable[[Group, list[Job]], Awaitable[dict[Key, Outcome]]]


@dataclass(slots=True)
class _Batch:
    jobs: dict[Key, Callable[[], Job]] = field(default_factory=dict)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[dict[Key, Outcome]] | None = None


class Batches(Generic[Group]):
    """For one event loop. `window` and `cap` in seconds."""

    def __init__(self, visit: Visit[Group], *, window: float = 0.3, cap: float = 5.0) -> None:
        self._visit, self._window, self._cap = visit, window, cap
        self._open: dict[Hashable, _Batch] = {}
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    async def join(self, name: Hashable, group: Group, key: Key, job: Callable[[], Job]) -> Outcome:
        """The outcome of the job that `job` returns when the batch closes. Raises what the visit and `job` raise."""
        batch = self._open.get(name)
        if batch is None:
            batch = self._open[name] = _Batch()
            batch.task = asyncio.create_task(self._run(name, group, batch))
        batch.jobs[key] = job
        batch.joined.set()
        assert batch.task is not None  # noqa: S101 - set above
        outcomes = await asyncio.shield(batch.task)
        return outcomes[key]

    def touch(self, key: Key) -> None:
        """Something changed that a job of this key will take up, if it waits in an open batch."""
        for batch in self._open.values():
            if key in batch.jobs:
                batch.joined.set()

    async def _run(self, name: Hashable, group: Group, batch: _Batch) -> dict[Key, Outcome]:
        await self._gather(batch)
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = (lock, users + 1)
        try:
            async with lock:
                if self._open.get(name) is batch:
                    del self._open[name]  # whoever comes now belongs to the next
                return await self._visit(group, [job() for job in batch.jobs.values()])
        finally:
            if self._open.get(name) is batch:
                del self._open[name]
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, users - 1)

    async def _gather(self, batch: _Batch) -> None:
        """Until nobody joined for `window`, or `cap` is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._cap
        while (left := until - loop.time()) > 0:
            batch.joined.clear()
            try:
                await asyncio.wait_for(batch.joined.wait(), min(self._window, left))
            except TimeoutError:
                return
