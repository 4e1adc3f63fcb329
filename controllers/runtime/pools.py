"""Threads for what blocks: one bounded pool per outside system, so that a slow AWS cannot hold up Git.

A call takes the lane of the reconcile that makes it (`queue.URGENT`): what is new goes before what is merely due, also
here, for a pool is where a flood of periodic work would otherwise queue up. Waiting is bounded by the queue's
`max_concurrent`, running by the pool's size. A cancelled caller leaves its thread running to its end: Python cannot
stop threads, so whatever runs here has timeouts of its own.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from .queue import URGENT
from .settings import PoolSettings

P = ParamSpec("P")
T = TypeVar("T")


class _Gate:
    """Lets `size` callers through at once, the urgent ones first, each lane in order."""

    def __init__(self, size: int) -> None:
        self.free = size
        self.waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def enter(self, *, urgent: bool) -> None:
        if self.free > 0:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (0 if urgent else 1, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn came together with the cancellation: pass it on
            raise

    def leave(self) -> None:
        while self.waiting:
            _, _, turn = heapq.heappop(self.waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1


class Pools:
    """`await pools.run("aws", client.get_secret_value, SecretId=…)`. For one event loop."""

    def __init__(self, settings: PoolSettings | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._pools: dict[str, tuple[_Gate, ThreadPoolExecutor]] = {}

    async def run(self, pool: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, or its exception."""
        gate, executor = self._pool(pool)
        await gate.enter(urgent=URGENT.get())
        try:
            future = asyncio.get_running_loop().run_in_executor(executor, partial(function, *args, **kwargs))
        except BaseException:
            gate.leave()
            raise
        future.add_done_callback(lambda _: gate.leave())  # when the thread is free, not when the caller gave up
        return await asyncio.shield(future)

    def waiting(self, pool: str) -> int:
        return len(self._pools[pool][0].waiting) if pool in self._pools else 0

    def close(self) -> None:
        """Starts nothing more. Threads that run are left to end."""
        for _, executor in self._pools.values():
            executor.shutdown(wait=False, cancel_futures=True)
        self._pools.clear()

    def _pool(self, name: str) -> tuple[_Gate, ThreadPoolExecutor]:
        if name not in self._pools:
            size = max(1, int(getattr(self._settings, name, self._settings.other)))
            self._pools[name] = (_Gate(size), ThreadPoolExecutor(size, thread_name_prefix=name))
        return self._pools[name]
