"""Is an object what its spec says? The rules of kstatus, as upstream's tools and users expect them. Pure.

First what holds for every kind (deletion, an unobserved generation, the standard conditions), then per kind. A status
tells its reason and a message for a human; `now` is given, for an unschedulable Pod gets fifteen seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp_or_none
from controllers.kustomization.objects.order import group_of

SCHEDULE_WINDOW = 15.0
"""Seconds in which a new Pod may be unschedulable before that counts as a failure."""

_MAX_INT32 = 2**31 - 1


class State(StrEnum):
    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Status:
    """Where an object stands; `reason` is CamelCase and "" for Current."""

    state: State
    reason: str = ""
    message: str = ""

    @property
    def conditions(self) -> list[dict[str, str]]:
        """The standard conditions that say the same: `Reconciling` while in progress, `Stalled` when failed."""
        kind = {State.IN_PROGRESS: "Reconciling", State.FAILED: "Stalled"}.get(self.state)
        if not kind:
            return []
        return [{"type": kind, "status": "True", "reason": self.reason, "message": self.message}]


def current(message: str = "Resource is current") -> Status:
    return Status(State.CURRENT, "", message)


def in_progress(reason: str, message: str = "") -> Status:
    return Status(State.IN_PROGRESS, reason, message or reason)


def failed(reason: str, message: str = "") -> Status:
    return Status(State.FAILED, reason, message or reason)


def compute(manifest: Manifest, *, now: datetime | None = None, flux_jobs: bool = False) -> Status:
    """The status of a live object. `flux_jobs`: a running Job is in progress, as Flux has it, and not current."""
    if common := _common(manifest):
        return common
    key = group_of(manifest), str(manifest.get("kind") or "")
    if key == ("batch", "Job"):
        return _flux_job(manifest) if flux_jobs else _job(manifest)
    if key == ("", "Pod"):
        return _pod(manifest, now)
    rule = _RULES.get(key)
    return rule(manifest) if rule else _by_ready_condition(manifest)


def condition(manifest: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of the status by its type; empty where there is none."""
    conditions = _mapping(manifest, "status").get("conditions")
    for found in conditions if isinstance(conditions, list) else ():
        if isinstance(found, dict) and found.get("type") == kind:
            return found
    return {}


