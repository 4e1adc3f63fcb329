"""The health of objects by kind, as upstream's tools and users expect it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.kustomization.health.expressions import ExpressionError, HealthExpressions
from controllers.kustomization.health.kstatus import compute

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def state(api_version: str, kind: str, status: dict[str, Any], spec: dict[str, Any] | None = None, **meta: Any) -> str:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", **meta}, "status": status}
    found = compute({**manifest, "spec": spec or {}}, now=NOW, flux_jobs=True)
    return f"{found.state} {found.reason}".strip()


def condition(type_: str, status: str = "True", reason: str = "R") -> dict[str, Any]:
    return {"conditions": [{"type": type_, "status": status, "reason": reason}]}


COUNTS = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
UNSCHEDULABLE = {"phase": "Pending", **condition("PodScheduled", "False", "Unschedulable")}
CRASHING = {
    "phase": "Running",
    "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
}


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (state("x/v1", "Y", {}), "Current"),
        (state("x/v1", "Y", {}, deletionTimestamp="t"), "Terminating Terminating"),
        (state("x/v1", "Y", {"observedGeneration": 1}, generation=2), "InProgress LatestGenerationNotObserved"),
        (state("x/v1", "Y", condition("Stalled")), "Failed R"),
        (state("x/v1", "Y", condition("Reconciling")), "InProgress R"),
        (state("x/v1", "Y", condition("Ready", "Unknown")), "InProgress R"),
        (state("v1", "ConfigMap", condition("Ready", "False")), "Current"),
        (state("apps/v1", "Deployment", COUNTS | condition("Available")), "Current"),
        (state("apps/v1", "Deployment", COUNTS), "InProgress DeploymentNotAvailable"),
        (state("apps/v1", "Deployment", {**COUNTS, "replicas": 2}), "InProgress ExtraPods"),
        (state("apps/v1", "Deployment", condition("Progressing", "False", "ProgressDeadlineExceeded")),
         "Failed ProgressDeadlineExceeded"),
        (state("apps/v1", "Deployment", COUNTS | condition("Available"), {"progressDeadlineSeconds": 600}),
         "InProgress ReplicaSetNotAvailable"),
        (state("apps/v1", "StatefulSet", {}, {"updateStrategy": {"type": "OnDelete"}}), "Current"),
        (state("apps/v1", "StatefulSet", {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1},
               {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 1}}}), "InProgress PartitionRollout"),
        (state("apps/v1", "DaemonSet", {"observedGeneration": 1}, generation=1), "InProgress NoDesiredNumber"),
        (state("batch/v1", "Job", {"startTime": "t"}), "InProgress JobInProgress"),
        (state("batch/v1", "Job", condition("Failed")), "Failed JobFailed"),
        (state("batch/v1", "Job", {}, {"suspend": True}), "Current"),
        (state("v1", "Pod", CRASHING), "Failed ContainerCrashLooping"),
        (state("v1", "Pod", UNSCHEDULABLE, creationTimestamp=(NOW - timedelta(seconds=5)).isoformat()),
         "InProgress PodNotScheduled"),
        (state("v1", "Pod", UNSCHEDULABLE, creationTimestamp=(NOW - timedelta(seconds=50)).isoformat()),
         "Failed PodUnschedulable"),
        (state("v1", "PersistentVolumeClaim", {"phase": "Pending"}), "InProgress NotBound"),
        (state("v1", "Service", {}, {"type": "LoadBalancer"}), "InProgress NoIPAssigned"),
    ],
)  # fmt: skip
def test_each_kind_says_where_it_stands(got: str, expected: str) -> None:
    assert got == expected


@pytest.mark.parametrize(
    "status", [None, [], "x", {"conditions": "x"}, {"conditions": [None, 1]}, {"replicas": "many"}]
)
def test_a_status_of_any_shape_is_read_without_a_crash(status: Any) -> None:
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        compute({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x"}, "status": status}, now=NOW)
    compute({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": status}, now=NOW)


def test_expressions_fail_before_they_hold_and_an_absent_field_is_an_error() -> None:
    both = HealthExpressions("data.ok", failed="data.bad")
    assert both.evaluate({"data": {"ok": True, "bad": True}}).state == "Failed"
    assert both.evaluate({"data": {"ok": False, "bad": False}}).state == "InProgress"
    with pytest.raises(ExpressionError, match="no such key: bad"):
        both.evaluate({"data": {"ok": True}})
    with pytest.raises(ExpressionError, match="not specified"):
        HealthExpressions("")
