"""Why an object is not as it should be, in one line: from the object, its Pods, its events. Pure.

kstatus says *that* a workload is not ready (`Ready: 0/1`). People on call ask for the reason, and it stands somewhere
else: in a container's state, in a condition of a ReplicaSet, in an event of the kubelet. This module knows the places,
most telling first. Texts of others are cut to one line of bounded length; no values of Secrets are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controllers.api.plural import counted
from controllers.api.resource import Manifest
from controllers.kustomization.objects.labels import describe

from .kstatus import State, compute, condition

LONGEST = 400
"""Characters of a cause."""


class Why(StrEnum):
    """What sort of cause it is; the next step follows from it."""

    IMAGE = "image"
    CRASH = "crash"
    MEMORY = "memory"
    CONFIG = "config"
    PLACE = "place"
    DENIED = "denied"
    PROBE = "probe"
    JOB = "job"
    CONDITION = "condition"


NEXT = {
    Why.IMAGE: "correct the image's name or tag in Git, or the credentials it is pulled with",
    Why.CRASH: "read the container's last log (kubectl logs --previous), then correct or revert the commit",
    Why.MEMORY: "raise the container's memory limit in Git, or revert the commit",
    Why.CONFIG: "create what is missing (see the ExternalSecret or SealedSecret that should), or correct the reference",
    Why.PLACE: "make room: nodes, requests, tolerations or quota",
    Why.DENIED: "change the manifest so that the policy allows it, or ask its owner for an exception",
    Why.PROBE: "read the container's log; correct the probe or the program",
    Why.JOB: "read the log of the Job's last Pod; delete the Job to run it again",
    Why.CONDITION: "mend what the message names; the object is tried again by itself",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """`subject` is the object that tells it (`Pod/ns/x`), `since` RFC 3339 or ""."""

    kind: Why
    text: str
    subject: str
    since: str = ""

    @property
    def next_step(self) -> str:
        return NEXT[self.kind]


def find(manifest: Manifest, *, children: Sequence[Manifest] = (), events: Iterable[Manifest] = ()) -> Cause | None:
    """The cause for an object that is not well; None where nothing is wrong.

    `children` are the objects it owns, directly or not (ReplicaSets, Pods); `events` may be about any of them.
    """
    told = sorted(events, key=_event_time, reverse=True)
    pods = [each for each in (manifest, *children) if each.get("kind") == "Pod"]
    found = [cause for pod in pods if (cause := of_pod(pod, _about(pod, told)))]
    if found:
        return min(found, key=lambda cause: list(Why).index(cause.kind))
    for each in (manifest, *children):
        if cause := _refused(each, _about(each, told)):
            return cause
    return _by_condition(manifest)


def of_pod(pod: Manifest, events: Sequence[Manifest] = ()) -> Cause | None:
    """What keeps a Pod from being ready."""
    if condition(pod, "Ready").get("status") == "True" or _status(pod).get("phase") == "Succeeded":
        return None
    subject, since = describe(pod), str(condition(pod, "Ready").get("lastTransitionTime") or _born(pod))
    for container in _containers(pod):
        if cause := _container(container, subject, since, events):
            return cause
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        text = f"no node takes the Pod: {scheduled.get('message') or scheduled.get('reason')}"
        return Cause(Why.PLACE, one_line(text), subject, str(scheduled.get("lastTransitionTime") or since))
    for event in events:
        if event.get("reason") in ("FailedMount", "FailedAttachVolume"):
            return Cause(Why.CONFIG, one_line(f"a volume cannot be mounted: {_note(event)}"), subject, since)
        if event.get("reason") == "Unhealthy":
            return Cause(Why.PROBE, one_line(_note(event)), subject, since)
    return None


def _container(container: Mapping[str, Any], subject: str, since: str, events: Sequence[Manifest]) -> Cause | None:
    name = f"container {container.get('name', '?')}"
    state, last = _mapping(container, "state"), _mapping(container, "lastState")
    waiting, running = _mapping(state, "waiting"), _mapping(state, "running")
    ended = _mapping(state, "terminated") or _mapping(last, "terminated")
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"):
        detail = next((_note(each) for each in events if each.get("reason") == "Failed"), message)
        text = f"{name}: image {container.get('image') or '?'} cannot be pulled: {reason}{_pull_detail(detail)}"
        return Cause(Why.IMAGE, one_line(text), subject, since)
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return Cause(Why.CONFIG, one_line(f"{name}: {reason}: {message or 'no message'}"), subject, since)
    if ended.get("reason") == "OOMKilled":
        text = f"{name}: {reason or 'restarted'}: out of memory (exit code {ended.get('exitCode')})"
        return Cause(Why.MEMORY, one_line(text), subject, since)
    if reason not in ("", "ContainerCreating", "PodInitializing") or (ended.get("exitCode") and not running):
        told = f": exit code {ended.get('exitCode')}{_in_brackets(ended.get('reason'))}" if ended else ""
        times = f", restarted {counted(count, 'time')}" if (count := container.get("restartCount")) else ""
        return Cause(Why.CRASH, one_line(f"{name}: {reason or 'ended'}{told}{times}"), subject, since)
    return None


_PULL = (
    ("not found", r"not found|manifest unknown|does not exist"),
    ("no permission", r"unauthori[sz]ed|denied|forbidden|authentication required|no basic auth"),
    ("registry not reached", r"timeout|no such host|connection refused|dial tcp"),
)


def _pull_detail(message: str) -> str:
    """The registry's word sorted into a few kinds: its full text repeats the image three times."""
    return next((f" ({name})" for name, pattern in _PULL if re.search(pattern, message, re.IGNORECASE)), "")


