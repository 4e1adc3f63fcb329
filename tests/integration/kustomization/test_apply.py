"""Stages, health, prune after healthy, immutable fields, encrypted files; what a restart or an idle commit costs."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest

from controllers.api.core import CLUSTER_ROLE_BINDINGS, CONFIGMAPS, CRDS, ROLE_BINDINGS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import load
from controllers.runtime.conditions import find
from controllers.runtime.kube import NotFound
from controllers.runtime.manager import Manager

from .conftest import World, configmap, running

STATUS = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
WIDGETS = Resource("example.dev", "v1", "widgets", "Widget")


def definition() -> str:
    fixed = {
        "type": "string",
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "Value is immutable"}],
    }
    spec = {"type": "object", "properties": {"fixed": fixed, "size": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": spec, "status": STATUS}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    return dump({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.dev"},
        "spec": {"group": "example.dev", "scope": "Namespaced", "names": names, "versions": [version]},
    })  # fmt: skip


def widget(fixed: str, size: int = 1) -> str:
    meta, spec = {"name": "w", "namespace": "team-a"}, {"fixed": fixed, "size": size}
    return dump({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": meta, "spec": spec})


async def admin(world: World, namespace: str) -> None:
    """Makes the tenant's account cluster-admin, for a test that needs cluster-scoped kinds."""
    await world.kube.create(CLUSTER_ROLE_BINDINGS, {
        "metadata": {"name": f"{namespace}-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    })  # fmt: skip


async def start(world: World, files: dict[str, str], **spec: Any) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", dict(files))
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "app", **spec)


async def test_a_definition_and_its_object_come_in_one_commit_and_immutable_fields_need_force(world: World) -> None:
    await start(world, {"app/crd.yaml": definition(), "app/w.yaml": widget("one")})
    await admin(world, "team-a")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        first = await world.kube.get(WIDGETS, "w", "team-a")
        await world.push({"app/w.yaml": widget("two")}, "team-a")
        held = await world.condition("app", "team-a", "False", "ReconciliationFailed")
        assert "Widget/team-a/w dry-run failed (Invalid)" in message(held)
        await world.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"spec": {"force": True}})
        await world.condition("app", "team-a", "True")
        second = await world.kube.get(WIDGETS, "w", "team-a")
        assert second["spec"]["fixed"] == "two" and second["metadata"]["uid"] != first["metadata"]["uid"]


def message(manifest: Manifest) -> str:
    return str((find(manifest["status"], "Ready") or {}).get("message"))


async def test_old_objects_go_only_when_the_new_are_healthy(world: World) -> None:
    definition_of_widgets = load(definition())
    definition_of_widgets["spec"]["versions"][0]["subresources"] = {"status": {}}
    await world.kube.create(CRDS, definition_of_widgets)
    await world.until(lambda: world.kube.served(WIDGETS))
    ready = "status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')"
    stalled = "status.conditions.exists(e, e.type == 'Stalled' && e.status == 'True')"
    expressions = {"apiVersion": "example.dev/v1", "kind": "Widget", "current": ready, "failed": stalled}
    files = {"app/old.yaml": configmap("old", "team-a")}
    await start(world, files, wait=True, healthCheckExprs=[expressions])
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await world.push({"app/old.yaml": None, "app/new.yaml": widget("x", size=1)}, "team-a")
        await tell(world, 1, "Ready", "False", "Starting")
        waiting = await world.condition("app", "team-a", "Unknown", "Progressing")
        assert "Widget/team-a/w: " in message(waiting)
        assert await world.data("old", "team-a") == {}
        await tell(world, 1, "Ready", "True")
        done = await world.condition("app", "team-a", "True")
        assert await world.data("old", "team-a") is None
        assert (find(done["status"], "Healthy") or {})["status"] == "True"

        await world.push({"app/new.yaml": widget("x", size=2), "app/more.yaml": configmap("more", "team-a")}, "team-a")
        await tell(world, 2, "Ready", "True")
        await world.until(lambda: _there(world, "more"))
        await world.push({"app/new.yaml": widget("x", size=3), "app/more.yaml": None}, "team-a")
        await tell(world, 3, "Stalled", "True", "NoSpace")
        failed = await world.condition("app", "team-a", "False", "HealthCheckFailed")
        assert "Widget/team-a/w: Failed: " in message(failed)
        held = find(failed["status"], "PruneHeld")
        assert held is not None and "ConfigMap/team-a/more" in held["message"]
        assert await world.data("more", "team-a") == {}
        commit = await world.push({"app/new.yaml": widget("x", size=4)}, "team-a")
        await tell(world, 4, "Ready", "True")
        done = await world.applied("app", "team-a", commit)
        assert find(done["status"], "PruneHeld") is None
        assert await world.data("more", "team-a") is None
        await world.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"spec": {"wait": False}})
        done = await world.condition("app", "team-a", "True")
        assert find(done["status"], "Healthy") is None, "nobody asks for health any more"


