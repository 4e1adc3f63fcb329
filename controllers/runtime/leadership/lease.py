"""Leader election by a coordination.k8s.io Lease, on a thread, loop and connection of its own.

Its own thread, because a main loop that is busy for five seconds must not lose the lease while it still works; and if
the main loop is stuck for good, the liveness probe ends it. Every write carries the resourceVersion that was read, so
of two candidates one gets Conflict. A holder counts as gone when *we* have seen no new renewal for the lease's
duration on our own monotonic clock: clocks of two nodes are never compared. A leader that could not renew before its
deadline is told so by `on_lost` and must exit: the deadline is shorter than the duration, so it is gone before the
next one starts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controllers.api.core import LEASES
from controllers.api.resource import Manifest
from controllers.api.timestamps import micro_timestamp

from ..kube import AlreadyExists, ApiError, Conflict, KubeClient, KubeConfig, NotFound, Timeouts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds: how long a lease holds, by when a leader must have renewed, how often it tries."""

    duration: float = 8.0
    deadline: float = 5.0
    retry: float = 1.0


class LeaderElection:
    """`start()`; `on_gained` and `on_lost` are called from its thread; `stop()` gives the lease back."""

    def __init__(
        self,
        config: KubeConfig,
        *,
        name: str,
        namespace: str,
        identity: str,
        times: LeaseTimes,
        on_gained: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.name, self.namespace, self.identity = name, namespace, identity
        self._config, self._times = config, times
        self._on_gained, self._on_lost = on_gained, on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name=f"lease {name}", daemon=True)
        self._leading = False
        self._renewed = 0.0
        self._seen: tuple[str, str] = ("", "")  # holder and renewTime as last read
        self._seen_at = 0.0

    @property
    def leading(self) -> bool:
        return self._leading

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Ends the thread. A held lease is released, so that a standby need not wait for its end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _main(self) -> None:
        try:
            asyncio.run(self._elect())
        except Exception:
            log.exception("leader election of %s failed with an unexpected error", self.name)
            if self._leading:
                self._lost()

    async def _elect(self) -> None:
        request = max(0.5, self._times.retry)
        timeouts = Timeouts(connect=request, request=request)
        async with KubeClient(self._config, limit=1, timeouts=timeouts) as kube:
            while not self._stop.is_set():
                started = time.monotonic()
                try:
                    async with asyncio.timeout(self._patience(started)):
                        holds = await self._try(kube)
                    if holds:
                        self._renewed = started
                        self._gained()
                    elif self._leading:  # somebody else holds it: we were too late
                        self._lost()
                        return
                except (Conflict, AlreadyExists):
                    pass
                except (ApiError, TimeoutError) as error:
                    log.warning("lease %s/%s: %s", self.namespace, self.name, error or "timed out")
                if self._leading and time.monotonic() - self._renewed >= self._times.deadline:
                    self._lost()
                    return
                await asyncio.to_thread(self._stop.wait, self._times.retry)
            if self._leading:
                self._leading = False
                with suppress(ApiError, TimeoutError):
                    async with asyncio.timeout(2):
                        await self._release(kube)

    def _patience(self, now: float) -> float:
        """Seconds that one try may take: a leader's ends with its deadline."""
        deadline = self._times.deadline
        return max(0.1, self._renewed + deadline - now) if self._leading else deadline

    def _gained(self) -> None:
        if not self._leading:
            self._leading = True
            log.info("leading %s as %s", self.name, self.identity)
            self._on_gained()

    def _lost(self) -> None:
        self._leading = False
        log.error("lease %s/%s was not renewed in %.0f s: stopping", self.namespace, self.name, self._times.deadline)
        self._on_lost()

    async def _try(self, kube: KubeClient) -> bool:
        """Takes or renews the lease if it is free or ours. Raises Conflict where another was faster."""
        try:
            lease = await kube.get(LEASES, self.name, self.namespace)
        except NotFound:
            spec = self._spec(transitions=0, acquired=_now())
            meta = {"name": self.name, "namespace": self.namespace}
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": spec}
            await kube.create(LEASES, body)
            return True
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        if holder == self.identity:
            acquired, transitions = spec.get("acquireTime") or _now(), int(spec.get("leaseTransitions") or 0)
        elif self._is_free(spec, holder):
            acquired, transitions = _now(), int(spec.get("leaseTransitions") or 0) + 1
        else:
            return False
        await kube.replace(LEASES, {**lease, "spec": self._spec(transitions=transitions, acquired=acquired)})
        return True

    def _is_free(self, spec: Manifest, holder: str) -> bool:
        if not holder:
            return True
        seen = (holder, str(spec.get("renewTime") or ""))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        duration = float(spec.get("leaseDurationSeconds") or self._times.duration)
        return time.monotonic() - self._seen_at > duration

    def _spec(self, *, transitions: int, acquired: str) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._times.duration)),
            "acquireTime": acquired,
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }

    async def _release(self, kube: KubeClient) -> None:
        lease = await kube.get(LEASES, self.name, self.namespace)
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") == self.identity:
            await kube.replace(LEASES, {**lease, "spec": {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}})


def _now() -> str:
    return micro_timestamp(datetime.now(UTC))