def _refused(manifest: Manifest, events: Sequence[Manifest]) -> Cause | None:
    """Pods that the API server would not take: quota, admission, service account."""
    failure = condition(manifest, "ReplicaFailure")
    texts = [(str(failure.get("message") or ""), str(failure.get("lastTransitionTime") or ""))]
    if failure.get("status") != "True":
        recent = next((each for each in events if each.get("reason") == "FailedCreate"), None)
        if recent is None or compute(manifest).state is State.CURRENT:
            return None
        texts = [(_note(recent), _event_time(recent))]
    text, since = texts[0]
    kind = Why.PLACE if "exceeded quota" in text else denial(text) or Why.CONDITION
    return Cause(kind, one_line(f"Pods cannot be created: {text}"), describe(manifest), since)


def denial(text: str) -> Why | None:
    """DENIED where a message is an admission policy's or a role's refusal."""
    found = re.search(
        r"denied the request|denied request|violates PodSecurity|is forbidden|ValidatingAdmissionPolicy|policies deny",
        text,
    )
    return Why.DENIED if found else None


def _by_condition(manifest: Manifest) -> Cause | None:
    status = compute(manifest, flux_jobs=True)
    if status.state is State.CURRENT:
        return None
    ready = condition(manifest, "Ready") or condition(manifest, "Synced")
    for name in ("Failed", "Progressing", "Available"):
        if not ready and condition(manifest, name):
            ready = condition(manifest, name)
    since = str(ready.get("lastTransitionTime") or (manifest.get("metadata") or {}).get("deletionTimestamp") or "")
    if status.state is State.TERMINATING:
        kept = ", ".join((manifest.get("metadata") or {}).get("finalizers") or ())
        held = f"; finalizers: {kept}" if kept else ""
        return Cause(Why.CONDITION, one_line(f"being deleted{held}"), describe(manifest), since)
    is_job = (manifest.get("kind"), status.state) == ("Job", State.FAILED)
    reason = f"{status.reason}: " if status.reason and status.reason not in status.message else ""
    kind = Why.JOB if is_job else denial(status.message) or Why.CONDITION
    return Cause(kind, one_line(f"{reason}{status.message}"), describe(manifest), since)


def one_line(text: str, longest: int = LONGEST) -> str:
    """Without line breaks and control characters, cut at `longest` characters."""
    flat = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def _about(manifest: Manifest, events: Sequence[Manifest]) -> list[Manifest]:
    """Events of exactly this object, by uid, newest first."""
    uid = (manifest.get("metadata") or {}).get("uid")
    return [each for each in events if uid and _regarding(each).get("uid") == uid]


def _regarding(event: Manifest) -> Mapping[str, Any]:
    return _mapping(event, "regarding") or _mapping(event, "involvedObject")


def _note(event: Manifest) -> str:
    return str(event.get("note") or event.get("message") or "")


def _event_time(event: Manifest) -> str:
    series = _mapping(event, "series").get("lastObservedTime")
    return str(series or event.get("eventTime") or event.get("deprecatedLastTimestamp") or _born(event))


def _born(manifest: Manifest) -> str:
    return str((manifest.get("metadata") or {}).get("creationTimestamp") or "")


def _containers(pod: Manifest) -> list[Mapping[str, Any]]:
    status = _status(pod)
    lists = [status.get(field) for field in ("initContainerStatuses", "containerStatuses")]
    return [each for found in lists if isinstance(found, list) for each in found if isinstance(each, dict)]


def _status(manifest: Manifest) -> Mapping[str, Any]:
    return _mapping(manifest, "status")


def _mapping(value: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = value.get(field)
    return found if isinstance(found, dict) else {}


def _in_brackets(text: object) -> str:
    return f" ({text})" if text else ""
