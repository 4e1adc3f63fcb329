"""The coalescer under limits: who goes first, what a throttled call costs, and what its keys are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from controllers.aws.edge import THROTTLED_TRIES
from controllers.aws.rate_limit import Permit
from controllers.external_secrets.fetch.coalescer import Coalescer
from controllers.external_secrets.providers.source import ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.runtime.queue import URGENT
from tests.unit.runtime.virtual_time import run

SSM = ValueSource("me", "eu-west-1", "ParameterStore")
THROTTLED = EntryError("Throttled", "ssm:GetParameters: ThrottlingException: Rate exceeded")


class Gate:
    """Lets one call through whenever it is told to, the urgent first; remembers how permits ended."""

    def __init__(self) -> None:
        self.tickets = asyncio.Semaphore(0)
        self.waiting: list[bool] = []
        self.permits: list[Permit] = []
        self._condition = asyncio.Condition()

    async def open(self, calls: int) -> None:
        for _ in range(calls):
            self.tickets.release()
        async with self._condition:
            self._condition.notify_all()

    @asynccontextmanager
    async def __call__(self, source: ValueSource, *, urgent: bool) -> AsyncIterator[Permit]:
        self.waiting.append(urgent)
        async with self._condition:
            await self._condition.wait_for(lambda: not self.tickets.locked() and urgent == max(self.waiting))
            await self.tickets.acquire()
        self.waiting.remove(urgent)
        permit = Permit(0)
        self.permits.append(permit)
        yield permit
        async with self._condition:
            self._condition.notify_all()


class Provider:
    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.throttle = 0  # calls that are refused
        self.throttled_keys: set[str] = set()

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        self.calls.append([key.name for key in keys])
        if self.throttle:
            self.throttle -= 1
            raise THROTTLED
        return {key: THROTTLED if key.name in self.throttled_keys else Fetched(b"v", name=key.name) for key in keys}

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        raise AssertionError("nothing here goes singly")


def ask(coalescer: Coalescer, *names: str, urgent: bool = True) -> list[asyncio.Task[Fetched]]:
    token = URGENT.set(urgent)
    now = asyncio.get_running_loop().time()
    try:
        keys = [RemoteKey("ParameterStore", name) for name in names]
        return [asyncio.create_task(coalescer.get(SSM, key, since=now)) for key in keys]
    finally:
        URGENT.reset(token)


async def settle() -> None:
    await asyncio.sleep(0.005)


async def test_keys_of_the_urgent_ride_in_the_next_call_before_a_mass_that_is_due() -> None:
    gate, provider = Gate(), Provider()
    coalescer = Coalescer(provider, window=0.001, gate=gate)
    due = ask(coalescer, *(f"due{number:02}" for number in range(30)), urgent=False)
    await settle()
    new = ask(coalescer, "new")
    await settle()
    await gate.open(1)
    await asyncio.wait_for(asyncio.gather(*new), 30)
    assert provider.calls == [["new", *(f"due{number:02}" for number in range(9))]]
    await gate.open(9)
    await asyncio.wait_for(asyncio.gather(*due), 30)
    assert [len(call) for call in provider.calls] == [10, 10, 10, 1]


async def test_an_urgent_ask_hastens_a_key_that_waits_as_due() -> None:
    gate, provider = Gate(), Provider()
    coalescer = Coalescer(provider, window=0.001, gate=gate)
    due = ask(coalescer, *(f"due{number:02}" for number in range(30)), urgent=False)
    await settle()
    hastened = ask(coalescer, "due29")
    await settle()
    await gate.open(1)
    await asyncio.wait_for(asyncio.gather(*hastened), 30)
    assert provider.calls[0][0] == "due29"
    await gate.open(9)
    await asyncio.wait_for(asyncio.gather(*due), 30)
    assert sorted(name for call in provider.calls for name in call) == [f"due{number:02}" for number in range(30)]


async def test_keys_of_a_throttled_call_go_again_and_arrive() -> None:
    provider = Provider()
    provider.throttle = THROTTLED_TRIES - 1
    coalescer = Coalescer(provider, window=0.001)
    found = await asyncio.wait_for(asyncio.gather(*ask(coalescer, "a", "b")), 30)
    assert [each.value for each in found] == [b"v", b"v"]
    assert provider.calls == [["a", "b"]] * THROTTLED_TRIES


async def test_keys_that_stay_throttled_say_so_each_for_itself() -> None:
    provider = Provider()
    provider.throttled_keys = {"b"}
    coalescer = Coalescer(provider, window=0.001)
    good, bad = await asyncio.wait_for(asyncio.gather(*ask(coalescer, "a", "b"), return_exceptions=True), 30)
    assert isinstance(good, Fetched)
    assert isinstance(bad, EntryError)
    assert bad.error_class == "Throttled"
    assert provider.calls == [["a", "b"], *([["b"]] * (THROTTLED_TRIES - 1))]


async def test_the_gate_hears_that_a_call_was_throttled_or_not_made() -> None:
    gate, provider = Gate(), Provider()
    provider.throttle = 1
    coalescer = Coalescer(provider, window=0.001, gate=gate)
    asked = ask(coalescer, *(f"k{number}" for number in range(10)))
    await settle()
    await gate.open(3)
    await asyncio.wait_for(asyncio.gather(*asked), 30)
    assert [(permit.throttled, permit.unused) for permit in gate.permits] == [(True, False), (False, False)]


async def test_a_value_taken_along_while_it_changed_answers_nobody() -> None:
    gate, provider = Gate(), Provider()
    coalescer = Coalescer(provider, window=0.001, gate=gate)
    now = asyncio.get_running_loop().time()
    coalescer.expect(SSM, RemoteKey("ParameterStore", "along"), due=now + 5, interval=100)
    first = ask(coalescer, "a")
    await settle()
    await gate.open(1)
    await asyncio.wait_for(asyncio.gather(*first), 30)
    assert provider.calls == [["a", "along"]]
    assert coalescer.invalidate(lambda source, key: key.name == "along") == 1
    again = ask(coalescer, "along", urgent=False)
    await settle()
    await gate.open(1)
    await asyncio.wait_for(asyncio.gather(*again), 30)
    assert provider.calls == [["a", "along"], ["along"]]


def test_values_that_nobody_came_for_are_dropped() -> None:
    async def work() -> None:
        provider = Provider()
        coalescer = Coalescer(provider, window=0.001)
        now = asyncio.get_running_loop().time()
        coalescer.expect(SSM, RemoteKey("ParameterStore", "along"), due=now + 5, interval=100)
        await asyncio.gather(*ask(coalescer, "a"))
        assert provider.calls == [["a", "along"]]
        assert coalescer.held == 1
        await asyncio.sleep(1000)
        assert coalescer.held == 0
        await coalescer.close()

    run(work())


def test_lines_do_not_grow_with_each_refresh() -> None:
    async def work() -> None:
        coalescer = Coalescer(Provider(), window=0.001)
        key = RemoteKey("ParameterStore", "k")
        for _ in range(1000):
            coalescer.expect(SSM, key, due=asyncio.get_running_loop().time() + 10_000, interval=10_000)
            await asyncio.sleep(1)
        await asyncio.sleep(400)
        assert coalescer.expected <= 1
        await coalescer.close()

    run(work())