def _mapping(manifest: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = manifest.get(field)
    return value if isinstance(value, dict) else {}


def _number(values: Mapping[str, Any], field: str, default: int = 0) -> int:
    value = values.get(field)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _common(manifest: Manifest) -> Status | None:
    meta, status = _mapping(manifest, "metadata"), _mapping(manifest, "status")
    if meta.get("deletionTimestamp"):
        return Status(State.TERMINATING, "Terminating", "Resource scheduled for deletion")
    seen, wanted = status.get("observedGeneration"), meta.get("generation")
    if isinstance(seen, int) and isinstance(wanted, int) and seen != wanted:
        return in_progress(
            "LatestGenerationNotObserved", f"generation is {wanted}, but the observed generation is {seen}"
        )
    if (found := condition(manifest, "Reconciling")).get("status") == "True":
        return in_progress(str(found.get("reason") or "Reconciling"), str(found.get("message") or ""))
    if (found := condition(manifest, "Stalled")).get("status") == "True":
        return failed(str(found.get("reason") or "Stalled"), str(found.get("message") or ""))
    return None


def _by_ready_condition(manifest: Manifest) -> Status:
    ready = condition(manifest, "Ready")
    if ready.get("status") in ("False", "Unknown"):
        return in_progress(str(ready.get("reason") or "NotReady"), str(ready.get("message") or ""))
    return current()


def _always_current(manifest: Manifest) -> Status:
    return current("Resource is always ready")


def _service(manifest: Manifest) -> Status:
    spec = _mapping(manifest, "spec")
    if spec.get("type") == "LoadBalancer" and not spec.get("clusterIP"):
        return in_progress("NoIPAssigned", "ClusterIP not set. Service type: LoadBalancer")
    return current("Service is ready")


def _claim(manifest: Manifest) -> Status:
    phase = _mapping(manifest, "status").get("phase") or "unknown"
    return current("PVC is Bound") if phase == "Bound" else in_progress("NotBound", f"PVC is not Bound. phase: {phase}")


def _first(*checks: tuple[bool, str, str]) -> Status | None:
    return next((in_progress(reason, message) for holds, reason, message in checks if holds), None)


def _deployment(manifest: Manifest) -> Status:
    spec, status = _mapping(manifest, "spec"), _mapping(manifest, "status")
    progressing = condition(manifest, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return failed("ProgressDeadlineExceeded", "Progress deadline exceeded")
    wanted = _number(spec, "replicas", 1)
    replicas, updated = _number(status, "replicas"), _number(status, "updatedReplicas")
    ready, available = _number(status, "readyReplicas"), _number(status, "availableReplicas")
    if problem := _first(
        (wanted > replicas, "LessReplicas", f"replicas: {replicas}/{wanted}"),
        (wanted > updated, "LessUpdated", f"Updated: {updated}/{wanted}"),
        (replicas > wanted, "ExtraPods", f"Pending termination: {replicas - wanted}"),
        (updated > available, "LessAvailable", f"Available: {available}/{updated}"),
        (wanted > ready, "LessReady", f"Ready: {ready}/{wanted}"),
    ):
        return problem
    if _number(spec, "progressDeadlineSeconds", _MAX_INT32) != _MAX_INT32 and not (
        progressing.get("status") == "True" and progressing.get("reason") == "NewReplicaSetAvailable"
    ):
        return in_progress("ReplicaSetNotAvailable", "ReplicaSet not Available")
    if condition(manifest, "Available").get("status") != "True":
        return in_progress("DeploymentNotAvailable", "Deployment not Available")
    return current(f"Deployment is available. Replicas: {replicas}")


def _stateful_set(manifest: Manifest) -> Status:
    spec, status = _mapping(manifest, "spec"), _mapping(manifest, "status")
    strategy = _mapping(spec, "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return current("StatefulSet is using the ondelete update strategy")
    wanted = _number(spec, "replicas", 1)
    replicas, ready = _number(status, "replicas"), _number(status, "readyReplicas")
    updated, now_current = _number(status, "updatedReplicas"), _number(status, "currentReplicas")
    if problem := _first(
        (wanted > replicas, "LessReplicas", f"Replicas: {replicas}/{wanted}"),
        (wanted > ready, "LessReady", f"Ready: {ready}/{wanted}"),
        (replicas > wanted, "ExtraPods", f"Pending termination: {replicas - wanted}"),
    ):
        return problem
    partition = _number(_mapping(strategy, "rollingUpdate"), "partition", -1)
    if partition > 0:
        rolled = wanted - partition
        if updated < rolled:
            return in_progress("PartitionRollout", f"updated: {updated}/{rolled}")
        return current(f"Partition rollout complete. updated: {updated}")
    return _first(
        (wanted > now_current, "LessCurrent", f"current: {now_current}/{wanted}"),
        (
            status.get("currentRevision") != status.get("updateRevision"),
            "RevisionMismatch",
            "Waiting for updated revision to match current",
        ),
    ) or current(f"All replicas scheduled as expected. Replicas: {replicas}")


def _daemon_set(manifest: Manifest) -> Status:
    meta, status = _mapping(manifest, "metadata"), _mapping(manifest, "status")
    wanted = _number(status, "desiredNumberScheduled", -1)
    numbers = {
        "LessCurrent": ("Current", _number(status, "currentNumberScheduled")),
        "LessUpdated": ("Updated", _number(status, "updatedNumberScheduled")),
        "LessAvailable": ("Available", _number(status, "numberAvailable")),
        "LessReady": ("Ready", _number(status, "numberReady")),
    }
    if problem := _first(
        (not isinstance(meta.get("generation"), int), "NoGeneration", "Missing .metadata.generation"),
        (not isinstance(status.get("observedGeneration"), int), "NoObservedGeneration", "Missing observedGeneration"),
        (wanted == -1, "NoDesiredNumber", "Missing .status.desiredNumberScheduled"),
        *((wanted > number, reason, f"{name}: {number}/{wanted}") for reason, (name, number) in numbers.items()),
    ):
        return problem
    return current(f"All replicas scheduled as expected. Replicas: {wanted}")


def _replica_set(manifest: Manifest) -> Status:
    wanted = _number(_mapping(manifest, "spec"), "replicas", 1)
    status = _mapping(manifest, "status")
    replicas = _number(status, "replicas")
    labelled = _number(status, "fullyLabeledReplicas")
    available, ready = _number(status, "availableReplicas"), _number(status, "readyReplicas")
    failure = condition(manifest, "ReplicaFailure")
    return _first(
        (failure.get("status") == "True", "ReplicaFailure", str(failure.get("message") or "Replica Failure")),
        (wanted > labelled, "LessLabelled", f"Labelled: {labelled}/{wanted}"),
        (wanted > available, "LessAvailable", f"Available: {available}/{wanted}"),
        (wanted > ready, "LessReady", f"Ready: {ready}/{wanted}"),
        (replicas > wanted, "ExtraPods", f"Pending termination: {replicas - wanted}"),
    ) or current(f"ReplicaSet is available. Replicas: {replicas}")


def _pod(manifest: Manifest, now: datetime | None) -> Status:
    phase = _mapping(manifest, "status").get("phase")
    if phase in ("Succeeded", "Failed"):
        return current(f"Pod has completed: {phase}")
    if phase == "Running":
        if condition(manifest, "Ready").get("status") == "True":
            return current("Pod is Ready")
        crashing = [name for name, reason in waiting_containers(manifest) if reason == "CrashLoopBackOff"]
        if crashing:
            return failed("ContainerCrashLooping", f"Containers in CrashLoop state: {','.join(crashing)}")
        return in_progress("PodRunningNotReady", "Pod is running but is not Ready")
    if phase == "Pending":
        scheduled = condition(manifest, "PodScheduled")
        if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
            if _is_younger(manifest, now, SCHEDULE_WINDOW):
                return in_progress("PodNotScheduled", "Pod has not been scheduled")
            return failed("PodUnschedulable", str(scheduled.get("message") or "Pod could not be scheduled"))
        return in_progress("PodPending", "Pod is in the Pending phase")
    return in_progress("PodNotObserved", "Pod phase not available")


def waiting_containers(pod: Manifest) -> list[tuple[str, str]]:
    """(name, reason) of every container of a Pod that waits for something."""
    found = []
    status = _mapping(pod, "status")
    for field in ("initContainerStatuses", "containerStatuses"):
        containers = status.get(field)
        for container in containers if isinstance(containers, list) else ():
            waiting = _mapping(_mapping(container, "state"), "waiting") if isinstance(container, dict) else {}
            if waiting.get("reason"):
                found.append((str(container.get("name")), str(waiting["reason"])))
    return found


def _is_younger(manifest: Manifest, now: datetime | None, seconds: float) -> bool:
    created = timestamp_or_none(_mapping(manifest, "metadata").get("creationTimestamp"))
    return created is not None and now is not None and (now - created).total_seconds() < seconds


def _job(manifest: Manifest) -> Status:
    status = _mapping(manifest, "status")
    if condition(manifest, "Complete").get("status") == "True":
        return current(f"Job Completed. succeeded: {_number(status, 'succeeded')}")
    if (found := condition(manifest, "Failed")).get("status") == "True":
        return failed("JobFailed", _job_failure(manifest, found))
    if not status.get("startTime"):
        return in_progress("JobNotStarted", "Job not started")
    return current("Job in progress")


def _flux_job(manifest: Manifest) -> Status:
    """A Job is current when it is done (or suspended): what waits for it waits for its work."""
    status = _mapping(manifest, "status")
    if _mapping(manifest, "spec").get("suspend") is True:
        return current("Job is suspended")
    if condition(manifest, "Complete").get("status") == "True":
        return current(f"Job Completed. succeeded: {_number(status, 'succeeded')}")
    if (found := condition(manifest, "Failed")).get("status") == "True":
        return failed("JobFailed", _job_failure(manifest, found))
    if not status.get("startTime"):
        return in_progress("JobNotStarted", "Job not started")
    return in_progress("JobInProgress", f"Job in progress. active: {_number(status, 'active')}")


def _job_failure(manifest: Manifest, found: Mapping[str, Any]) -> str:
    detail = found.get("message") or found.get("reason") or ""
    text = f"Job Failed. failed: {_number(_mapping(manifest, 'status'), 'failed')}"
    return f"{text}; {detail}" if detail else text


def _definition(manifest: Manifest) -> Status:
    names, established = condition(manifest, "NamesAccepted"), condition(manifest, "Established")
    if names.get("status") == "False":
        return failed(str(names.get("reason") or "NamesNotAccepted"), str(names.get("message") or ""))
    if established.get("status") == "False" and established.get("reason") != "Installing":
        return failed(str(established.get("reason") or "NotEstablished"), str(established.get("message") or ""))
    if established.get("status") == "True":
        return current("CRD is established")
    return in_progress("Installing", "Install in progress")


_RULES: dict[tuple[str, str], Callable[[Manifest], Status]] = {
    ("", "Secret"): _always_current,
    ("", "ConfigMap"): _always_current,
    ("batch", "CronJob"): _always_current,
    ("policy", "PodDisruptionBudget"): _always_current,
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
