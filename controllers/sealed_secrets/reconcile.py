"""SealedSecret → Secret: read the keys and the present, unseal, write the difference.

A Secret that provably is as we wrote it (digest of its source, no other writer) is not read and nothing is unsealed: a
restart over thousands of SealedSecrets costs their one list. Everything else is one GET and, where needed, one write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from controllers.api.core import SECRETS
from controllers.api.resource import Key, Manifest
from controllers.runtime.conditions import is_true
from controllers.runtime.draft import Draft
from controllers.runtime.kube import AlreadyExists, KubeClient, NotFound
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.sops.errors import SealedError

from .key_manager import SealingKeyManager
from .metrics import SealedMeters
from .target import FIELD_MANAGER, Refusal, decide, keys_of, marked, source_digest, untouched
from .templates import render
from .unseal import Unsealed, unseal

log = logging.getLogger(__name__)

_WAIT_FOR_KEYS = 5.0
_CAN_HEAL = ("NoKey", "RetiredKey")
KEY_OUTDATED = "KeyOutdated"
ERR_UNSEAL, ERR_UPDATE = "ErrUnsealFailed", "ErrUpdateFailed"
"""Upstream's reasons of Events; the reasons of our conditions are finer."""
_TO_RESEAL = {"overdue": "overdue for replacement", "retired": "retired (its label is not active)"}


class Drafts(Protocol):
    def draft(self, key: Key) -> Draft: ...


class SealedSecretReconciler:
    """`known` gives the metadata of a Secret that our watch has seen; `refuse`: why a type may not be written."""

    def __init__(
        self, kube: KubeClient, pools: Pools, keys: SealingKeyManager, *, drafts: Callable[[], Drafts],
        known: Callable[[Key], Manifest | None], refuse: Callable[[str, str], str], meters: SealedMeters,
    ) -> None:  # fmt: skip
        self._meters = meters
        self._kube, self._pools, self._keys = kube, pools, keys
        self._drafts, self._known, self._refuse = drafts, known, refuse

    async def __call__(self, key: Key) -> Result:
        draft = self._drafts().draft(key)
        sealed = draft.manifest
        if sealed is None or sealed["metadata"].get("deletionTimestamp"):
            return Result()
        draft.ready("Unsealed", "")
        draft.announces_success = False
        if self._settled(key, sealed):
            self._tell_key(draft, keys_of(self._known(key) or {}))
            return Result()
        if not self._keys.loaded.is_set():
            raise NotReady("KeysNotLoaded", "the sealing keys have not been read yet", retry_after=_WAIT_FOR_KEYS)
        draft.failure_event = ERR_UNSEAL
        unsealed = await self._unsealed(sealed)
        draft.failure_event = ERR_UPDATE
        wanted = marked(unsealed.secret, sealed, unsealed.keys.values())
        secret_type = wanted.get("type") or "Opaque"
        if why := self._refuse(key.namespace, secret_type):
            raise Stalled("TypeRefused", f"spec.template.type: {why}")
        written = await self._write(key, sealed, wanted)
        if written or not is_true(sealed.get("status") or {}, "Synced"):
            draft.event("Unsealed", "SealedSecret unsealed successfully")
        self._tell_key(draft, frozenset(unsealed.keys.values()))
        return Result()

    def _settled(self, key: Key, sealed: Manifest) -> bool:
        """Already told as synced, and the Secret's metadata proves that nothing changed since."""
        status = sealed.get("status") or {}
        if status.get("observedGeneration") != sealed["metadata"].get("generation") or not is_true(status, "Synced"):
            return False
        known = self._known(key)
        return known is not None and untouched(known, sealed)

    async def _unsealed(self, sealed: Manifest) -> Unsealed:
        self._meters.unseals.inc()
        try:
            unsealed: Unsealed = await self._pools.run("crypto", unseal, sealed, self._keys.ring, render)
        except SealedError as error:
            self._meters.errors.labels("unseal", sealed["metadata"].get("namespace", "")).inc()
            # a key may come (a restored backup); everything else waits for an edit
            kind = NotReady if error.reason in _CAN_HEAL else Stalled
            raise kind(error.reason, error.message) from None
        return unsealed

    def _tell_key(self, draft: Draft, used: frozenset[str]) -> None:
        """A condition for as long as the object should be sealed anew, and an event when that begins."""
        if not self._keys.loaded.is_set():
            return  # a restart: the first load of the keys wakes every object
        if not used or self._keys.state(used) not in _TO_RESEAL:
            draft.drop_condition(KEY_OUTDATED)
            return
        names = {key.fingerprint: key for key in (*self._keys.ring.keys, *self._keys.ring.retired)}
        state = self._keys.state(used)
        shown = ", ".join(sorted(names[each].name for each in used if each in names)) or "a key that is gone"
        text = f"sealed with {shown}, which is {_TO_RESEAL[state]}; re-encrypt it (inhaul reseal)"
        if not is_true(draft.status, KEY_OUTDATED):
            draft.event("KeyOutdated", text, warning=True)
        draft.condition(KEY_OUTDATED, "True", "KeyRetired" if state == "retired" else "KeyOverdue", text)

    async def _write(self, key: Key, sealed: Manifest, wanted: Manifest) -> bool:
        """Whether something was written."""
        try:
            existing: Manifest | None = await self._kube.get(SECRETS, key.name, key.namespace)
        except NotFound:
            existing = None
        decision = decide(sealed, wanted, existing)
        if isinstance(decision, Refusal):
            self._meters.errors.labels("unmanaged", key.namespace).inc()
            raise Stalled(decision.reason, decision.message)
        if decision.verb == "none" or decision.body is None:
            return False
        if decision.verb == "create":
            try:
                await self._kube.create(SECRETS, decision.body, key.namespace, field_manager=FIELD_MANAGER)
            except AlreadyExists:
                raise NotReady("AlreadyExists", "Secret was created concurrently; retrying", retry_after=1.0) from None
        else:
            await self._kube.replace(SECRETS, decision.body, field_manager=FIELD_MANAGER)
        log.info(
            "unsealed %s: %d items, source %s",
            key, len(wanted.get("data") or {}), source_digest(sealed)[:12],
        )  # fmt: skip
        return True
