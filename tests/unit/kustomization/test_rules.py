"""Order, drift, plans, inventories, guards, health causes, and what is remembered of objects."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS, DEPLOYMENTS
from controllers.api.resource import Key, Manifest, Resource
from controllers.api.tenancy import Decision
from controllers.kustomization import dependencies
from controllers.kustomization.apply import plan
from controllers.kustomization.apply import preflight as guards
from controllers.kustomization.drift import detect as drift
from controllers.kustomization.finalize import LEAST
from controllers.kustomization.health import aggregate as health
from controllers.kustomization.health.kstatus import State, Status
from controllers.kustomization.history import recorded
from controllers.kustomization.objects import diff, inventory, order
from controllers.kustomization.tenant import account
from controllers.kustomization.watch.owned import OwnedObjects
from controllers.lang.gitignore import selected
from controllers.runtime.kube import KubeClient, WatchEvent
from controllers.runtime.result import NotReady, Stalled


def deployment(replicas: int = 1, **meta: Any) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": "n", "resourceVersion": "1", **meta},
        "spec": {"replicas": replicas},
    }


def test_definitions_come_before_what_uses_them_and_webhooks_last() -> None:
    kinds = [("apps/v1", "Deployment"), ("x.dev/v1", "Widget"), ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
             ("v1", "Namespace"), ("storage.k8s.io/v1", "StorageClass")]  # fmt: skip
    objects = [{"apiVersion": version, "kind": kind, "metadata": {"name": "x"}} for version, kind in kinds]
    names = [[each["kind"] for each in stage] for stage in order.stages(objects)]
    assert names == [["CustomResourceDefinition", "Namespace"], ["StorageClass"], ["Deployment", "Widget"]]


def test_a_circle_of_dependencies_is_named() -> None:
    a, b, c = (Key("n", name) for name in "abc")
    with pytest.raises(order.DependencyCycleError, match="n/b -> n/c -> n/b"):
        order.by_dependency({a: [b], b: [c], c: [b]})


def test_a_label_that_is_no_longer_wanted_is_a_change_and_a_foreign_one_is_not() -> None:
    live = deployment(labels={"ours": "1", "foreign": "1"})
    assert drift.action(live, deployment(labels={"ours": "1", "foreign": "1"})) == "unchanged"
    assert drift.action(live, deployment(labels={"foreign": "1"})) == "configured"


def test_a_plan_masks_secrets_and_holds_what_is_switched_off() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "resourceVersion": "1"},
        "data": {"k": "b2xk"},
    }
    changed = {**secret, "data": {"k": "bmV3"}}
    off = deployment(annotations={"kustomize.toolkit.fluxcd.io/reconcile": "disabled"})
    made = plan.plan(
        [plan.Seen(changed, secret, changed), plan.Seen(off, off, off), plan.Seen(deployment(2), None, None)],
        inventory=[inventory.Entry("n", "old", "", "ConfigMap", "v1")], prune=True,
    )  # fmt: skip
    assert [change.action for change in made.changes] == ["update", "held", "create", "delete"]
    assert made.changes[0].fields == (
        {"op": "replace", "path": "/data/k", "oldValue": diff.BEFORE, "value": diff.AFTER},
    )
    assert "b2xk" not in repr(made) and "bmV3" not in repr(made)
    assert made.summary() == "1 to create, 1 to update, 1 to delete, 0 unchanged, 1 held"


def test_an_unconfirmed_deletion_stays_in_the_inventory() -> None:
    a, b = (inventory.Entry("n", name, "", "ConfigMap", "v1") for name in "ab")
    assert inventory.survivors([a, b], {a: "deleted", b: "failed"}) == [b]
    assert inventory.read({"inventory": inventory.write([b, a])}) == [a, b]


class Everything:
    def allowed(self, namespace: str, request: object) -> Decision:
        return Decision("Deployment" not in str(request), "not granted")


def test_guards_name_the_object() -> None:
    with pytest.raises(NotReady, match="Deployment/n/x: not granted"):
        guards.check_objects([deployment()], "n", Everything())
    encrypted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "sops": {"mac": "x"}}
    with pytest.raises(NotReady, match="Secret/s: still encrypted"):
        guards.check_objects([encrypted], "n", Everything())
    with pytest.raises(NotReady, match="postBuild has no variables"):
        guards.check_objects([{**encrypted, "metadata": {"name": "s", "labels": {"a": "${x}"}}}], "n", Everything())


def test_deletions_are_bounded_by_annotation_and_never_everything() -> None:
    owned = [inventory.Entry("n", f"c{index}", "", "ConfigMap", "v1") for index in range(10)]
    objects = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c0", "namespace": "n"}}]
    owner: Manifest = {"metadata": {"annotations": {}}}
    guards.check_deletions(owner, owned, objects, prune=True)
    with pytest.raises(Stalled, match="build produced no objects"):
        guards.check_deletions(owner, owned, [], prune=True)
    guards.check_deletions({"metadata": {"annotations": {guards.ALLOW_EMPTY: "true"}}}, owned, [], prune=True)
    for limit in ("5", "50%"):
        with pytest.raises(Stalled, match="9 objects would be deleted"):
            guards.check_deletions(
                {"metadata": {"annotations": {guards.MAX_DELETES: limit}}}, owned, objects, prune=True
            )
    assert LEAST == 5


def test_an_owner_fails_with_its_pod_and_says_what_the_pod_died_of() -> None:
    crashed = {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
               "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}  # fmt: skip
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "status": {"containerStatuses": [crashed]}}
    owner = Status(State.IN_PROGRESS, "LessReady", "Ready: 0/1")
    told = health.with_pods(owner, [(Status(State.FAILED, "ContainerCrashLooping", "crash looping"), pod)])
    assert told.state is State.FAILED
    assert told.message == "Pod p: container app: CrashLoopBackOff: out of memory (exit code 137)"


def test_a_dependency_is_ready_at_our_revision_and_drift_does_not_block() -> None:
    def made(reason: str, status: str, revision: str) -> Manifest:
        return {
            "metadata": {"name": "d", "namespace": "n", "generation": 1},
            "spec": {"sourceRef": {"kind": "GitRepository", "name": "r"}},
            "status": {
                "observedGeneration": 1,
                "lastAppliedRevision": revision,
                "conditions": [{"type": "Ready", "status": status, "reason": reason}],
            },
        }

    ask = SimpleNamespace(ready_expr="")
    own, key = made("", "True", "1"), Key("n", "d")

    def problem(found: Manifest | None) -> str:
        return dependencies.not_ready(own, ask, key, found, "main@sha1:2")  # type: ignore[arg-type]

    assert problem(made("ReconciliationSucceeded", "True", "main@sha1:2")) == ""
    assert problem(made("DriftDetected", "False", "main@sha1:2")) == ""
    assert "not ready" in problem(made("BuildFailed", "False", "main@sha1:2"))
    assert "not updated" in problem(made("ReconciliationSucceeded", "True", "main@sha1:1"))
    assert "not found" in problem(None)


def test_whom_a_kustomization_acts_as() -> None:
    assert account("inhaul-system", "team-a", "") == "system:serviceaccount:team-a:default"
    assert account("inhaul-system", "team-a", "deploy") == "system:serviceaccount:team-a:deploy"
    assert account("inhaul-system", "inhaul-system", "") == ""
    assert account("inhaul-system", "inhaul-system", "deploy") == "system:serviceaccount:inhaul-system:deploy"


def test_a_source_without_patterns_leaves_out_media_and_with_one_only_git() -> None:
    assert selected({}, None).ignores("a/x.png") and selected({}, None).ignores(".git/config")
    own = selected({"a/.sourceignore": "*.md\n"}, None)
    assert own.ignores("a/b/x.md") and not own.ignores("x.md") and not own.ignores("a/x.png")
    assert own.ignores(".gitignore")


def test_history_keeps_five_builds_and_counts_repetitions() -> None:
    history: list[dict[str, Any]] = []
    for index in (0, 1, 1, 2, 3, 4, 5):
        digest, done = f"sha256:{index}", "ReconciliationSucceeded"
        history = recorded(history, digest=digest, status=done, now=f"t{index}", seconds=0.25, metadata={})
    assert [entry["digest"][-1] for entry in history] == ["5", "4", "3", "2", "1"]
    assert history[-1]["totalReconciliations"] == 2 and history[0]["lastReconciledDuration"] == "250ms"


OWNER = Key("n", "app")
OURS = {"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": "n"}


class Watches:
    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def watch(
        self,
        resource: Resource,
        on_event: Callable[[WatchEvent], None],
        *,
        label_selector: str = "",
        namespace: str = "",
        kube: KubeClient | None = None,
    ) -> Any:
        self.seen[resource.kind] = on_event
        return SimpleNamespace(synced=None)


def test_only_edits_make_an_object_dirty_and_our_own_apply_never_does() -> None:
    watches = Watches()
    dirty: list[Key] = []
    status: list[Key] = []
    objects = OwnedObjects(watches, on_dirty=dirty.append, on_status=status.append)
    objects.cover([DEPLOYMENTS, CONFIGMAPS])

    def event(version: str, generation: int, type_: str = "MODIFIED") -> None:
        meta: dict[str, Any] = {"uid": "u", "generation": generation, "resourceVersion": version, "labels": OURS}
        watches.seen["Deployment"](WatchEvent(type_, deployment(**meta)))

    objects.begin(OWNER)
    event("5", 1)  # before the answer of the apply that caused it
    event("6", 2)
    left = deployment(uid="u", generation=2, labels=OURS, resourceVersion="6")
    objects.end(OWNER, {("apps", "Deployment", "n", "x"): left}, whole=True)
    assert not dirty
    event("7", 2)  # a status change
    assert not dirty and not status
    objects.wait(OWNER, True)
    event("8", 2)
    assert status == [OWNER] and not dirty
    event("9", 3)
    assert dirty == [OWNER] and objects.take_dirty(OWNER) == {("apps", "Deployment", "n", "x")}
    event("10", 3, "DELETED")
    assert objects.is_dirty(OWNER)
