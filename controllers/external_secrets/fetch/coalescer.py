"""Many ExternalSecrets, few calls: wanted keys of one identity share batches.

A refresh asks for its keys one by one and waits; within a short window the asks of all refreshes of one *source*
(identity, region, service) become one BatchGetSecretValue or GetParameters. Which keys a call takes is decided when its
permit has come (AWS may throttle, `gate`): those of urgent refreshes first, then the rest; one that has room takes
along
keys that fall due soon. A value is held for all who are expected to want it while it is fresh enough for them, so that
many who share a key cost little more than one (`expected`, `holding`). What must not go wrong:

- **Freshness**: an ask says since when its answer must have been fetched. A fetch that began earlier answers nobody who
  asked after an event; `invalidate` raises that bar for everyone, and so does someone who wants a value newer.
- **Isolation**: sources differ by identity, and a value never answers another source.
- **One bad key**: where AWS refuses the whole batch each key is asked alone, and those that failed stay alone for a
  while; where all of them work alone it is the batch call that is forbidden, and the source goes singly for a while.
- **Throttling**: keys of a throttled call go back to the front of the queue, a few times; then each says so.
- **Cancellation**: a caller that gives up leaves the fetch to the others.

For one event loop; the clock is the loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from controllers.aws.edge import THROTTLED_TRIES
from controllers.aws.rate_limit import Permit
from controllers.external_secrets.providers.provider import BatchRefusedError
from controllers.external_secrets.providers.registry import BATCH_SIZES
from controllers.external_secrets.providers.source import SourceKey, ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.runtime.queue import URGENT

from .demand import Demand
from .pending import InFlightFetch, PendingKeys
from .value_cache import CachedValue, ValueCache

_TIDY = 300.0  # seconds
_BUSY = 3.0  # windows that a batch waits to be filled while another call of its source is under way
_TRANSIENT = ("Throttled", "Unreachable", "Provider", "Credentials")


class SecretReader(Protocol):
    """What the coalescer needs of the providers' readers."""

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        """Current values, an outcome per key. Raises BatchRefusedError, or EntryError where no single call would
        work.
        """
        ...

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        """One value of any version, or its tags. Raises EntryError."""
        ...


class Gate(Protocol):
    """Says when a batch of a source may be asked for; what it yields hears how that ended."""

    def __call__(self, source: ValueSource, *, urgent: bool) -> AbstractAsyncContextManager[Permit]: ...


@asynccontextmanager
async def open_gate(source: ValueSource, *, urgent: bool) -> AsyncIterator[Permit]:
    """No limit."""
    yield Permit(0)


