"""A Manager on the embedded API server, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controllers.api.core import CRDS
from controllers.api.resource import Key, Manifest, Resource
from controllers.runtime.conditions import find
from controllers.runtime.kube import KubeClient, KubeConfig
from controllers.runtime.manager import Manager
from controllers.runtime.settings import Settings
from controllers.standin.apiserver import ApiServer

WIDGETS = Resource("example.dev", "v1", "widgets", "Widget")
GADGETS = Resource("example.dev", "v1", "gadgets", "Gadget")


def crd(resource: Resource) -> Manifest:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {"plural": resource.plural, "singular": resource.kind.lower(), "kind": resource.kind},
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
                    },
                }
            ],
        },
    }


def widget(name: str, namespace: str = "default", **spec: Any) -> Manifest:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": WIDGETS.api_version, "kind": WIDGETS.kind, "metadata": meta, "spec": spec}


@dataclass
class Cluster:
    """The server and a client of its own, apart from the Manager's."""

    server: ApiServer
    config: KubeConfig
    kube: KubeClient
    directory: Path
    failures: list[str] = field(default_factory=list)

    async def create_kind(self, resource: Resource) -> None:
        await self.kube.create(CRDS, crd(resource))
        await self.until(lambda: self.kube.served(resource))

    async def ready(self, key: Key, status: str = "True", resource: Resource = WIDGETS) -> Manifest:
        """The object, once its Ready has this status for its generation."""
        found: Manifest = {}

        async def reached() -> bool:
            nonlocal found
            found = await self.kube.get(resource, key.name, key.namespace)
            current = found.get("status") or {}
            condition = find(current, "Ready") or {}
            generation = found["metadata"]["generation"]
            return condition.get("status") == status and current.get("observedGeneration") == generation

        await self.until(reached)
        return found

    async def until(self, question: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not await question():  # noqa: ASYNC110 - the server is another process in spirit
                await asyncio.sleep(0.03)

    def manager(self, *flags: str) -> Manager:
        base = ("--web-port=0", "--web-host=127.0.0.1", "--lease-enabled=false")
        return Manager(Settings.from_args((*base, *flags), environ={}), config=self.config)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    server = ApiServer(tmp_path / "apiserver")
    (tmp_path / "apiserver").mkdir()
    await server.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(server.admin_kubeconfig())
    config = KubeConfig.from_file(str(kubeconfig))
    try:
        async with KubeClient(config) as kube:
            yield Cluster(server, config, kube, tmp_path)
    finally:
        await server.stop()


@asynccontextmanager
async def running(manager: Manager, *, warm: bool = True) -> AsyncIterator[Manager]:
    """The manager while it runs; its own exception is the test's."""
    task = asyncio.create_task(manager.run())
    try:
        if warm:
            started = asyncio.ensure_future(manager.started.wait())
            await asyncio.wait({started, task}, timeout=15, return_when=asyncio.FIRST_COMPLETED)
            assert started.done(), "the manager did not start"
        yield manager
    finally:
        manager.stop()
        await asyncio.wait_for(task, 15)
