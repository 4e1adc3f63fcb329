"""The demo's world for the end-to-end tests: one per module, on the stand-in or on a real API server.

INHAUL_E2E_CLUSTER=envtest takes a real kube-apiserver; where there is none, the tests skip and say why.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controllers.api.resource import Manifest, Resource
from controllers.runtime.kube import NotFound
from controllers.standin.demo.narrate import Narrator
from controllers.standin.demo.story import Story
from controllers.standin.demo.world import PAYMENTS, REPOSITORY, World
from tests.cluster import condition, until
from tests.envtest import Envtest, binaries


class Stage:
    """A running world, and the looks that the tests take at it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.narrator = Narrator(quiet=True)
        self.story = Story(world, self.narrator)

    async def find(self, resource: Resource, name: str, namespace: str = PAYMENTS) -> Manifest | None:
        try:
            return await self.world.admin.get(resource, name, namespace)
        except NotFound:
            return None

    async def apply(self, *objects: Manifest) -> None:
        for item in objects:
            resource = await self.world.admin.resource_for(item["apiVersion"], item["kind"])
            await self.world.admin.apply(resource, item, field_manager="test")

    async def until_ready(
        self,
        resource: Resource,
        name: str,
        status: str = "True",
        holds: tuple[str, ...] = (),
        namespace: str = PAYMENTS,
    ) -> str:
        """The message of Ready, once it has this status and holds these texts in reason or message."""
        seen = ("", "", "")

        async def reached() -> bool:
            nonlocal seen
            seen = condition(await self.find(resource, name, namespace))
            return seen[0] == status and all(text in f"{seen[1]}: {seen[2]}" for text in holds)

        try:
            await until(reached, patience=60)
        except AssertionError:
            raise AssertionError(f"{resource.kind} {name} is {seen}, wanted {status} with {holds}") from None
        return seen[2]

    async def step(self, name: str) -> dict[str, float]:
        """Tells one step of the story; its measured seconds."""
        method: Callable[..., Awaitable[str]] = getattr(self.story, name)
        await self.narrator.step(name, name, method)
        told = self.narrator.told[-1]
        assert told.ok, f"{name}: {told.happened}\n{self.log()[-3000:]}"
        return told.measured

    async def restart(self) -> None:
        await self.world.kill(signal.SIGKILL)
        self.world.spawn()

    async def bot_commits(self) -> list[str]:
        said = await self.world.git.git(REPOSITORY, "log", "--author=inhaul@example.com", "--format=%s", "main")
        return [line for line in said.splitlines() if line]

    def log(self) -> str:
        path = self.world.directory / "controllers.log"
        return path.read_text(errors="replace") if path.exists() else ""


def cluster(directory: Path) -> Any:
    """None (the stand-in) or a real API server; skips where that cannot be."""
    wanted = os.environ.get("INHAUL_E2E_CLUSTER", "standin")
    if wanted == "standin":
        return None
    if wanted != "envtest":
        raise pytest.UsageError(f"INHAUL_E2E_CLUSTER is {wanted!r}, expected standin or envtest")
    folder, why = binaries()
    if folder is None:
        pytest.skip(why)
    return Envtest(directory / "envtest")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("world")
    world = World(directory, api=cluster(directory))
    try:
        await world.start()
        world.spawn()
        yield Stage(world)
    finally:
        await world.stop()
