"""What is held for a human now, and how it is told: annotation, conditions, events, metrics.

The annotation `drift.inhaul.dev/held` is the durable memory (see docs/drift.md); it is written after the apply and
before the end of the run, so that a crash between costs one more look and nothing else. Ready=False/DriftDetected is no
failure to be tried again and again: all that may be applied is applied, and the next interval looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Key, Manifest
from controllers.api.timestamps import timestamp
from controllers.kustomization.objects.labels import Identity
from controllers.runtime import conditions
from controllers.runtime.draft import Draft
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.result import Result

from .apply.apply import Applied
from .drift.annotations import DRIFTED, HELD, IN_SYNC, MAX_HELD, RELEASE, RetainedField, after_release, write_held
from .drift.policy import Drift, Mode, Policy, summary
from .objects.inventory import parse_id
from .state import KustomizationState

FOREIGN = "ForeignFields"
_SHOWN = 64
_MOST_SERIES = 1_000


@dataclass(frozen=True, slots=True)
class DriftState:
    """One run's view of drift."""

    key: Key
    draft: Draft
    manifest: Manifest
    policy: Policy
    memory: KustomizationState
    clock: Callable[[], datetime]


def released(policy: Policy) -> set[Identity]:
    """Objects that have to be looked at because somebody gave fields of them back to Git."""
    return {
        parse_id(each.object).identity for each in policy.held if any(one.covers(each) for one in policy.releases)
    }  # fmt: skip


