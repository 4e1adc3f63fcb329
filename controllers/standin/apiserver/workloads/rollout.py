"""Simulated workloads: Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs roll out, and their pods run
nothing.

One dirty set, worked a few hundredths of a second after a change; every step reads what is there and writes what
differs, so that nothing is written when nothing changed. Images that do not run stand in the ConfigMap
kube-system/standin-images, key `images`, as lines of `glob ImagePullBackOff|CrashLoopBackOff`.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp

from ..seams import KindInfo, Storage, StorageChange
from ..status_errors import StatusError
from . import objects as w

log = logging.getLogger(__name__)

STEP = 0.03
"""Seconds between a change and the step that follows it."""
KUBELET = 0.05
"""Seconds until a new pod runs."""
_SETTINGS = ("kube-system", "standin-images")
_MANAGER = "kube-controller-manager"
_Key = tuple[str, str, str]


async def simulate(storage: Storage) -> None:
    """A seams.Controller."""
    await Simulator(storage).run()


class Simulator:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._faults = w.Faults()
        self._dirty: dict[_Key, None] = {}
        self._wake = asyncio.Event()
        self._since: dict[str, float] = {}
        self._pods: dict[str, dict[str, Manifest]] = {}  # owner uid → pods by uid
        self._sets: dict[str, dict[str, Manifest]] = {}  # deployment uid → ReplicaSets by uid
        found = {name: storage.kind(group, name) for group, name in _KINDS}
        self._kinds: dict[str, KindInfo] = {name: kind for name, kind in found.items() if kind is not None}

    async def run(self) -> None:
        worker = asyncio.create_task(self._work())
        try:
            async for change in self._storage.watch(*self._kinds.values()):
                self._see(change)
        finally:
            worker.cancel()

    def _see(self, change: StorageChange) -> None:
        meta, plural = change.object["metadata"], change.kind.plural
        key = (plural, meta.get("namespace", ""), meta["name"])
        if plural == "configmaps":
            if key[1:] == _SETTINGS:
                self._faults = w.Faults.parse((change.object.get("data") or {}).get("images", ""))
            return
        parent = next((item for item in meta.get("ownerReferences") or () if item.get("controller")), None)
        book = {"pods": self._pods, "replicasets": self._sets}.get(plural)
        if book is not None and parent is not None:
            children = book.setdefault(parent["uid"], {})
            if change.type == "DELETED":
                children.pop(meta["uid"], None)
            else:
                children[meta["uid"]] = change.object
            self._mark((_PLURALS.get(parent["kind"], ""), key[1], parent["name"]))
        if change.type != "DELETED":
            self._mark(key)

    def _mark(self, key: _Key) -> None:
        if key[0] in _STEPS:
            self._dirty[key] = None
            self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(STEP)
            self._wake.clear()
            todo, self._dirty = self._dirty, {}
            for count, (plural, namespace, name) in enumerate(todo):
                if count % 50 == 49:
                    await asyncio.sleep(0)
                obj = self._storage.find(self._kinds[plural], name, namespace)
                if obj is None or obj["metadata"].get("deletionTimestamp"):
                    continue
                try:
                    _STEPS[plural](self, obj)
                except StatusError as error:
                    if error.code not in (403, 404, 409):
                        log.warning("simulated %s %s/%s: %s", plural, namespace, name, error)
                    elif error.code == 409:
                        self._later((plural, namespace, name), STEP)

    def _later(self, key: _Key, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._mark, key)

    # --- writing

    def _status(self, obj: Manifest, status: Manifest) -> None:
        if (obj.get("status") or {}) == status:
            return
        changed = {**obj, "status": status}
        plural = _PLURALS[obj["kind"]]
        self._storage.update(self._kinds[plural], changed, subresource="status", field_manager=_MANAGER)

    def _create(self, plural: str, body: Manifest) -> Manifest:
        return self._storage.create(self._kinds[plural], body, body["metadata"]["namespace"], field_manager=_MANAGER)

    def _delete(self, plural: str, obj: Manifest) -> None:
        meta = obj["metadata"]
        if not meta.get("deletionTimestamp"):
            self._storage.delete(self._kinds[plural], meta["name"], meta["namespace"], uid=meta["uid"])

    def _alive(self, book: dict[str, dict[str, Manifest]], parent: Manifest) -> list[Manifest]:
        found = book.get(parent["metadata"]["uid"], {}).values()
        return sorted((item for item in found if not item["metadata"].get("deletionTimestamp")), key=_age)

    # --- kinds

    def deployment(self, obj: Manifest) -> None:
        digest = w.template_hash(obj["spec"]["template"])
        sets = self._alive(self._sets, obj)
        name = f"{obj['metadata']['name']}-{digest}"
        revisions = [int((item["metadata"].get("annotations") or {}).get(w.REVISION, 0)) for item in sets]
        newest = next((item for item in sets if item["metadata"]["name"] == name), None)
        if obj["spec"].get("paused"):
            self._status(obj, w.deployment_status(obj, name, sets, late=False, now=_now()))
            return
        if newest is None:
            newest = self._create("replicasets", w.replica_set(obj, digest, max(revisions, default=0) + 1))
            self._since[obj["metadata"]["uid"]] = time.monotonic()
            sets.append(newest)
        self._scale(newest, w.replicas(obj))
        up = int((newest.get("status") or {}).get("availableReplicas", 0))
        for old in sets:
            if old["metadata"]["name"] != name:
                self._scale(old, max(0, w.replicas(obj) - up))
        revision = str(max([*revisions, 1]))
        if (obj["metadata"].get("annotations") or {}).get(w.REVISION) != revision:
            changed = copy.deepcopy(obj)
            changed["metadata"].setdefault("annotations", {})[w.REVISION] = revision
            obj = self._storage.update(self._kinds["deployments"], changed, field_manager=_MANAGER)
        deadline = float(obj["spec"].get("progressDeadlineSeconds", 600))
        began = self._since.setdefault(obj["metadata"]["uid"], time.monotonic())
        late = time.monotonic() - began > deadline
        status = w.deployment_status(obj, name, sets, late=late, now=_now())
        self._status(obj, status)
        if w.condition(status, "Progressing").get("reason") == "ReplicaSetUpdated":
            self._later(("deployments", obj["metadata"]["namespace"], obj["metadata"]["name"]), deadline + STEP)

    def _scale(self, replica_set: Manifest, count: int) -> None:
        if w.replicas(replica_set) != count:
            changed = copy.deepcopy(replica_set)
            changed["spec"]["replicas"] = count
            self._storage.update(self._kinds["replicasets"], changed, field_manager=_MANAGER)

    def replica_set(self, obj: Manifest) -> None:
        pods = self._fill(obj, w.replicas(obj), lambda _: w.pod(obj))
        self._status(obj, w.set_status(obj, pods))

    def _fill(self, obj: Manifest, wanted: int, make: Callable[[int], Manifest]) -> list[Manifest]:
        pods = self._alive(self._pods, obj)
        for index in range(len(pods), wanted):
            self._create("pods", make(index))
        for surplus in pods[wanted:]:
            self._delete("pods", surplus)
        return pods[:wanted]

    def stateful_set(self, obj: Manifest) -> None:
        digest = w.template_hash(obj["spec"]["template"])
        revision = f"{obj['metadata']['name']}-{digest}"
        label = {"controller-revision-hash": revision}
        pods = {item["metadata"]["name"]: item for item in self._alive(self._pods, obj)}
        wanted = [f"{obj['metadata']['name']}-{index}" for index in range(w.replicas(obj))]
        for name in wanted:  # in order, each ready before the next
            found = pods.get(name)
            if found is None:
                self._create("pods", w.pod(obj, name, label))
                break
            if not w.is_ready(found):
                break
        else:
            stale = [name for name in reversed(wanted) if not _labelled(pods[name], label)]
            if stale and (obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete":
                self._delete("pods", pods[stale[0]])
        for name in sorted(set(pods) - set(wanted), reverse=True)[:1]:
            self._delete("pods", pods[name])
        present = [pods[name] for name in wanted if name in pods]
        updated = sum(_labelled(item, label) for item in present)
        ready = sum(map(w.is_ready, present))
        old = obj.get("status") or {}
        done = updated == len(wanted) == ready
        self._status(
            obj,
            {
                "observedGeneration": obj["metadata"]["generation"],
                "replicas": len(present),
                "readyReplicas": ready,
                "availableReplicas": ready,
                "currentReplicas": updated if done else max(0, len(present) - updated),
                "updatedReplicas": updated,
                "currentRevision": revision if done else old.get("currentRevision", revision),
                "updateRevision": revision,
                "collisionCount": 0,
            },
        )

    def daemon_set(self, obj: Manifest) -> None:
        digest = w.template_hash(obj["spec"]["template"])
        label = {"controller-revision-hash": digest}
        for stale in [item for item in self._alive(self._pods, obj) if not _labelled(item, label)]:
            self._delete("pods", stale)
        pods = self._fill(obj, 1, lambda _: w.pod(obj, "", label))
        updated, ready = sum(_labelled(item, label) for item in pods), sum(map(w.is_ready, pods))
        self._status(
            obj,
            {
                "observedGeneration": obj["metadata"]["generation"],
                "desiredNumberScheduled": 1,
                "currentNumberScheduled": len(pods),
                "updatedNumberScheduled": updated,
                "numberReady": ready,
                "numberAvailable": ready,
                "numberMisscheduled": 0,
            },
        )

    def job(self, obj: Manifest) -> None:
        status = copy.deepcopy(obj.get("status") or {})
        if obj["spec"].get("suspend") or w.condition(status, "Complete") or w.condition(status, "Failed"):
            return
        pods = self._fill(obj, 1, lambda _: w.pod(obj))
        status.setdefault("startTime", _now())
        phase = ((pods[0] if pods else {}).get("status") or {}).get("phase")
        broken = any(self._faults.of(item.get("image", "")) for item in obj["spec"]["template"]["spec"]["containers"])
        if phase == "Succeeded":
            status |= {"succeeded": 1, "active": 0, "completionTime": _now()}
            status = w.with_condition(
                status, "Complete", "True", "CompletionsReached", "Reached expected number", _now()
            )
        elif broken and pods:
            status |= {"failed": 1, "active": 0}
            text = "Job has reached the specified backoff limit"
            status = w.with_condition(status, "Failed", "True", "BackoffLimitExceeded", text, _now())
        else:
            status["active"] = len(pods)
        self._status(obj, status)

    def pod(self, obj: Manifest) -> None:
        if (obj.get("status") or {}).get("containerStatuses"):
            return
        meta = obj["metadata"]
        asyncio.get_running_loop().call_later(KUBELET, self._start, meta["namespace"], meta["name"], meta["uid"])

    def _start(self, namespace: str, name: str, uid: str) -> None:
        found = self._storage.find(self._kinds["pods"], name, namespace)
        if found is None or found["metadata"]["uid"] != uid or (found.get("status") or {}).get("containerStatuses"):
            return
        finished = any(item.get("kind") == "Job" for item in found["metadata"].get("ownerReferences") or ())
        status = w.pod_status(found, self._faults, _now(), finished=finished)
        try:
            self._storage.update(
                self._kinds["pods"], {**found, "status": status}, subresource="status", field_manager="kubelet"
            )
        except StatusError as error:
            log.warning("simulated pod %s/%s: %s", namespace, name, error)


def _age(obj: Manifest) -> tuple[str, str]:
    return obj["metadata"].get("creationTimestamp", ""), obj["metadata"]["name"]


def _labelled(obj: Manifest, labels: dict[str, str]) -> bool:
    own = obj["metadata"].get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())


def _now() -> str:
    return timestamp(datetime.now(UTC))


_KINDS = (
    ("", "configmaps"), ("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"),
    ("apps", "daemonsets"), ("batch", "jobs"), ("", "pods"),
)  # fmt: skip
_PLURALS = {
    "Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets",
    "Job": "jobs", "Pod": "pods",
}  # fmt: skip
_STEPS: dict[str, Callable[[Simulator, Manifest], None]] = {
    "deployments": Simulator.deployment,
    "replicasets": Simulator.replica_set,
    "statefulsets": Simulator.stateful_set,
    "daemonsets": Simulator.daemon_set,
    "jobs": Simulator.job,
    "pods": Simulator.pod,
}