async def tell(world: World, size: int, type_: str, status: str, reason: str = "Told") -> None:
    """What the Widget's own controller says once it sees this size."""
    live: Manifest = {}

    async def seen() -> bool:
        nonlocal live
        live = await world.get(WIDGETS, "w", "team-a") or {}
        return bool(live.get("spec", {}).get("size") == size)

    await world.until(seen)
    condition = {"type": type_, "status": status, "reason": reason, "message": "no luck"}
    now = {"observedGeneration": live["metadata"]["generation"], "conditions": [condition]}
    await world.kube.patch(WIDGETS, "w", "team-a", body={"status": now}, subresource="status")


async def _there(world: World, name: str) -> bool:
    return await world.data(name, "team-a") is not None


async def test_a_sops_file_is_decrypted_with_the_tenants_key(world: World, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    sops = shutil.which("sops", path=f"{Path(sys.executable).parent}") or shutil.which("sops")
    if sops is None:
        pytest.skip("no sops binary to encrypt with")
    plain = tmp_path / "secret.yaml"
    meta = {"name": "db", "namespace": "team-a"}
    plain.write_text(
        dump({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"password": "hunter2"}})
    )
    argv = [sops, "encrypt", "--age", str(identity.to_public()), "--encrypted-regex", "^(data|stringData)$", str(plain)]

    def run() -> bytes:
        return subprocess.run(argv, capture_output=True, check=True, env={"HOME": str(tmp_path)}).stdout

    encrypted = (await asyncio.to_thread(run)).decode()
    await start(world, {"app/secret.yaml": encrypted})
    async with running(world.manager()):
        refused = await world.condition("app", "team-a", "False", "BuildFailed")
        assert "still encrypted" in message(refused)
        await world.secret("sops-keys", "team-a", **{"age.agekey": str(identity)})
        decryption = {"provider": "sops", "secretRef": {"name": "sops-keys"}}
        await world.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"spec": {"decryption": decryption}})
        await world.condition("app", "team-a", "True")
        assert (await world.kube.get(SECRETS, "db", "team-a"))["data"] == {"password": "aHVudGVyMg=="}
        shown = await world.kube.get(KUSTOMIZATIONS, "app", "team-a")
        assert "hunter2" not in str(shown) and "aHVudGVyMg" not in str(shown)


def writes(manager: Manager, plural: str) -> float:
    """PATCH requests on a kind so far, dry runs included."""
    samples = next(metric for metric in manager.metrics.requests.collect()).samples
    return sum(
        each.value
        for each in samples
        if each.name.endswith("_total") and (each.labels["method"], each.labels["resource"]) == ("PATCH", plural)
    )


async def test_a_commit_beside_our_path_builds_and_applies_nothing(world: World) -> None:
    await start(world, {"app/a.yaml": configmap("a", "team-a"), "other/b.yaml": "x: 1\n"})
    manager = world.manager()
    async with running(manager):
        await world.condition("app", "team-a", "True")
        await asyncio.sleep(0.3)
        before = writes(manager, "configmaps")
        commit = await world.push({"other/b.yaml": "x: 2\n"}, "team-a")
        await world.applied("app", "team-a", commit)
        assert writes(manager, "configmaps") == before


async def test_a_run_cut_off_anywhere_is_completed_by_the_next_and_nothing_is_written_twice(world: World) -> None:
    names = [f"c{index:02}" for index in range(20)]
    await start(world, {f"app/{name}.yaml": configmap(name, "team-a", v="1") for name in names})
    for cut in (1, 7, 15):
        manager = world.manager()
        task = asyncio.create_task(manager.run())
        await world.until(lambda cut=cut: _at_least(world, cut))  # type: ignore[misc]
        manager.stop()  # cancels the reconcile where it stands: what is done is done, nothing is said about it
        await task
    before = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in await owned(world)}
    inventory = (await world.kube.get(KUSTOMIZATIONS, "app", "team-a"))["status"]["inventory"]["entries"]
    assert len(inventory) == len(names)  # told before the first object was written
    async with running(world.manager()):
        done = await world.condition("app", "team-a", "True")
        after = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in await owned(world)}
        assert sorted(after) == names
        assert {name: after[name] for name in before} == before
        assert len(done["status"]["inventory"]["entries"]) == len(names)


async def owned(world: World) -> list[Manifest]:
    return (await world.kube.list(CONFIGMAPS, "team-a", label_selector="kustomize.toolkit.fluxcd.io/name=app")).items


async def _at_least(world: World, count: int) -> bool:
    return len(await owned(world)) >= count


async def test_a_tenant_that_lost_its_rights_orphans_nothing_silently(world: World) -> None:
    await start(world, {"app/a.yaml": configmap("a", "team-a")})
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await world.kube.delete(ROLE_BINDINGS, "all", "team-a")
        await world.kube.delete(KUSTOMIZATIONS, "app", "team-a")
        stuck = await world.until(lambda: _stuck(world))
        assert "cannot be deleted" in message(stuck) and await world.data("a", "team-a") == {}


async def _stuck(world: World) -> Manifest | None:
    try:
        found = await world.kube.get(KUSTOMIZATIONS, "app", "team-a")
    except NotFound:
        raise AssertionError("the Kustomization went and left its objects") from None
    return found if (find(found["status"], "Ready") or {}).get("reason") == "PruneFailed" else None
