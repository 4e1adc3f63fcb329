"""One leader at a time; a leader that cannot renew ends; one that stops hands over at once."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from controllers.api.core import LEASES
from controllers.api.resource import Key
from controllers.runtime.leadership.elections import LeadershipLostError
from controllers.runtime.leadership.lease import LeaderElection, LeaseTimes
from controllers.runtime.result import Result

from .conftest import WIDGETS, Cluster, running, widget

FAST = LeaseTimes(duration=1.0, deadline=0.7, retry=0.1)


class Candidate:
    def __init__(self, cluster: Cluster, identity: str, *, server: str = "") -> None:
        self.gained, self.lost = threading.Event(), threading.Event()
        config = replace(cluster.config, server=server or cluster.config.server)
        self.election = LeaderElection(
            config,
            name="inhaul-test",
            namespace="default",
            identity=identity,
            times=FAST,
            on_gained=self.gained.set,
            on_lost=self.lost.set,
        )


async def test_of_five_candidates_one_leads_and_the_next_only_after_it_stopped(cluster: Cluster) -> None:
    candidates = [Candidate(cluster, f"c{number}") for number in range(5)]
    for candidate in candidates:
        candidate.election.start()
    await cluster.until(lambda: _any(candidates))
    await asyncio.sleep(1.5)  # longer than the lease: renewed all the while
    leaders = [candidate for candidate in candidates if candidate.election.leading]
    assert len(leaders) == 1
    assert sum(candidate.gained.is_set() for candidate in candidates) == 1
    first = leaders[0]
    await asyncio.to_thread(first.election.stop)
    rest = [candidate for candidate in candidates if candidate is not first]
    await cluster.until(lambda: _any(rest), 2)
    lease = await cluster.kube.get(LEASES, "inhaul-test", "default")
    assert lease["spec"]["leaseTransitions"] == 1
    await asyncio.gather(*(asyncio.to_thread(candidate.election.stop) for candidate in rest))
    assert sum(candidate.gained.is_set() for candidate in candidates) == 2
    assert not any(candidate.lost.is_set() for candidate in candidates)


async def test_a_silent_holder_is_outwaited_by_our_own_clock(cluster: Cluster) -> None:
    spec = {
        "holderIdentity": "dead",
        "leaseDurationSeconds": 1,
        "renewTime": "2099-01-01T00:00:00.000000Z",  # its clock is wrong by decades
        "leaseTransitions": 4,
    }
    meta = {"name": "inhaul-test", "namespace": "default"}
    body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": meta, "spec": spec}
    await cluster.kube.create(LEASES, body)
    candidate, started = Candidate(cluster, "us"), time.monotonic()
    candidate.election.start()
    await cluster.until(lambda: _any([candidate]))
    assert time.monotonic() - started >= 1.0
    await asyncio.to_thread(candidate.election.stop)


async def test_a_leader_cut_off_from_the_server_ends_before_its_lease_runs_out(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    await cluster.kube.create(WIDGETS, widget("a"))
    flags = ("--lease-enabled=true", "--lease-duration=4", "--lease-deadline=1", "--lease-retry=0.2")
    manager = cluster.manager(*flags)

    async def reconcile(key: Key) -> Result:
        return Result()

    manager.controller(WIDGETS, reconcile)
    with pytest.raises(LeadershipLostError):
        async with running(manager):
            await cluster.ready(Key("default", "a"))
            await cluster.server.stop()
            cut = time.monotonic()
            while not manager._stop.is_set():
                await asyncio.sleep(0.05)
                assert time.monotonic() - cut < 3


async def test_work_goes_on_after_the_api_server_was_away(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    await cluster.kube.create(WIDGETS, widget("a", size=1))
    manager = cluster.manager()
    sizes: list[int | None] = []
    port = int(cluster.server.url.rpartition(":")[2])

    async def reconcile(key: Key) -> Result:
        manifest = controller.store.get(key)
        sizes.append(manifest["spec"].get("size") if manifest else None)
        return Result()

    controller = manager.controller(WIDGETS, reconcile)
    async with running(manager):
        await cluster.ready(Key("default", "a"))
        await cluster.server.stop()
        await asyncio.sleep(0.5)
        await cluster.server.start(port)
        await cluster.until(lambda: cluster.kube.served(WIDGETS))
        await cluster.kube.patch(WIDGETS, "a", "default", body={"spec": {"size": 2}})
        await cluster.ready(Key("default", "a"))
        assert sizes[-1] == 2


async def _any(candidates: list[Candidate]) -> bool:
    return any(candidate.election.leading for candidate in candidates)
