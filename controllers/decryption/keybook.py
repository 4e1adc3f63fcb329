"""The sealing keys of this cluster, live: read from their Secrets, renewed on time, never a reason to fall over.

Key Secrets are watched as metadata; a change reads them again. A Secret that is no key is told in an event and a metric
and passed over. Renewal: when the newest certificate is older than the period, a new key is made (as upstream: a Secret
of type kubernetes.io/tls with the label and a generated name); old keys stay for what they sealed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from controllers.api.core import SECRETS
from controllers.api.resource import Manifest
from controllers.runtime.kube import KubeClient
from controllers.runtime.pools import Pools

from .errors import SealedError
from .ring import (
    ACTIVE,
    KEY_LABEL,
    KEY_PREFIX,
    TLS_TYPE,
    Learned,
    Ring,
    SealingKey,
    generate_key,
    is_active,
    newest,
    parse_key,
)

log = logging.getLogger(__name__)

_RETRY = 30.0
_CHECK = 3600.0


class KeyBook:
    """`ring` is the present ring (empty until the first read). `on_change` hears when it became another."""

    selector: ClassVar[str] = KEY_LABEL

    def __init__(
        self, kube: KubeClient, pools: Pools, namespace: str, *, period: timedelta, on_change: Callable[[], None],
        on_bad_key: Callable[[Manifest, SealedError], None] = lambda _secret, _error: None, bits: int = 4096,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._kube, self._pools, self.namespace, self._period = kube, pools, namespace, period
        self._on_change, self._on_bad_key, self._bits, self._clock = on_change, on_bad_key, bits, clock
        self._learned = Learned()
        self._stale = asyncio.Event()
        self.ring = Ring([], learned=self._learned)
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
            newest_key = newest(self.ring.keys)
            due = self._due(newest_key)
            if due <= 0:
                await self._make()
                continue
            await asyncio.sleep(min(due, _CHECK))

    async def load(self) -> None:
        """Reads the key Secrets. Raises ApiError."""
        listed = await self._kube.list(SECRETS, self.namespace, label_selector=KEY_LABEL)
        keys: list[SealingKey] = []
        for secret in listed.items:
            if not is_active(secret):
                continue
            try:
                keys.append(await self._pools.run("crypto", parse_key, secret))
            except SealedError as error:
                log.warning("sealing key passed over: %s", error.message)
                self._on_bad_key(secret, error)
        before = {key.fingerprint for key in self.ring.keys}
        self.ring = Ring(keys, learned=self._learned)
        first = not self.loaded.is_set()
        self.loaded.set()
        if first or before != {key.fingerprint for key in keys}:
            self._on_change()

    def _due(self, key: SealingKey | None) -> float:
        """Seconds until a new key is wanted; 0 or less: now."""
        if key is None:
            return 0.0
        if self._period <= timedelta(0):
            return _CHECK
        return (key.not_before + self._period - self._clock()).total_seconds()

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
        await self.load()