class DriftMetrics(Collector):
    """`inhaul_drift_detected_total` by what was done, `inhaul_drift_held` with one bounded series per held field."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.detected = Counter(
            "inhaul_drift_detected", "Drifted fields", ["namespace", "name", "action"], registry=registry
        )
        self.held: dict[Key, tuple[RetainedField, ...]] = {}
        registry.register(self)

    def collect(self) -> list[Metric]:
        labels = ["namespace", "name", "object", "field", "wanted", "live", "manager", "operation", "time"]
        family = GaugeMetricFamily("inhaul_drift_held", "Fields that are left to whoever changed them", labels=labels)
        every = ((key, each) for key, fields in sorted(self.held.items()) for each in fields)
        for (key, each), _ in zip(every, range(_MOST_SERIES), strict=False):
            values = (each.wanted[:_SHOWN], each.live[:_SHOWN], each.manager, each.operation, each.time)
            family.add_metric([key.namespace, key.name, each.subject, each.path, *values], 1)
        return [family]


class DriftReport:
    """Takes what applies found, and ends runs."""

    def __init__(self, kube: KubeClient, metrics: DriftMetrics | None = None) -> None:
        self._kube, self._metrics = kube, metrics

    def forget(self, key: Key) -> None:
        if self._metrics is not None:
            self._metrics.held.pop(key, None)

    def take(self, run: DriftState, applied: Sequence[Applied], *, whole: bool) -> None:
        """Notes what is held now, tells what is new and what was reverted. `whole`: all objects were looked at."""
        looked = {each.identity for each in applied}
        before = _held_now(run)
        found = [drift for each in applied for drift in each.drifts]
        alerts = [drift.field for drift in found if drift.mode is Mode.ALERT]
        rest = [] if whole else [each for each in before if parse_id(each.object).identity not in looked]
        run.memory.held = tuple(sorted([*rest, *alerts])[:MAX_HELD])
        known = {(each.object, each.path, each.live) for each in before}
        fresh = [
            drift for drift in found
            if drift.mode is Mode.ALERT and (drift.field.object, drift.field.path, drift.field.live) not in known
        ]  # fmt: skip
        reverted = [drift for drift in found if drift.mode is Mode.REVERT]
        if fresh:
            run.draft.event(DRIFTED, summary(fresh)[:1000], warning=True)
        if reverted:
            run.draft.event("DriftReverted", summary(reverted)[:1000])
        self._recreated(run, applied, whole)
        others = {} if whole else dict(run.memory.foreign)
        others |= {each.identity: (each.subject, each.foreign) for each in applied if each.foreign}
        run.memory.foreign = {
            identity: told for identity, told in others.items()
            if identity not in looked or any(each.identity == identity and each.foreign for each in applied)
        }  # fmt: skip
        self._count(run.key, held=len(fresh), reverted=len(reverted))

    @staticmethod
    def _recreated(run: DriftState, applied: Iterable[Applied], whole: bool) -> None:
        """A partial run writes only what a hand touched: an object it created was deleted by one."""
        lines = [f"{each.subject} was deleted by hand, created again" for each in applied if each.action == "created"]
        if lines and not whole:
            run.draft.event("DriftReverted", "\n".join(lines)[:1000])

    def _count(self, key: Key, *, held: int, reverted: int) -> None:
        if self._metrics is not None:
            for action, number in (("held", held), ("reverted", reverted)):
                if number:
                    self._metrics.detected.labels(key.namespace, key.name, action).inc(number)

    async def end(self, run: DriftState, after: float, *, quiet: bool = False) -> Result:
        """The end of a run that applied all it may: stores what is held, and says so in the conditions.

        `quiet`: nothing was to be done, so the status names the new revision, and no event says so.
        """
        held = _held_now(run)
        if self._metrics is not None:
            self._metrics.held[run.key] = held
        await self._store(run, held)
        self._foreign(run)
        if held:
            text = summary([Drift(each, Mode.ALERT) for each in held])
            run.draft.condition(IN_SYNC, "False", DRIFTED, text)
            await self._write(run, "False", DRIFTED, f"left to whoever changed them: {text}")
        else:
            run.draft.condition(IN_SYNC, "True", "Succeeded", "no field is left to anybody else")
            if quiet:
                await self._write(run, "True", run.draft.reason, run.draft.message)
        return Result(after)

    @staticmethod
    async def _write(run: DriftState, ready: str, reason: str, message: str) -> None:
        """The status by our own hand: neither a failure to be backed off from, nor news."""
        status = conditions.ready(
            run.manifest, status=ready, reason=reason, message=message,
            now=timestamp(run.clock()), base=run.draft.status,
        )  # fmt: skip
        run.draft.status = conditions.remove_condition(status, "Reconciling")
        run.draft.spoken = False
        await run.draft.write()
        run.draft.skip_status = True

    async def _store(self, run: DriftState, held: Sequence[RetainedField]) -> None:
        """`held` and the end of `release` in one patch; nothing is written where nothing changed."""
        manifest = run.draft.manifest or run.manifest
        marks = manifest["metadata"].get("annotations") or {}
        wanted = write_held(held)
        if marks.get(HELD) == wanted and RELEASE not in marks:
            return
        meta = run.manifest["metadata"]
        changes: dict[str, str | None] = {HELD: wanted} | ({RELEASE: None} if RELEASE in marks else {})
        body = {"metadata": {"uid": meta["uid"], "annotations": changes}}
        if RELEASE in marks:  # a release that came meanwhile must not be lost
            body["metadata"]["resourceVersion"] = manifest["metadata"]["resourceVersion"]
        try:
            answer = await self._kube.patch(KUSTOMIZATIONS, meta["name"], meta.get("namespace") or "", body=body)
        except NotFound:
            return
        run.draft.manifest = answer

    def _foreign(self, run: DriftState) -> None:
        lines = [f"{subject} {path}" for subject, paths in run.memory.foreign.values() for path in paths]
        if not lines:
            run.draft.drop_condition(FOREIGN)
            return
        more = f"; and {len(lines) - 10} more" if len(lines) > 10 else ""
        run.draft.condition(FOREIGN, "True", "OthersAdded", "; ".join(sorted(lines)[:10]) + more)


def _held_now(run: DriftState) -> tuple[RetainedField, ...]:
    """What this process knows to be held, or else what the annotation tells, releases taken off."""
    held = run.memory.held if run.memory.held is not None else run.policy.held
    return tuple(after_release(held, run.policy.releases))
