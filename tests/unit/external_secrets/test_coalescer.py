"""The coalescer's promises: few calls, fresh answers, nobody hurt by another's key or identity."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Mapping, Sequence

import pytest

from controllers.external_secrets.fetch.coalescer import Coalescer
from controllers.external_secrets.providers.provider import BatchRefusedError
from controllers.external_secrets.providers.source import ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError, MissingValueError
from controllers.external_secrets.values.remote_key import RemoteKey

SM = ValueSource("me", "eu-west-1", "SecretsManager")
SSM = ValueSource("me", "eu-west-1", "ParameterStore")


class Provider:
    """A provider with values that change, denials and a gate to hold its answers."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.denied: set[str] = set()
        self.no_batches = False
        self.calls: list[tuple[str, ...]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        self.calls.append(tuple(key.name for key in keys))
        answers = {key: self._answer(source, key) for key in keys}
        await self.gate.wait()
        if self.no_batches or any(key.name in self.denied for key in keys):
            raise BatchRefusedError(EntryError("AccessDenied", "batch"))
        return answers

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        self.calls.append((key.shown,))
        if key.name in self.denied:
            raise EntryError("AccessDenied", key.name)
        answer = self._answer(source, key)
        if isinstance(answer, EntryError):
            raise answer
        return answer

    def _answer(self, source: ValueSource, key: RemoteKey) -> Outcome:
        if key.name not in self.values:
            return MissingValueError(f"key {key.name}")
        return Fetched(f"{source.identity}:{self.values[key.name]}".encode(), version=key.version)


def key(name: str, version: str = "") -> RemoteKey:
    return RemoteKey("SecretsManager", name, version)


def names(count: int) -> dict[str, str]:
    return {f"k{number}": str(number) for number in range(count)}


def now() -> float:
    return asyncio.get_running_loop().time()


async def ask(coalescer: Coalescer, *wanted: str, source: ValueSource = SM) -> list[bytes | None]:
    found = await asyncio.gather(*(coalescer.get(source, key(name), since=now()) for name in wanted))
    return [item.value for item in found]


async def test_keys_asked_for_together_share_batches_of_the_service_limit() -> None:
    provider = Provider(**names(45))
    await ask(Coalescer(provider), *provider.values)
    assert [len(call) for call in provider.calls] == [20, 20, 5]
    provider.calls.clear()
    await ask(Coalescer(provider), *list(provider.values)[:25], source=SSM)
    assert [len(call) for call in provider.calls] == [10, 10, 5]


async def test_one_key_wanted_by_many_is_fetched_once() -> None:
    provider = Provider(a="1")
    assert await ask(Coalescer(provider), *["a"] * 50) == [b"me:1"] * 50
    assert provider.calls == [("a",)]


async def test_identities_never_share_a_value() -> None:
    provider = Provider(a="1")
    coalescer, other = Coalescer(provider), ValueSource("other", "eu-west-1", "SecretsManager")
    mine, theirs = await asyncio.gather(ask(coalescer, "a"), ask(coalescer, "a", source=other))
    assert (mine, theirs) == ([b"me:1"], [b"other:1"])


async def test_a_pinned_version_goes_singly() -> None:
    provider = Provider(a="1")
    found = await Coalescer(provider).get(SM, key("a", "AWSPREVIOUS"), since=now())
    assert found.version == "AWSPREVIOUS"
    assert provider.calls == [("a (AWSPREVIOUS)",)]


async def test_a_missing_key_is_its_own_error_alone() -> None:
    provider = Provider(a="1")
    coalescer = Coalescer(provider)
    good, bad = await asyncio.gather(
        coalescer.get(SM, key("a"), since=now()), coalescer.get(SM, key("b"), since=now()), return_exceptions=True
    )
    assert isinstance(good, Fetched)
    assert isinstance(bad, MissingValueError)
    assert len(provider.calls) == 1


async def test_a_key_that_broke_a_batch_is_asked_alone_from_then_on() -> None:
    provider = Provider(**names(5))
    provider.denied = {"k3"}
    coalescer = Coalescer(provider)
    asked = [coalescer.get(SM, key(name), since=now()) for name in provider.values]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(answer, EntryError) for answer in answers] == [False, False, False, True, False]
    provider.calls.clear()
    with pytest.raises(EntryError):
        await ask(coalescer, *provider.values)
    await asyncio.sleep(0.03)
    assert sorted(map(len, provider.calls)) == [1, 4]