class Coalescer:
    """`get` a value; `expect` keys that will be due; `invalidate` what changed."""

    def __init__(
        self,
        reader: SecretReader,
        *,
        window: float = 0.015,
        alone: float = 300.0,
        limits: Mapping[str, int] = BATCH_SIZES,
        gate: Gate = open_gate,
        observe: Callable[[str, int, int], None] = lambda service, asked, ahead: None,
        holding: ValueCache | None = None,
    ) -> None:
        """`window`: seconds a batch waits to be filled. `alone`: seconds a key or source goes singly. `observe`
        hears of each batch: service, keys asked for, keys taken along. `holding`: how much is held."""
        self._reader, self._window, self._alone = reader, window, alone
        self._limits, self._gate, self._observe = limits, gate, observe
        self._pending: dict[ValueSource, PendingKeys] = {}
        self._flights: dict[SourceKey, InFlightFetch] = {}
        self._cache, self._expected = ValueCache() if holding is None else holding, Demand()
        self._floor: dict[SourceKey, float] = {}
        self._single_until: dict[SourceKey | ValueSource, float] = {}
        self._ahead: dict[SourceKey, float] = {}  # being taken along: when that call began
        self._tasks: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None

    # --- what refreshes ask

    async def get(self, source: ValueSource, key: RemoteKey, *, since: float, asker: Hashable = None) -> Fetched:
        """The value, from a fetch that began at loop time `since` or later. Raises EntryError."""
        wanted = SourceKey(source, key)
        spare, expected = _now() - since, self._expected.asked(wanted, asker)
        since = max(since, self._floor.get(wanted, since))
        if (held := self._cache.get(wanted, since=since, now=_now())) is not None:
            return held
        if self._ahead.get(wanted, since) < since:  # what that call brings is too old for who asks now
            self._floor[wanted] = since
        flight = self._flights.get(wanted)
        if flight is None or (flight.began is not None and flight.began < since):
            flight = self._begin(wanted)
        elif flight.began is None and URGENT.get():
            self._hasten(wanted)
        if asker is not None and asker not in flight.askers:
            flight.askers.add(asker)
            if not expected:  # after a start nobody is: others may be due soon, as this one was
                flight.spare = max(flight.spare, spare)
        return await asyncio.shield(flight.future)

    def expect(
        self, source: ValueSource, key: RemoteKey, *, due: float, interval: float, asker: Hashable = None
    ) -> None:
        """`asker` will want a key at loop time `due`, each `interval` seconds: batches may take it along before."""
        if interval > 0:
            self._expected.add(SourceKey(source, key), asker, at=due, interval=interval)
            self._tidy_later()

    @property
    def held(self) -> int:
        """Values that wait for whoever wants them."""
        return len(self._cache)

    @property
    def expected(self) -> int:
        """Keys that batches may take along."""
        return len(self._expected)

    def _tidy_later(self) -> None:
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(_TIDY, self._tidy)

    def _tidy(self) -> None:
        """Drops what nobody came for: values that were held in vain, keys of ExternalSecrets that are gone."""
        self._cache.tidy(_now())
        self._expected.tidy(_now(), useful=lambda wanted, since: self._cache.since(wanted) < since)
        self._tidying = None
        if self._expected or self._cache:
            self._tidy_later()

    def invalidate(self, matches: Callable[[ValueSource, RemoteKey], bool]) -> int:
        """What was fetched before now may not answer for these keys. Returns how many were concerned."""
        now, concerned = _now(), 0
        for wanted in {*self._flights, *self._cache, *self._ahead}:
            if matches(wanted.source, wanted.key):
                self._cache.drop(wanted)
                if wanted in self._flights or wanted in self._ahead:
                    self._floor[wanted] = now
                concerned += 1
        return concerned

    async def close(self) -> None:
        """Ends what is under way; those who wait are cancelled."""
        for pending in self._pending.values():
            if pending.timer is not None:
                pending.timer.cancel()
        if self._tidying is not None:
            self._tidying.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for flight in self._flights.values():
            flight.future.cancel()

    # --- batches

    def _begin(self, wanted: SourceKey) -> InFlightFetch:
        flight = InFlightFetch(asyncio.get_running_loop().create_future())
        flight.future.add_done_callback(_retrieved)
        self._flights[wanted] = flight
        if wanted.key.pinned or self._goes_alone(wanted):
            flight.began = _now()
            self._spawn(self._alone_flight(wanted, flight))
            return flight
        pending = self._pending.setdefault(wanted.source, PendingKeys())
        (pending.urgent if URGENT.get() else pending.due)[wanted.key] = flight
        self._fill(wanted.source, pending)
        return flight

    def _hasten(self, wanted: SourceKey) -> None:
        """Someone urgent joins a key that waits as merely due."""
        pending = self._pending[wanted.source]
        if (flight := pending.due.pop(wanted.key, None)) is not None:
            pending.urgent[wanted.key] = flight
            self._fill(wanted.source, pending)

    def _fill(self, source: ValueSource, pending: PendingKeys) -> None:
        """A call for each full batch at once; what is left over waits for the window's end."""
        limit = self._limits[source.service]
        while len(pending) - pending.calls * limit >= limit:
            self._call(source, pending)
        if pending.timer is None and (
            len(pending) > pending.calls * limit or len(pending.urgent) > pending.urgent_calls * limit
        ):
            window = self._window * (_BUSY if pending.flying else 1.0)
            pending.timer = asyncio.get_running_loop().call_later(window, self._window_ends, source, pending)

    def _window_ends(self, source: ValueSource, pending: PendingKeys) -> None:
        pending.timer = None
        limit = self._limits[source.service]
        while len(pending) > pending.calls * limit or len(pending.urgent) > pending.urgent_calls * limit:
            self._call(source, pending)

    def _call(self, source: ValueSource, pending: PendingKeys) -> None:
        urgent = len(pending.urgent) > pending.urgent_calls * self._limits[source.service]
        pending.calls += 1
        pending.urgent_calls += urgent
        self._spawn(self._batch(source, pending, urgent=urgent))

    def _goes_alone(self, wanted: SourceKey) -> bool:
        for mark in (wanted, wanted.source):
            until = self._single_until.get(mark)
            if until is not None:
                if until > _now():
                    return True
                del self._single_until[mark]
        return False

    async def _batch(self, source: ValueSource, pending: PendingKeys, *, urgent: bool) -> None:
        """One call, from its wait for a permit to its answers."""
        URGENT.set(urgent)  # the lane in the thread pool too
        async with self._gate(source, urgent=urgent) as permit:
            pending.calls, pending.urgent_calls = pending.calls - 1, pending.urgent_calls - urgent
            flights = pending.take(self._limits[source.service])
            now = _now()
            for flight in flights.values():
                flight.began = now
            permit.unused = not flights
            if flights:
                ahead = self._soon(source, flights, now)
                self._observe(source.service, len(flights), len(ahead))
                pending.flying += 1
                self._ahead.update(dict.fromkeys((SourceKey(source, key) for key in ahead), now))
                try:
                    permit.throttled, permit.unanswered = await self._ask(source, flights, ahead, now)
                finally:
                    pending.flying -= 1
                    self._forget_ahead(source, ahead)
        if permit.throttled and source.retry and source.retry.pause:
            await asyncio.sleep(source.retry.pause)
        self._fill(source, pending)  # what a throttled call put back
        if pending.idle:  # nobody may ask this source again: an edited store is another one
            self._pending.pop(source, None)

    def _forget_ahead(self, source: ValueSource, keys: Iterable[RemoteKey]) -> None:
        for wanted in (SourceKey(source, key) for key in keys):
            self._ahead.pop(wanted, None)
            if wanted not in self._flights:
                self._floor.pop(wanted, None)

    def _soon(self, source: ValueSource, flights: Mapping[RemoteKey, InFlightFetch], now: float) -> list[RemoteKey]:
        """Keys that may be taken along, those due first first, until the batch is full."""

        def useful(wanted: SourceKey, since: float) -> bool:
            coming = wanted in self._flights or wanted in self._ahead
            return not coming and self._cache.since(wanted) < since and not self._goes_alone(wanted)

        return self._expected.soon(source, now, room=self._limits[source.service] - len(flights), useful=useful)

    async def _ask(
        self,
        source: ValueSource,
        flights: Mapping[RemoteKey, InFlightFetch],
        ahead: Sequence[RemoteKey],
        began: float,
    ) -> tuple[bool, bool]:
        """(throttled, unanswered). Each flight has landed or is pending again."""
        outcomes: Mapping[RemoteKey, Outcome]
        failed = ""
        try:
            outcomes = await self._reader.batch(source, [*flights, *ahead])
        except BatchRefusedError as refused:
            self._spawn(self._one_by_one(source, flights, refused.error))  # in permits of their own
            return False, False
        except EntryError as error:
            outcomes, failed = dict.fromkeys(flights, error), error.error_class
        except Exception as error:
            self._give_up(source, flights, error)
            return False, False
        back: dict[RemoteKey, InFlightFetch] = {}
        for key, flight in flights.items():
            outcome = outcomes.get(key) or EntryError("Provider", f"no answer for key {key.shown}")
            if self._goes_again(SourceKey(source, key), flight, outcome):
                back[key] = flight
            else:
                self._land(SourceKey(source, key), flight, outcome)
        self._pending[source].urgent = {**back, **self._pending[source].urgent}  # they have waited longest
        for key in ahead:
            self._hold(SourceKey(source, key), outcomes.get(key), began)
        throttled = any(isinstance(each, EntryError) and each.error_class == "Throttled" for each in outcomes.values())
        return throttled, failed == "Unreachable"

    def _goes_again(self, wanted: SourceKey, flight: InFlightFetch, outcome: Outcome) -> bool:
        if not isinstance(outcome, EntryError) or outcome.error_class != "Throttled":
            return False
        flight.throttled += 1
        tries = wanted.source.retry.attempts if wanted.source.retry else THROTTLED_TRIES
        if flight.throttled >= tries or self._flights.get(wanted) is not flight:
            return False
        flight.began = None
        return True

    async def _one_by_one(
        self, source: ValueSource, flights: Mapping[RemoteKey, InFlightFetch], error: EntryError
    ) -> None:
        """The batch was refused: find out which key is to blame, and spare the others next time."""
        until = _now() + self._alone
        results = await asyncio.gather(*(self._single(source, key) for key in flights))
        errors = {key: each for key, each in zip(flights, results, strict=True) if isinstance(each, EntryError)}
        for key, each in errors.items():
            if each.error_class not in _TRANSIENT:
                self._single_until[SourceKey(source, key)] = until
        if not errors:
            self._single_until[source] = until
        for (key, flight), result in zip(flights.items(), results, strict=True):
            self._land(SourceKey(source, key), flight, result)

    async def _single(self, source: ValueSource, key: RemoteKey) -> Outcome:
        try:
            return await self._reader.single(source, key)
        except EntryError as error:
            return error

    async def _alone_flight(self, wanted: SourceKey, flight: InFlightFetch) -> None:
        try:
            self._land(wanted, flight, await self._single(wanted.source, wanted.key))
        except Exception as error:
            self._give_up(wanted.source, {wanted.key: flight}, error)

    def _land(self, wanted: SourceKey, flight: InFlightFetch, outcome: Outcome) -> None:
        if self._flights.get(wanted) is flight:
            del self._flights[wanted]
            if flight.began is not None:
                self._hold(wanted, outcome, flight.began, flight.began + flight.spare)
            if wanted not in self._ahead:
                self._floor.pop(wanted, None)
        if flight.future.done():
            return
        if isinstance(outcome, EntryError):
            flight.future.set_exception(outcome)
        else:
            flight.future.set_result(outcome)

    def _hold(self, wanted: SourceKey, outcome: Outcome | None, began: float, until: float = 0.0) -> None:
        """Keeps a value for those who are expected to want it while it is fresh enough for them."""
        until = max(until, self._expected.until(wanted, began))
        if isinstance(outcome, Fetched) and until > _now() and self._floor.get(wanted, began) <= began:
            self._cache.put(wanted, CachedValue(outcome, began, until))
            self._tidy_later()

    def _give_up(self, source: ValueSource, flights: Mapping[RemoteKey, InFlightFetch], error: Exception) -> None:
        """A bug in the reader: everyone who waits hears of it; its text stays in the traceback."""
        for key, flight in flights.items():
            self._flights.pop(SourceKey(source, key), None)
            if not flight.future.done():
                flight.future.set_exception(error)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _retrieved(future: asyncio.Future[Fetched]) -> None:
    """Nobody may be left to hear an error; that is no news for the log."""
    if not future.cancelled():
        future.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
