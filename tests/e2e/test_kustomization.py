"""Kustomizations on a cluster, by a controller process with an installation's rights: one story after the other.

On the stand-in and on a real API server alike (`make e2e CLUSTER=envtest`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from controllers.api.core import DEPLOYMENTS, NAMESPACES
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.source import GIT_REPOSITORIES
from controllers.runtime.conditions import find
from tests.integration.kustomization.conftest import configmap
from tests.integration.kustomization.test_apply import WIDGETS, admin, definition, message, widget
from tests.integration.kustomization.test_drift import HELD, deployment

from .fleet import Fleet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    fleet = await Fleet.open(tmp_path_factory.mktemp("fleet"))
    try:
        await fleet.git.create_repo("fleet", {"README": "x"})
        fleet.spawn()
        yield fleet
    finally:
        await fleet.close()


async def tenant(fleet: Fleet, name: str, files: dict[str, str], **spec: Any) -> None:
    """A tenant with a GitRepository of its own and one Kustomization `app` of the folder with its name."""
    await fleet.tenant(name)
    await fleet.git.commit("fleet", {f"{name}/{path}": text for path, text in files.items()})
    await fleet.repository(name)
    await fleet.kustomization("app", name, name, **spec)


async def annotate(fleet: Fleet, name: str, **marks: str | None) -> None:
    named = {f"drift.inhaul.dev/{mark}": value for mark, value in marks.items()}
    await fleet.kube.patch(KUSTOMIZATIONS, "app", name, body={"metadata": {"annotations": named}})


async def replicas(fleet: Fleet, name: str) -> int:
    return int((await fleet.kube.get(DEPLOYMENTS, "checkout", name))["spec"]["replicas"])


async def by_hand(fleet: Fleet, name: str, number: int) -> None:
    body = {"spec": {"replicas": number}}
    await fleet.kube.patch(DEPLOYMENTS, "checkout", name, body=body, field_manager="kubectl-edit")


async def test_a_hand_edit_is_undone_in_dev(fleet: Fleet) -> None:
    await tenant(fleet, "dev", {"a.yaml": deployment("dev")})
    await fleet.condition("app", "dev", "True")
    await by_hand(fleet, "dev", 5)

    async def undone() -> bool:
        return await replicas(fleet, "dev") == 2

    await fleet.until(undone)


async def test_a_hand_edit_is_held_in_prod_through_a_new_revision_and_released(fleet: Fleet) -> None:
    await tenant(fleet, "prod", {"a.yaml": deployment("prod")})
    await annotate(fleet, "prod", mode="Alert")
    await fleet.condition("app", "prod", "True")
    began = time.time()
    await by_hand(fleet, "prod", 5)
    found = await fleet.condition("app", "prod", "False", "DriftDetected")
    (held,) = json.loads(found["metadata"]["annotations"][HELD])
    assert (held["path"], held["wanted"], held["live"], held["manager"]) == ("/spec/replicas", "2", "5", "kubectl-edit")
    assert held["time"][:10] in {time.strftime("%Y-%m-%d", time.gmtime(at)) for at in (began, time.time())}
    assert "/spec/replicas: Git has 2, live 5 (kubectl-edit, Update, " in message(found)

    commit = await fleet.push({"prod/a.yaml": deployment("prod", replicas=3, image="app:2")}, "prod")

    async def newer() -> bool:
        found = await fleet.condition("app", "prod", "False", "DriftDetected")
        return bool(found["status"].get("lastAppliedRevision", "").endswith(commit))

    await fleet.until(newer)
    spec = (await fleet.kube.get(DEPLOYMENTS, "checkout", "prod"))["spec"]
    assert (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]) == (5, "app:2")

    await fleet.inhaul("drift", "release", "app", "-n", "prod")
    await fleet.condition("app", "prod", "True", "ReconciliationSucceeded")
    assert await replicas(fleet, "prod") == 3


async def test_what_leaves_git_leaves_the_cluster(fleet: Fleet) -> None:
    await tenant(fleet, "prune", {name: configmap(name[0], "prune") for name in ("a.yaml", "b.yaml")})
    await fleet.condition("app", "prune", "True")
    await fleet.applied("app", "prune", await fleet.push({"prune/b.yaml": None}, "prune"))
    assert await fleet.data("a", "prune") == {}
    assert await fleet.data("b", "prune") is None


async def test_a_chain_of_five_follows_within_ten_seconds(fleet: Fleet) -> None:
    names = [f"step-{index}" for index in range(5)]
    await fleet.tenant("chain")
    await fleet.git.commit("fleet", {f"chain/{name}/cm.yaml": configmap(name, "chain") for name in names})
    await fleet.repository("chain")
    await fleet.condition("fleet", "chain", "True", resource=GIT_REPOSITORIES)
    began = time.monotonic()
    for index, name in reversed(list(enumerate(names))):
        before = [{"name": names[index - 1]}] if index else []
        await fleet.kustomization(name, "chain", f"chain/{name}", dependsOn=before, wait=True)
    await fleet.condition(names[-1], "chain", "True")
    print(f"a chain of five: {time.monotonic() - began:.1f} s")
    moments = [await fleet.condition(name, "chain", "True") for name in names]
    order = [(find(found["status"], "Ready") or {})["lastTransitionTime"] for found in moments]
    assert order == sorted(order)


async def test_a_definition_comes_with_its_object_and_immutable_fields_need_force(fleet: Fleet) -> None:
    await fleet.tenant("team-a")
    await admin(fleet, "team-a")
    await fleet.git.commit("fleet", {"crd/crd.yaml": definition(), "crd/w.yaml": widget("one")})
    await fleet.repository("team-a")
    await fleet.kustomization("app", "team-a", "crd")
    await fleet.condition("app", "team-a", "True")
    first = await fleet.kube.get(WIDGETS, "w", "team-a")
    await fleet.push({"crd/w.yaml": widget("two")}, "team-a")
    refused = await fleet.condition("app", "team-a", "False", "ReconciliationFailed")
    assert "Widget/team-a/w" in message(refused) and "immutable" in message(refused)
    await fleet.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"spec": {"force": True}})
    await fleet.condition("app", "team-a", "True")
    second = await fleet.kube.get(WIDGETS, "w", "team-a")
    assert second["spec"]["fixed"] == "two" and second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_twenty_tenants_write_in_their_own_namespaces_only_while_others_are_torn_down(fleet: Fleet) -> None:
    names = [f"team-{number}" for number in range(20)]
    thief = {f"{names[0]}/stolen.yaml": configmap("stolen", names[1])}
    files = {f"{name}/a.yaml": configmap("a", name, x="1") for name in names}
    await fleet.git.commit("fleet", files)

    async def come(name: str) -> None:
        await fleet.tenant(name)
        await fleet.repository(name)
        await fleet.kustomization("app", name, name)

    await asyncio.gather(*(come(name) for name in names))
    await asyncio.gather(*(fleet.condition("app", name, "True") for name in names))
    away = names[2::4]
    for name in away:
        await fleet.kube.delete(NAMESPACES, name)
    stay = [name for name in names[1:] if name not in away]
    commit = await fleet.git.commit("fleet", thief | {f"{n}/a.yaml": configmap("a", n, x="2") for n in names})
    await asyncio.gather(*(fleet.poke(name) for name in (names[0], *stay)))
    await asyncio.gather(*(fleet.applied("app", name, commit) for name in stay))
    assert [await fleet.data("a", name) for name in stay] == [{"x": "2"}] * len(stay)
    refused = await fleet.condition("app", names[0], "False", "ReconciliationFailed")
    assert f"system:serviceaccount:{names[0]}:default" in message(refused)
    assert await fleet.data("stolen", names[1]) is None

    async def gone() -> bool:
        there = {each["metadata"]["name"] for each in (await fleet.kube.list(NAMESPACES)).items}
        return not there & set(away)

    await fleet.until(gone)
