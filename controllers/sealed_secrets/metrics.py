"""What Prometheus learns of the SealedSecret controller. Upstream's names where upstream measures the same."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from .key_manager import SealingKeyManager

_UPSTREAM = "sealed_secrets_controller"


class SealedMeters:
    """Counts of unsealing and of the HTTP doors."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.unseals = Counter(f"{_UPSTREAM}_unseal_requests", "Unseal attempts", registry=registry)
        self.errors = Counter(
            f"{_UPSTREAM}_unseal_errors", "Failed unseals by reason", ["reason", "namespace"], registry=registry
        )
        self._requests = Counter(
            f"{_UPSTREAM}_http_requests", "HTTP requests", ["path", "code", "method"], registry=registry
        )
        self._seconds = Histogram(
            f"{_UPSTREAM}_http_request_duration_seconds", "HTTP requests", ["path", "method"], registry=registry
        )

    def request(self, path: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(path, str(status), method).inc()
        self._seconds.labels(path, method).observe(seconds)


class KeyMeters(Collector):
    """The life of the sealing keys, asked at each scrape: ages, renewal, expiry, and objects by the age of their key.

    `uses` gives, per SealedSecret, the fingerprints of the keys that sealed its items.
    """

    def __init__(
        self, keys: SealingKeyManager, uses: Callable[[], Mapping[object, frozenset[str]]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._keys, self._uses, self._clock = keys, uses, clock

    def collect(self) -> list[Metric]:
        now, keys = self._clock(), self._keys
        count = GaugeMetricFamily("inhaul_sealing_keys", "Sealing keys by state", labels=["state"])
        count.add_metric(["active"], len(keys.ring.keys))
        count.add_metric(["retired"], len(keys.ring.retired))
        count.add_metric(["malformed"], keys.malformed)
        count.add_metric(["expired"], sum(key.not_after <= now for key in keys.ring.keys))
        objects = GaugeMetricFamily("inhaul_sealed_objects", "SealedSecrets by the state of their key", labels=["key"])
        tally = Tally(keys.state(used) for used in self._uses().values())
        for state in ("newest", "old", "overdue", "retired", "unknown"):
            objects.add_metric([state], tally[state])
        families: list[Metric] = [count, objects]
        newest = keys.newest
        if newest is not None:
            for name, text, value in (
                ("age", "Age of the newest sealing key", (now - newest.not_before).total_seconds()),
                ("expires", "Time until the newest sealing key expires", (newest.not_after - now).total_seconds()),
                ("renewal", "Time until the next sealing key is made", keys.due()),
            ):
                family = GaugeMetricFamily(f"inhaul_sealing_key_{name}_seconds", text)
                family.add_metric([], value)
                families.append(family)
        return families
