"""Edge: from an object to what it owns, and up to the Kustomization that applied it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controllers.api.core import EVENTS, PODS, REPLICA_SETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.kustomization.health import cause
from controllers.kustomization.health.aggregate import Observed
from controllers.kustomization.health.cel_evaluator import Evaluator
from controllers.kustomization.health.check import look
from controllers.kustomization.objects import inventory
from controllers.kustomization.objects.inventory import Entry
from controllers.kustomization.objects.labels import OWNER_NAME, OWNER_NAMESPACE, labels_of
from controllers.kustomization.objects.references import source_of
from controllers.runtime.kube import ApiError, KubeClient, NotFound, UnknownKindError
from controllers.runtime.worker import HeavyWorker
from controllers.sources.source import artifact_of

_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Trace:
    """The chain from an object (first) over its owners to its Kustomization and source; None where it ends."""

    chain: tuple[Manifest, ...]
    kustomization: Manifest | None = None
    source: Manifest | None = None

    @property
    def in_inventory(self) -> bool:
        ids = {each.identity for each in inventory.read((self.kustomization or {}).get("status"))}
        return inventory.entry_of(self.chain[-1]).identity in ids

    @property
    def revision(self) -> str:
        status = (self.kustomization or {}).get("status") or {}
        return str(status.get("lastAppliedRevision") or status.get("lastAttemptedRevision") or "")

    @property
    def commit(self) -> dict[str, str]:
        """revision, author, commitTime, subject: what the history and the source's artifact tell of it."""
        status = (self.kustomization or {}).get("status") or {}
        told = {"revision": str(status.get("lastAttemptedRevision") or self.revision)}
        for entry in status.get("history") or ():
            if (entry.get("metadata") or {}).get("revision") == told["revision"]:
                told |= {name: str(value) for name, value in entry["metadata"].items()}
                break
        artifact = artifact_of(self.source)
        metadata: Any = artifact.get("metadata")
        if artifact.get("revision") == told["revision"] and isinstance(metadata, dict):
            told |= {name: str(metadata[name]) for name in ("author", "commitTime", "subject") if name in metadata}
        return {name: value for name, value in told.items() if value}


async def trace(kube: KubeClient, manifest: Manifest) -> Trace:
    chain = [manifest]
    while OWNER_NAME not in labels_of(chain[-1]) and len(chain) < _DEEPEST:
        refs = chain[-1]["metadata"].get("ownerReferences") or ()
        ref = next((each for each in refs if each.get("controller")), next(iter(refs), None))
        parent = await _get(kube, ref["apiVersion"], ref["kind"], ref["name"], _space(manifest)) if ref else None
        if parent is None or ref is None or parent["metadata"].get("uid") != ref.get("uid"):
            break
        chain.append(parent)
    labels = labels_of(chain[-1])
    if OWNER_NAME not in labels:
        return Trace(tuple(chain))
    owner = await _get(kube, KUSTOMIZATIONS.api_version, "Kustomization", labels[OWNER_NAME],
                       labels.get(OWNER_NAMESPACE, ""))  # fmt: skip
    return Trace(tuple(chain), owner, await source(kube, owner) if owner else None)


async def source(kube: KubeClient, kustomization: Manifest) -> Manifest | None:
    kind, key = source_of(kustomization)
    return await _get(kube, "source.toolkit.fluxcd.io/v1", kind, key.name, key.namespace)


async def health(kube: KubeClient, entries: Sequence[Entry]) -> list[Observed]:
    """The state of each object now, by kstatus; healthCheckExprs are the controller's to judge (no worker here)."""
    return await look(kube, [(entry, None) for entry in entries], {}, Evaluator(HeavyWorker()))


async def cause_of(kube: KubeClient, manifest: Manifest) -> cause.Cause | None:
    """The cause with Pods and events read; who may not read them gets what the object itself tells."""
    space = _space(manifest)
    children = await _children(kube, manifest) if space else []
    events: list[Manifest] = []
    if space:
        try:
            events = (await kube.list(EVENTS, space)).items
        except ApiError:
            events = []
    return cause.find(manifest, children=children, events=events)


async def _children(kube: KubeClient, manifest: Manifest) -> list[Manifest]:
    if manifest.get("kind") not in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"):
        return []
    owned: list[Manifest] = []
    uids = {manifest["metadata"]["uid"]}
    for resource in (REPLICA_SETS, PODS):
        owned += [
            {"apiVersion": resource.api_version, "kind": resource.kind, **each}
            for each in await _list(kube, resource, _space(manifest))
            if any(ref.get("uid") in uids for ref in each["metadata"].get("ownerReferences") or ())
        ]
        uids |= {each["metadata"]["uid"] for each in owned}
    return owned


async def _list(kube: KubeClient, resource: Resource, namespace: str) -> list[Manifest]:
    try:
        return (await kube.list(resource, namespace)).items
    except ApiError:
        return []


async def _get(kube: KubeClient, api_version: str, kind: str, name: str, namespace: str) -> Manifest | None:
    try:
        resource = await kube.resource_for(api_version, kind)
        return await kube.get(resource, name, namespace if resource.namespaced else "")
    except (NotFound, UnknownKindError):
        return None


def _space(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace") or "")
