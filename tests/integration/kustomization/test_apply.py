"""Stages, health, prune after healthy, immutable fields, encrypted files; what a restart or an idle commit costs."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyrage
import pytest

from controllers.api.core import CONFIGMAPS, DEPLOYMENTS, ROLE_BINDINGS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.kustomization.yamldump import dump
from controllers.runtime.conditions import find
from controllers.runtime.kube import NotFound
from controllers.runtime.manager import Manager

from .conftest import World, configmap, running

WIDGETS = Resource("example.dev", "v1", "widgets", "Widget")


def definition() -> str:
    fixed = {
        "type": "string",
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "Value is immutable"}],
    }
    spec = {"type": "object", "properties": {"fixed": fixed, "size": {"type": "integer"}}}
    version = {"name": "v1", "served": True, "storage": True,
               "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}  # fmt: skip
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    return dump({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.dev"},
        "spec": {"group": "example.dev", "scope": "Namespaced", "names": names, "versions": [version]},
    })  # fmt: skip


def widget(fixed: str) -> str:
    meta = {"name": "w", "namespace": "team-a"}
    return dump({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": meta, "spec": {"fixed": fixed}})


def deployment(image: str, name: str = "app") -> str:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    meta = {"name": name, "namespace": "team-a"}
    return dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})


async def admin(world: World, namespace: str) -> None:
    """Makes the tenant's account cluster-admin, for a test that needs cluster-scoped kinds."""
    from controllers.api.core import CLUSTER_ROLE_BINDINGS

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
    await start(world, {"app/old.yaml": configmap("old", "team-a")}, wait=True)
    async with running(world.manager("--web-port=0")):
        await world.condition("app", "team-a", "True")
        await world.push({"app/old.yaml": None, "app/new.yaml": deployment("app:1")}, "team-a")
        waiting = await world.condition("app", "team-a", "Unknown", "Progressing")
        assert "Deployment/team-a/app: InProgress" in message(waiting)
        assert await world.data("old", "team-a") == {}
        await roll_out(world)
        done = await world.condition("app", "team-a", "True")
        assert await world.data("old", "team-a") is None
        assert find(done["status"], "Healthy")["status"] == "True"  # type: ignore[index]

        await world.push({"app/new.yaml": deployment("app:2"), "app/more.yaml": configmap("more", "team-a")}, "team-a")
        await world.until(lambda: _there(world, "more"))
        commit = await world.push({"app/more.yaml": None}, "team-a")
        await world.until(lambda: _attempted(world, commit))
        await roll_out(world, failed=True)
        failed = await world.condition("app", "team-a", "False", "HealthCheckFailed")
        assert "Progress deadline exceeded" in message(failed)
        held = find(failed["status"], "PruneHeld")
        assert held is not None and "ConfigMap/team-a/more" in held["message"]
        assert await world.data("more", "team-a") == {}
        commit = await world.push({"app/new.yaml": deployment("app:3")}, "team-a")
        await world.until(lambda: _image(world, "app:3"))
        await roll_out(world)
        done = await world.applied("app", "team-a", commit)
        assert find(done["status"], "PruneHeld") is None
        assert await world.data("more", "team-a") is None


async def _there(world: World, name: str) -> bool:
    return await world.data(name, "team-a") is not None


async def _attempted(world: World, commit: str) -> bool:
    found = await world.kube.get(KUSTOMIZATIONS, "app", "team-a")
    return str(found["status"].get("lastAttemptedRevision")).endswith(commit)


async def _image(world: World, image: str) -> bool:
    live = await world.kube.get(DEPLOYMENTS, "app", "team-a")
    return bool(live["spec"]["template"]["spec"]["containers"][0]["image"] == image)


async def roll_out(world: World, *, failed: bool = False) -> None:
    """What the Deployment controller writes when a rollout is through, or stuck."""
    live = await world.kube.get(DEPLOYMENTS, "app", "team-a")
    reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable"
    conditions = [
        {"type": "Progressing", "status": "False" if failed else "True", "reason": reason},
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
    ]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    status = {"observedGeneration": live["metadata"]["generation"], "conditions": conditions, **counts}
    await world.kube.patch(DEPLOYMENTS, "app", "team-a", body={"status": status}, subresource="status")


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
    run = partial(subprocess.run, argv, capture_output=True, check=True, env={"HOME": str(tmp_path)})
    encrypted = (await asyncio.to_thread(run)).stdout.decode()
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
