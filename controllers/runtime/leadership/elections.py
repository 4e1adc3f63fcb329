"""One Lease per controller of this process, and what follows from winning and losing one.

Losing any of them ends the process: a task that was cancelled in the middle may still have a write on the wire, and
only an ended process surely has none. If the main loop cannot stop before the Lease runs out for the others, the
process is ended from the lease's own thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable

from ..kube import KubeConfig
from ..metrics import Metrics
from ..settings import LeaseSettings
from .lease import LeaderElection, LeaseTimes

_EXIT_CODE = 70


class LeadershipLostError(Exception):
    """A Lease was not renewed in time: another process may lead by now, so this one must end."""


class Elections:
    """`start` once, on the main loop; `leads(scope)` returns when this process leads there."""

    def __init__(
        self, settings: LeaseSettings, config: KubeConfig, identity: str, namespace: str, metrics: Metrics
    ) -> None:
        self._settings, self._config, self._identity = settings, config, identity
        self._namespace, self._metrics = settings.namespace or namespace, metrics
        self._leading: dict[str, asyncio.Event] = {}
        self._elections: list[LeaderElection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_lost: Callable[[], None] = lambda: None
        self.lost = ""
        """The name of the Lease that was lost."""
        self.harmless = False
        """Set when nothing writes any more: a lost lease needs no hard exit from then on."""

    def start(self, scopes: Iterable[str], *, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called on the main loop."""
        self._loop, self._on_lost = asyncio.get_running_loop(), on_lost
        times = LeaseTimes(self._settings.duration, self._settings.deadline, self._settings.retry)
        for scope in sorted(scopes):
            self._leading[scope] = asyncio.Event()
            if not self._settings.enabled:
                self._leading[scope].set()
                continue
            self._metrics.leader.labels(scope).set(0)
            election = LeaderElection(
                self._config,
                name=lease_name(scope),
                namespace=self._namespace,
                identity=self._identity,
                times=times,
                on_gained=_bound(self._gained, scope),
                on_lost=_bound(self._lose, scope),
            )
            self._elections.append(election)
            election.start()

    async def leads(self, scope: str) -> None:
        await self._leading[scope].wait()

    async def stop(self) -> None:
        """Gives the Leases back."""
        await asyncio.gather(*(asyncio.to_thread(election.stop) for election in self._elections))

    def _gained(self, scope: str) -> None:
        self._metrics.leader.labels(scope).set(1)
        assert self._loop is not None  # noqa: S101 - start set it
        self._loop.call_soon_threadsafe(self._leading[scope].set)

    def _lose(self, scope: str) -> None:
        """On the lease's thread."""
        self.lost = lease_name(scope)
        self._metrics.leader.labels(scope).set(0)
        left = max(0.5, self._settings.duration - self._settings.deadline)
        last = threading.Timer(left, self._end)
        last.daemon = True
        last.start()
        assert self._loop is not None  # noqa: S101 - start set it
        self._loop.call_soon_threadsafe(self._on_lost)

    def _end(self) -> None:
        if not self.harmless:
            os._exit(_EXIT_CODE)


def lease_name(scope: str) -> str:
    """The Lease of a controller: `external_secrets` → `inhaul-external-secrets`."""
    name = scope.replace("_", "-")
    return name if name.startswith("inhaul") else f"inhaul-{name}"


def _bound(function: Callable[[str], None], scope: str) -> Callable[[], None]:
    return lambda: function(scope)
