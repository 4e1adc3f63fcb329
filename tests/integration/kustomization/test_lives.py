"""Fields left to others, deletions that wait or are held, inputs and dependencies that wake, tenants that go."""

from __future__ import annotations

import asyncio

from controllers.api.core import CONFIGMAPS, DEPLOYMENTS, NAMESPACES
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.runtime.conditions import find

from .conftest import World, configmap, running
from .test_drift import deployment

CONFIRM = "kustomize.inhaul.dev/confirm-deletion"


async def fleet(world: World, files: dict[str, str], namespace: str = "team-a") -> None:
    await world.tenant(namespace)
    await world.git.create_repo("fleet", files)
    await world.repository(namespace)


async def test_an_ignored_field_keeps_what_others_wrote_through_new_revisions(world: World) -> None:
    await fleet(world, {"app/a.yaml": deployment("team-a")})
    ignore = [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}]
    await world.kustomization("app", "team-a", "app", ignore=ignore)
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        body = {"spec": {"replicas": 9}}
        await world.kube.patch(DEPLOYMENTS, "checkout", "team-a", body=body, field_manager="autoscaler")
        commit = await world.push({"app/a.yaml": deployment("team-a", image="app:2")}, "team-a")
        await world.applied("app", "team-a", commit)
        spec = (await world.kube.get(DEPLOYMENTS, "checkout", "team-a"))["spec"]
        assert spec["replicas"] == 9
        assert spec["template"]["spec"]["containers"][0]["image"] == "app:2"


async def test_many_deletions_at_once_are_held_until_each_is_confirmed(world: World) -> None:
    names = [f"app-{number}" for number in range(8)]
    await fleet(world, {f"{name}/a.yaml": configmap(name, "team-a") for name in names})
    for name in names:
        await world.kustomization(name, "team-a", name)
    async with running(world.manager()):
        for name in names:
            await world.condition(name, "team-a", "True")
        for name in names:
            await world.kube.delete(KUSTOMIZATIONS, name, "team-a")

        async def held() -> list[str]:
            left = (await world.kube.list(KUSTOMIZATIONS, "team-a")).items
            told = [each["metadata"]["name"] for each in left if find(each.get("status"), "DeletionHeld")]
            return told if len(left) == len(told) else []

        kept = await world.until(held)
        assert kept, "some are held"
        for name in kept:
            assert await world.data(name, "team-a") is not None
        for name in kept:
            body = {"metadata": {"annotations": {CONFIRM: "yes"}}}
            await world.kube.patch(KUSTOMIZATIONS, name, "team-a", body=body)

        async def gone() -> bool:
            return not (await world.kube.list(KUSTOMIZATIONS, "team-a")).items

        await world.until(gone)
        for name in names:
            assert await world.data(name, "team-a") is None


async def test_wait_for_termination_keeps_the_kustomization_until_its_objects_are_gone(world: World) -> None:
    await fleet(world, {"app/a.yaml": configmap("a", "team-a")})
    await world.kustomization("app", "team-a", "app", deletionPolicy="WaitForTermination", timeout="1s")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        body = {"metadata": {"finalizers": ["example.com/slow"]}}
        await world.kube.patch(CONFIGMAPS, "a", "team-a", body=body)
        await world.kube.delete(KUSTOMIZATIONS, "app", "team-a")

        async def waits() -> bool:
            ready = find((await world.kube.get(KUSTOMIZATIONS, "app", "team-a"))["status"], "Ready") or {}
            return "waiting for termination of ConfigMap/team-a/a" in ready.get("message", "")

        await world.until(waits)
        await world.kube.patch(CONFIGMAPS, "a", "team-a", body={"metadata": {"finalizers": None}})

        async def gone() -> bool:
            return await world.get(KUSTOMIZATIONS, "app", "team-a") is None

        await world.until(gone)


async def test_a_ready_expression_stands_for_the_dependencys_readiness(world: World) -> None:
    await fleet(world, {"one/a.yaml": configmap("one", "team-a"), "two/a.yaml": configmap("two", "team-a")})
    expression = "dep.metadata.?annotations['open'].orValue('') == 'yes'"
    await world.kustomization("one", "team-a", "one")
    await world.kustomization("two", "team-a", "two", dependsOn=[{"name": "one", "readyExpr": expression}])
    async with running(world.manager()):
        await world.condition("one", "team-a", "True")
        await world.condition("two", "team-a", "False", "DependencyNotReady")
        assert await world.data("two", "team-a") is None
        body = {"metadata": {"annotations": {"open": "yes"}}}
        await world.kube.patch(KUSTOMIZATIONS, "one", "team-a", body=body)
        await world.condition("two", "team-a", "True")


async def test_a_labelled_input_wakes_who_reads_it(world: World) -> None:
    await fleet(world, {"app/a.yaml": configmap("a", "team-a", x="${value}")})
    label = {"reconcile.fluxcd.io/watch": "Enabled"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "one"},
            "metadata": {"name": "vars", "namespace": "team-a", "labels": label}}  # fmt: skip
    await world.kube.create(CONFIGMAPS, body, "team-a")
    source = [{"kind": "ConfigMap", "name": "vars"}]
    await world.kustomization("app", "team-a", "app", postBuild={"substituteFrom": source})
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await world.kube.patch(CONFIGMAPS, "vars", "team-a", body={"data": {"value": "two"}})

        async def second() -> bool:
            return await world.data("a", "team-a") == {"x": "two"}

        await world.until(second)


async def test_twenty_tenants_come_and_go_while_the_others_reconcile(world: World) -> None:
    names = [f"team-{number}" for number in range(20)]
    files = {f"{name}/a.yaml": configmap("a", name, x="1") for name in names}
    await world.git.create_repo("fleet", files)

    async def come(name: str) -> None:
        await world.tenant(name)
        await world.repository(name)
        await world.kustomization("app", name, name)

    async with running(world.manager()):
        await asyncio.gather(*(come(name) for name in names))
        await asyncio.gather(*(world.condition("app", name, "True") for name in names))
        for name in names[::4]:
            await world.kube.delete(NAMESPACES, name)
        commit = await world.git.commit("fleet", {f"{name}/a.yaml": configmap("a", name, x="2") for name in names})
        stay = [name for name in names if name not in names[::4]]
        await asyncio.gather(*(world.poke(name) for name in stay))
        await asyncio.gather(*(world.applied("app", name, commit) for name in stay))
        for name in stay:
            assert await world.data("a", name) == {"x": "2"}

        async def away() -> bool:
            there = {each["metadata"]["name"] for each in (await world.kube.list(NAMESPACES)).items}
            return not there & set(names[::4])

        await world.until(away, 30)