async def test_where_batches_are_forbidden_the_source_goes_singly_for_a_while() -> None:
    provider = Provider(**names(3))
    provider.no_batches = True
    coalescer = Coalescer(provider, alone=0.2)
    await ask(coalescer, *provider.values)
    provider.calls.clear()
    await ask(coalescer, *provider.values)
    assert [len(call) for call in provider.calls] == [1, 1, 1]
    await asyncio.sleep(0.2)
    provider.no_batches = False
    provider.calls.clear()
    await ask(coalescer, *provider.values)
    assert [len(call) for call in provider.calls] == [3]


async def test_a_fetch_begun_before_an_event_may_not_answer_it() -> None:
    provider = Provider(a="old")
    coalescer = Coalescer(provider)
    provider.gate.clear()
    first = asyncio.create_task(ask(coalescer, "a"))
    await asyncio.sleep(0.03)
    provider.values["a"] = "new"
    assert coalescer.invalidate(lambda source, wanted: wanted.name == "a") == 1
    second = asyncio.create_task(coalescer.get(SM, key("a"), since=0.0))
    await asyncio.sleep(0.03)
    provider.gate.set()
    assert await first == [b"me:old"]
    assert (await second).value == b"me:new"


async def test_a_batch_takes_along_what_is_due_soon_and_answers_it_when_it_is() -> None:
    provider = Provider(**names(4))
    coalescer = Coalescer(provider)
    for name, due in (("k1", 5), ("k2", 9), ("k3", 50)):
        coalescer.expect(SM, key(name), due=now() + due, interval=100.0)
    await ask(coalescer, "k0")
    assert provider.calls == [("k0", "k1", "k2")]
    found = await coalescer.get(SM, key("k1"), since=now() - 10)
    assert found.value == b"me:1"
    assert len(provider.calls) == 1


async def test_keys_that_fall_due_in_the_same_moment_are_all_taken_along() -> None:
    provider = Provider(**names(4))
    coalescer, due = Coalescer(provider), now() + 5
    for name in ("k3", "k1", "k2"):
        coalescer.expect(SM, key(name), due=due, interval=100.0)
    await ask(coalescer, "k0")
    assert provider.calls == [("k0", "k1", "k2", "k3")]


async def test_a_value_taken_along_answers_nobody_who_wants_it_fresh() -> None:
    provider = Provider(**names(2))
    coalescer = Coalescer(provider)
    coalescer.expect(SM, key("k1"), due=now() + 5, interval=100.0)
    await ask(coalescer, "k0")
    provider.values["k1"] = "fresh"
    assert await ask(coalescer, "k1") == [b"me:fresh"]


async def test_who_gives_up_waiting_leaves_the_fetch_to_the_others() -> None:
    provider = Provider(a="1")
    coalescer = Coalescer(provider)
    impatient = asyncio.create_task(ask(coalescer, "a"))
    patient = asyncio.create_task(ask(coalescer, "a"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == [b"me:1"]


async def test_a_value_shows_in_no_repr() -> None:
    provider = Provider(a="canary")
    found = await Coalescer(provider).get(SM, key("a"), since=now())
    assert "canary" not in repr(found)


class Reader:
    """As whom a source is read, to be watched for whether it is still held."""


async def test_a_source_that_nobody_asks_any_more_is_forgotten() -> None:
    coalescer, reader = Coalescer(Provider(k="v"), window=0.001), Reader()
    held = weakref.ref(reader)
    source = ValueSource(reader, "", "SecretsManager")
    await coalescer.get(source, key("k"), since=asyncio.get_running_loop().time())
    del source, reader
    await asyncio.sleep(0.01)
    gc.collect()
    assert held() is None
    await coalescer.close()
