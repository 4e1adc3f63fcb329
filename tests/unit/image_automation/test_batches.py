"""What changes together is visited together."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from controllers.api.resource import Key
from controllers.image_automation.commit.batches import Batches
from controllers.image_automation.commit.job import Job, Outcome

BOT, OTHER = Key("team-a", "bot"), Key("team-a", "other")


class Host:
    """Notes what each visit brought. A job is its number of policies here."""

    def __init__(self) -> None:
        self.visits: list[list[int]] = []
        self.policies = 0

    async def visit(self, group: str, jobs: list[Job]) -> dict[Key, Outcome]:
        self.visits.append([cast(int, job) for job in jobs])
        return {BOT: Outcome(changes=len(jobs)), OTHER: Outcome()}

    def job(self) -> Any:
        return self.policies


async def test_ninety_policies_that_change_one_after_the_other_are_one_visit() -> None:
    host = Host()
    batches = Batches(host.visit, window=0.5, cap=60.0)
    waiting = asyncio.create_task(batches.join("main", "host", BOT, host.job))
    for _ in range(90):
        await asyncio.sleep(0)
        host.policies += 1
        batches.touch(BOT)
    await asyncio.wait_for(waiting, 60)
    assert host.visits == [[90]], "the job holds what was picked when the batch closed"


async def test_a_change_of_another_automation_does_not_keep_a_batch_open() -> None:
    host = Host()
    batches = Batches(host.visit, window=0.05, cap=3600.0)
    waiting = asyncio.create_task(batches.join("main", "host", BOT, host.job))

    async def touch() -> None:
        while not waiting.done():
            batches.touch(OTHER)
            await asyncio.sleep(0.01)

    await asyncio.wait_for(asyncio.gather(waiting, touch()), 60)
    assert host.visits == [[0]]


async def test_a_batch_that_is_touched_all_the_time_closes_when_it_has_waited_long_enough() -> None:
    host = Host()
    batches = Batches(host.visit, window=3600.0, cap=0.2)
    waiting = asyncio.create_task(batches.join("main", "host", BOT, host.job))

    async def touch() -> None:
        while not waiting.done():
            batches.touch(BOT)
            await asyncio.sleep(0.01)

    await asyncio.wait_for(asyncio.gather(waiting, touch()), 60)
    assert host.visits == [[0]]
