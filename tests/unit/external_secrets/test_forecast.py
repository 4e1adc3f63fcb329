"""The forecast against the coalescer itself: a day of refreshes in virtual time, at each object's own phase."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.external_secrets.cli.forecast import MONTH, forecast
from controllers.external_secrets.fetch.coalescer import Coalescer
from controllers.external_secrets.fetch.demand import AHEAD
from controllers.external_secrets.providers.reads import PlannedRead, PlannedSource, ReadingIdentity
from controllers.external_secrets.providers.source import ValueSource
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.runtime.queue import URGENT
from tests.unit.runtime.virtual_time import run

DAY = 86400.0
MIXED = DAY / 2
"""Seconds after which phases have drifted all over the interval."""


class Counting:
    """AWS, counted."""

    def __init__(self) -> None:
        self.calls = 0

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        self.calls += 1
        return {key: Fetched(b"", name=key.name) for key in keys}

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        self.calls += 1
        return Fetched(b"", name=key.name)


async def _refreshes(coalescer: Coalescer, uid: str, keys: list[RemoteKey], interval: float, until: float) -> None:
    """One ExternalSecret for a while, as its reconcile does it."""
    loop, source = asyncio.get_running_loop(), ValueSource("x", "eu-west-1", keys[0].service)
    spec = ExternalSecretSpec(refresh_interval=f"{interval:g}s")
    first = True
    while loop.time() < until:
        now = loop.time()
        URGENT.set(first)
        since = now if first else now - AHEAD * interval
        await asyncio.gather(*(coalescer.get(source, key, since=since, asker=uid) for key in keys))
        wait = schedule.next_wait(spec, uid)
        assert wait is not None
        for key in keys:
            coalescer.expect(source, key, due=loop.time() + wait, interval=interval, asker=uid)
        await asyncio.sleep(wait)
        first = False


@pytest.mark.parametrize(
    ("service", "secrets", "keys", "interval", "shared"),
    [
        ("SecretsManager", 1, 1, 600.0, False),
        ("SecretsManager", 5, 3, 3600.0, False),
        ("SecretsManager", 20, 3, 3600.0, False),
        ("SecretsManager", 80, 3, 3600.0, False),
        ("ParameterStore", 10, 3, 3600.0, False),
        ("ParameterStore", 40, 3, 3600.0, False),
        ("SecretsManager", 3, 3, 3600.0, True),
        ("SecretsManager", 50, 3, 3600.0, True),
        ("SecretsManager", 20, 60, 3600.0, True),
    ],
)
def test_what_is_forecast_is_what_the_coalescer_does(
    service: str, secrets: int, keys: int, interval: float, shared: bool
) -> None:
    reader = Counting()
    reads: list[PlannedRead] = []
    spot = PlannedSource(ReadingIdentity("x"), "eu-west-1", service)

    async def day() -> None:
        coalescer = Coalescer(reader)
        start = asyncio.get_running_loop().time()
        tasks = []
        for number in range(secrets):
            mine = [RemoteKey(service, f"{0 if shared else number}/{each}") for each in range(keys)]
            reads.extend(PlannedRead(spot, f"a/{number}", key.name, interval, key) for key in mine)
            tasks.append(_refreshes(coalescer, f"uid-{number}", mine, interval, start + MIXED + DAY))
        refreshes = asyncio.gather(*tasks)
        await asyncio.sleep(MIXED)
        reader.calls = 0
        await refreshes

    run(day())
    (line,) = forecast(reads)
    assert reader.calls == pytest.approx(line.calls * DAY / MONTH, rel=0.15)
