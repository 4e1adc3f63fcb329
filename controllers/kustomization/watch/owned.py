"""Edge: metadata watches over everything that carries an owner's label, one per kind in use for the whole cluster
(or as the tenant, see coverage.py).

They serve two ends. An event of an object whose Kustomization waits for health wakes it. An object whose generation,
labels or annotations moved from what our own apply left (kinds without a generation: whose resourceVersion did) is
dirty: its Kustomization looks at that object, with one GET and one dry run.

An event may come before the answer of the very apply that caused it. So while a Kustomization applies, events are kept,
and judged when it says what it left behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from controllers.api.resource import Key, Manifest, Resource, key_of
from controllers.kustomization.objects.labels import OWNER_NAME, OWNER_NAMESPACE, Identity, labels_of
from controllers.runtime.kube import KubeClient, WatchEvent

Fingerprint = tuple[Any, ...]


class Watching(Protocol):
    """What is needed of the manager."""

    def watch(
        self,
        resource: Resource,
        on_event: Callable[[WatchEvent], None],
        *,
        label_selector: str = "",
        namespace: str = "",
        kube: KubeClient | None = None,
    ) -> Any: ...


_NOTES = "deployment.kubernetes.io/"
"""Annotations that the Deployment controller writes down its own progress in: nobody's edit."""


def fingerprint(manifest: Manifest) -> Fingerprint:
    """What moves when somebody edits an object, and stays through changes of its status."""
    meta = manifest["metadata"]
    generation = meta.get("generation")
    annotations = (meta.get("annotations") or {}).items()
    return (
        meta.get("uid"),
        generation if generation is not None else meta.get("resourceVersion"),
        tuple(sorted((meta.get("labels") or {}).items())),
        tuple(sorted(each for each in annotations if not each[0].startswith(_NOTES))),
        bool(meta.get("deletionTimestamp")),
    )


class OwnedObjects:
    """Fingerprints of what was applied, dirty objects per Kustomization, and the watches behind them."""

    def __init__(self, manager: Watching, *, on_dirty: Callable[[Key], None], on_status: Callable[[Key], None]) -> None:
        self._manager, self._on_dirty, self._on_status = manager, on_dirty, on_status
        self._watches: dict[tuple[Resource, str], Any] = {}
        self._left: dict[Key, dict[Identity, Fingerprint]] = defaultdict(dict)
        self._dirty: dict[Key, set[Identity]] = defaultdict(set)
        self._held: dict[Key, list[tuple[Identity, str, Manifest]]] = {}
        self._waiting: set[Key] = set()
        self._moved: dict[Key, set[Identity]] = defaultdict(set)

    def cover(self, resources: Iterable[Resource]) -> None:
        """Watches these kinds in the whole cluster from now on."""
        for resource in resources:
            if (resource, "") not in self._watches:
                seen = partial(self._see, resource)
                self._watches[resource, ""] = self._manager.watch(resource, seen, label_selector=OWNER_NAME)

    def cover_as(self, tenant: KubeClient, resource: Resource, namespace: str, *, place: str, selector: str) -> None:
        """Watches a kind by a tenant's own rights; `place` names whose it is where the kind has no namespace."""
        seen = partial(self._see, resource)
        self._watches[resource, place] = self._manager.watch(
            resource, seen, label_selector=selector or OWNER_NAME, namespace=namespace, kube=tenant
        )  # fmt: skip

    def watches(self, resource: Resource, place: str = "") -> bool:
        """Is there a watch of this kind, for the cluster or for one place?"""
        return (resource, place) in self._watches

    def begin(self, owner: Key) -> None:
        """A run of this Kustomization begins to apply: its events are kept until `end`."""
        self._held[owner] = []

    def end(self, owner: Key, left: dict[Identity, Manifest], *, whole: bool) -> None:
        """What the run left behind; `whole`: and nothing else is owned any more."""
        known = self._left[owner]
        if whole:
            known.clear()
        known.update({identity: fingerprint(manifest) for identity, manifest in left.items()})
        versions = {identity: manifest["metadata"].get("resourceVersion") for identity, manifest in left.items()}
        for identity, type_, manifest in self._held.pop(owner, []):
            if _newer(manifest, versions.get(identity)):
                self._judge(owner, identity, type_, manifest)

    def wait(self, owner: Key, waiting: bool) -> None:
        """Does it want to hear of status changes too?"""
        (self._waiting.add if waiting else self._waiting.discard)(owner)
        if not waiting:
            self._moved.pop(owner, None)

    def take_moved(self, owner: Key) -> set[Identity]:
        """Objects of which an event came since the last call while it waited."""
        return self._moved.pop(owner, set())

    def hears(self, owner: Key, identity: Identity) -> bool:
        """Would an event of this object reach us?"""
        group, kind, namespace, _ = identity
        places = ("", namespace or owner.namespace)
        return any(
            (resource.group, resource.kind) == (group, kind) and place in places for resource, place in self._watches
        )

    def take_dirty(self, owner: Key) -> set[Identity]:
        return self._dirty.pop(owner, set())

    def is_dirty(self, owner: Key) -> bool:
        return bool(self._dirty.get(owner))

    def forget(self, owner: Key) -> None:
        for table in (self._left, self._dirty, self._held, self._moved):
            table.pop(owner, None)
        self._waiting.discard(owner)

    def _see(self, resource: Resource, event: WatchEvent) -> None:
        if event.type == "BOOKMARK":
            return
        labels = labels_of(event.object)
        owner = Key(labels.get(OWNER_NAMESPACE, ""), labels.get(OWNER_NAME, ""))
        key = key_of(event.object)
        identity = (resource.group, resource.kind, key.namespace, key.name)
        if owner in self._held:
            self._held[owner].append((identity, event.type, event.object))
        else:
            self._judge(owner, identity, event.type, event.object)

    def _judge(self, owner: Key, identity: Identity, type_: str, manifest: Manifest) -> None:
        left = self._left.get(owner, {}).get(identity)
        if left is None:
            return
        if owner in self._waiting:
            self._moved[owner].add(identity)
        if type_ == "DELETED" or fingerprint(manifest) != left:
            self._dirty[owner].add(identity)
            self._on_dirty(owner)
        elif owner in self._waiting:
            self._on_status(owner)


def _newer(manifest: Manifest, version: Any) -> bool:
    """Does an event tell more than what an apply answered? True where that cannot be told."""
    mine = str(manifest["metadata"].get("resourceVersion") or "")
    return not (mine.isdigit() and str(version or "").isdigit() and int(mine) <= int(version))
