"""How fast one API may be called: found out from AWS's own refusals, per identity, region and API.

AWS publishes some quotas, raises them on request, and shares them with everybody else of the account; so the rate that
holds is learnt. It grows while calls wait for it, and is cut when AWS answers "throttled" (additive increase,
multiplicative decrease). The SDK's adaptive mode does that too, but holds a thread while it waits, knows one rate for
all APIs of a client, and cannot let the urgent go first.

- Waiters stand in two lanes: what is new or announced goes before what is merely due.
- Rates are learnt apart, and each has a few calls in the air at most: an identity that is throttled, or whose AWS does
  not answer, waits by itself and never holds the threads that others need.
- One refusal, one cut: calls that were on their way before a cut say nothing about the rate after it.

For one event loop; the clock is the loop's.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from .errors import Throttled, Unreachable

START: Mapping[str, float] = {
    "secretsmanager:BatchGetSecretValue": 100.0,
    "secretsmanager:ListSecrets": 100.0,
    "secretsmanager:DescribeSecret": 100.0,
    "ssm:GetParameters": 40.0,
    "ssm:GetParametersByPath": 40.0,
    "ssm:DescribeParameters": 10.0,
}
"""Calls per second to begin with: AWS's default quotas where they are low. Others begin free."""
_FLOOR = 0.5  # calls per second, whatever AWS says
_CUT = 0.8
_GROWTH = 0.05  # of the rate, per second, once AWS has refused
_FIRST_GROWTH = 0.5  # before that: the quota may be far higher than the default
_RETURN = 1.0  # up to what worked before a series of refusals: AWS may have been unwell
_BURST = 0.25  # seconds' worth of calls that may go at once
_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds of silence after a refusal; doubles while refusals follow each other
_FORGET = 300.0  # seconds without refusal after which a rate begins anew
_SICK = 5.0  # seconds that a call takes of which no answer comes
IN_FLIGHT = 4  # calls of one rate at once: 200 a second at 20 ms, and a quarter of the threads
_KEPT = 5000


class Rate:
    """The arithmetic: pure, times are arguments, in seconds of any one clock."""

    def __init__(self, start: float | None, now: float) -> None:
        self._start = start
        self.limit = start  # None: no limit is known
        self.epoch = 0
        self._tokens, self._at = 1.0 if start is None else max(1.0, start * _BURST), now
        self._grown = now
        self._quiet_until = now
        self._refusals = 0  # since the last success
        self._refused_at: float | None = None
        self._worked = 0.0  # the rate at the first refusal after a success
        self._good: deque[float] = deque(maxlen=2000)

    def wait(self, now: float) -> float:
        """Seconds until a call may go; 0: now."""
        self._refill(now)
        quiet = max(0.0, self._quiet_until - now)
        if self.limit is None or self._tokens >= 1:
            return quiet
        return max(quiet, (1 - self._tokens) / self.limit)

    def take(self, now: float) -> int:
        """A call goes. The epoch to tell of its end with."""
        self._refill(now)
        self._tokens -= 1
        return self.epoch

    def give_back(self) -> None:
        """The call that was taken was not made after all."""
        self._tokens += 1

    def succeeded(self, now: float, *, waited_for: bool) -> None:
        """`waited_for`: calls wait for this rate, so that it may be too low."""
        self._refusals = 0
        self._good.append(now)
        if self.limit is not None and waited_for:
            share = _FIRST_GROWTH if self._refused_at is None else _GROWTH
            share = _RETURN if self.limit < self._worked * _CUT else share
            self.limit *= 1 + share * min(now - self._grown, 1.0)
        self._grown = now

    def throttled(self, now: float, epoch: int) -> None:
        if epoch != self.epoch:
            return  # it had left before the last cut
        self.epoch += 1
        self._refused_at = self._grown = now
        achieved = float(sum(1 for moment in self._good if moment > now - 1.0))
        base = achieved if self.limit is None else min(self.limit, max(achieved, self.limit / 2))
        if self._refusals == 0:
            self._worked = base
        self._refusals += 1
        self.limit = max(_FLOOR, base * _CUT)
        self._tokens = min(self._tokens, 0.0)
        self._quiet_until = now + min(_LONGEST_PAUSE, _PAUSE * 2.0 ** min(self._refusals - 1, 16))

    def _refill(self, now: float) -> None:
        if self._refused_at is not None and now - self._refused_at > _FORGET:
            self._refused_at, self.limit = None, self._start
        if self.limit is not None:
            self._tokens = min(max(1.0, self.limit * _BURST), self._tokens + (now - self._at) * self.limit)
        self._at = now


