"""What a tenant names and may not read or delete: each call is the tenant's own, and the controller's would succeed.

The controller may read every Secret and delete every object. The guard is that it does not do so in its own name.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS, ROLE_BINDINGS, ROLES, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS, KustomizationSpec
from controllers.api.resource import Key
from controllers.api.tenancy import ApplyKind, ReadGit, allowed, policy_of
from controllers.kustomization import tenant
from controllers.kustomization.apply import preflight as guards
from controllers.kustomization.apply import prune
from controllers.kustomization.build import inputs
from controllers.kustomization.build.cache import RenderCache
from controllers.kustomization.build.render import Rendered, Variables, find_source, render_files, render_key
from controllers.kustomization.health import check as wait
from controllers.kustomization.health.cel_evaluator import Evaluator
from controllers.kustomization.health.kstatus import State
from controllers.kustomization.objects.inventory import Entry
from controllers.kustomization.objects.labels import is_owned, owner_labels, with_metadata
from controllers.kustomization.tenant import account, view
from controllers.runtime.kube import ApiError, KubeClient
from controllers.runtime.result import NotReady, Stalled
from controllers.runtime.settings import WorkerSettings
from controllers.runtime.worker import HeavyWorker
from controllers.sops.plaintext_scan import PLAINTEXT_ANNOTATION, mode_of
from controllers.sources.tree import of_files
from tests.attacks import attack
from tests.integration.kustomization.conftest import World, world

__all__ = ["world"]

TENANCY = "tenancy"
SELF = "as the controller itself the call succeeds"


async def poor(world: World, name: str) -> KubeClient:
    """A tenant who may do everything with ConfigMaps of his namespace and nothing else."""
    await world.tenant(name, rights=False)
    await world.make(ROLES, "r", name, rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}])
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": name}
    await world.make(ROLE_BINDINGS, "r", name, roleRef=ref, subjects=[subject])
    return view(world.kube, account("inhaul-system", name, ""))


def spec(**fields: Any) -> KustomizationSpec:
    base = {"interval": "5m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "fleet"}}
    return KustomizationSpec.model_validate({**base, **fields})


@attack(
    TENANCY,
    "substituteFrom: a Secret that the service account may not read",
    guard="inputs.py reads as the tenant",
    without=SELF,
)
@attack(
    TENANCY,
    "substituteFrom: a Secret of another namespace by a name that is a path",
    guard="runtime/kube/client.py: a name is one segment",
    without="the path leads to the other Secret",
)
@attack(
    TENANCY,
    "decryption.secretRef: keys that the service account may not read",
    guard="inputs.py reads as the tenant",
    without=SELF,
)
async def test_secrets_are_read_as_the_tenant(world: World) -> None:
    mallory = await poor(world, "mallory")
    await world.tenant("victim")
    await world.secret("ops", "mallory", key="hidden-value")
    await world.secret("x", "victim", key="hidden-value")
    named = spec(postBuild={"substituteFrom": [{"kind": "Secret", "name": "ops"}]})
    with pytest.raises(NotReady, match="may not read Secret mallory/ops"):
        await inputs.variables(mallory, "mallory", named)
    assert (await inputs.variables(world.kube, "mallory", named)).values == {"key": "hidden-value"}

    path = spec(postBuild={"substituteFrom": [{"kind": "Secret", "name": "../../victim/secrets/x"}]})
    with pytest.raises((NotReady, ApiError)) as caught:
        await inputs.variables(world.kube, "mallory", path)
    assert "hidden-value" not in str(caught.value)
    unchecked = SECRETS.path("mallory", path.post_build.substitute_from[0].name)  # type: ignore[union-attr]
    assert posixpath.normpath(unchecked) == SECRETS.path("victim", "x")

    closed = spec(decryption={"provider": "sops", "secretRef": {"name": "ops"}})
    manifest = {"metadata": {"name": "k", "namespace": "mallory"}}
    key = Key("mallory", "k")
    with pytest.raises(NotReady, match="may not read Secret mallory/ops"):
        await inputs.keys(mallory, key, manifest, closed, "r", inputs.Decryption())
    (await inputs.keys(world.kube, key, manifest, closed, "r", inputs.Decryption())).close()


@attack(
    TENANCY,
    "healthChecks and their expressions on another tenant's object, to learn what is in it",
    guard="health_wait.py looks as the tenant",
    without=SELF,
)
async def test_health_checks_look_as_the_tenant(world: World) -> None:
    mallory = await poor(world, "mallory")
    await world.tenant("victim")
    await world.make(CONFIGMAPS, "plans", "victim", data={"answer": "42"})
    checks = spec(
        healthChecks=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "plans", "namespace": "victim"}],
        healthCheckExprs=[{"apiVersion": "v1", "kind": "ConfigMap", "current": "data.answer == '42'"}],
    )
    wanted = wait.targets(checks, [], "mallory")
    heavy = HeavyWorker(WorkerSettings())
    try:
        states = [
            (await wait.look(who, wanted, wait.expressions(checks.health_check_exprs), Evaluator(heavy)))[0].status
            for who in (mallory, world.kube)
        ]
    finally:
        heavy.close()
    assert states[0].state is State.UNKNOWN and states[0].reason == "Forbidden"
    assert states[1].state is State.CURRENT


@attack(
    TENANCY,
    "Inventory forged in status, so that prune deletes another tenant's object",
    guard="prune.py deletes as the tenant",
    without="as the controller itself, and with the labels not asked for, it is deleted",
)
@attack(
    TENANCY,
    "Inventory forged to delete an object of the own namespace that another Kustomization owns",
    guard="prune.py asks for the live object's owner labels",
    without="without that question it is deleted",
)
async def test_prune_deletes_as_the_tenant_and_only_what_is_owned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory = await poor(world, "mallory")
    await world.tenant("victim")
    owner = Key("mallory", "forger")

    async def deleted(kube: KubeClient, namespace: str) -> bool:
        result = await prune.prune(kube, owner, [Entry(namespace, "c", "", "ConfigMap", "v1")])
        assert result.deleted or namespace != "victim" or kube is world.kube or result.problems
        return await world.get(CONFIGMAPS, "c", namespace) is None

    for namespace in ("victim", "mallory"):
        await world.make(CONFIGMAPS, "c", namespace)
        assert not await deleted(mallory, namespace)
    monkeypatch.setattr(prune, "is_owned", lambda live, key: True)
    assert await deleted(mallory, "mallory")
    assert not await deleted(mallory, "victim")
    assert await deleted(world.kube, "victim")


@attack(
    TENANCY,
    "Owner labels of another Kustomization in a commit",
    guard="labels.py: ours are set last, over the commit's",
    without="the object passes as the other's",
)
def test_owner_labels_in_a_commit_are_overwritten() -> None:
    theirs = Key("team-a", "their")
    forged = {"metadata": {"name": "x", "labels": owner_labels(theirs)}}
    assert is_owned(forged, theirs)
    assert not is_owned(with_metadata(forged, owner_labels(Key("team-b", "mine"))), theirs)


@attack(
    TENANCY,
    "serviceAccountName that is no name (`a:b`, a path, line breaks)",
    guard="tenant.py",
    without="it becomes part of a user's name",
)
def test_a_service_account_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x:system:masters", "../../victim/default"):
        with pytest.raises(Stalled):
            account("inhaul-system", "mallory", name)
        monkeypatch.setattr(tenant, "_NAME", re.compile(".*"))
        assert account("inhaul-system", "mallory", name) == f"system:serviceaccount:mallory:{name}"
        monkeypatch.undo()


@attack(
    TENANCY,
    "serviceAccountName left empty, to act as the controller",
    guard="tenant.py: the namespace's `default`",
    without="in the controller's own namespace it is the controller",
)
def test_no_service_account_is_the_namespaces_default() -> None:
    assert account("inhaul-system", "mallory", "") == "system:serviceaccount:mallory:default"
    assert account("inhaul-system", "inhaul-system", "") == ""


def policies(**fields: Any) -> Any:
    return [policy_of({"metadata": {"name": "p"}, "spec": {"namespaceSelector": {}, **fields}})]


@attack(
    TENANCY,
    "spec.url of a repository that the policy does not grant, also by case, `..` and user",
    guard="api/tenancy.py: ReadGit",
    without="no TenantPolicy: everything is read",
)
def test_a_repository_must_be_granted() -> None:
    given = policies(git=[{"url": "https://git.example/team-a/**", "branches": ["main"]}])
    urls = ["https://git.example/team-b/x", "https://git.example/team-a/../team-b/x", "https://evil.example/team-a/x",
            "https://git.example@evil.example/team-a/x", "https://git.example/team-a/%2e%2e/team-b/x"]  # fmt: skip
    for url in urls:
        asked = ReadGit(url, "main")
        assert not allowed(given, namespace="n", namespace_labels={}, request=asked), url
        assert allowed([], namespace="n", namespace_labels={}, request=asked)
    assert allowed(given, namespace="n", namespace_labels={}, request=ReadGit("https://git.example/team-a/x", "main"))


@attack(
    TENANCY,
    "A branch, tag or bare commit that the policy does not grant",
    guard="api/tenancy.py: ReadGit",
    without="a grant of all branches",
)
def test_a_branch_must_be_granted() -> None:
    given = policies(git=[{"url": "https://git.example/**", "branches": ["main"]}])
    free = policies(git=[{"url": "https://git.example/**", "branches": ["**"]}])
    for ref in ("dev", "", "refs/pull/1/head", "refs/tags/v1"):
        asked = ReadGit("https://git.example/x", ref)
        assert not allowed(given, namespace="n", namespace_labels={}, request=asked), ref
        assert allowed(free, namespace="n", namespace_labels={}, request=asked)


@attack(
    TENANCY,
    "A kind that the policy denies, though the service account may write it",
    guard="apply/preflight.py: ApplyKind",
    without="no TenantPolicy: RBAC alone decides",
)
def test_a_kind_must_not_be_denied() -> None:
    given = policies(kinds={"deny": [{"group": "", "kind": "ResourceQuota"}]})
    asked = ApplyKind("", "ResourceQuota")
    assert not allowed(given, namespace="n", namespace_labels={}, request=asked)
    assert allowed([], namespace="n", namespace_labels={}, request=asked)


@attack(
    TENANCY,
    "Annotation in a commit that would lift the guard against an empty render",
    guard="apply/preflight.py: only the Kustomization's own annotation counts",
    without="on the Kustomization it lifts it",
)
@attack(
    TENANCY,
    "Annotation in a commit that would lift the limit of deletions",
    guard="apply/preflight.py: only the Kustomization's own annotation counts",
    without="on the Kustomization it lifts it",
)
def test_an_annotation_in_a_commit_lifts_no_guard() -> None:
    owned = [Entry("a", name, "", "ConfigMap", "v1") for name in ("x", "y", "z")]
    lifting = {guards.ALLOW_EMPTY: "true", guards.MAX_DELETES: "100%"}
    left = [{"apiVersion": "v1", "kind": "ConfigMap",
             "metadata": {"name": "x", "namespace": "a", "annotations": lifting}}]  # fmt: skip

    def owner(**annotations: str) -> dict[str, Any]:
        return {"kind": KUSTOMIZATIONS.kind, "metadata": {"name": "k", "namespace": "a", "annotations": annotations}}

    with pytest.raises(Stalled, match="build produced no objects"):
        guards.check_deletions(owner(), owned, [], prune=True)
    guards.check_deletions(owner(**{guards.ALLOW_EMPTY: "true"}), owned, [], prune=True)
    with pytest.raises(Stalled, match="would be deleted"):
        guards.check_deletions(owner(**{guards.MAX_DELETES: "1"}), owned, left, prune=True)
    guards.check_deletions(owner(**{guards.MAX_DELETES: "100%"}), owned, left, prune=True)


@attack(
    TENANCY,
    "Annotation on a Kustomization that would allow plaintext Secrets where they are refused",
    guard="sops/plaintext_scan.py: it may only tighten",
    without="on the Namespace, which is the platform's, it allows",
)
def test_a_tenants_annotation_only_tightens() -> None:
    assert mode_of("refuse", {}, {PLAINTEXT_ANNOTATION: "allow"}) == "refuse"
    assert mode_of("refuse", {PLAINTEXT_ANNOTATION: "allow"}, {}) == "allow"


@attack(
    TENANCY,
    "The same commit as a tenant who can decrypt it, to be given his render from the cache",
    guard="render.py: who decrypts is part of the key",
    without="without it the keys are equal, and the cache answers",
)
def test_a_render_is_not_shared_with_who_cannot_decrypt() -> None:
    files = {"a.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: opened}\n"}
    tree = of_files(files)
    source = find_source(tree, "", {})
    theirs = render_key(source, {}, Variables(), "fingerprint of their keys")
    cache = RenderCache(1 << 20)
    rendered = Rendered(tuple(render_files(files, "", {})))
    cache.put(theirs, rendered, 10)
    assert cache.get(render_key(source, {}, Variables(), "")) is None
    assert cache.get(render_key(source, {}, Variables(), "fingerprint of their keys")) == rendered
