"""Events about our objects, without a flood.

They are written as core/v1, as client-go's recorder does: `kubectl get events --sort-by=.lastTimestamp` and dashboards
read `count` and `lastTimestamp`, which the API server takes in no event of events.k8s.io/v1. The same event (object,
type, reason, message) is created once; repetitions within an hour, for which an API server keeps events, count on in
it, patched at most once a minute. One object may record 10 new events in a burst and one each 30 s after that; the
rest are dropped and counted. Recording never waits and never fails a reconcile: events go through a bounded queue to
one task, and an API server that refuses them is a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from controllers.api.core import CORE_EVENTS
from controllers.api.resource import Manifest, Resource
from controllers.api.timestamps import timestamp

from .kube import ApiError, KubeClient
from .metrics import Metrics

log = logging.getLogger(__name__)

_WINDOW = 3000.0  # seconds in which a repetition counts on in the same event; the API server keeps events for an hour
_SERIES_EVERY = 60.0
_BURST, _REFILL = 10, 1 / 30  # new events per object: at once, and per second
_BACKLOG = 1000
_MAX_NOTE = 1024  # characters; the schema's limit
_MAX_REASON = 128
_REMEMBERED = 4096  # series and objects


@dataclass(slots=True)
class _Series:
    namespace: str
    name: str
    count: int
    last: float
    sent: float


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class EventRecorder:
    """`run` sends; `record` may be called before it runs."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        metrics: Metrics | None = None,
        instance: str = "inhaul",
        namespace: str = "default",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`instance` names this process (a Pod's name); `namespace` takes events about cluster-scoped objects."""
        self._kube, self._metrics = kube, metrics
        self._instance, self._namespace, self._clock = instance, namespace, clock
        self._series: dict[tuple[str, ...], _Series] = {}
        self._allowances: dict[str, _Allowance] = {}
        self._backlog: asyncio.Queue[tuple[str, Manifest]] = asyncio.Queue(_BACKLOG)

    def record(
        self, resource: Resource, manifest: Manifest, *, reason: str, message: str, warning: bool = False
    ) -> None:
        """`message` holds no value of a secret; it is cut at 1,024 characters."""
        meta = manifest["metadata"]
        uid = str(meta.get("uid") or "")
        type_ = "Warning" if warning else "Normal"
        identity, now = (uid, type_, reason, message), self._clock()
        if (series := self._series.get(identity)) is not None and now - series.last < _WINDOW:
            self._repeat(series, now)
            return
        if not self._allowed(uid, now):
            self._count("dropped")
            return
        namespace = meta.get("namespace") or self._namespace
        name = f"{str(meta.get('name') or 'object')[:200]}.{uuid4().hex[:16]}"
        body: Manifest = {
            "apiVersion": CORE_EVENTS.api_version,
            "kind": CORE_EVENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "count": 1,
            "firstTimestamp": _time(now),
            "lastTimestamp": _time(now),
            "source": {"component": "inhaul"},
            "reportingComponent": "inhaul",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "reason": (reason or "Unknown")[:_MAX_REASON],
            "type": type_,
            "message": message[:_MAX_NOTE],
            "involvedObject": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "name": meta.get("name"),
                "namespace": meta.get("namespace") or "",
                "uid": uid,
                "resourceVersion": meta.get("resourceVersion") or "",
            },
        }
        _bound(self._series)
        self._series[identity] = _Series(namespace, name, 1, now, now)
        self._send("create", body)

    async def run(self) -> None:
        """Sends until cancelled."""
        while True:
            verb, body = await self._backlog.get()
            meta = body["metadata"]
            try:
                if verb == "create":
                    await self._kube.create(CORE_EVENTS, body)
                else:
                    again = {"count": body["count"], "lastTimestamp": body["lastTimestamp"]}
                    await self._kube.patch(CORE_EVENTS, meta["name"], meta["namespace"], body=again)
                self._count("sent")
            except ApiError as error:
                self._count("failed")
                log.warning("event not recorded: %s", error.message)
            finally:
                self._backlog.task_done()

    async def flush(self, seconds: float = 2.0) -> None:
        """Waits until what was recorded has been taken up, at most so long: for a clean stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._backlog.join(), seconds)

    def _repeat(self, series: _Series, now: float) -> None:
        series.count += 1
        series.last = now
        if now - series.sent < _SERIES_EVERY:
            self._count("joined")
            return
        series.sent = now
        body = {
            "metadata": {"name": series.name, "namespace": series.namespace},
            "count": series.count,
            "lastTimestamp": _time(now),
        }
        self._send("patch", body)

    def _allowed(self, uid: str, now: float) -> bool:
        _bound(self._allowances)
        allowance = self._allowances.setdefault(uid, _Allowance(_BURST, now))
        allowance.left = min(_BURST, allowance.left + (now - allowance.at) * _REFILL)
        allowance.at = now
        if allowance.left < 1:
            return False
        allowance.left -= 1
        return True

    def _send(self, verb: str, body: Manifest) -> None:
        try:
            self._backlog.put_nowait((verb, body))
        except asyncio.QueueFull:
            self._count("dropped")

    def _count(self, fate: str) -> None:
        if self._metrics is not None:
            self._metrics.events.labels(fate).inc()


def _bound(memory: dict) -> None:  # type: ignore[type-arg]
    """Forgets the oldest entries of a memory that grew too large."""
    while len(memory) >= _REMEMBERED:
        del memory[next(iter(memory))]


def _time(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))
