"""What is known of target Secrets without reading one: a metadata watch, boiled down to what decides.

One LIST and one WATCH of metadata for the whole cluster (label `managed=true`), so that a start with thousands of right
Secrets reads none of them. A Secret is right when its data-hash stands, nobody else owns a field of its data, and the
labels and annotations that we wrote still have our values. managedFields say all that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from controllers.api.resource import Key, Manifest, key_of
from controllers.runtime.kube import WatchEvent

from .desired import (
    CREATED_BY,
    DATA_HASH,
    GENERATED,
    MANAGED,
    METADATA_HASH,
    foreign_data,
    metadata_hash,
    metadata_part,
)
from .hashing import field_manager
from .ownership import controller_of


@dataclass(frozen=True, slots=True)
class Seen:
    """One target Secret, boiled down."""

    uid: str
    version: str
    data_hash: str
    created_by: str
    owner_uid: str
    owner_name: str
    foreign: bool
    metadata_right: bool
    mark: str
    generated: str = ""
    finalizers: tuple[str, ...] = ()


def seen(secret: Manifest, manager: str) -> Seen:
    """A Secret's metadata, boiled down for the ExternalSecret whose field manager this is."""
    meta = secret["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    controller = controller_of(secret)
    mark = annotations.get(METADATA_HASH, "")
    return Seen(
        uid=meta.get("uid", ""),
        version=meta.get("resourceVersion", ""),
        data_hash=annotations.get(DATA_HASH, "") if labels.get(MANAGED) == "true" else "",
        created_by=labels.get(CREATED_BY, ""),
        owner_uid=controller.get("uid", ""),
        owner_name=controller.get("name", ""),
        foreign=foreign_data(meta.get("managedFields") or [], manager),
        metadata_right=not mark or metadata_part(mark) == metadata_hash(secret, manager),
        mark=mark,
        generated=annotations.get(GENERATED, ""),
        finalizers=tuple(meta.get("finalizers") or ()),
    )


class Targets:
    """Filled by the watch and by our own writes. `on_change(key)` hears of every Secret that became another."""

    def __init__(self, manager_of: Callable[[Key], str], on_change: Callable[[Key], None]) -> None:
        """`manager_of`: the field manager of the ExternalSecret that a Secret belongs to, by the Secret's key."""
        self._manager_of, self._on_change = manager_of, on_change
        self._seen: dict[Key, Seen] = {}
        self._by_creator: dict[str, set[Key]] = defaultdict(set)
        self._checked: dict[Key, str] = {}

    def on_event(self, event: WatchEvent) -> None:
        key = key_of(event.object)
        if event.type == "DELETED":
            if self._drop(key):
                self._on_change(key)
            return
        if self._put(key, event.object):
            self._on_change(key)

    def get(self, key: Key) -> Seen | None:
        return self._seen.get(key)

    def created_by(self, creator: str) -> set[Key]:
        """Secrets that carry this created-by label."""
        return set(self._by_creator.get(creator, ()))

    def written(self, secret: Manifest) -> None:
        """The server's answer to our own write: its event will be no news."""
        self._put(key_of(secret), secret)

    def gone(self, key: Key) -> None:
        self._drop(key)

    def checked(self, secret: Manifest) -> None:
        """The whole Secret was read and found right, whoever owns its fields; good for this version of it."""
        self._checked[key_of(secret)] = secret["metadata"].get("resourceVersion", "")

    def right(self, key: Key, *, owner_uid: str, policy: str) -> bool:
        """Is the target as it was left, as far as metadata tell?"""
        if policy in ("Orphan", "None"):
            return True
        known = self._seen.get(key)
        if known is None or not known.data_hash:
            return False
        if policy == "Owner" and known.owner_uid != owner_uid:
            return False
        shared = policy in ("Merge", "CreateOrMerge")
        untouched = known.metadata_right and (shared or not known.foreign)
        return untouched or self._checked.get(key) == known.version

    def _put(self, key: Key, secret: Manifest) -> bool:
        fresh = seen(secret, self._manager_of(key))
        before = self._seen.get(key)
        if before is not None and before.version == fresh.version:
            return False
        if before is not None and before.uid == fresh.uid and _older(fresh.version, before.version):
            return False
        self._seen[key] = fresh
        if before is not None and before.created_by != fresh.created_by:
            self._by_creator[before.created_by].discard(key)
        if fresh.created_by:
            self._by_creator[fresh.created_by].add(key)
        return True

    def _drop(self, key: Key) -> bool:
        before = self._seen.pop(key, None)
        self._checked.pop(key, None)
        if before is not None:
            self._by_creator[before.created_by].discard(key)
        return before is not None


def _older(version: str, than: str) -> bool:
    """Of one object, by the number that every known API server uses; where it is none, nothing is older."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def target_key(external_secret: Manifest) -> Key:
    """The key of an ExternalSecret's target Secret."""
    meta, spec = external_secret["metadata"], external_secret.get("spec") or {}
    return Key(meta["namespace"], (spec.get("target") or {}).get("name") or meta["name"])


__all__ = ["Seen", "Targets", "field_manager", "seen", "target_key"]
