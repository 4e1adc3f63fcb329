"""Pods, ReplicaSets and statuses as the workload controllers and the kubelet would write them. Pure."""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from controllers.api.resource import Manifest

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_WAITING = {
    "ImagePullBackOff": 'Back-off pulling image "{image}"',
    "CrashLoopBackOff": "back-off 10s restarting failed container",
}


@dataclass(frozen=True, slots=True)
class Faults:
    """Images that do not run: (glob, waiting reason) in order; the first that matches counts."""

    images: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Lines of `glob reason`."""
        found = [line.split() for line in text.splitlines() if line.strip()]
        return cls(tuple((parts[0], parts[1]) for parts in found if len(parts) == 2 and parts[1] in _WAITING))

    def of(self, image: str) -> str:
        return next((reason for glob, reason in self.images if fnmatch.fnmatchcase(image, glob)), "")


def template_hash(template: Manifest) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    return digest[:10]


def owner(obj: Manifest) -> Manifest:
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def replica_set(deployment: Manifest, digest: str, revision: int) -> Manifest:
    meta, spec = deployment["metadata"], deployment["spec"]
    template = copy.deepcopy(spec["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH: digest}
    template.setdefault("metadata", {})["labels"] = labels
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH] = digest
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [owner(deployment)],
        },
        "spec": {"replicas": replicas(deployment), "selector": selector, "template": template},
    }


def replicas(workload: Manifest) -> int:
    return int(workload["spec"].get("replicas", 1))


def pod(parent: Manifest, name: str = "", labels: dict[str, str] | None = None) -> Manifest:
    """A pod of a ReplicaSet, StatefulSet, DaemonSet or Job, without its status."""
    template = copy.deepcopy(parent["spec"]["template"])
    meta = template.get("metadata") or {}
    spec = template.get("spec") or {}
    spec.setdefault("nodeName", "standin")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"{parent['metadata']['name']}-{secrets.token_hex(3)[:5]}",
            "namespace": parent["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), **(labels or {})},
            "annotations": meta.get("annotations") or {},
            "ownerReferences": [owner(parent)],
        },
        "spec": spec,
    }


def pod_status(body: Manifest, faults: Faults, now: str, *, finished: bool = False) -> Manifest:
    """What the kubelet reports a moment after the pod came to it."""
    containers = body["spec"].get("containers") or []
    broken = {item["name"]: reason for item in containers if (reason := faults.of(item.get("image", "")))}
    good = not broken and not finished
    statuses = []
    for item in containers:
        reason = broken.get(item["name"], "")
        crashing = reason == "CrashLoopBackOff"
        if reason:
            state: Manifest = {
                "waiting": {"reason": reason, "message": _WAITING[reason].format(image=item.get("image"))}
            }
        elif finished:
            state = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now, "startedAt": now}}
        else:
            state = {"running": {"startedAt": now}}
        status: Manifest = {
            "name": item["name"],
            "image": item.get("image", ""),
            "imageID": "" if reason == "ImagePullBackOff" else f"sha256:{template_hash({'image': item.get('image')})}",
            "ready": good,
            "started": good,
            "restartCount": 3 if crashing else 0,
            "state": state,
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}} if crashing else {},
        }
        statuses.append(status)
    phase = "Succeeded" if finished else ("Pending" if "ImagePullBackOff" in broken.values() else "Running")
    ready = "True" if good else "False"
    unready = {} if good else {"reason": "PodCompleted" if finished else "ContainersNotReady"}
    return {
        "phase": phase,
        "podIP": "10.0.0.1",
        "startTime": now,
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": now},
            {"type": "Initialized", "status": "True", "lastTransitionTime": now},
            {"type": "ContainersReady", "status": ready, "lastTransitionTime": now, **unready},
            {"type": "Ready", "status": ready, "lastTransitionTime": now, **unready},
        ],
        "containerStatuses": statuses,
    }


def is_ready(body: Manifest) -> bool:
    if body["metadata"].get("deletionTimestamp"):
        return False
    return condition(body.get("status") or {}, "Ready").get("status") == "True"


def condition(status: Manifest, kind: str) -> Manifest:
    return next((item for item in status.get("conditions") or () if item.get("type") == kind), {})


def with_condition(status: Manifest, kind: str, value: str, reason: str, message: str, now: str) -> Manifest:
    old = condition(status, kind)
    if (old.get("status"), old.get("reason"), old.get("message")) == (value, reason, message):
        return status
    moved = now if old.get("status") != value else old.get("lastTransitionTime", now)
    new = {
        "type": kind, "status": value, "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": moved,
    }  # fmt: skip
    others = [item for item in status.get("conditions") or () if item.get("type") != kind]
    return {**status, "conditions": [*others, new]}


def deployment_status(
    deployment: Manifest, current: str, sets: Iterable[Manifest], *, late: bool, now: str
) -> Manifest:
    """The status of a deployment from its ReplicaSets' statuses; `current` is the name of the newest. A deployment that
    is paused makes no progress, and says so.
    """
    wanted = replicas(deployment)
    sets = list(sets)
    counts = {name: sum(int((item.get("status") or {}).get(name, 0)) for item in sets) for name in _COUNTS}
    newest = next((item for item in sets if item["metadata"]["name"] == current), {})
    updated = int((newest.get("status") or {}).get("replicas", 0))
    status: Manifest = {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: value for name, value in counts.items() if value},
        "terminatingReplicas": 0,
        **({"updatedReplicas": updated} if updated else {}),
        **(
            {"unavailableReplicas": wanted - counts["availableReplicas"]}
            if counts["availableReplicas"] < wanted
            else {}
        ),
        "conditions": list((deployment.get("status") or {}).get("conditions") or ()),
    }
    if deployment["spec"].get("paused"):
        status = with_condition(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
    enough = counts["availableReplicas"] >= max(0, wanted - max(0, wanted // 4))
    status = with_condition(
        status, "Available", "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.", now,
    )  # fmt: skip
    if deployment["spec"].get("paused"):
        return status
    complete = updated == counts["replicas"] == counts["availableReplicas"] == wanted
    if complete:
        progress = ("True", "NewReplicaSetAvailable", f'ReplicaSet "{current}" has successfully progressed.')
    elif late:
        progress = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{current}" has timed out progressing.')
    else:
        progress = ("True", "ReplicaSetUpdated", f'ReplicaSet "{current}" is progressing.')
    return with_condition(status, "Progressing", *progress, now)


_COUNTS = ("replicas", "readyReplicas", "availableReplicas")


def set_status(parent: Manifest, pods: list[Manifest]) -> Manifest:
    """The status of a ReplicaSet from its pods."""
    ready = sum(map(is_ready, pods))
    status: Manifest = {"observedGeneration": parent["metadata"]["generation"], "replicas": len(pods)}
    if pods:
        status["fullyLabeledReplicas"] = len(pods)
    if ready:
        status |= {"readyReplicas": ready, "availableReplicas": ready}
    return status
