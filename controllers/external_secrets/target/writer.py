"""Writes the target Secret, and only where it differs.

The edge to the API server's Secrets: create, put in place, patch what is shared, delete. A Secret of another owner is
never touched. Where metadata already prove that the target is right, it is not even read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from controllers.api.core import SECRETS, secret_data
from controllers.api.resource import Key, Manifest
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.result import NotReady, Stalled

from . import desired as targeting
from . import ownership
from .desired import DesiredSecret
from .hashing import data_hash, field_manager
from .observed import Targets, target_key

Written = Literal["created", "updated", "unchanged", "missing", "none"]
SYNC_ERROR = "SecretSyncedError"


class TargetWriter:
    """Shared by all reconciles."""

    def __init__(self, kube: KubeClient, targets: Targets) -> None:
        self._kube, self._targets = kube, targets

    async def write(
        self, external_secret: Manifest, desired: DesiredSecret, allow_type: Callable[[str], None] = lambda type_: None
    ) -> Written:
        """Makes the target what it should be. Raises Stalled, NotReady, ApiError.

        `allow_type` is asked for the type that the Secret has or gets, and raises where it may not be written.
        """
        policy = _policy(external_secret)
        if policy == "None":
            return "none"
        key, uid = Key(desired.namespace, desired.name), external_secret["metadata"]["uid"]
        if policy in ("Owner", "Orphan") and self._is_right(key, uid, policy, desired):
            return "unchanged"
        name = external_secret["metadata"]["name"]
        try:
            live = await self._kube.get(SECRETS, desired.name, desired.namespace)
        except NotFound:
            self._targets.gone(key)
            if policy == "Merge":
                return "missing"
            allow_type(desired.type or targeting.OPAQUE)
            await self._create(desired, field_manager(name))
            return "created"
        if obstacle := ownership.obstacle(live, name, become_owner=policy == "Owner"):
            raise Stalled(SYNC_ERROR, obstacle)
        allow_type(targeting.type_of(live))
        shared = policy in ("Merge", "CreateOrMerge")
        return await self._update(desired, live, field_manager(name), shared=shared)

    def _is_right(self, key: Key, uid: str, policy: str, desired: DesiredSecret) -> bool:
        known = self._targets.get(key)
        if known is None or not self._targets.right(
            key, owner_uid=uid, policy="Owner" if policy == "Owner" else "Merge"
        ):
            return False
        if (known.owner_uid == uid) != (desired.owner is not None) or not set(desired.finalizers) <= set(
            known.finalizers
        ):
            return False
        return known.data_hash == data_hash(desired.data) and known.mark == targeting.mark_of(desired)

    async def _create(self, desired: DesiredSecret, manager: str) -> None:
        body = targeting.manifest(desired)
        created = await self._kube.create(SECRETS, body, desired.namespace, field_manager=manager)
        self._targets.written(created)

    async def _update(self, desired: DesiredSecret, live: Manifest, manager: str, *, shared: bool) -> Written:
        """A Secret that is there keeps its uid, whatever the spec says: what cannot be changed is an error.

        As upstream: `target.immutable` keeps the data that an existing Secret has; of a Secret that is immutable by
        itself the metadata are written, and data that would change are an error.
        """
        if targeting.is_frozen(desired, live):
            return await self._replace(targeting.frozen_manifest(desired, live), live, manager)
        wanted_type = desired.type or targeting.type_of(live)
        if wanted_type != targeting.type_of(live):
            raise Stalled(
                SYNC_ERROR,
                f"Secret {desired.name} has type {targeting.type_of(live)}, spec.target.template.type: {wanted_type}: "
                "a Secret's type is immutable; unset the field, or delete the Secret to have it created again",
            )
        if live.get("immutable"):
            return await self._metadata_of_immutable(desired, live, manager, shared=shared)
        if not shared:
            return await self._replace(targeting.manifest(desired, live, manager), live, manager)
        return await self._patch(targeting.merge_patch(desired, live, manager), desired, live, manager)

    async def _metadata_of_immutable(
        self, desired: DesiredSecret, live: Manifest, manager: str, *, shared: bool
    ) -> Written:
        body = targeting.manifest(desired, live, manager)
        data = body["data"]
        if shared:
            patch = targeting.merge_patch(desired, live, manager)
            changes = {**(live.get("data") or {}), **patch["data"]}
            data = {key: value for key, value in changes.items() if value is not None}
        body["data"], body["immutable"] = live.get("data") or {}, True
        body["metadata"]["annotations"][targeting.DATA_HASH] = data_hash(secret_data(live))
        written = await self._replace(body, live, manager)
        if data != (live.get("data") or {}):
            raise Stalled(SYNC_ERROR, f"could not update secret, target is immutable: Secret {desired.name}")
        return written

    async def _replace(self, body: Manifest, live: Manifest, manager: str) -> Written:
        if _equal(body, live):
            self._targets.written(live)
            self._targets.checked(live)
            return "unchanged"
        self._targets.written(await self._kube.replace(SECRETS, body, field_manager=manager))
        return "updated"

    async def _patch(self, patch: Manifest, desired: DesiredSecret, live: Manifest, manager: str) -> Written:
        if targeting.same(patch, live):
            self._targets.written(live)
            self._targets.checked(live)
            return "unchanged"
        written = await self._kube.patch(
            SECRETS, desired.name, desired.namespace, body=patch, kind="merge", field_manager=manager
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
