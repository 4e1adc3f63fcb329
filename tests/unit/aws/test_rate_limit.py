"""Rates that are learnt from AWS's refusals: they hold, recover, let the urgent go first, and never hold up others."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from controllers.aws.errors import Throttled, Unreachable
from controllers.aws.rate_limit import IN_FLIGHT, Rate, RateLimits

API = "ssm:GetParameters"


class Quota:
    """AWS's side in virtual time: a token bucket of one second."""

    def __init__(self, rate: float) -> None:
        self.rate = self.tokens = rate
        self.at = 0.0

    def take(self, now: float) -> bool:
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def drive(rate: Rate, quota: Quota, *, calls: int, latency: float = 0.02) -> tuple[float, int]:
    """(seconds until so many calls succeeded, how many were refused), calls one after another, always one waiting."""
    now, good, refused = quota.at, 0, 0
    while good < calls:
        now += max(rate.wait(now), 1e-6)
        if rate.wait(now) > 0:
            continue
        epoch = rate.take(now)
        if quota.take(now):
            rate.succeeded(now + latency, waited_for=True)
            good += 1
        else:
            rate.throttled(now + latency, epoch)
            refused += 1
    return now, refused


def test_a_rate_settles_below_the_quota_with_few_refusals() -> None:
    took, refused = drive(Rate(40.0, 0.0), Quota(40.0), calls=2000)
    assert took < 2000 / 40 * 1.35
    assert refused <= 40


def test_a_quota_far_below_the_start_is_found() -> None:
    took, refused = drive(Rate(40.0, 0.0), Quota(2.0), calls=100)
    assert took < 100 / 2 * 1.6
    assert refused <= 25


def test_a_quota_far_above_the_start_is_used() -> None:
    took, _ = drive(Rate(40.0, 0.0), Quota(1000.0), calls=4000, latency=0.001)
    assert took < 4000 / 40 * 0.3


def test_after_an_outage_the_rate_is_back_within_seconds() -> None:
    rate, quota = Rate(40.0, 0.0), Quota(40.0)
    now, _ = drive(rate, quota, calls=200)
    for _ in range(20):
        now += rate.wait(now)
        rate.throttled(now, rate.take(now))
    assert rate.limit is not None and rate.limit < 1
    quota.at, quota.tokens = now, 40.0
    took, refused = drive(rate, quota, calls=400)
    assert took - now < 400 / 40 * 1.35 + 10
    assert refused <= 8


def test_without_a_known_quota_calls_are_free_until_the_first_refusal() -> None:
    rate = Rate(None, 0.0)
    assert all(rate.wait(0.0) == 0 and rate.take(0.0) == 0 for _ in range(100))
    rate.throttled(0.1, 0)
    assert rate.limit is not None
    assert rate.wait(0.1) > 0


def test_refusals_of_calls_that_left_before_a_cut_do_not_cut_again() -> None:
    rate = Rate(100.0, 0.0)
    epochs = [rate.take(0.0) for _ in range(8)]
    rate.throttled(0.1, epochs[0])
    once = rate.limit
    for epoch in epochs[1:]:
        rate.throttled(0.11, epoch)
    assert rate.limit == once


def test_a_rate_begins_anew_when_nothing_was_refused_for_minutes() -> None:
    rate = Rate(40.0, 0.0)
    rate.throttled(1.0, rate.take(1.0))
    assert rate.limit is not None and rate.limit < 40
    assert rate.wait(1000.0) == 0
    assert rate.limit == 40


async def test_the_urgent_go_first() -> None:
    rate_limits, order = RateLimits({API: 20.0}), []

    async def call(name: str, urgent: bool) -> None:
        async with rate_limits.permit("me", "r", API, urgent=urgent):
            order.append(name)

    due = [asyncio.create_task(call(f"due{number}", False)) for number in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    new = asyncio.create_task(call("new", True))
    await asyncio.gather(new, *due)
    assert order.index("new") <= 5  # those that had their permit already, and then it


async def test_an_identity_that_is_throttled_or_gets_no_answer_holds_up_nobody_else() -> None:
    rate_limits = RateLimits({})
    for error in (Throttled("slow"), Unreachable("gone")):
        with pytest.raises(type(error)):
            async with rate_limits.permit("sick", "r", API, urgent=True):
                raise error
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    hold = asyncio.Event()

    async def call(identity: str) -> None:
        async with rate_limits.permit(identity, "r", API, urgent=True):
            running[identity] += 1
            most[identity] = max(most[identity], running[identity])
            if identity == "sick":
                await hold.wait()
            running[identity] -= 1

    sick = [asyncio.create_task(call("sick")) for _ in range(20)]
    await asyncio.wait_for(asyncio.gather(*(call("well") for _ in range(20))), 5)
    assert most["sick"] <= 1
    assert most["well"] <= IN_FLIGHT
    for task in sick:
        task.cancel()
    await asyncio.gather(*sick, return_exceptions=True)
    assert rate_limits.waiting() == 0
    async with asyncio.timeout(30):
        await call("well")


async def test_a_turn_that_made_no_call_costs_nothing() -> None:
    rate_limits = RateLimits({API: 0.001})
    for _ in range(5):
        async with asyncio.timeout(5), rate_limits.permit("me", "r", API, urgent=True) as permit:
            permit.unused = True
