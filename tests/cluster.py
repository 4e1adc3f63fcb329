"""A cluster for tests: the stand-in (or a given kubeconfig) with our CRDs, an admin client, and managers run on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from controllers.api.core import CRDS, NAMESPACES
from controllers.api.crdgen import crds
from controllers.api.resource import Manifest, Resource
from controllers.runtime.kube import KubeClient, KubeConfig, NotFound
from controllers.runtime.manager import Manager
from controllers.runtime.settings import Settings
from controllers.standin.apiserver import ApiServer

QUIET = {
    "INHAUL_WEB_PORT": "0", "INHAUL_WEB_HOST": "127.0.0.1", "INHAUL_LEASE_ENABLED": "false",
    "INHAUL_EGRESS_ALLOW_LOOPBACK": "true", "INHAUL_NAMESPACE": "inhaul-system",
}  # fmt: skip


class Cluster:
    """`admin` may do everything. `config` is the admin's kubeconfig."""

    def __init__(self, config: KubeConfig) -> None:
        self.config = config
        self.admin = KubeClient(config)

    @classmethod
    @asynccontextmanager
    async def standin(cls, directory: Path) -> AsyncIterator[Cluster]:
        """A stand-in of its own, with all plug-ins, our CRDs and namespace inhaul-system."""
        from controllers.standin.apiserver.plugins import default_plugins

        server = ApiServer(directory, plugins=default_plugins)
        await server.start()
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(server.admin_kubeconfig())
        cluster = cls(KubeConfig.from_file(str(kubeconfig)))
        try:
            for crd in crds():
                await cluster.admin.apply(CRDS, crd, field_manager="test")
            await cluster.namespace("inhaul-system")
            yield cluster
        finally:
            await cluster.admin.close()
            await server.stop()

    async def namespace(self, name: str, **labels: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        await self.admin.apply(NAMESPACES, body, field_manager="test")

    async def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            resource = await self.admin.resource_for(manifest["apiVersion"], manifest["kind"])
            await self.admin.apply(resource, manifest, field_manager="test")

    async def find(self, resource: Resource, name: str, namespace: str = "") -> Manifest | None:
        try:
            return await self.admin.get(resource, name, namespace)
        except NotFound:
            return None

    @asynccontextmanager
    async def managed(self, *modules: ModuleType, **settings: str) -> AsyncIterator[Manager]:
        """A manager with these `handlers` modules, running. Keyword `web_port="0"` is INHAUL_WEB_PORT."""
        async with self.managed_as(self.config, *modules, **settings) as manager:
            yield manager

    @asynccontextmanager
    async def managed_as(self, config: KubeConfig, *modules: ModuleType, **settings: str) -> AsyncIterator[Manager]:
        """A manager that talks to the API server with a kubeconfig of its own."""
        environ = {**QUIET, **{f"INHAUL_{name.upper()}": value for name, value in settings.items()}}
        manager = Manager(Settings.from_args([], environ), config=config)
        for module in modules:
            module.register(manager)
        task = asyncio.create_task(manager.run())
        started = asyncio.create_task(manager.started.wait())
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield manager
        finally:
            manager.stop()
            await task


async def until(look: Callable[[], Awaitable[Any]], *, patience: float = 15.0, what: str = "the wanted state") -> Any:
    """The first true answer. Fails with what was waited for."""
    deadline = time.monotonic() + patience
    while True:
        if found := await look():
            return found
        assert time.monotonic() < deadline, f"waited {patience:g} s for {what}"
        await asyncio.sleep(0.02)


def condition(manifest: Manifest | None, kind: str = "Ready") -> tuple[str, str, str]:
    """Status, reason and message of a condition; empty texts where there is none."""
    for item in ((manifest or {}).get("status") or {}).get("conditions") or []:
        if item["type"] == kind:
            return item["status"], item.get("reason", ""), item.get("message", "")
    return "", "", ""


def names(items: Sequence[Manifest]) -> list[str]:
    return [item["metadata"]["name"] for item in items]
