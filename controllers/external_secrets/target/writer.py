"""Writes the target Secret, and only where it differs.

The edge to the API server's Secrets: create, put in place, patch what is shared, delete. A Secret of another owner is
never touched. Where metadata already prove that the target is right, it is not even read.
"""

from __future__ import annotations

from typing import Literal

from controllers.api.core import SECRETS, secret_data
from controllers.api.resource import Key, Manifest
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.result import NotReady, Stalled

from . import desired as targeting
from .desired import DesiredSecret
from .hashing import data_hash, field_manager
from .observed import Targets, target_key

Written = Literal["created", "updated", "unchanged", "missing", "none"]
SYNC_ERROR = "SecretSyncedError"


class TargetWriter:
    """Shared by all reconciles."""

    def __init__(self, kube: KubeClient, targets: Targets) -> None:
        self._kube, self._targets = kube, targets

    async def write(self, external_secret: Manifest, wanted: DesiredSecret) -> Written:
        """Makes the target what it should be. Raises Stalled (another owner), NotReady, ApiError."""
        policy = _policy(external_secret)
        if policy == "None":
            return "none"
        key, uid = Key(wanted.namespace, wanted.name), external_secret["metadata"]["uid"]
        if policy in ("Owner", "Orphan") and self._is_right(key, uid, policy, wanted):
            return "unchanged"
        manager = field_manager(external_secret["metadata"]["name"])
        try:
            live = await self._kube.get(SECRETS, wanted.name, wanted.namespace)
        except NotFound:
            self._targets.gone(key)
            if policy == "Merge":
                return "missing"
            await self._create(wanted, manager)
            return "created"
        self._refuse_foreign(live, uid)
        if policy in ("Merge", "CreateOrMerge"):
            return await self._merge(wanted, live, manager)
        return await self._replace(wanted, live, manager, immutable=bool(live.get("immutable")))

    def _is_right(self, key: Key, uid: str, policy: str, wanted: DesiredSecret) -> bool:
        known = self._targets.get(key)
        if known is None or not self._targets.right(
            key, owner_uid=uid, policy="Owner" if policy == "Owner" else "Merge"
        ):
            return False
        return known.data_hash == data_hash(wanted.data) and known.mark == targeting.wanted_metadata_hash(wanted)

    def _refuse_foreign(self, live: Manifest, uid: str) -> None:
        other = targeting.other_owner(live, uid)
        if other:
            name = live["metadata"]["name"]
            raise Stalled(SYNC_ERROR, f"target is owned by another controller: Secret {name} belongs to {other}")

    async def _create(self, wanted: DesiredSecret, manager: str) -> None:
        body = targeting.manifest(wanted)
        created = await self._kube.create(SECRETS, body, wanted.namespace, field_manager=manager)
        self._targets.written(created)

    async def _replace(self, wanted: DesiredSecret, live: Manifest, manager: str, *, immutable: bool) -> Written:
        body = targeting.manifest(wanted, live, manager)
        if live.get("type", "Opaque") != wanted.type:
            await self._kube.delete(SECRETS, wanted.name, wanted.namespace, uid=live["metadata"]["uid"])
            await self._create(wanted, manager)  # a Secret's type cannot be changed
            return "updated"
        if immutable:
            body["data"], body["immutable"] = live.get("data") or {}, True
            body["metadata"]["annotations"][targeting.DATA_HASH] = data_hash(secret_data(live))
        if _equal(body, live):
            self._targets.written(live)
            self._targets.checked(live)
            return "unchanged"
        self._targets.written(await self._kube.replace(SECRETS, body, field_manager=manager))
        return "updated"

    async def _merge(self, wanted: DesiredSecret, live: Manifest, manager: str) -> Written:
        patch = targeting.merge_patch(wanted, live, manager)
        if live.get("immutable"):
            patch.pop("data", None)
        if targeting.same(patch, live):
            self._targets.written(live)
            self._targets.checked(live)
            return "unchanged"
        written = await self._kube.patch(
            SECRETS, wanted.name, wanted.namespace, body=patch, kind="merge", field_manager=manager
        )
        self._targets.written(written)
        return "updated"

    async def verify(self, external_secret: Manifest) -> bool:
        """Reads a target that metadata alone cannot clear. True: its data are as its hash says, and it is ours."""
        key, policy = target_key(external_secret), _policy(external_secret)
        known = self._targets.get(key)
        if known is None or not known.data_hash or not known.metadata_right:
            return False
        if policy == "Owner" and known.owner_uid != external_secret["metadata"]["uid"]:
            return False
        try:
            live = await self._kube.get(SECRETS, key.name, key.namespace)
        except NotFound:
            self._targets.gone(key)
            return False
        self._targets.written(live)
        if not targeting.target_valid(live, policy):
            return False
        self._targets.checked(live)
        return True

    async def delete(self, external_secret: Manifest, key: Key) -> bool:
        """Deletes a target that this ExternalSecret owns. False where there is none."""
        try:
            live = await self._kube.get(SECRETS, key.name, key.namespace, metadata_only=True)
        except NotFound:
            self._targets.gone(key)
            return False
        meta = live["metadata"]
        if not any(
            owner.get("uid") == external_secret["metadata"]["uid"] for owner in meta.get("ownerReferences") or []
        ):
            raise NotReady(SYNC_ERROR, f"Secret {key.name} is not owned by this ExternalSecret and is not deleted")
        await self._kube.delete(SECRETS, key.name, key.namespace, uid=meta["uid"])
        self._targets.gone(key)
        return True


def _policy(external_secret: Manifest) -> str:
    return ((external_secret.get("spec") or {}).get("target") or {}).get("creationPolicy") or "Owner"


def _equal(body: Manifest, live: Manifest) -> bool:
    """Would putting `body` in place leave `live` as it is?"""
    ours, theirs = body["metadata"], live["metadata"]
    for part in ("labels", "annotations", "ownerReferences", "finalizers"):
        if (ours.get(part) or None) != (theirs.get(part) or None):
            return False
    same_data = (body.get("data") or {}) == (live.get("data") or {})
    return same_data and bool(body.get("immutable")) == bool(live.get("immutable"))
