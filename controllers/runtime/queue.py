"""The reconcile queue: which object is looked at next, by whom, and how soon again.

The pattern is client-go's: a key is queued once however often it is added, is never reconciled twice at the same time,
and is reconciled again when it was added meanwhile. On top of it:

- **Backoff per key**, `base · 2ⁿ` up to `cap`. A plain `add` cannot shorten it, for the commonest source of adds is the
  status that the failing reconcile itself wrote: shortened by those, a failing key would spin. `changed` does (the
  caller saw a new generation, a request, a changed dependency), but never to less than `base` after the last failure.
- **Two lanes**: what is new or changed before what is merely due. Each 8th pick is from the other lane, so that a flood
  of events delays periodic work without stopping it; and one worker in eight never takes what is merely due, so that
  what is new does not wait for slow periodic work to end. The lane travels with the reconcile (`URGENT`), so that
  thread pools can keep it.
- **Phases**: `next_phase` spreads periodic work over its interval by uid, the same after each restart, so that a
  thousand objects with one interval are not due in the same second.

All timing goes through the running loop's clock and `call_at`, so a test with virtual time needs no patching. Nothing
is random: the jitter of a backoff is a hash of key and attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b

from controllers.api.resource import Key

log = logging.getLogger(__name__)

URGENT: ContextVar[bool] = ContextVar("URGENT", default=True)
"""Whether the running reconcile was woken by something new; read by thread pools to keep the order of the lanes."""

_FAIRNESS = 8
_RESERVED = 8  # one worker of so many is kept for what is new or changed


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one run ended. `failed` backs the key off; `after` (seconds) is when to look again, None for never."""

    failed: bool = False
    after: float | None = None


class QueueMeter:
    """What a queue reports. This one keeps the counts; `metrics` subclasses it to export them."""

    def added(self) -> None: ...
    def retried(self) -> None: ...
    def waited(self, seconds: float) -> None: ...
    def worked(self, seconds: float) -> None: ...


@dataclass(slots=True)
class _Entry:
    """All that is known of one key; dropped when nothing of it is left to do."""

    lane: int | None = None  # where it is queued
    queued_at: float = 0.0
    active_since: float | None = None
    again: int = 0  # added while active: 1 plainly, 2 as changed
    again_lane: int = 1
    failures: int = 0
    failed_at: float = 0.0
    retry: asyncio.TimerHandle | None = None
    later: asyncio.TimerHandle | None = None  # add_after
    due: asyncio.TimerHandle | None = None  # the last verdict's `after`

    def idle(self) -> bool:
        waiting = self.retry or self.later or self.due
        return self.lane is None and self.active_since is None and not self.failures and waiting is None