@dataclass(slots=True)
class Permit:
    """A place that was given. Whoever has it says how it ended, where no exception of AWS does."""

    epoch: int
    unused: bool = False  # no call was made
    throttled: bool = False
    unanswered: bool = False


@dataclass(slots=True)
class _Limiter:
    """One rate and who waits for it."""

    rate: Rate
    in_flight: int = 0
    sick: bool = False  # the last call had no answer
    waiting: list[tuple[int, int, asyncio.Future[Permit]]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.in_flight


class RateLimits:
    """All rates of this process: `async with rate_limits.permit(identity, region, "ssm:GetParameters",
    urgent=True):`.
    """

    def __init__(self, start: Mapping[str, float] = START) -> None:
        self._start = start
        self._limiters: dict[tuple[Hashable, str, str], _Limiter] = {}
        self._order = itertools.count()

    @asynccontextmanager
    async def permit(self, identity: Hashable, region: str, api: str, *, urgent: bool) -> AsyncIterator[Permit]:
        """Waits for a permit, and learns from how its body ends: Throttled and Unreachable are heard and passed on."""
        limiter = self._limiter((identity, region, api))
        permit = await self._enter(limiter, urgent=urgent)
        good = False
        try:
            yield permit
            good = True
        except Throttled:
            permit.throttled = True
            raise
        except Unreachable:
            permit.unanswered = True
            raise
        finally:
            limiter.in_flight -= 1
            _learn(limiter, permit, good=good)
            self._serve(limiter)

    def limits(self) -> dict[tuple[Hashable, str, str], float]:
        """The rates that AWS's refusals have set, in calls per second."""
        return {
            key: limiter.rate.limit
            for key, limiter in self._limiters.items()
            if limiter.rate.epoch and limiter.rate.limit
        }

    def backlog(self, identity: Hashable, region: str, api: str) -> float:
        """Seconds that a call would wait for its permit now, about."""
        limiter = self._limiters.get((identity, region, api))
        if limiter is None:
            return 0.0
        if limiter.sick:
            return _SICK * (len(limiter.waiting) + limiter.in_flight)
        return (len(limiter.waiting) + 1) / limiter.rate.limit if limiter.rate.limit else 0.0

    def waiting(self) -> int:
        """Calls that wait for their permit."""
        return sum(len(limiter.waiting) for limiter in self._limiters.values())

    async def _enter(self, limiter: _Limiter, *, urgent: bool) -> Permit:
        given: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        heapq.heappush(limiter.waiting, (0 if urgent else 1, next(self._order), given))
        self._serve(limiter)
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():  # the permit came together with the cancellation
                limiter.rate.give_back()
                limiter.in_flight -= 1
            self._serve(limiter)
            raise

    def _serve(self, limiter: _Limiter) -> None:
        """Gives permits to those first in line, or sets the clock for the next."""
        now = _now()
        while limiter.waiting and limiter.in_flight < (1 if limiter.sick else IN_FLIGHT):
            if limiter.waiting[0][2].done():  # cancelled
                heapq.heappop(limiter.waiting)
                continue
            seconds = limiter.rate.wait(now)
            if seconds > 0:
                if limiter.timer is not None:
                    limiter.timer.cancel()
                limiter.timer = asyncio.get_running_loop().call_later(seconds, self._serve, limiter)
                return
            _, _, given = heapq.heappop(limiter.waiting)
            limiter.in_flight += 1
            given.set_result(Permit(limiter.rate.take(now)))

    def _limiter(self, key: tuple[Hashable, str, str]) -> _Limiter:
        found = self._limiters.get(key)
        if found is None:
            if len(self._limiters) >= _KEPT:
                self._limiters = {known: limiter for known, limiter in self._limiters.items() if not limiter.idle}
            found = self._limiters[key] = _Limiter(Rate(self._start.get(key[2]), _now()))
        return found


def _learn(limiter: _Limiter, permit: Permit, *, good: bool) -> None:
    if permit.unused:
        limiter.rate.give_back()
    elif permit.throttled:
        limiter.rate.throttled(_now(), permit.epoch)
    elif permit.unanswered:
        limiter.sick = True
    elif good:
        limiter.sick = False
        limiter.rate.succeeded(_now(), waited_for=bool(limiter.waiting))


def _now() -> float:
    return asyncio.get_running_loop().time()
