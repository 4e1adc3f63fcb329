"""Values held for all who share a key: how few calls that takes, and whom they must never answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.external_secrets.fetch.coalescer import Coalescer
from controllers.external_secrets.fetch.demand import AHEAD
from controllers.external_secrets.fetch.value_cache import CachedValue, ValueCache
from controllers.external_secrets.providers.source import SourceKey, ValueSource
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.remote_key import RemoteKey
from tests.unit.runtime.virtual_time import run

SM = ValueSource("me", "eu-west-1", "SecretsManager")
HOUR = 3600.0
KEYS = [RemoteKey("SecretsManager", name) for name in ("a", "b", "c")]


class Provider:
    """Answers with who asked and the number of the call."""

    def __init__(self) -> None:
        self.calls: list[ValueSource] = []

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        self.calls.append(source)
        return {key: Fetched(f"{source.identity} {len(self.calls)}".encode()) for key in keys}

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        self.calls.append(source)
        return Fetched(f"{source.identity} {len(self.calls)}".encode())


def now() -> float:
    return asyncio.get_running_loop().time()


async def _refreshes(coalescer: Coalescer, source: ValueSource, uid: str, until: float, keys: list[RemoteKey]) -> None:
    """One ExternalSecret, as its reconcile asks: fresh at first, then by its timer."""
    spare = 0.0
    while now() < until:
        asked = (coalescer.get(source, key, since=now() - spare, asker=uid) for key in keys)
        found = await asyncio.gather(*asked)
        assert all(str(each.value).startswith(f"b'{source.identity} ") for each in found)
        wait = schedule.next_wait(ExternalSecretSpec(refresh_interval="1h"), uid)
        assert wait is not None
        for key in keys:
            coalescer.expect(source, key, due=now() + wait, interval=HOUR, asker=uid)
        await asyncio.sleep(wait)
        spare = AHEAD * HOUR


def _calls(sources: Sequence[ValueSource], namespaces: int, hours: float, keys: list[RemoteKey]) -> list[ValueSource]:
    provider = Provider()

    async def work() -> None:
        coalescer, end = Coalescer(provider), now() + hours * HOUR
        await asyncio.gather(
            *(_refreshes(coalescer, source, f"{n}", end, keys) for source in sources for n in range(namespaces))
        )
        assert coalescer.held <= len(keys) * len(sources)
        await coalescer.close()

    run(work())
    return provider.calls


def test_fifty_namespaces_that_share_three_keys_cost_ten_calls_an_interval_at_most() -> None:
    assert len(_calls([SM], 50, 24, KEYS)) <= 24 / 0.9 * 10


def test_a_pinned_version_is_shared_in_the_same_way() -> None:
    assert len(_calls([SM], 50, 10, [RemoteKey("SecretsManager", "a", "AWSPREVIOUS")])) <= 10 / 0.9 * 10 + 1


def test_identities_hold_nothing_for_each_other() -> None:
    other = ValueSource("other", "eu-west-1", "SecretsManager")
    calls = _calls([SM, other], 5, 5, KEYS)
    alone = len(_calls([SM], 5, 5, KEYS))
    assert (calls.count(SM), calls.count(other)) == (alone, alone)


def _held(coalescer: Coalescer) -> None:
    """Three who share a key are expected, one shortly after the other."""
    for uid, due in (("1", 10.0), ("2", 20.0), ("3", 30.0)):
        coalescer.expect(SM, KEYS[0], due=now() + due, interval=HOUR, asker=uid)


async def _value(coalescer: Coalescer, uid: str, spare: float = AHEAD * HOUR) -> bytes | None:
    return (await coalescer.get(SM, KEYS[0], since=now() - spare, asker=uid)).value


def test_one_fetch_answers_all_who_are_due_until_an_event_says_that_it_changed() -> None:
    async def work() -> None:
        coalescer = Coalescer(Provider())
        _held(coalescer)
        assert await _value(coalescer, "1") == b"me 1"
        assert await _value(coalescer, "2") == b"me 1"
        assert coalescer.invalidate(lambda source, key: key == KEYS[0]) == 1
        assert coalescer.held == 0
        assert await _value(coalescer, "3") == b"me 2"
        await coalescer.close()

    run(work())


def test_who_forces_a_sync_gets_a_new_value_and_nobody_gets_the_old_one_after_it() -> None:
    async def work() -> None:
        coalescer = Coalescer(Provider())
        _held(coalescer)
        assert await _value(coalescer, "1") == b"me 1"
        await asyncio.sleep(1)
        forced = asyncio.create_task(_value(coalescer, "2", spare=0.0))
        await asyncio.sleep(0)
        assert await _value(coalescer, "3") == b"me 2", "while the new one is still under way"
        assert await forced == b"me 2"
        await coalescer.close()

    run(work())


def test_a_value_is_dropped_when_it_is_too_old_for_all_who_are_expected() -> None:
    async def work() -> None:
        coalescer = Coalescer(Provider())
        _held(coalescer)
        await _value(coalescer, "1")
        await asyncio.sleep(AHEAD * HOUR + 1)
        assert await _value(coalescer, "2") == b"me 2"
        await asyncio.sleep(2 * HOUR)
        assert (coalescer.held, coalescer.expected) == (0, 0)
        await coalescer.close()

    run(work())


def test_a_value_that_one_alone_wants_is_not_held() -> None:
    async def work() -> None:
        coalescer = Coalescer(Provider())
        coalescer.expect(SM, KEYS[0], due=now() + 10, interval=HOUR, asker="1")
        await _value(coalescer, "1")
        assert coalescer.held == 0
        await coalescer.close()

    run(work())


def _wanted(name: str) -> SourceKey:
    return SourceKey(SM, RemoteKey("SecretsManager", name))


def test_values_are_bounded_in_number_and_bytes_and_the_oldest_goes_first() -> None:
    few, small = ValueCache(max_values=2), ValueCache(max_bytes=10)
    for number, name in enumerate("abc"):
        held = CachedValue(Fetched(b"12345"), began=number, until=100)
        few.put(_wanted(name), held)
        small.put(_wanted(name), held)
    assert list(few) == list(small) == [_wanted("b"), _wanted("c")]
    small.put(_wanted("huge"), CachedValue(Fetched(b"x" * 11), began=9, until=100))
    assert (len(small), small.bytes) == (2, 10)
    small.tidy(101)
    assert (len(small), small.bytes) == (0, 0)


def test_an_older_value_does_not_replace_a_newer_one() -> None:
    holding = ValueCache()
    holding.put(_wanted("a"), CachedValue(Fetched(b"new"), began=2, until=100))
    holding.put(_wanted("a"), CachedValue(Fetched(b"old"), began=1, until=100))
    found = holding.get(_wanted("a"), since=0, now=3)
    assert found is not None
    assert found.value == b"new"


def test_a_held_value_shows_in_no_repr() -> None:
    assert "canary" not in repr(CachedValue(Fetched(b"canary"), began=0, until=1))