class WorkQueue:
    """For one event loop. `run` works it; everything else may be called before and while it runs."""

    def __init__(
        self,
        name: str = "",
        *,
        max_concurrent: int = 8,
        base: float = 1.0,
        cap: float = 600.0,
        meter: QueueMeter | None = None,
    ) -> None:
        self.name = name
        self.max_concurrent = max_concurrent
        self._base, self._cap = base, cap
        self._meter = meter or QueueMeter()
        self._entries: dict[Key, _Entry] = {}
        self._lanes: tuple[OrderedDict[Key, None], OrderedDict[Key, None]] = (OrderedDict(), OrderedDict())
        self._picks = 0
        self._periodic = 0  # running from the lane of what is merely due
        self._wake = asyncio.Event()

    # What others say

    def add(self, key: Key, *, urgent: bool = True) -> None:
        """Look at this key. While it backs off, the coming retry is that look."""
        self._meter.added()
        entry = self._entries.setdefault(key, _Entry())
        lane = 0 if urgent else 1
        if entry.active_since is not None:
            entry.again = max(entry.again, 1)
            entry.again_lane = min(entry.again_lane, lane)
        elif entry.retry is None:
            self._enqueue(key, entry, lane)

    def changed(self, key: Key) -> None:
        """Look at this key: something its outcome depends on is new. Ends a backoff (see the module's text)."""
        self._meter.added()
        entry = self._entries.setdefault(key, _Entry())
        if entry.active_since is not None:
            entry.again, entry.again_lane = 2, 0
        elif entry.retry is not None:
            self._shorten(key, entry)
        else:
            self._enqueue(key, entry, 0)

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at this key in `seconds`, or sooner if an earlier call said so."""
        entry = self._entries.setdefault(key, _Entry())
        when = self._now() + max(0.0, seconds)
        if entry.later is not None:
            if entry.later.when() <= when:
                return
            entry.later.cancel()
        entry.later = asyncio.get_running_loop().call_at(when, self._on_later, key)

    def forget(self, key: Key) -> None:
        """The object is gone for good: drop its timers and failures. A queued or running look still happens."""
        if entry := self._entries.get(key):
            for timer in (entry.retry, entry.later, entry.due):
                if timer is not None:
                    timer.cancel()
            entry.retry = entry.later = entry.due = None
            entry.failures = 0
            self._drop_if_idle(key, entry)

    # What others ask

    def __len__(self) -> int:
        """Keys waiting for a worker."""
        return len(self._lanes[0]) + len(self._lanes[1])

    @property
    def known(self) -> int:
        """Keys that are queued, running, backing off or due later."""
        return len(self._entries)

    def in_flight(self) -> int:
        return sum(1 for entry in self._entries.values() if entry.active_since is not None)

    def longest_running(self) -> float:
        """Seconds for which the oldest running reconcile has been at it."""
        since = [entry.active_since for entry in self._entries.values() if entry.active_since is not None]
        return self._now() - min(since) if since else 0.0

    def oldest_waiting(self) -> float:
        """Seconds for which the oldest queued key has waited."""
        heads = [self._entries[next(iter(lane))].queued_at for lane in self._lanes if lane]
        return self._now() - min(heads) if heads else 0.0

    def failures(self, key: Key) -> int:
        """Failed runs of the key since its last success or change."""
        entry = self._entries.get(key)
        return entry.failures if entry else 0

    # The work

    async def run(self, work: Callable[[Key], Awaitable[Verdict]]) -> None:
        """Works the queue until cancelled; then waits for the cancelled reconciles to unwind."""
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                while len(running) < self.max_concurrent and (lanes := self._open_lanes()):
                    key, lane = self._pick(lanes)
                    task = asyncio.create_task(self._work(key, lane, work), name=f"{self.name} {key}")
                    running.add(task)
                    task.add_done_callback(running.discard)
                    task.add_done_callback(lambda _: self._wake.set())
                self._wake.clear()
                await self._wake.wait()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _open_lanes(self) -> list[int]:
        """Lanes in which a key waits that may run now."""
        reserved = self.max_concurrent // _RESERVED
        lanes = [lane for lane in (0, 1) if self._lanes[lane]]
        return [lane for lane in lanes if lane == 0 or self._periodic < self.max_concurrent - reserved]

    def _pick(self, lanes: list[int]) -> tuple[Key, int]:
        self._picks += 1
        lane = lanes[-1] if self._picks % _FAIRNESS == 0 else lanes[0]
        self._periodic += lane
        key, _ = self._lanes[lane].popitem(last=False)
        entry = self._entries[key]
        entry.lane, entry.active_since, entry.again, entry.again_lane = None, self._now(), 0, 1
        self._cancel_waits(entry)
        self._meter.waited(self._now() - entry.queued_at)
        return key, lane

    async def _work(self, key: Key, lane: int, work: Callable[[Key], Awaitable[Verdict]]) -> None:
        URGENT.set(lane == 0)
        started = self._now()
        verdict = Verdict(failed=True)
        try:
            verdict = await work(key)
        except Exception:  # the worker's own last line of defence; a Controller turns bugs into verdicts itself
            log.exception("%s %s: reconcile failed with an unexpected error", self.name, key)
        finally:
            self._periodic -= lane
            self._meter.worked(self._now() - started)
            self._finish(key, verdict)

    def _finish(self, key: Key, verdict: Verdict) -> None:
        entry = self._entries[key]
        entry.active_since = None
        if verdict.failed:
            self._meter.retried()
            entry.failures += 1
            entry.failed_at = self._now()
            delay = verdict.after if verdict.after is not None else self._backoff(key, entry.failures)
            self._retry_at(key, entry, entry.failed_at + delay)
            if entry.again == 2:
                self._shorten(key, entry)
        else:
            entry.failures = 0
            if verdict.after is not None:
                when = self._now() + max(0.0, verdict.after)
                entry.due = asyncio.get_running_loop().call_at(when, self._on_due, key)
            if entry.again:
                self._enqueue(key, entry, entry.again_lane)
        self._drop_if_idle(key, entry)

    def _backoff(self, key: Key, failures: int) -> float:
        """Seconds before the next try, within 20 % of `base · 2ⁿ⁻¹`."""
        seconds = min(self._cap, self._base * 2.0 ** min(failures - 1, 32))
        return seconds * (0.8 + 0.4 * _fraction(f"{key}#{failures}"))

    def _shorten(self, key: Key, entry: _Entry) -> None:
        planned = entry.retry.when() if entry.retry is not None else float("inf")
        self._retry_at(key, entry, min(planned, max(self._now(), entry.failed_at + self._base)))
        entry.failures = 0

    def _retry_at(self, key: Key, entry: _Entry, when: float) -> None:
        if entry.retry is not None:
            entry.retry.cancel()
        entry.retry = asyncio.get_running_loop().call_at(when, self._on_retry, key)

    def _on_retry(self, key: Key) -> None:
        entry = self._entries[key]
        entry.retry = None
        self._enqueue(key, entry, 0)

    def _on_later(self, key: Key) -> None:
        entry = self._entries[key]
        entry.later = None
        self.add(key)
        self._drop_if_idle(key, entry)

    def _on_due(self, key: Key) -> None:
        entry = self._entries[key]
        entry.due = None
        self.add(key, urgent=False)

    def _enqueue(self, key: Key, entry: _Entry, lane: int) -> None:
        if entry.lane is None:
            entry.queued_at = self._now()
        elif entry.lane <= lane:
            return
        else:
            del self._lanes[entry.lane][key]
        entry.lane = lane
        self._lanes[lane][key] = None
        self._wake.set()

    def _cancel_waits(self, entry: _Entry) -> None:
        """The run that begins now answers a retry and the periodic due time; `later` stands for itself."""
        for timer in (entry.retry, entry.due):
            if timer is not None:
                timer.cancel()
        entry.retry = entry.due = None

    def _drop_if_idle(self, key: Key, entry: _Entry) -> None:
        if entry.idle():
            self._entries.pop(key, None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone, the same in each process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64


def next_phase(uid: str, interval: float, now: float) -> float:
    """Seconds until the next periodic look at an object: the next time that is `hash(uid) mod interval`.

    `now` is wall-clock time in seconds, so that a restart keeps the phase. A look that would come within a tenth of the
    interval is left out, for there was one just now: the result is between 0.1 and 1.1 intervals.
    """
    phase = _fraction(uid) * interval
    delay = (phase - now) % interval or interval
    return delay + interval if delay < interval / 10 else delay
