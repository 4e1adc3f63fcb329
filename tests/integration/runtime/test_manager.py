"""The promises of the Manager, on an API server: start, reconcile, status, priorities of change, stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter

import aiohttp
import pytest

from controllers.api.core import CRDS, DEPLOYMENTS, EVENTS, LEASES, SECRETS
from controllers.api.resource import Key
from controllers.runtime.conditions import find
from controllers.runtime.leadership.startup import UpstreamRunningError
from controllers.runtime.manager import Manager
from controllers.runtime.result import NotReady, Result, Stalled

from .conftest import GADGETS, WIDGETS, Cluster, crd, running, widget

A, B = Key("default", "a"), Key("default", "b")


class Recorder:
    """A reconcile of a test: counts, and ends as `ending` says for the key's name."""

    def __init__(self, manager: Manager) -> None:
        self.runs: Counter[str] = Counter()
        self.ending: dict[str, Exception | Result] = {}
        self.controller = manager.controller(WIDGETS, self.reconcile)
        self.seen: dict[str, object] = {}

    async def reconcile(self, key: Key) -> Result:
        self.runs[key.name] += 1
        manifest = self.controller.store.get(key)
        self.seen[key.name] = manifest and manifest.get("spec")
        draft = self.controller.draft(key)
        draft.status["size"] = (manifest or {}).get("spec", {}).get("size", 0)
        draft.ready("Built", "widget is built")
        ending = self.ending.get(key.name, Result())
        if isinstance(ending, Exception):
            raise ending
        return ending


