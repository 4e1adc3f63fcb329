"""Owner references: what is deleted when its owner goes. One index over all objects, kept by the change stream.

Background (the default): children of an owner that no longer exists are deleted. Foreground: the owner waits, by the
finalizer `foregroundDeletion`, for children that block it. Orphan: references are taken off the children first.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from controllers.api.resource import Manifest

from .seams import KindInfo, Storage
from .status_errors import StatusError

log = logging.getLogger(__name__)

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_GRACE = 0.2
"""Seconds to wait before an absent owner counts as gone: it may be created right after its child, by uid known
before.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is."""

    kind: KindInfo
    namespace: str
    name: str


@dataclass(slots=True)
class Graph:
    """uid → where it is; owner uid → uids of its children."""

    places: dict[str, Place] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    owners: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def put(self, kind: KindInfo, obj: Manifest) -> None:
        meta = obj["metadata"]
        uid = meta["uid"]
        self.places[uid] = Place(kind, meta.get("namespace", ""), meta["name"])
        owners = tuple(reference.get("uid", "") for reference in meta.get("ownerReferences") or ())
        for old in set(self.owners.get(uid, ())) - set(owners):
            self.children[old].discard(uid)
        for owner in owners:
            self.children[owner].add(uid)
        self.owners[uid] = owners

    def drop(self, uid: str) -> None:
        self.places.pop(uid, None)
        for owner in self.owners.pop(uid, ()):
            self.children[owner].discard(uid)


async def collect(storage: Storage) -> None:
    """A seams.Controller."""
    graph = Graph()
    pending: set[asyncio.Task[None]] = set()
    async for change in storage.watch():
        meta = change.object["metadata"]
        uid = meta["uid"]
        if change.type == "DELETED":
            graph.drop(uid)
            owners = [reference.get("uid", "") for reference in meta.get("ownerReferences") or ()]
            for child in list(graph.children.pop(uid, ())):
                _release(storage, graph, child)
            for owner in owners:
                _finish(storage, graph, owner)
            continue
        graph.put(change.kind, change.object)
        if meta.get("deletionTimestamp"):
            _finish(storage, graph, uid)
        elif meta.get("ownerReferences") and change.type == "ADDED":
            task = asyncio.create_task(_check_later(storage, graph, uid))
            pending.add(task)
            task.add_done_callback(pending.discard)


async def _check_later(storage: Storage, graph: Graph, uid: str) -> None:
    await asyncio.sleep(_GRACE)
    _release(storage, graph, uid)


def _present(storage: Storage, graph: Graph, uid: str) -> Manifest | None:
    place = graph.places.get(uid)
    if place is None:
        return None
    found = storage.find(place.kind, place.name, place.namespace)
    return found if found is not None and found["metadata"]["uid"] == uid else None


def _release(storage: Storage, graph: Graph, uid: str) -> None:
    """A child some of whose owners are gone: the references go, or with the last of them the child."""
    child = _present(storage, graph, uid)
    if child is None:
        return
    references = child["metadata"].get("ownerReferences") or []
    namespace = child["metadata"].get("namespace", "")
    solid = [reference for reference in references if _owns(storage, graph, reference, namespace)]
    if not references or len(solid) == len(references):
        return
    place = graph.places[uid]
    try:
        if solid:
            _write(storage, place, child, {"ownerReferences": solid})
        elif not child["metadata"].get("deletionTimestamp"):
            storage.delete(place.kind, place.name, place.namespace, uid=uid, propagation="Background")
    except StatusError as error:
        if error.code not in (404, 409):
            log.warning("garbage collection of %s %s: %s", place.kind.kind, place.name, error)


def _owns(storage: Storage, graph: Graph, reference: Manifest, namespace: str) -> bool:
    """Does the owner exist, in this namespace or cluster-wide?"""
    kind = storage.kind_for(reference.get("apiVersion", ""), reference.get("kind", ""))
    if kind is None:
        return reference.get("uid", "") in graph.places or not reference.get("kind")
    owner = storage.find(kind, reference.get("name", ""), namespace if kind.namespaced else "")
    return owner is not None and owner["metadata"]["uid"] == reference.get("uid")


def _finish(storage: Storage, graph: Graph, uid: str) -> None:
    """Takes a deleted owner's garbage collection finalizers off when their work is done."""
    owner = _present(storage, graph, uid)
    if owner is None or not owner["metadata"].get("deletionTimestamp"):
        return
    finalizers = owner["metadata"].get("finalizers") or []
    place = graph.places[uid]
    try:
        if ORPHAN in finalizers:
            for child in list(_children(storage, graph, uid)):
                _disown(storage, graph, child, uid)
            _write(storage, place, owner, {"finalizers": [item for item in finalizers if item != ORPHAN]})
        elif FOREGROUND in finalizers:
            _finish_foreground(storage, graph, owner, place)
    except StatusError as error:
        if error.code not in (404, 409):
            log.warning("deletion of %s %s: %s", place.kind.kind, place.name, error)


def _finish_foreground(storage: Storage, graph: Graph, owner: Manifest, place: Place) -> None:
    uid = owner["metadata"]["uid"]
    children = list(_children(storage, graph, uid))
    for child in children:
        if not child["metadata"].get("deletionTimestamp"):
            at = graph.places[child["metadata"]["uid"]]
            storage.delete(at.kind, at.name, at.namespace, propagation="Foreground")
    blocking = [
        child
        for child in _children(storage, graph, uid)
        if any(
            reference.get("uid") == uid and reference.get("blockOwnerDeletion")
            for reference in child["metadata"].get("ownerReferences") or ()
        )
    ]
    if not blocking:
        kept = [item for item in owner["metadata"].get("finalizers") or [] if item != FOREGROUND]
        _write(storage, place, owner, {"finalizers": kept})


def _children(storage: Storage, graph: Graph, uid: str) -> Iterator[Manifest]:
    for child in list(graph.children.get(uid, ())):
        found = _present(storage, graph, child)
        if found is not None:
            yield found


def _disown(storage: Storage, graph: Graph, child: Manifest, owner: str) -> None:
    place = graph.places[child["metadata"]["uid"]]
    kept = [item for item in child["metadata"].get("ownerReferences") or [] if item.get("uid") != owner]
    _write(storage, place, child, {"ownerReferences": kept})


def _write(storage: Storage, place: Place, obj: Manifest, metadata: dict[str, object]) -> None:
    changed = copy.deepcopy(obj)
    changed["metadata"].update(metadata)
    storage.update(place.kind, changed)
