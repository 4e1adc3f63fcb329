"""The last seen objects of one kind, for look-ups without a request, and indexes over them.

Filled by watch events; put right by a periodic list (`resync`), for a re-list of kopf reports no deletions and an event
can be lost. So what a store says may be old: reconciles that delete or prune ask the API server. `managedFields` are
dropped, for they are half of an object's memory and nobody looks them up here (`keep_managed` keeps them).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from controllers.api.resource import Key, Manifest, Resource, key_of

Manifests = list[Manifest]
IndexFunction = Callable[[Manifest], Iterable[str]]
Listener = Callable[[Manifest | None, Manifest | None], None]
log = logging.getLogger(__name__)

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
_REQUESTS = (REQUESTED_AT, "force-sync", "external-secrets.io/force-sync")


class StoreChange:
    """What an event changed, from the point of view of a reconcile."""

    NONE: Literal["none"] = "none"  # the same object again, or only its status
    METADATA: Literal["metadata"] = "metadata"  # labels, annotations, owners, finalizers
    SPEC: Literal["spec"] = "spec"  # new, another generation, a request, deletion begun
    GONE: Literal["gone"] = "gone"


@dataclass(slots=True)
class _Index:
    function: IndexFunction
    keys: dict[str, set[Key]]
    values: dict[Key, tuple[str, ...]]


class Store:
    """For one event loop. Objects in it are shared: whoever changes one copies it first."""

    def __init__(self, resource: Resource, *, keep_managed: bool = False) -> None:
        self.resource = resource
        self.synced = False
        """Whether a complete list has been seen: before that, an absent object may exist."""
        self._keep_managed = keep_managed
        self._objects: dict[Key, Manifest] = {}
        self._indexes: dict[str, _Index] = {}
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def list(self, namespace: str = "") -> Manifests:
        """All objects, or those of one namespace, in order of their keys."""
        return [self._objects[key] for key in sorted(self._objects) if not namespace or key.namespace == namespace]

    def index(self, name: str, function: IndexFunction) -> None:
        """Names an index: `function` gives the values under which an object is found."""
        index = _Index(function, defaultdict(set), {})
        self._indexes[name] = index
        for key, manifest in self._objects.items():
            _insert(index, key, manifest)

    def by_index(self, name: str, value: str) -> Manifests:
        """The objects that an index finds under `value`, in order of their keys."""
        return [self._objects[key] for key in sorted(self._indexes[name].keys.get(value, ()))]

    def put(self, manifest: Manifest) -> str:
        """Takes an object in and says what changed (`StoreChange`). An older version than the known one is dropped."""
        key = key_of(manifest)
        before = self._objects.get(key)
        if before is not None and _older(manifest, before):
            return StoreChange.NONE
        if not self._keep_managed:
            meta = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
            manifest = {**manifest, "metadata": meta}
        self._objects[key] = manifest
        for index in self._indexes.values():
            _remove(index, key)
            _insert(index, key, manifest)
        self._tell(before, manifest)
        return change(before, manifest)

    def drop(self, key: Key) -> bool:
        """True where the object was known."""
        for index in self._indexes.values():
            _remove(index, key)
        before = self._objects.pop(key, None)
        if before is not None:
            self._tell(before, None)
        return before is not None

    def subscribe(self, listener: Listener) -> None:
        """`listener(before, after)` hears of each put (also of an unchanged object) and drop; None: not there."""
        self._listeners.append(listener)

    def _tell(self, before: Manifest | None, after: Manifest | None) -> None:
        for listener in self._listeners:
            try:
                listener(before, after)
            except Exception:
                log.exception("store of %s: listener failed with an unexpected error", self.resource.plural)

    def versions(self) -> dict[Key, tuple[str, str]]:
        """uid and resourceVersion of each known object."""
        return {key: version_of(manifest) for key, manifest in self._objects.items()}


def version_of(manifest: Manifest) -> tuple[str, str]:
    meta = manifest["metadata"]
    return str(meta.get("uid") or ""), str(meta.get("resourceVersion") or "")


def change(before: Manifest | None, after: Manifest) -> str:
    """Pure: what an event changed for a reconcile. Status and managedFields are nothing."""
    if before is None:
        return StoreChange.SPEC
    old, new = before["metadata"], after["metadata"]
    if old.get("uid") != new.get("uid") or old.get("deletionTimestamp") != new.get("deletionTimestamp"):
        return StoreChange.SPEC
    if _generation(before) != _generation(after):
        return StoreChange.SPEC
    annotations = old.get("annotations") or {}, new.get("annotations") or {}
    if any(annotations[0].get(name) != annotations[1].get(name) for name in _REQUESTS):
        return StoreChange.SPEC
    if annotations[0] != annotations[1]:
        return StoreChange.METADATA
    if any((old.get(name) or None) != (new.get(name) or None) for name in ("labels", "ownerReferences", "finalizers")):
        return StoreChange.METADATA
    return StoreChange.NONE


def _generation(manifest: Manifest) -> Any:
    """Kinds without a generation (ConfigMap, Secret, Namespace) change with their content."""
    generation = manifest["metadata"].get("generation")
    if generation is not None:
        return generation
    return {key: value for key, value in manifest.items() if key not in ("metadata", "status")}


def _older(candidate: Manifest, known: Manifest) -> bool:
    """Whether an event is older than what a write's answer already told us: the same object, a smaller version."""
    (uid, version), (known_uid, known_version) = version_of(candidate), version_of(known)
    if uid != known_uid or not version.isdigit() or not known_version.isdigit():
        return False
    return int(version) < int(known_version)


def _insert(index: _Index, key: Key, manifest: Manifest) -> None:
    values = tuple(index.function(manifest))
    index.values[key] = values
    for value in values:
        index.keys[value].add(key)


def _remove(index: _Index, key: Key) -> None:
    for value in index.values.pop(key, ()):
        keys = index.keys[value]
        keys.discard(key)
        if not keys:
            del index.keys[value]
