"""A wait for health holds nobody: not its own Kustomization's next revision, and no other Kustomization."""

from __future__ import annotations

from functools import partial

from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.runtime.conditions import find

from .conftest import World, configmap, running

NEVER = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: team-a}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""
"""Nobody runs Deployments here, so it never comes up."""


async def waits(world: World, name: str) -> bool:
    ready = find((await world.kube.get(KUSTOMIZATIONS, name, "team-a")).get("status"), "Ready") or {}
    return ready.get("status") == "Unknown" and "waiting for health: Deployment/team-a/web" in ready.get("message", "")


async def test_a_newer_revision_ends_the_wait_for_the_older_one(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/web.yaml": NEVER})
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "app", wait=True, timeout="10m")
    async with running(world.manager()):
        await world.until(partial(waits, world, "app"), 30)
        commit = await world.push({"app/web.yaml": configmap("web", "team-a", fixed="yes")}, "team-a")
        await world.applied("app", "team-a", commit)
        assert await world.data("web", "team-a") == {"fixed": "yes"}


async def test_five_that_never_come_up_hold_up_no_sixth_with_one_worker(world: World) -> None:
    await world.tenant("team-a")
    files: dict[str, str | bytes | None] = {
        f"bad-{number}/web.yaml": NEVER.replace("web,", f"web-{number},") for number in range(5)
    }
    await world.git.create_repo("fleet", {**files, "good/cm.yaml": configmap("good", "team-a", x="1")})
    await world.repository("team-a")
    for number in range(5):
        await world.kustomization(f"bad-{number}", "team-a", f"bad-{number}", wait=True, timeout="10m")
    async with running(world.manager(INHAUL_KUSTOMIZATION_CONCURRENT="1")):
        for number in range(5):
            await world.until(partial(waits, world, f"bad-{number}"), 30)
        await world.kustomization("good", "team-a", "good", wait=True)
        await world.condition("good", "team-a", "True")
