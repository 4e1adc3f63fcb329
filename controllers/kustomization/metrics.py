"""From the commit to the cluster: how long until fetched, applied and healthy, by whom, as metric and event.

Counted once for each Kustomization and revision that changed what it renders; a revision that does not touch its paths
is no delivery of it. Times are told from the committer's clock, which may be wrong: what comes out negative counts 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controllers.api.duration import format_duration
from controllers.api.resource import Key
from controllers.api.timestamps import timestamp_or_none

SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
STAGE_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 15, 60, 300, 1800)
FETCHED, APPLIED, HEALTHY = "commit_to_fetched", "commit_to_applied", "commit_to_healthy"


@dataclass(frozen=True, slots=True)
class LeadTimes:
    """Seconds after the commit; `applied` is where the last object was written, `healthy` the end."""

    fetched: float
    applied: float
    healthy: float

    def __str__(self) -> str:
        parts = ((self.fetched, "fetched"), (self.applied, "applied"), (self.healthy, "healthy"))
        return ", ".join(f"{name} after {format_duration(round(seconds))}" for seconds, name in parts)


def lead_times(
    artifact: Mapping[str, object], metadata: Mapping[str, str], *, applied: datetime, healthy: datetime
) -> LeadTimes | None:
    """None where the source tells no commit time (a foreign source-controller's artifacts)."""
    committed = timestamp_or_none(metadata.get("commitTime"))
    if committed is None:
        return None
    fetched = timestamp_or_none(artifact.get("lastUpdateTime")) or committed

    def since(moment: datetime) -> float:
        return max(0.0, (moment - committed).total_seconds())

    return LeadTimes(since(fetched), since(applied), since(healthy))


class Meters:
    """The room's own metrics: lead times, lengths of runs, what is managed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lead = Histogram(
            "inhaul_lead_time_seconds", "From a commit to a cluster", ["namespace", "phase"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.managed = Gauge(
            "inhaul_managed_objects", "Objects in the inventory", ["namespace", "name"], registry=registry
        )  # fmt: skip
        self.reconcile = Histogram(
            "gotk_reconcile_duration_seconds", "A run of a Kustomization", ["kind", "name", "namespace"],
            buckets=tuple(0.01 * (1800 / 0.01) ** (step / 9) for step in range(10)), registry=registry,
        )  # fmt: skip

        self.stage = Histogram(
            "inhaul_stage_duration_seconds", "Parts of a run of a Kustomization", ["stage"], buckets=STAGE_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.pruned = Counter("inhaul_pruned_objects", "Objects deleted as no longer wanted", ["namespace"],
                              registry=registry)  # fmt: skip

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measures the block as this stage: `build`, `apply` or `prune`. What waits for health holds no worker and is
        told by `health`."""
        began = monotonic()
        try:
            yield
        finally:
            self.stage.labels(stage).observe(monotonic() - began)

    def healthy(self, seconds: float) -> None:
        """All became healthy this long after they were applied."""
        self.stage.labels("health").observe(seconds)

    def delivered(self, namespace: str, times: LeadTimes) -> None:
        for phase, seconds in ((FETCHED, times.fetched), (APPLIED, times.applied), (HEALTHY, times.healthy)):
            self.lead.labels(namespace, phase).observe(seconds)

    def ran(self, key: Key, seconds: float, status: Mapping[str, Any]) -> None:
        """One reconcile ended; its status tells what is managed."""
        self.reconcile.labels("Kustomization", key.name, key.namespace).observe(seconds)
        entries = (status.get("inventory") or {}).get("entries") or ()
        self.managed.labels(key.namespace, key.name).set(len(entries))

    def forget(self, key: Key) -> None:
        with suppress(KeyError):
            self.managed.remove(key.namespace, key.name)
            self.reconcile.remove("Kustomization", key.name, key.namespace)
