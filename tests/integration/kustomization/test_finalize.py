"""A Kustomization whose service account does not exist can be deleted; one whose account has no rights says why not."""

from __future__ import annotations

from controllers.api.core import EVENTS, ROLE_BINDINGS, SERVICE_ACCOUNTS
from controllers.api.kustomize import KUSTOMIZATIONS

from .conftest import World, configmap, running


async def gone(world: World, name: str) -> bool:
    return await world.get(KUSTOMIZATIONS, name, "team-a") is None


async def test_a_kustomization_that_never_applied_anything_can_be_deleted(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "./app", serviceAccountName="nobody")
    async with running(world.manager()):
        await world.condition("app", "team-a", "False", "ReconciliationFailed")
        await world.kube.delete(KUSTOMIZATIONS, "app", "team-a")
        await world.until(lambda: gone(world, "app"))


async def test_objects_that_are_left_because_the_account_is_gone_are_named(world: World) -> None:
    await world.tenant("team-a")
    if await world.get(SERVICE_ACCOUNTS, "default", "team-a") is None:
        await world.make(SERVICE_ACCOUNTS, "default", "team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "./app")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await world.kube.delete(ROLE_BINDINGS, "all", "team-a")
        await world.kube.delete(KUSTOMIZATIONS, "app", "team-a")
        await world.condition(
            "app", "team-a", "False", "PruneFailed"
        )  # the account exists: somebody can mend its rights
        await world.kube.delete(SERVICE_ACCOUNTS, "default", "team-a")
        await world.until(lambda: gone(world, "app"), seconds=40)
        assert await world.data("app", "team-a") == {"x": "1"}

        async def announced() -> bool:
            events = (await world.kube.list(EVENTS, "team-a")).items
            return any("does not exist" in str(each.get("note")) and "ConfigMap" in str(each.get("note"))
                       for each in events)  # fmt: skip

        await world.until(announced)
