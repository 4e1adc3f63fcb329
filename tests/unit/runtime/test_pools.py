"""Threads: bounded per system, urgent callers first, nothing lost by cancellation."""

from __future__ import annotations

import asyncio
import threading

import pytest

from controllers.runtime.pools import Pools
from controllers.runtime.queue import URGENT
from controllers.runtime.settings import PoolSettings


async def test_no_more_threads_than_allowed_and_urgent_callers_first() -> None:
    pools, order, release = Pools(PoolSettings(git=1)), [], threading.Event()
    most, running, lock = 0, 0, threading.Lock()

    def work(name: str) -> str:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        release.wait(5)
        order.append(name)
        with lock:
            running -= 1
        return name

    async def call(name: str, *, urgent: bool) -> str:
        URGENT.set(urgent)
        return await pools.run("git", work, name)

    tasks = [asyncio.create_task(call("first", urgent=False))]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(call(f"due{n}", urgent=False)) for n in range(2)]
    tasks += [asyncio.create_task(call("new", urgent=True))]
    await asyncio.sleep(0.01)
    assert pools.waiting("git") == 3
    release.set()
    assert await asyncio.gather(*tasks) == ["first", "due0", "due1", "new"]
    assert order == ["first", "new", "due0", "due1"]
    assert most == 1
    pools.close()


async def test_a_slow_system_does_not_hold_up_another() -> None:
    pools, release = Pools(PoolSettings(aws=1)), threading.Event()
    slow = asyncio.create_task(pools.run("aws", release.wait, 5))
    assert await asyncio.wait_for(pools.run("git", lambda: "fine"), 1) == "fine"
    release.set()
    await slow
    pools.close()


async def test_a_cancelled_caller_gives_its_place_back_and_errors_pass() -> None:
    pools, release = Pools(PoolSettings(aws=1)), threading.Event()
    first = asyncio.create_task(pools.run("aws", release.wait, 5))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(pools.run("aws", lambda: "never"))
    await asyncio.sleep(0)
    waiting.cancel()
    first.cancel()
    await asyncio.gather(first, waiting, return_exceptions=True)
    release.set()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(pools.run("aws", lambda: 1 // 0), 2)
    assert await asyncio.wait_for(pools.run("aws", lambda: "fine"), 2) == "fine"
    pools.close()
