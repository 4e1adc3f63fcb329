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
class _Pace:
    """One rate and who waits for it."""

    rate: Rate
    in_flight: int = 0
    sick: bool = False  # the last call had no answer
    waiting: list[tuple[int, int, asyncio.Future[Permit]]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.in_flight


class Paces:
    """All rates of this process: `async with paces.turn(identity, region, "ssm:GetParameters", urgent=True):`."""

    def __init__(self, start: Mapping[str, float] = START) -> None:
        self._start = start
        self._paces: dict[tuple[Hashable, str, str], _Pace] = {}
        self._order = itertools.count()

    @asynccontextmanager
    async def turn(self, identity: Hashable, region: str, api: str, *, urgent: bool) -> AsyncIterator[Permit]:
        """Waits for a turn, and learns from how its body ends: Throttled and Unreachable are heard and passed on."""
        pace = self._pace((identity, region, api))
        turn = await self._enter(pace, urgent=urgent)
        good = False
        try:
            yield turn
            good = True
        except Throttled:
            turn.throttled = True
            raise
        except Unreachable:
            turn.unanswered = True
            raise
        finally:
            pace.in_flight -= 1
            _learn(pace, turn, good=good)
            self._serve(pace)

    def limits(self) -> dict[tuple[Hashable, str, str], float]:
        """The rates that AWS's refusals have set, in calls per second."""
        return {key: pace.rate.limit for key, pace in self._paces.items() if pace.rate.epoch and pace.rate.limit}

    def backlog(self, identity: Hashable, region: str, api: str) -> float:
        """Seconds that a call would wait for its turn now, about."""
        pace = self._paces.get((identity, region, api))
        if pace is None:
            return 0.0
        if pace.sick:
            return _SICK * (len(pace.waiting) + pace.in_flight)
        return (len(pace.waiting) + 1) / pace.rate.limit if pace.rate.limit else 0.0

    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(len(pace.waiting) for pace in self._paces.values())

    async def _enter(self, pace: _Pace, *, urgent: bool) -> Permit:
        given: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        heapq.heappush(pace.waiting, (0 if urgent else 1, next(self._order), given))
        self._serve(pace)
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():  # the turn came together with the cancellation
                pace.rate.give_back()
                pace.in_flight -= 1
            self._serve(pace)
            raise

    def _serve(self, pace: _Pace) -> None:
        """Gives turns to those first in line, or sets the clock for the next."""
        now = _now()
        while pace.waiting and pace.in_flight < (1 if pace.sick else IN_FLIGHT):
            if pace.waiting[0][2].done():  # cancelled
                heapq.heappop(pace.waiting)
                continue
            seconds = pace.rate.wait(now)
            if seconds > 0:
                if pace.timer is not None:
                    pace.timer.cancel()
                pace.timer = asyncio.get_running_loop().call_later(seconds, self._serve, pace)
                return
            _, _, given = heapq.heappop(pace.waiting)
            pace.in_flight += 1
            given.set_result(Permit(pace.rate.take(now)))

    def _pace(self, key: tuple[Hashable, str, str]) -> _Pace:
        found = self._paces.get(key)
        if found is None:
            if len(self._paces) >= _KEPT:
                self._paces = {known: pace for known, pace in self._paces.items() if not pace.idle}
            found = self._paces[key] = _Pace(Rate(self._start.get(key[2]), _now()))
        return found


def _learn(pace: _Pace, turn: Permit, *, good: bool) -> None:
    if turn.unused:
        pace.rate.give_back()
    elif turn.throttled:
        pace.rate.throttled(_now(), turn.epoch)
    elif turn.unanswered:
        pace.sick = True
    elif good:
        pace.sick = False
        pace.rate.succeeded(_now(), waited_for=bool(pace.waiting))


def _now() -> float:
    return asyncio.get_running_loop().time()
