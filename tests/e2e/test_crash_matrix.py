"""The controller is killed at each step of a run; what the next one leaves is what an undisturbed run leaves.

Steps are requests, seen by a proxy between controller and API server: the process dies before the request is carried
out, or after it was and before its answer is read. Each case is a tenant of its own that goes from one revision to the
next: a changed object, a new one, one that left Git, and a Namespace that is applied in a stage before them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from controllers.api.core import CONFIGMAPS, DEPLOYMENTS, NAMESPACES
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest
from controllers.runtime.conditions import find
from tests.integration.kustomization.conftest import configmap
from tests.integration.kustomization.test_apply import admin
from tests.integration.kustomization.test_drift import deployment

from .fleet import Cutter, Fleet, Rule

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
CALM = "calm"


@dataclass(frozen=True)
class Step:
    """A request of a run, by method and what path and body hold. `{ns}` is the tenant, `{commit}` the new one."""

    name: str
    method: str
    path: str
    body: str = ""

    def rule(self, namespace: str, commit: str) -> Rule:
        path, body = (text.format(ns=namespace, commit=commit) for text in (self.path, self.body))

        def matches(method: str, raw: str, content: bytes) -> bool:
            written = method == self.method and "dryRun" not in raw
            return written and raw.partition("?")[0].endswith(path) and body.encode() in content

        return matches


STATUS = "/namespaces/{ns}/kustomizations/app/status"
STEPS = (
    Step("fetch", "PATCH", "/namespaces/{ns}/gitrepositories/fleet/status", "{commit}"),
    Step("inventory", "PATCH", STATUS, "{ns}_new__ConfigMap"),
    Step("stage-one", "PATCH", "/api/v1/namespaces/{ns}-more"),
    Step("stage-two-new", "PATCH", "/namespaces/{ns}/configmaps/new"),
    Step("stage-two-changed", "PATCH", "/namespaces/{ns}/deployments/checkout"),
    Step("health", "PATCH", STATUS, '"type":"Healthy"'),
    Step("prune", "DELETE", "/namespaces/{ns}/configmaps/old"),
    Step("status", "PATCH", STATUS, '"lastAppliedRevision":"main@sha1:{commit}"'),
)
QUICK = [(step, True) for step in STEPS]
ALL = [pytest.param(step, False, marks=pytest.mark.slow) for step in STEPS]


def name_of(step: Step, after: bool) -> str:
    return f"{step.name}-{'after' if after else 'before'}"


def first(name: str) -> dict[str, str | bytes | None]:
    return {
        f"{name}/more.yaml": f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}-more}}\n",
        f"{name}/changed.yaml": deployment(name),
        f"{name}/same.yaml": configmap("same", name, x="1"),
        f"{name}/old.yaml": configmap("old", name, x="1"),
    }


def second(name: str) -> dict[str, str | bytes | None]:
    labelled = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}-more, labels: {{tier: two}}}}\n"
    return {
        f"{name}/more.yaml": labelled,
        f"{name}/changed.yaml": deployment(name, image="app:2"),
        f"{name}/new.yaml": configmap("new", name, x="2"),
        f"{name}/old.yaml": None,
    }


@dataclass
class Matrix:
    """Tenants, one for each case and one that nobody disturbs; all at the first revision."""

    fleet: Fleet
    cutter: Cutter

    async def come(self, name: str) -> None:
        await self.fleet.tenant(name)
        await admin(self.fleet, name)
        await self.fleet.repository(name)
        await self.fleet.kustomization("app", name, name, wait=True)
        await self.fleet.condition("app", name, "True")

    async def move(self, name: str, step: Step | None = None, *, after: bool = True) -> None:
        """To the second revision; with a step, the controller dies there, and another one takes over."""
        commit = await self.fleet.git.commit("fleet", second(name))
        if step is not None:
            self.cutter.arm(step.rule(name, commit), after=after)
        await self.fleet.poke(name)
        if step is not None:
            async with asyncio.timeout(60):
                await self.cutter.cut.wait()
            self.fleet.spawn()
        await self.fleet.applied("app", name, commit)

    async def outcome(self, name: str) -> dict[str, Any]:
        """What a run leaves, with the tenant's name taken out: objects, their owners and writes, inventory, Ready."""
        kube = self.fleet.kube
        listed = [*(await kube.list(CONFIGMAPS, name)).items, *(await kube.list(DEPLOYMENTS, name)).items]
        listed.append(await kube.get(NAMESPACES, f"{name}-more"))
        app = await kube.get(KUSTOMIZATIONS, "app", name)
        status = app["status"]
        found = {
            "objects": [_essence(each) for each in listed],
            "inventory": sorted(entry["id"] for entry in status["inventory"]["entries"]),
            "conditions": sorted([each["type"], each["status"], each["reason"]] for each in status["conditions"]),
            "generation": (status["observedGeneration"], app["metadata"]["generation"]),
            "finalizers": app["metadata"]["finalizers"],
            "held": find(status, "PruneHeld"),
        }
        same: dict[str, Any] = json.loads(json.dumps(found).replace(name, "NS"))
        return {**same, "objects": sorted(same["objects"], key=json.dumps)}


def _essence(item: Manifest) -> Manifest:
    meta = item["metadata"]
    owners = [
        {part: entry.get(part) for part in ("manager", "operation", "fieldsV1")}
        for entry in meta.get("managedFields") or []
        if entry["manager"] == "kustomize-controller"
    ]
    return {
        "name": meta["name"],
        "labels": meta.get("labels"),
        "generation": meta.get("generation"),
        "owners": owners,
        "spec": item.get("spec"),
        "data": item.get("data") if meta["name"] != "kube-root-ca.crt" else None,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Matrix]:
    fleet = await Fleet.open(tmp_path_factory.mktemp("fleet"))
    cutter = Cutter(fleet)
    made = Matrix(fleet, cutter)
    wanted = [item.callspec.params for item in request.session.items if item.path == request.path]  # type: ignore[attr-defined]
    names = [name_of(case["step"], case["after"]) for case in wanted]
    try:
        await cutter.start()
        await fleet.lead(cutter.url)
        files = {path: text for name in (CALM, *names) for path, text in first(name).items()}
        await fleet.git.create_repo("fleet", files)
        fleet.spawn()
        await asyncio.gather(*(made.come(name) for name in (CALM, *names)))
        await made.move(CALM)
        yield made
    finally:
        await fleet.close()
        await cutter.stop()


@pytest.mark.parametrize(
    ("step", "after"),
    [*QUICK, *ALL],
    ids=lambda value: value.name if isinstance(value, Step) else "after" if value else "before",
)
async def test_what_is_left_is_what_an_undisturbed_run_leaves(matrix: Matrix, step: Step, after: bool) -> None:
    name = name_of(step, after)
    await matrix.move(name, step, after=after)
    found = await matrix.outcome(name)
    assert found == await matrix.outcome(CALM)
    assert [each["name"] for each in found["objects"] if each["data"]] == ["new", "same"]
