"""Workloads and Secrets as restart on change meets them, and what a test asks of them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from controllers.api.core import DAEMON_SETS, DEPLOYMENTS, SECRETS, STATEFUL_SETS
from controllers.api.resource import Manifest, Resource
from controllers.restart.decide import RESTARTED_FOR, SEEN
from controllers.runtime.kube import AlreadyExists, KubeClient, NotFound
from tests.cluster import until

NAMESPACE = "shop"
QUICK = {"restart_enabled": "true", "restart_window": "0.3", "restart_pause": "0", "restart_spacing": "0"}
AUTO = {"reloader.stakater.com/auto": "true"}


def pod_of(name: str) -> dict[str, Any]:
    """A Pod that reads the whole of a Secret into its environment."""
    return {"containers": [{"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": name}}]}]}


@dataclass
class Shop:
    """One namespace of workloads."""

    kube: KubeClient
    namespace: str = NAMESPACE
    ticks: dict[str, int] = field(default_factory=dict)
    templates: dict[tuple[str, str], list[Manifest]] = field(default_factory=dict)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Shop]:
        """While Pod templates are watched."""
        tasks = [asyncio.create_task(self._watch(kind)) for kind in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, kind: Resource) -> None:
        listed = await self.kube.list(kind, self.namespace)
        for item in listed.items:
            self._note(kind, item)
        async for event in self.kube.watch(kind, self.namespace, resource_version=listed.resource_version):
            if event.type in ("ADDED", "MODIFIED"):
                self._note(kind, event.object)

    def _note(self, kind: Resource, workload: Manifest) -> None:
        seen = self.templates.setdefault((kind.kind, workload["metadata"]["name"]), [])
        if not seen or seen[-1] != workload["spec"]["template"]:
            seen.append(workload["spec"]["template"])

    async def secret(self, name: str, annotations: dict[str, str] | None = None, **data: str) -> Manifest:
        """Creates a Secret or puts it in place, whole."""
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        meta = {"name": name, "namespace": self.namespace, "annotations": annotations or {}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": coded}
        try:
            return await self.kube.create(SECRETS, body)
        except AlreadyExists:
            return await self.kube.replace(SECRETS, body)

    async def workload(
        self, name: str, pod: dict[str, Any], kind: Resource = DEPLOYMENTS, *, annotations: Any = None, **spec: Any
    ) -> None:
        labels = {"app": name}
        pod = {"containers": [{"name": "app", "image": "app:1"}], **pod}
        fields = {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **({"serviceName": name} if kind.kind == "StatefulSet" else {}),
            **spec,
        }
        meta = {"name": name, "namespace": self.namespace, "annotations": AUTO if annotations is None else annotations}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": fields}
        await self.kube.create(kind, body)

    async def get(self, name: str, kind: Resource = DEPLOYMENTS) -> Manifest:
        return await self.kube.get(kind, name, self.namespace)

    async def recorded(self, *names: str, kind: Resource = DEPLOYMENTS) -> None:
        """Waits until what the workloads' Pods were started with is recorded."""

        async def all_are() -> bool:
            found = [await self.get(name, kind) for name in names]
            return all(SEEN in (each["metadata"].get("annotations") or {}) for each in found)

        await until(all_are, patience=30, what=f"a record on {', '.join(names)}")

    async def rollouts(self, name: str, kind: Resource = DEPLOYMENTS) -> int:
        """How often the Pod template became another, as a watch saw it. The generation would not tell: a real API
        server counts a Deployment's annotations too."""
        now = (await self.get(name, kind))["spec"]["template"]

        async def seen() -> bool:
            return bool(self.templates.get((kind.kind, name), [None])[-1] == now)

        await until(seen, patience=30, what=f"the watch to tell the template of {kind.kind} {name}")
        return len(self.templates[kind.kind, name]) - 1

    async def until_rollouts(self, name: str, wanted: int, kind: Resource = DEPLOYMENTS) -> Manifest:
        """The workload, once its template changed so often, and not oftener."""

        async def reached() -> bool:
            return len(self.templates.get((kind.kind, name), ())) > wanted

        await until(reached, patience=30, what=f"rollout {wanted} of {kind.kind} {name}")
        assert await self.rollouts(name, kind) == wanted
        return await self.get(name, kind)

    async def settled(self, name: str = "clock") -> None:
        """Waits until a change made now has been acted on, and so every earlier one: a workload made for that."""
        tick = self.ticks[name] = self.ticks.get(name, 0) + 1
        await self.secret(name, tick=str(tick))
        try:
            before = await self.rollouts(name)
        except NotFound:
            await self.workload(name, pod_of(name))
            await self.recorded(name)
            return await self.settled(name)
        await self.until_rollouts(name, before + 1)
        return None


def restarted_for(workload: Manifest) -> str:
    annotations = workload["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(RESTARTED_FOR, ""))
