"""The sealing keys of this cluster, live: read from their Secrets, renewed on time, never a reason to fall over.

Key Secrets are watched as metadata; a change reads them again. A Secret that is no key is told in an event and a metric
and passed over. Renewal: when the newest certificate is older than the period, a new key is made (as upstream: a Secret
of type kubernetes.io/tls with the label and a generated name); old keys stay for what they sealed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from controllers.api.core import SECRETS
from controllers.api.resource import Manifest
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.pools import Pools
from controllers.sops.errors import SealedError

from .keys import (
    ACTIVE,
    KEY_LABEL,
    KEY_PREFIX,
    TLS_TYPE,
    Learned,
    SealingKey,
    SealingKeys,
    generate_key,
    is_active,
    newest,
    parse_key,
)

log = logging.getLogger(__name__)

_RETRY = 30.0
_CHECK = 3600.0
_EXPIRES_SOON = timedelta(days=30)


class SealingKeyManager:
    """`ring` is the present ring (empty until the first read). `on_change` hears when it became another."""

    selector: ClassVar[str] = KEY_LABEL

    def __init__(
        self, kube: KubeClient, pools: Pools, namespace: str, *, period: timedelta, on_change: Callable[[], None],
        on_bad_key: Callable[[Manifest, SealedError], None] = lambda _secret, _error: None, bits: int = 4096,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC), order: str = "CertNotBefore",
        cutoff: datetime | None = None, overdue: timedelta = timedelta(days=90),
        on_told: Callable[[Manifest, str, str, bool], None] = lambda _secret, _reason, _message, _warning: None,
    ) -> None:  # fmt: skip
        """`on_told` hears of the life of keys, for events: Secret, reason, message, whether it is a warning."""
        self._order, self._cutoff, self._overdue, self._on_told = order, cutoff, overdue, on_told
        self._kube, self._pools, self.namespace, self._period = kube, pools, namespace, period
        self._on_change, self._on_bad_key, self._bits, self._clock = on_change, on_bad_key, bits, clock
        self._learned = Learned()
        self._stale = asyncio.Event()
        self._known: dict[tuple[str, str | None, str | None], SealingKey] = {}
        self.malformed = 0
        """Key Secrets that are no keys."""
        self.ring = SealingKeys([], learned=self._learned)
        self.loaded = asyncio.Event()

    def changed(self) -> None:
        """A key Secret came, changed or went."""
        self._stale.set()

    async def follow(self) -> None:
        """Keeps the ring current, until cancelled. Run by the leader and by standbys."""
        while True:
            self._stale.clear()
            try:
                await self.load()
                wait = _CHECK
            except Exception:
                log.exception("sealing keys cannot be read; again in %.0f s", _RETRY)
                wait = _RETRY
            try:
                async with asyncio.timeout(wait):
                    await self._stale.wait()
            except TimeoutError:
                continue

    async def renew(self) -> None:
        """Makes a new key whenever the newest is older than the period, until cancelled. Run by the leader alone."""
        await self.loaded.wait()
        while True:
            await self.load()
            due = self.due()
            if due <= 0:
                await self._make()
                continue
            await asyncio.sleep(min(due, _CHECK))

    async def load(self) -> None:
        """Reads the key Secrets. Raises ApiError."""
        listed = await self._kube.list(SECRETS, self.namespace, label_selector=KEY_LABEL)
        secrets = [*listed.items, *await self._first_form(listed.items)]
        keys: list[SealingKey] = []
        retired: list[SealingKey] = []
        malformed = 0
        for secret in secrets:
            try:
                key = await self._parsed(secret)
            except SealedError as error:
                malformed += 1
                log.warning("sealing key passed over: %s", error.message)
                self._on_bad_key(secret, error)
                continue
            (keys if is_active(secret) else retired).append(key)
            if is_active(secret) and key.not_after - self._clock() < _EXPIRES_SOON:
                self._on_told(secret, "KeyExpires", f"the sealing key expires at {key.not_after:%Y-%m-%d %H:%M}Z", True)
        before = self._picture()
        self.ring, self.malformed = SealingKeys(keys, learned=self._learned, retired=retired), malformed
        first = not self.loaded.is_set()
        self.loaded.set()
        if first or before != self._picture():
            self._on_change()

    async def _first_form(self, listed: list[Manifest]) -> list[Manifest]:
        """The one key of the first releases: a Secret by name, without the label."""
        if any(secret["metadata"]["name"] == KEY_PREFIX for secret in listed):
            return []
        try:
            return [await self._kube.get(SECRETS, KEY_PREFIX, self.namespace)]
        except NotFound:
            return []

    async def _parsed(self, secret: Manifest) -> SealingKey:
        """The key of a Secret; parsed anew only where the Secret changed."""
        meta = secret["metadata"]
        name = (meta["name"], meta.get("uid"), meta.get("resourceVersion"))
        if name not in self._known:
            key = await self._pools.run("crypto", parse_key, secret)
            self._known = {at: known for at, known in self._known.items() if at[0] != meta["name"]} | {name: key}
        return self._known[name]

    def _picture(self) -> tuple[object, ...]:
        """What of the keys makes a difference to SealedSecrets; it moves with time, too."""
        states = sorted((key.fingerprint, self.state({key.fingerprint})) for key in self.ring.keys)
        return (states, sorted(key.fingerprint for key in self.ring.retired))

    @property
    def newest(self) -> SealingKey | None:
        """The key to seal with."""
        return newest(self.ring.keys, by=self._order)

    def state(self, used: Collection[str]) -> str:
        """Of an object sealed with these keys: newest, old, overdue, retired or unknown. The worst key counts."""
        states = [self._state(fingerprint) for fingerprint in used] or ["unknown"]
        return max(states, key=("newest", "old", "overdue", "unknown", "retired").index)

    def _state(self, fingerprint: str) -> str:
        for key in self.ring.keys:
            if key.fingerprint == fingerprint:
                current = self.newest
                if current is not None and key.fingerprint == current.fingerprint:
                    return "newest"
                return "overdue" if self._clock() - key.not_before > self._overdue else "old"
        return "retired" if any(key.fingerprint == fingerprint for key in self.ring.retired) else "unknown"

    def due(self) -> float:
        """Seconds until a new key is wanted; 0 or less: now."""
        key, now = self.newest, self._clock()
        if key is None:
            return 0.0
        if self._cutoff is not None and key.not_before < self._cutoff <= now:
            return 0.0
        if self._period <= timedelta(0):
            return _CHECK
        return (key.not_before + self._period - now).total_seconds()

    async def _make(self) -> None:
        key_pem, cert_pem = await self._pools.run("crypto", generate_key, self._clock(), bits=self._bits)
        body: Manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"generateName": KEY_PREFIX, "namespace": self.namespace, "labels": {KEY_LABEL: ACTIVE}},
            "type": TLS_TYPE,
            "data": {
                "tls.key": base64.b64encode(key_pem).decode(),
                "tls.crt": base64.b64encode(cert_pem).decode(),
            },
        }
        made = await self._kube.create(SECRETS, body, self.namespace)
        log.info("new sealing key %s", made["metadata"]["name"])
        self._on_told(made, "KeyRenewed", "new sealing key; re-encrypt what was sealed with older keys", False)
        await self.load()
