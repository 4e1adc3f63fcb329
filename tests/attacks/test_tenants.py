"""A tenant who may push to his paths and create Kustomizations in his namespace, against the API server's decision.

Every attack is a directory of one repository, applied twice: by a tenant with all rights in his own namespace, who is
refused and changes nothing, and by one whose service account is bound to cluster-admin, for whom it works. What the
tenant was missing is the right, and not a working attack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controllers.api.core import CONFIGMAPS, NAMESPACES, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.kustomization import handlers
from controllers.runtime.conditions import find
from controllers.runtime.manager import Manager
from controllers.runtime.settings import Settings
from tests.attacks import attack, attacks
from tests.cluster import QUIET
from tests.integration.kustomization.conftest import World, configmap, running, world

__all__ = ["world"]

CLUSTER_ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: evil}\nrules: []\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: evil}\n"
BINDING = (
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: evil}\n"
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
    "subjects: [{kind: ServiceAccount, name: default, namespace: mallory}]\n"
)
FILES = {
    "other": configmap("planted", "victim"), "role": CLUSTER_ROLE, "namespace": NAMESPACE, "binding": BINDING,
    "clash": configmap("settings", "victim", owner="mallory"), "plain": configmap("mine"),
    "own": configmap("mine", "mallory"),
    "mixed": configmap("first") + "---\n" + configmap("planted", "victim"),
}  # fmt: skip
SOURCE = {"kind": "GitRepository", "name": "fleet"}
ATTACKS: dict[str, dict[str, Any]] = {
    "other": {"path": "other"}, "role": {"path": "role"}, "namespace": {"path": "namespace"},
    "binding": {"path": "binding"}, "clash": {"path": "clash"}, "mixed": {"path": "mixed"},
    "target-namespace": {"path": "plain", "targetNamespace": "victim"},
}  # fmt: skip
ALWAYS: dict[str, dict[str, Any]] = {
    "colon": {"path": "own", "serviceAccountName": "default:x"},
    "climb": {"path": "own", "serviceAccountName": "../../victim/default"},
    "masters": {"path": "own", "serviceAccountName": "system:masters"},
    "nobody": {"path": "own", "serviceAccountName": "gone"},
    "elsewhere": {"path": "own", "kubeConfig": {"secretRef": {"name": "admin"}}},
    "secret-path": {"path": "own", "postBuild": {"substituteFrom": [{"kind": "Secret", "name": "../../victim/x"}]}},
    "key-path": {"path": "own", "decryption": {"provider": "sops", "secretRef": {"name": "../../victim/x"}}},
    "foreign-source": {"path": "own", "sourceRef": {**SOURCE, "namespace": "root"}},
    "path": {"path": "../../etc"},
}
"""Refused whatever the rights are."""


def strict(world: World) -> Manager:
    environ = {**QUIET, "INHAUL_KUSTOMIZATION_NO_CROSS_NAMESPACE_REFS": "true",
               "INHAUL_KUSTOMIZATION_MIRRORS": str(world.directory / "mirrors")}  # fmt: skip
    made = Manager(Settings.from_args((), environ=environ), config=world.config)
    handlers.register(made)
    return made


WITH_RIGHTS = [
    "Object in another tenant's namespace", "Cluster-scoped kind (ClusterRole)", "Namespace of one's own making",
    "ClusterRoleBinding to cluster-admin", "Name clash with another tenant's object",
    "`targetNamespace` of another tenant",
]  # fmt: skip


def listed(test: Any) -> Any:
    """Puts the attacks on the test that runs them all."""
    for mark in attacks("tenancy", WITH_RIGHTS, guard="the API server: every apply is impersonated, and dry-run first",
                        without="a service account bound to cluster-admin applies it"):  # fmt: skip
        test = mark(test)
    return test


@listed
async def test_a_tenant_reaches_nothing_beyond_his_namespace_and_an_admin_would(world: World, tmp_path: Path) -> None:
    await world.git.create_repo("fleet", {f"{name}/x.yaml": text for name, text in FILES.items()})
    for name in ("victim", "mallory", "root"):
        await world.tenant(name)
    bindings = await world.kube.resource_for("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
    await world.make(CONFIGMAPS, "settings", "victim", data={"owner": "victim"})
    await world.secret("x", "victim", KEY="hidden-value")
    for name in ("mallory", "root"):
        await world.repository(name)
    async with running(strict(world)):
        for name, spec in (ATTACKS | ALWAYS).items():
            await world.kustomization(name, "mallory", **spec)
        forged = [{"id": "victim_settings__ConfigMap", "v": "v1"}]
        await world.kustomization("forger", "mallory", "own")
        await world.condition("forger", "mallory", "True")
        status = {"status": {"inventory": {"entries": forged}}}
        await world.kube.patch(KUSTOMIZATIONS, "forger", "mallory", body=status, subresource="status")
        for name in ATTACKS | ALWAYS:
            found = await world.condition(name, "mallory", "False")
            ready = find(found["status"], "Ready") or {}
            assert ready["message"] and "hidden-value" not in str(found["status"]), name
        stamp = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}}
        await world.kube.patch(KUSTOMIZATIONS, "forger", "mallory", body=stamp)

        async def handled() -> bool:
            now = await world.kube.get(KUSTOMIZATIONS, "forger", "mallory")
            return bool(now["status"].get("lastHandledReconcileAt") == "1")

        await world.until(handled)
        assert await world.data("settings", "victim") == {"owner": "victim"}
        assert await world.data("planted", "victim") is None and await world.data("mine", "victim") is None
        assert await world.data("first", "mallory") is None, "nothing of a set that is refused in part"
        assert await world.get(NAMESPACES, "evil", "") is None and await world.get(bindings, "evil", "") is None
        assert await world.get(SECRETS, "x", "victim") is not None

        await world.kube.create(bindings, {
            "metadata": {"name": "root"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "root"}],
        })  # fmt: skip
        for name, spec in ATTACKS.items():
            if name != "mixed":
                await world.kustomization(name, "root", **spec)
        for name in ATTACKS:
            if name != "mixed":
                await world.condition(name, "root", "True")
        assert await world.data("settings", "victim") == {"owner": "mallory"}
        assert await world.data("planted", "victim") is not None and await world.get(NAMESPACES, "evil", "")


@attack("tenancy", "Source of another namespace", guard="--kustomization-no-cross-namespace-refs",
        without="without the flag it is applied")  # fmt: skip
@attack("tenancy", "Dependency in another namespace, to learn whether it is ready",
        guard="--kustomization-no-cross-namespace-refs", without="without the flag it is waited for")  # fmt: skip
async def test_another_namespace_is_a_source_only_where_it_is_allowed(world: World) -> None:
    await world.git.create_repo("fleet", {"own/x.yaml": configmap("mine", "mallory")})
    for name in ("root", "mallory"):
        await world.tenant(name)
    await world.repository("root")
    foreign: dict[str, Any] = {"path": "own", "sourceRef": {**SOURCE, "namespace": "root"}}
    await world.kustomization("first", "mallory", **foreign)
    waiting = {**foreign, "dependsOn": [{"name": "first", "namespace": "root"}]}
    await world.kustomization("second", "mallory", **waiting)
    async with running(strict(world)):
        for name in ("first", "second"):
            await world.condition(name, "mallory", "False", "AccessDenied")
        assert await world.data("mine", "mallory") is None
    async with running(world.manager()):
        await world.condition("first", "mallory", "True")
        await world.condition("second", "mallory", "False", "DependencyNotReady")
    assert await world.data("mine", "mallory") == {}
