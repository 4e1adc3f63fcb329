"""Restart on change on a cluster: one rollout per real change, whoever dies, races or looks on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controllers.api.core import DAEMON_SETS, DEPLOYMENTS, EVENTS, SECRETS, STATEFUL_SETS
from controllers.restart import watch as restart_watch
from controllers.restart.decide import FIELD_MANAGER, SEEN
from controllers.restart.marks import KEY_SECRET
from controllers.restart.uses import MAX_SECRETS
from controllers.runtime.manager import Manager
from tests.cluster import Cluster, until

from .restarts import AUTO, NAMESPACE, QUICK, Shop, pod_of, restarted_for


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster.standin(tmp_path) as made:
        await made.namespace(NAMESPACE)
        yield made


@pytest.fixture
async def shop(cluster: Cluster) -> AsyncIterator[Shop]:
    async with Shop(cluster.admin).watched() as made:
        yield made


def restarts(manager: Manager) -> dict[str, float]:
    """The metric, by kind."""
    found = {}
    for metric in manager.metrics.registry.collect():
        for sample in metric.samples:
            if sample.name == "inhaul_workload_restarts_total":
                found[sample.labels["kind"]] = sample.value
    return found


async def three_workloads(shop: Shop) -> None:
    """web uses one key of db, agent all of tls, store all of both."""
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    container = {"name": "app", "image": "app:1"}
    await shop.workload("web", {"containers": [{**container, "env": env}]})
    init = {**container, "name": "init", "envFrom": [{"secretRef": {"name": "tls"}}]}
    await shop.workload("agent", {"initContainers": [init]}, DAEMON_SETS)
    sources = [{"secret": {"name": "db"}}, {"secret": {"name": "tls"}}]
    volumes = [{"name": "all", "projected": {"sources": sources}}]
    await shop.workload(
        "store", {"volumes": volumes}, STATEFUL_SETS, annotations={"restart.inhaul.dev/on-change": "true"}
    )


async def test_a_rollout_follows_each_real_change_and_nothing_else(cluster: Cluster, shop: Shop) -> None:
    await shop.secret("db", user="u", password="p", unused="x")
    await shop.secret("tls", cert="1")
    await three_workloads(shop)
    await shop.workload("aloof", pod_of("db"), annotations={})
    async with cluster.managed(restart_watch, **QUICK) as manager:
        await shop.recorded("web")
        await shop.recorded("agent", kind=DAEMON_SETS)
        await shop.recorded("store", kind=STATEFUL_SETS)
        assert [await shop.rollouts("web"), await shop.rollouts("store", STATEFUL_SETS)] == [0, 0]

        # metadata, equal data, a key that web does not use
        await shop.secret("db", {"note": "new"}, user="u", password="p", unused="x")
        await shop.secret("db", user="u", password="p", unused="x")
        await shop.settled()
        assert await shop.rollouts("store", STATEFUL_SETS) == 0
        await shop.secret("db", user="u", password="p", unused="y")
        await shop.until_rollouts("store", 1, STATEFUL_SETS)
        await shop.settled()
        assert await shop.rollouts("web") == 0

        # two Secrets in one moment, one rollout
        await shop.secret("db", user="u", password="q", unused="y")
        await shop.secret("tls", cert="2")
        web, store = await shop.until_rollouts("web", 1), await shop.until_rollouts("store", 2, STATEFUL_SETS)
        assert (restarted_for(web), restarted_for(store)) == ("db", "db, tls")
        await shop.until_rollouts("agent", 1, DAEMON_SETS)
        await shop.settled()
        counts = [await shop.rollouts("web"), await shop.rollouts("store", STATEFUL_SETS)]
        assert [*counts, await shop.rollouts("aloof")] == [1, 2, 0]

        async def counted() -> bool:
            found = restarts(manager)
            return (found.get("StatefulSet"), found.get("DaemonSet")) == (2, 1)

        await until(counted, patience=30, what="2 and 1 rollouts counted")
        web = await shop.get("web")
        mine = [entry for entry in web["metadata"]["managedFields"] if entry["manager"] == FIELD_MANAGER]
        assert mine and all(set(entry["fieldsV1"]) <= {"f:metadata", "f:spec"} for entry in mine)

        async def told() -> Any:
            events = (await cluster.admin.list(EVENTS, NAMESPACE)).items
            return [
                each["note"]
                for each in events
                if each["reason"] == "SecretChanged" and each["regarding"]["name"] == "web"
            ]

        assert await until(told, patience=30) == ["rollout started: data of Secret db changed"]


async def test_a_controller_that_was_away_neither_loses_nor_repeats_a_restart(cluster: Cluster, shop: Shop) -> None:
    await shop.secret("db", password="p")
    await shop.workload("web", pod_of("db"))
    async with cluster.managed(restart_watch, **QUICK):
        await shop.recorded("web")
    await shop.secret("db", password="q")
    async with cluster.managed(restart_watch, **QUICK):
        await shop.until_rollouts("web", 1)
    async with cluster.managed(restart_watch, **QUICK):
        await shop.settled()
        assert await shop.rollouts("web") == 1
        await cluster.admin.delete(SECRETS, "db", NAMESPACE)
        await shop.settled()
    await shop.secret("db", password="q")  # gone, and back as it was
    async with cluster.managed(restart_watch, **QUICK):
        await shop.settled()
        assert await shop.rollouts("web") == 1

    # Without its key nothing can be compared: recorded anew, not restarted.
    await cluster.admin.delete(SECRETS, KEY_SECRET, "inhaul-system")
    old = (await shop.get("web"))["metadata"]["annotations"][SEEN]
    async with cluster.managed(restart_watch, **QUICK):

        async def anew() -> bool:
            return bool((await shop.get("web"))["metadata"]["annotations"][SEEN] != old)

        await until(anew, patience=30)
        assert await shop.rollouts("web") == 1
        await shop.secret("db", password="r")
        await shop.until_rollouts("web", 2)


async def test_wherever_it_is_cut_off_the_next_start_makes_it_one_rollout(cluster: Cluster, shop: Shop) -> None:
    await shop.secret("db", password="p")
    await shop.workload("web", pod_of("db"))
    at_once = {**QUICK, "restart_window": "0"}
    for turn, seconds in enumerate((0.0, 0.005, 0.02, 0.05, 0.1)):
        async with cluster.managed(restart_watch, **at_once):
            await shop.recorded("web")
            await shop.secret("db", password=f"p{turn}")
            await asyncio.sleep(seconds)  # how far it comes is chance; what follows must not be
        async with cluster.managed(restart_watch, **at_once):
            await shop.until_rollouts("web", 1 + turn)
    async with cluster.managed(restart_watch, **at_once):
        await shop.settled()
    assert await shop.rollouts("web") == 5


async def test_names_that_cannot_be_followed_are_told_and_nothing_is_done(cluster: Cluster, shop: Shop) -> None:
    for number in range(MAX_SECRETS + 1):
        await shop.secret(f"many-{number}", value="1")
    await shop.workload("broken", {}, annotations={"secret.reloader.stakater.com/reload": "db-("})
    await shop.workload("greedy", {}, annotations={"secret.reloader.stakater.com/reload": "many-.*"})
    async with cluster.managed(restart_watch, **QUICK):

        async def told() -> bool:
            events = (await cluster.admin.list(EVENTS, NAMESPACE)).items
            found = {each["regarding"]["name"]: each["note"] for each in events if each["type"] == "Warning"}
            return "'db-('" in found.get("broken", "") and "257 Secrets" in found.get("greedy", "")

        await until(told, patience=30, what="two warnings")
        await shop.secret("many-0", value="2")
        await shop.settled()
    assert [await shop.rollouts(name) for name in ("broken", "greedy")] == [0, 0]
    assert SEEN not in (await shop.get("greedy"))["metadata"]["annotations"]


async def test_a_patch_that_was_judged_on_old_news_is_refused_by_the_server(cluster: Cluster, shop: Shop) -> None:
    """Killed between judging and writing, or overtaken by another: the one patch holds or nothing does."""
    await shop.secret("db", password="p")
    await shop.workload("web", pod_of("db"))
    async with cluster.managed(restart_watch, **QUICK) as one, cluster.managed(restart_watch, **QUICK) as two:
        await shop.recorded("web")
        for turn in range(1, 4):  # without election both act on each change
            await shop.secret("db", password=f"p{turn}")
            await shop.until_rollouts("web", turn)
            await shop.settled("clock")
            await shop.settled("clock")
            assert await shop.rollouts("web") == turn

        async def counted() -> bool:
            both = [restarts(manager).get("Deployment", 0) for manager in (one, two)]
            return sum(both) == 3 + shop.ticks["clock"] - 1  # the clock's first tick made it

        await until(counted, patience=30, what="each rollout counted by one of the two")


async def opted_out(cluster: Cluster, shop: Shop) -> None:
    off = {"metadata": {"annotations": {"restart.inhaul.dev/on-change": "false"}}}
    await cluster.admin.patch(DEPLOYMENTS, "needs", NAMESPACE, body=off)

    async def forgotten() -> bool:
        return SEEN not in (await shop.get("needs"))["metadata"]["annotations"]

    await until(forgotten, patience=30)


async def test_what_pods_cannot_have_started_with_restarts_nothing(cluster: Cluster, shop: Shop) -> None:
    await shop.workload("needs", pod_of("late"))
    sometimes = {"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": "late", "optional": True}}]}
    await shop.workload("may", {"containers": [sometimes]})
    await shop.secret("db", password="p")
    await shop.workload("paused", pod_of("db"), paused=True)
    strategy = {"updateStrategy": {"type": "OnDelete"}}
    await shop.workload("manual", pod_of("db"), DAEMON_SETS, **strategy)
    await shop.workload("named", {}, annotations={"secret.reloader.stakater.com/reload": "d.+, other"})
    async with cluster.managed(restart_watch, **QUICK):
        await shop.recorded("needs", "may", "paused", "named")
        await shop.recorded("manual", kind=DAEMON_SETS)
        await shop.secret("late", value="1")
        await shop.until_rollouts("may", 1)
        await shop.settled()
        assert await shop.rollouts("needs") == 0
        await shop.secret("late", value="2")
        await shop.until_rollouts("needs", 1)

        for turn in ("q", "r"):
            await shop.secret("db", password=turn)
            await shop.settled()
        paused = await shop.get("paused")
        assert (paused["spec"]["paused"], restarted_for(paused)) == (True, "db")
        await cluster.admin.patch(DEPLOYMENTS, "paused", NAMESPACE, body={"spec": {"paused": None}})

        async def rolled() -> bool:
            status = (await shop.get("paused")).get("status") or {}
            return bool(status.get("updatedReplicas"))

        await until(rolled, patience=30, what="the rollout of what was paused")
        await shop.until_rollouts("manual", 2, DAEMON_SETS)
        assert restarted_for(await shop.get("named")) == "db"

        async def notes() -> set[str]:
            events = (await cluster.admin.list(EVENTS, NAMESPACE)).items
            found = {each["note"].partition("; ")[2] for each in events if each["reason"] == "SecretChanged"}
            return found if len(found - {""}) == 2 else set()

        assert {"it is paused; it rolls out when it is resumed"} < await until(notes, patience=30)

        # who opts out is forgotten, and begins afresh
        await opted_out(cluster, shop)
        await shop.secret("late", value="3")
        await shop.settled()
        on = {"metadata": {"annotations": {"restart.inhaul.dev/on-change": "true"}}}
        await cluster.admin.patch(DEPLOYMENTS, "needs", NAMESPACE, body=on)
        await shop.recorded("needs")
        assert await shop.rollouts("needs") == 1


async def test_where_reloader_runs_its_annotations_are_left_to_it(cluster: Cluster, shop: Shop) -> None:
    await shop.secret("db", password="p")
    await shop.workload("theirs", pod_of("db"))
    await shop.workload("ours", pod_of("db"), annotations={"restart.inhaul.dev/on-change": "db", **AUTO})
    image = {"containers": [{"name": "reloader", "image": "ghcr.io/stakater/reloader:v1.4.1"}]}
    await shop.workload("reloader", image, annotations={})
    async with cluster.managed(restart_watch, **QUICK):
        await shop.recorded("ours")
        await shop.secret("db", password="q")
        await shop.until_rollouts("ours", 1)
        assert SEEN not in (await shop.get("theirs"))["metadata"]["annotations"]
        assert await shop.rollouts("theirs") == 0
        await cluster.admin.patch(DEPLOYMENTS, "reloader", NAMESPACE, body={"spec": {"replicas": 0}})
        await shop.recorded("theirs")
        await shop.secret("db", password="r")
        await shop.until_rollouts("theirs", 1)


async def test_changes_in_quick_succession_share_a_rollout(cluster: Cluster, shop: Shop) -> None:
    await shop.secret("db", password="0")
    await shop.workload(
        "calm", pod_of("db"), annotations={**AUTO, "deployment.reloader.stakater.com/pause-period": "1h"}
    )
    async with cluster.managed(restart_watch, **QUICK):
        await shop.recorded("calm")
        await shop.secret("db", password="1")
        await shop.until_rollouts("calm", 1)
        for value in "234":
            await shop.secret("db", password=value)
            await shop.settled()
        assert await shop.rollouts("calm") == 1
        sooner = {"metadata": {"annotations": {"deployment.reloader.stakater.com/pause-period": "1ms"}}}
        await cluster.admin.patch(DEPLOYMENTS, "calm", NAMESPACE, body=sooner)
        await shop.until_rollouts("calm", 2)


async def test_the_record_of_a_low_entropy_secret_tells_nothing(cluster: Cluster, shop: Shop) -> None:
    await shop.secret("pin", pin="0000")
    await shop.secret("same", pin="0000")
    volumes = [{"name": name, "secret": {"secretName": name}} for name in ("pin", "same")]
    await shop.workload("web", {"volumes": volumes})
    async with cluster.managed(restart_watch, **QUICK):
        await shop.recorded("web")
    secrets = json.loads((await shop.get("web"))["metadata"]["annotations"][SEEN])["secrets"]
    assert secrets["pin"]["*"] != secrets["same"]["*"] and len(secrets["pin"]["*"]) == 16
