"""What of External Secrets Prometheus scrapes. No label names an object: staleness is exported as its worst."""

from __future__ import annotations

import time

from prometheus_client import Counter, Histogram

from controllers.api.resource import Key
from controllers.runtime.metrics import Metrics

_SWEEP = (0.1, 0.5, 2, 10, 60, 300)
_PROPAGATION = (0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300)


class Meters:
    """One per process."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.failed = Counter(
            "inhaul_external_secret_failures",
            "Refreshes that failed, by error class",
            ["error_class"],
            registry=registry,
        )
        self.drift = Counter("inhaul_external_secret_drift_repairs", "Targets repaired in place", registry=registry)
        self.syncs = Counter("inhaul_external_secret_syncs", "Refreshes that succeeded", registry=registry)
        self.batches = Counter("inhaul_external_secret_batches", "Batched calls", ["service"], registry=registry)
        self.batch_keys = Counter(
            "inhaul_external_secret_batch_keys", "Keys in batched calls", ["service", "why"], registry=registry
        )
        self.messages = Counter("inhaul_external_secret_events", "Events by fate", ["fate"], registry=registry)
        self.propagation = Histogram(
            "inhaul_external_secret_propagation_seconds",
            "From a change at the provider, as its event says, to its sync",
            buckets=_PROPAGATION,
            registry=registry,
        )
        self.sweeps = Counter(
            "inhaul_external_secret_sweeps", "Version sweeps by result", ["service", "result"], registry=registry
        )
        self.sweep_seconds = Histogram(
            "inhaul_external_secret_sweep_seconds", "Length of a sweep", buckets=_SWEEP, registry=registry
        )
        self.sweep_news = Counter(
            "inhaul_external_secret_sweep_news", "ExternalSecrets that a sweep sent to look", ["why"], registry=registry
        )
        self._last: dict[Key, tuple[float, float | None]] = {}
        metrics.gauge("inhaul_external_secret_oldest_sync_seconds", "Age of the oldest last success", self._oldest)
        metrics.gauge("inhaul_external_secret_overdue", "Refreshes overdue by more than a minute", self._overdue)

    def batch(self, service: str, asked: int, ahead: int) -> None:
        self.batches.labels(service).inc()
        self.batch_keys.labels(service, "asked").inc(asked)
        self.batch_keys.labels(service, "ahead").inc(ahead)

    def swept(self, service: str, result: str, seconds: float) -> None:
        self.sweeps.labels(service, result).inc()
        self.sweep_seconds.observe(seconds)

    def synced(self, key: Key, at: float, wait: float | None, propagation: float | None) -> None:
        self.syncs.inc()
        self._last[key] = (at, wait)
        if propagation is not None:
            self.propagation.observe(propagation)

    def forget(self, key: Key) -> None:
        self._last.pop(key, None)

    def _oldest(self) -> float:
        return time.time() - min((at for at, _ in self._last.values()), default=time.time())

    def _overdue(self) -> float:
        now = time.time()
        return float(sum(1 for at, wait in self._last.values() if wait is not None and now > at + wait + 60))