async def test_an_object_is_reconciled_its_status_written_once_and_an_event_told(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    await cluster.kube.create(WIDGETS, widget("a", size=1))
    manager = cluster.manager()
    recorder = Recorder(manager)
    async with running(manager):
        done = await cluster.ready(A)
        assert done["status"]["size"] == 1
        assert find(done["status"], "Reconciling") is None
        ready = find(done["status"], "Ready")
        assert ready is not None
        assert (ready["reason"], ready["message"], ready["observedGeneration"]) == ("Built", "widget is built", 1)
        await asyncio.sleep(0.5)  # our own write comes back as an event: it must not wake anything
        assert recorder.runs == {"a": 1}

        await cluster.kube.patch(WIDGETS, "a", "default", body={"spec": {"size": 2}})
        changed = await cluster.ready(A)
        assert changed["status"]["size"] == 2
        assert find(changed["status"], "Ready")["lastTransitionTime"] == ready["lastTransitionTime"]  # type: ignore[index]

        await cluster.kube.delete(WIDGETS, "a", "default")
        await cluster.until(lambda: _true(recorder.seen["a"] is None))
    events = (await cluster.kube.list(EVENTS, "default")).items
    mine = [event for event in events if event["regarding"]["name"] == "a"]
    assert [(event["reason"], event["type"], event["reportingController"]) for event in mine] == [
        ("Built", "Normal", "inhaul")
    ]


async def test_each_ending_has_its_conditions_and_the_others_go_on(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    manager = cluster.manager()
    recorder = Recorder(manager)
    recorder.ending = {
        "stalled": Stalled("NoSuchStore", "SecretStore x does not exist"),
        "waiting": NotReady("DependencyNotReady", "b is not ready"),
        "bug": ZeroDivisionError("secret-value"),
    }
    for name in (*recorder.ending, "fine"):
        await cluster.kube.create(WIDGETS, widget(name))
    async with running(manager):
        await cluster.ready(Key("default", "fine"))
        stalled, waiting, bug = [await cluster.ready(Key("default", name), "False") for name in recorder.ending]
        await asyncio.sleep(2.6)
        assert recorder.runs["stalled"] == 1
        assert recorder.runs["waiting"] in (2, 3)  # 1 s, 2 s: its own status writes have not shortened that
        assert recorder.runs["bug"] in (2, 3)
        recorder.ending.pop("waiting")
        await cluster.kube.patch(WIDGETS, "waiting", "default", body={"spec": {"new": 1}})
        again = await cluster.ready(Key("default", "waiting"))
    assert find(stalled["status"], "Stalled")["reason"] == "NoSuchStore"  # type: ignore[index]
    assert find(stalled["status"], "Reconciling") is None
    assert find(waiting["status"], "Reconciling")["status"] == "True"  # type: ignore[index]
    assert find(waiting["status"], "Ready")["reason"] == "DependencyNotReady"  # type: ignore[index]
    assert find(bug["status"], "Ready")["reason"] == "InternalError"  # type: ignore[index]
    assert "secret-value" not in str(bug["status"])
    assert find(again["status"], "Reconciling") is None


async def test_objects_that_are_right_cost_one_list_and_one_watch(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    for number in range(40):
        await cluster.kube.create(WIDGETS, widget(f"w{number}", size=0))
    first = cluster.manager()
    recorder = Recorder(first)
    async with running(first):
        await cluster.until(lambda: _true(len(recorder.runs) == 40))
        await cluster.ready(Key("default", "w39"))
        await asyncio.sleep(0.3)
    before = await _versions(cluster)
    second = cluster.manager("--watch-page=15")
    again = Recorder(second)
    async with running(second):
        await cluster.until(lambda: _true(len(again.runs) == 40))
        await asyncio.sleep(0.3)
        assert set(again.runs.values()) == {1}
        asked = [line for line in second.metrics.render().decode().splitlines() if 'resource="widgets"' in line]
    assert await _versions(cluster) == before
    assert sorted(line for line in asked if line.startswith("rest_client_requests_total")) == [
        'rest_client_requests_total{code="200",method="GET",resource="widgets"} 3.0',  # pages of 15, 15 and 10
        'rest_client_requests_total{code="200",method="WATCH",resource="widgets"} 1.0',
    ]


async def test_a_kind_that_is_not_served_is_waited_for_and_readiness_says_so(cluster: Cluster) -> None:
    manager = cluster.manager()
    recorder = Recorder(manager)
    async with running(manager, warm=False):
        await cluster.until(lambda: _true(manager.web_port != 0))
        await cluster.until(lambda: _answers(manager, "/readyz", 503, "waiting for widgets.example.dev/v1"))
        assert await _answers(manager, "/healthz", 200, "ok")
        await cluster.kube.create(CRDS, crd(WIDGETS))
        await cluster.until(lambda: _answers(manager, "/readyz", 200, "ok"))
        await cluster.kube.create(WIDGETS, widget("a"))
        await cluster.ready(A)
        assert recorder.runs["a"] == 1
        assert await _answers(manager, "/metrics", 200, 'controller_runtime_reconcile_total{controller="widgets"')


async def test_a_store_knows_another_kind_before_the_first_reconcile(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    await cluster.create_kind(GADGETS)
    for number in range(30):
        body = {**widget(f"g{number}"), "kind": GADGETS.kind}
        await cluster.kube.create(GADGETS, body)
    await cluster.kube.create(WIDGETS, widget("a"))
    manager = cluster.manager()
    gadgets = manager.store(GADGETS)
    known: list[int] = []

    async def reconcile(key: Key) -> Result:
        known.append(len(gadgets))
        return Result()

    manager.controller(WIDGETS, reconcile)
    async with running(manager):
        await cluster.ready(A)
        assert known == [30]
        assert gadgets.synced


async def test_a_lost_deletion_and_a_lost_change_are_found_by_the_resync(cluster: Cluster) -> None:
    from controllers.runtime.informers.resync import resync_once

    await cluster.create_kind(WIDGETS)
    manager = cluster.manager()
    recorder = Recorder(manager)
    for name in ("a", "b", "c"):
        await cluster.kube.create(WIDGETS, widget(name, size=1))
    async with running(manager):
        for name in ("a", "b", "c"):
            await cluster.ready(Key("default", name))
        store, told = recorder.controller.store, []
        await cluster.until(lambda: _true(all(manifest["status"] for manifest in store.list())))
        await asyncio.sleep(0.3)

    def on_event(type_: str, manifest: dict) -> None:  # type: ignore[type-arg]
        told.append((type_, manifest["metadata"]["name"]))

    assert await resync_once(cluster.kube, WIDGETS, store, on_event) == 0
    await cluster.kube.delete(WIDGETS, "a", "default")
    await cluster.kube.patch(WIDGETS, "b", "default", body={"spec": {"size": 5}})
    await cluster.kube.delete(WIDGETS, "c", "default")
    await cluster.kube.create(WIDGETS, widget("c"))
    await cluster.kube.create(WIDGETS, widget("d"))
    assert await resync_once(cluster.kube, WIDGETS, store, on_event) == 4
    assert told == [("DELETED", "a"), ("MODIFIED", "b"), ("DELETED", "c"), ("MODIFIED", "c"), ("MODIFIED", "d")]


async def test_only_the_leader_works_and_the_standby_takes_over_warm(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    fast = ("--lease-enabled=true", "--lease-duration=2", "--lease-deadline=1.5", "--lease-retry=0.2")
    one = cluster.manager(*fast, "--lease-identity=one")
    two = cluster.manager(*fast, "--lease-identity=two")
    with one.scope("widget_maker"):
        first = Recorder(one)
    with two.scope("widget_maker"):
        second = Recorder(two)
    await cluster.kube.create(WIDGETS, widget("a"))
    async with running(one):
        await cluster.ready(A)
        async with running(two):
            lease = await cluster.kube.get(LEASES, "inhaul-widget-maker", "default")
            assert lease["spec"]["holderIdentity"] == "one"
            await asyncio.sleep(0.5)
            assert (first.runs["a"], second.runs["a"]) == (1, 0)
            assert second.controller.store.get(A) is not None
            one.stop()
            await cluster.until(lambda: _true(second.runs["a"] == 1), 3)  # released, so no wait for its end


async def test_claim_all_refuses_to_start_beside_an_upstream_controller(cluster: Cluster) -> None:
    from controllers.api.kustomize import KUSTOMIZATIONS

    labels = {"app.kubernetes.io/component": "kustomize-controller"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kustomize-controller", "namespace": "default", "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    await cluster.kube.create(DEPLOYMENTS, body)
    manager = cluster.manager()

    async def reconcile(key: Key) -> Result:
        return Result()

    manager.controller(KUSTOMIZATIONS, reconcile)
    with pytest.raises(UpstreamRunningError, match="--claim=labelled"):
        await asyncio.wait_for(manager.run(), 10)


async def test_labelled_claims_see_only_what_names_us(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    ours = widget("a")
    ours["metadata"]["labels"] = {"shard": "inhaul"}
    await cluster.kube.create(WIDGETS, ours)
    await cluster.kube.create(WIDGETS, widget("b"))
    manager = cluster.manager()
    runs: Counter[str] = Counter()

    async def reconcile(key: Key) -> Result:
        runs[key.name] += 1
        return Result()

    controller = manager.controller(WIDGETS, reconcile, label_selector="shard=inhaul")
    async with running(manager):
        await cluster.ready(A)
        assert runs == {"a": 1}
        assert controller.store.get(B) is None


async def test_another_writer_of_the_status_is_named_and_never_fought(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    await cluster.kube.create(WIDGETS, widget("a"))
    manager = cluster.manager()
    recorder = Recorder(manager)
    async with running(manager):
        await cluster.ready(A)
        await asyncio.sleep(1.1)  # managedFields have whole seconds
        theirs = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Theirs"}]}}
        await cluster.kube.patch(
            WIDGETS, "a", "default", body=theirs, subresource="status", field_manager="other-controller"
        )
        contended = await cluster.ready(A, "False")
        condition = find(contended["status"], "Ready") or {}
        assert condition["reason"] == "Contended"
        assert "other-controller" in condition["message"]
        await cluster.kube.patch(WIDGETS, "a", "default", body={"spec": {"size": 9}})
        await asyncio.sleep(0.4)
        assert recorder.runs["a"] == 1  # we keep our hands off


async def test_a_silent_watch_fails_the_liveness_probe(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    manager = cluster.manager("--watch-stale=0.4")
    Recorder(manager)
    async with running(manager):
        await cluster.until(lambda: _answers(manager, "/healthz", 503, "widgets: no event or bookmark for"))
        await cluster.kube.create(WIDGETS, widget("a"))
        await cluster.until(lambda: _answers(manager, "/healthz", 200, "ok"))


async def test_sigterm_ends_it_cleanly_and_what_runs_is_unwound(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    await cluster.kube.create(WIDGETS, widget("a"))
    manager = cluster.manager()
    begun, unwound = asyncio.Event(), asyncio.Event()

    async def reconcile(key: Key) -> Result:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            unwound.set()
        return Result()

    manager.controller(WIDGETS, reconcile)
    task = asyncio.create_task(manager.run())
    await asyncio.wait_for(begun.wait(), 10)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)
    assert unwound.is_set()


async def test_a_rooms_task_begins_again_after_a_bug_and_its_watch_may_come_late(cluster: Cluster) -> None:
    await cluster.create_kind(WIDGETS)
    manager = cluster.manager()
    Recorder(manager)
    tries, seen = 0, asyncio.Event()

    async def task() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("bug")
        manager.watch(SECRETS, lambda event: seen.set(), label_selector="owner=us")

    manager.task("reader", task)
    async with running(manager):
        secret = {"metadata": {"name": "s", "namespace": "default", "labels": {"owner": "us"}}}
        await cluster.kube.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", **secret})
        await asyncio.wait_for(seen.wait(), 10)
        assert tries == 2


async def _true(value: bool) -> bool:
    return value


async def _versions(cluster: Cluster) -> dict[str, str]:
    items = (await cluster.kube.list(WIDGETS, metadata_only=True)).items
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}


async def _answers(manager: Manager, path: str, status: int, text: str) -> bool:
    url = f"http://127.0.0.1:{manager.web_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status == status and text in await response.text()
