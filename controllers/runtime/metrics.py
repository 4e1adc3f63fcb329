"""What Prometheus scrapes: reconciles, queues, API requests, watches, pools.

One registry per process. Labels are bounded by construction: controllers, HTTP methods, status codes, resource types,
namespaces and reasons; never names of objects, for ten thousand of those would be ten thousand series.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controllers.api.resource import Manifest, Resource

from .conditions import find
from .queue import QueueMeter, WorkQueue
from .store import Store

_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 15, 60, 300)
_PLURAL = re.compile(r"^/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/([a-z]+)")


class Metrics:
    """Names as controller-runtime has them where the same thing is measured, so that upstream's dashboards work."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "controller_runtime_reconcile",
            "Reconciliations by result",
            ["controller", "result"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconciliation",
            ["controller"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.queue_adds = Counter("workqueue_adds", "Keys added", ["name"], registry=self.registry)
        self.queue_retries = Counter("workqueue_retries", "Retries with backoff", ["name"], registry=self.registry)
        self.queue_wait = Histogram(
            "workqueue_queue_duration_seconds",
            "Time a key waits in the queue",
            ["name"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.queue_work = Histogram(
            "workqueue_work_duration_seconds",
            "Time a key is processed",
            ["name"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.requests = Counter(
            "rest_client_requests", "API requests", ["method", "resource", "code"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "rest_client_request_duration_seconds", "API calls", ["method"], buckets=_SECONDS, registry=self.registry
        )
        self._add_cluster_metrics()
        self._queues, self._objects = _Queues(), _Objects()
        self.registry.register(self._queues)
        self.registry.register(self._objects)

    def _add_cluster_metrics(self) -> None:
        self.watch_restarts = Counter(
            "inhaul_watch_restarts", "Watches restarted", ["resource"], registry=self.registry
        )
        self.lost_events = Counter(
            "inhaul_store_mended_objects",
            "Objects whose cached state a resync corrected",
            ["resource"],
            registry=self.registry,
        )
        self.events = Counter("inhaul_events", "Events by outcome", ["fate"], registry=self.registry)
        self.leader = Gauge(
            "leader_election_master_status", "1 if this process is the leader", ["name"], registry=self.registry
        )

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """The kube client's observer."""
        plural = found[1] if (found := _PLURAL.match(path)) else "other"
        self.requests.labels(method, plural, str(status) if status else "none").inc()
        if method != "WATCH":
            self.request_seconds.labels(method).observe(seconds)

    def meter(self, name: str) -> QueueMeter:
        return _Meter(self, name)

    def queue(self, queue: WorkQueue) -> None:
        """Exports depth, in-flight and longest running of a queue at each scrape."""
        self._queues.queues.append(queue)

    def objects(self, resource: Resource, store: Store) -> None:
        """Exports how many objects of a kind are ready, by namespace and reason; no kube-state-metrics is needed."""
        self._objects.stores[resource.kind] = store

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A gauge that is asked at each scrape, for rooms above."""
        gauge = Gauge(name, help, registry=self.registry)
        gauge.set_function(read)

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _Meter(QueueMeter):
    def __init__(self, metrics: Metrics, name: str) -> None:
        self._adds, self._retries = metrics.queue_adds.labels(name), metrics.queue_retries.labels(name)
        self._wait, self._work = metrics.queue_wait.labels(name), metrics.queue_work.labels(name)

    def added(self) -> None:
        self._adds.inc()

    def retried(self) -> None:
        self._retries.inc()

    def waited(self, seconds: float) -> None:
        self._wait.observe(seconds)

    def worked(self, seconds: float) -> None:
        self._work.observe(seconds)


class _Queues(Collector):
    def __init__(self) -> None:
        self.queues: list[WorkQueue] = []

    def collect(self) -> list[Metric]:
        families = [
            GaugeMetricFamily("workqueue_depth", "Keys waiting for a worker", labels=["name"]),
            GaugeMetricFamily("workqueue_in_flight", "Reconciliations in progress", labels=["name"]),
            GaugeMetricFamily("workqueue_known", "Keys queued, running, backing off or due later", labels=["name"]),
            GaugeMetricFamily("workqueue_longest_running_processor_seconds", "Oldest running", labels=["name"]),
            GaugeMetricFamily("workqueue_oldest_waiting_seconds", "Oldest waiting", labels=["name"]),
        ]
        for queue in self.queues:
            values = (len(queue), queue.in_flight(), queue.known, queue.longest_running(), queue.oldest_waiting())
            for family, value in zip(families, values, strict=True):
                family.add_metric([queue.name], value)
        return list(families)


class _Objects(Collector):
    """Readiness as the stores have it at the moment of the scrape: counts by namespace and reason, no object's name."""

    def __init__(self) -> None:
        self.stores: dict[str, Store] = {}

    def collect(self) -> list[Metric]:
        labels = ["kind", "exported_namespace", "ready", "reason", "suspended"]
        family = GaugeMetricFamily("inhaul_objects", "Reconciled objects by readiness", labels=labels)
        for kind, store in self.stores.items():
            for values, count in sorted(Tally(map(_readiness, store.list())).items()):
                family.add_metric([kind, *values], count)
        return [family]


def _readiness(manifest: Manifest) -> tuple[str, str, str, str]:
    ready: dict[str, Any] = find(manifest.get("status") or {}, "Ready") or {}
    suspended = (manifest.get("spec") or {}).get("suspend") is True
    namespace = str(manifest["metadata"].get("namespace") or "")
    return namespace, str(ready.get("status") or "Unknown"), str(ready.get("reason") or ""), str(suspended).lower()
