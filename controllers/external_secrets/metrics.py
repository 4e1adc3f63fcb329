"""What of External Secrets Prometheus scrapes. No label names an object: staleness is exported by quantile.

Identities are labels, for a throttled or denied role is what one wants to see; but there are as many as tenants, so the
first hundred have their own and the rest are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controllers.api.base import InvalidSpecError, parse
from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Key, Manifest
from controllers.api.timestamps import timestamp_or_none
from controllers.aws.identity import OWN, Identity
from controllers.aws.rate_limit import RateLimits
from controllers.runtime.metrics import Metrics

from .values import schedule

_SWEEP = (0.1, 0.5, 2, 10, 60, 300)
_PROPAGATION = (0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300)
_IDENTITIES = 100
_QUANTILES = (0.5, 0.9, 0.99, 1.0)
_LATE = 60.0  # seconds after which a refresh is overdue


@dataclass(frozen=True, slots=True)
class Freshness:
    """Of all ExternalSecrets at one moment, in seconds. `ages` of last refreshes, ascending; `next_due` None: none."""

    ages: Sequence[float]
    next_due: float | None
    overdue: int
    never: int

    def age(self, quantile: float) -> float:
        return self.ages[min(len(self.ages) - 1, int(len(self.ages) * quantile))] if self.ages else 0.0


def freshness(manifests: Iterable[Manifest], now: datetime) -> Freshness:
    """From what the objects themselves say, so that a restart knows it too."""
    ages: list[float] = []
    waits: list[float] = []
    never = 0
    for manifest in manifests:
        refreshed = _refreshed(manifest)
        if refreshed is None:
            never += 1
            continue
        age = (now - refreshed).total_seconds()
        ages.append(age)
        try:
            wait = schedule.next_wait(parse(ExternalSecretSpec, manifest), manifest["metadata"].get("uid", ""))
        except (InvalidSpecError, ValueError):
            continue
        if wait is not None:
            waits.append(wait - age)
    ages.sort()
    overdue = sum(1 for wait in waits if wait < -_LATE)
    return Freshness(ages, max(0.0, min(waits)) if waits else None, overdue, never)


def _refreshed(manifest: Manifest) -> datetime | None:
    return timestamp_or_none((manifest.get("status") or {}).get("refreshTime"))


def identity_label(identity: Identity) -> str:
    """The role that calls, as account:role/name; "own" and "static" are what has no role."""
    role = identity.chain[-1].arn if identity.chain else ""
    if not role and identity.service_account is not None:
        role = identity.service_account.role
    if role:
        account, _, name = role.partition("::")[2].partition(":")
        return f"{account}:{name}"
    return "own" if identity == OWN else "static"


class _Fresh(Collector):
    """Asked at each scrape."""

    def __init__(self, manifests: Callable[[], Iterable[Manifest]]) -> None:
        self._manifests = manifests

    def collect(self) -> Iterable[Metric]:
        found = freshness(self._manifests(), datetime.now(UTC))
        ages = GaugeMetricFamily(
            "inhaul_external_secret_staleness_seconds", "Age of last refreshes by quantile", labels=["quantile"]
        )
        for quantile in _QUANTILES:
            ages.add_metric([f"{quantile:g}"], found.age(quantile))
        gauges = (
            ("overdue", "Refreshes overdue by more than a minute", float(found.overdue)),
            ("never_synced", "ExternalSecrets without a successful refresh", float(found.never)),
        )
        yield ages
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"inhaul_external_secret_{name}", text, value=value)
        if found.next_due is not None:
            text = "Seconds until the next refresh is due"
            yield GaugeMetricFamily("inhaul_external_secret_next_refresh_seconds", text, value=found.next_due)


class Meters:
    """One per process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.failed = self._counter("failures", "Refreshes that failed, by error class", "error_class")
        self.drift = self._counter("drift_repairs", "Targets repaired in place")
        self.syncs = self._counter("syncs", "Refreshes that succeeded")
        self.batches = self._counter("batches", "Batched calls", "service")
        self.batch_keys = self._counter("batch_keys", "Keys in batched calls", "service", "why")
        self.messages = self._counter("events", "Events by outcome", "fate")
        self.sweeps = self._counter("sweeps", "Version sweeps by result", "service", "result")
        self.sweep_news = self._counter("sweep_news", "ExternalSecrets that a sweep sent to look", "why")
        self.calls = self._counter("aws_calls", "Calls of AWS", "api", "identity", "result")
        registry = metrics.registry
        self.sweep_seconds = Histogram(
            "inhaul_external_secret_sweep_seconds", "Length of a sweep", buckets=_SWEEP, registry=registry
        )
        self.propagation = Histogram(
            "inhaul_external_secret_propagation_seconds",
            "From a change at the provider, as its event says, to its sync",
            buckets=_PROPAGATION,
            registry=registry,
        )
        self._identities: dict[Identity, str] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"inhaul_external_secret_{name}", text, labels, registry=self._metrics.registry)

    def fresh(self, manifests: Callable[[], Iterable[Manifest]]) -> None:
        """Exports staleness and the next refresh of these ExternalSecrets."""
        self._metrics.registry.register(_Fresh(manifests))

    def rate_limits(self, rate_limits: RateLimits) -> None:
        """Exports how AWS throttles us."""
        limited = "APIs that AWS throttled, of all identities, and whose calls are spaced since"
        self._metrics.gauge("inhaul_external_secret_aws_limited", limited, lambda: float(len(rate_limits.limits())))
        waiting = "Calls of AWS that wait for their turn"
        self._metrics.gauge("inhaul_external_secret_aws_waiting", waiting, lambda: float(rate_limits.waiting()))

    def called(self, identity: Identity, call: str, result: str) -> None:
        """For `Identities`."""
        label = self._identities.get(identity)
        if label is None:
            label, known = identity_label(identity), set(self._identities.values())
            if label not in known and len(known) >= _IDENTITIES:
                label = "other"
            if len(self._identities) < 20 * _IDENTITIES:
                self._identities[identity] = label
        self.calls.labels(call, label, result).inc()

    def batch(self, service: str, asked: int, ahead: int) -> None:
        self.batches.labels(service).inc()
        self.batch_keys.labels(service, "asked").inc(asked)
        self.batch_keys.labels(service, "ahead").inc(ahead)

    def swept(self, service: str, result: str, seconds: float) -> None:
        self.sweeps.labels(service, result).inc()
        self.sweep_seconds.observe(seconds)

    def synced(self, key: Key, at: float, wait: float | None, propagation: float | None) -> None:
        self.syncs.inc()
        if propagation is not None:
            self.propagation.observe(propagation)

    def forget(self, key: Key) -> None:
        """Nothing is kept by object."""
