"""The health of many objects: aggregates, owners of Pods, objects that are not there. Pure.

Upstream's message of a failed wait names objects and drops why; ours tells the kstatus message and the cause (`cause`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controllers.api.resource import Manifest
from controllers.kustomization.objects.order import group_of

from .cause import of_pod
from .kstatus import State, Status, condition, failed


@dataclass(frozen=True, slots=True)
class Observed:
    """One object of a health check: `subject` is `Kind/namespace/name`."""

    subject: str
    status: Status


def aggregate(states: Iterable[State], desired: State = State.CURRENT) -> State:
    """Any Failed makes Failed, else any Unknown Unknown; all as desired is desired; else in progress."""
    found = list(states)
    if State.FAILED in found:
        return State.FAILED
    if State.UNKNOWN in found:
        return State.UNKNOWN
    return desired if all(state is desired for state in found) else State.IN_PROGRESS


def with_pods(owner: Status, pods: Sequence[tuple[Status, Manifest | None]]) -> Status:
    """A StatefulSet's or ReplicaSet's status, failed where a Pod failed for good while it is in progress.

    A Pod that goes away, or one that no node takes yet, is no failure of its owner.
    """
    if owner.state is not State.IN_PROGRESS:
        return owner
    for status, pod in pods:
        if status.state is State.FAILED and pod is not None and not _is_transient(pod):
            name = (pod.get("metadata") or {}).get("name", "?")
            told = of_pod(pod)
            return failed(status.reason or "PodFailed", f"Pod {name}: {told.text if told else status.message}")
    return owner


def _is_transient(pod: Manifest) -> bool:
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return True
    scheduled = condition(pod, "PodScheduled")
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    return (pod.get("status") or {}).get("phase") == "Pending" and unschedulable


def is_fulfilled(observed: State, manifest: Manifest | None) -> bool:
    """May a wait for this object end well? A Job that its own TTL removed has done its work."""
    if observed is not State.NOT_FOUND:
        return observed is State.CURRENT
    job = manifest is not None and (group_of(manifest), manifest.get("kind")) == ("batch", "Job")
    spec = (manifest or {}).get("spec") or {}
    return job and spec.get("ttlSecondsAfterFinished") is not None


def failures(observed: Iterable[Observed], *, limit: int = 10) -> str:
    """`Deployment/ns/x: InProgress: Ready: 0/1` per object that is not current, in one line."""
    open_ones = [one for one in observed if one.status.state is not State.CURRENT]
    lines = [f"{one.subject}: {one.status.state}: {one.status.message or one.status.reason}" for one in open_ones]
    more = f"; and {len(lines) - limit} more" if len(lines) > limit else ""
    return "; ".join(lines[:limit]) + more
