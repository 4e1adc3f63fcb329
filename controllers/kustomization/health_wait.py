"""The wait for health of one Kustomization: a look, a word on what is missing, and no worker held until the next look.

What an apply answered, and the events that come after it, tell most of it: only objects that are not known to be
current are asked for. A look that no event asked for is the poll that finds what events did not tell: it asks for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from controllers.api.duration import parse_duration
from controllers.api.plural import are, counted
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp
from controllers.kustomization.objects.labels import Identity
from controllers.runtime import conditions
from controllers.runtime.result import NotReady, Result

from .health import check as wait
from .health.aggregate import aggregate, failures
from .health.cel_evaluator import Evaluator
from .health.kstatus import State
from .metrics import Meters
from .objects.inventory import Entry, difference, entry_of
from .objects.labels import identity
from .run import ReconcileRun
from .watch.owned import OwnedObjects

HEALTHY, PRUNE_HELD = "Healthy", "PruneHeld"


class HealthWait:
    """`begin` as soon as something was applied, `pending` until it is None. Raises NotReady."""

    def __init__(
        self,
        objects: OwnedObjects,
        evaluator: Evaluator,
        meters: Meters,
        *,
        inventory: Callable[[ReconcileRun], list[Entry]],
        poll: float,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """`inventory` gives what a Kustomization owns; `poll` is in seconds."""
        self._objects, self._evaluator, self._meters = objects, evaluator, meters
        self._inventory, self._poll = inventory, poll
        self._clock, self._monotonic = clock, monotonic

    def begin(self, run: ReconcileRun, applied: Mapping[Identity, Manifest]) -> None:
        """Events count from here on: the first look may come after the one that said it all."""
        run.memory.current = frozenset(key for key, live in applied.items() if wait.is_current_for_good(live))
        run.fresh = True
        self._objects.wait(run.key, run.spec.wait or bool(run.spec.health_checks))

    async def pending(self, run: ReconcileRun) -> Result | None:
        """None where all is well, or nothing is waited for; else when to look again. Raises NotReady where it failed or
        took too long."""
        objects = [each for each in run.objects if identity(each) not in run.memory.skipped]
        wanted = wait.targets(run.spec, objects, run.key.namespace)
        if not wanted:
            run.draft.drop_condition(HEALTHY)
            return None
        expressions = wait.expressions(run.spec.health_check_exprs)
        current = frozenset(each for each in self._current(run) if (each[0], each[1]) not in expressions)
        observed = await wait.look(run.tenant, wanted, expressions, self._evaluator, current=current)
        run.memory.current = frozenset(
            entry.identity
            for (entry, _), each in zip(wanted, observed, strict=True)
            if each.status.state is State.CURRENT
        )
        state = aggregate(each.status.state for each in observed)
        if state is State.CURRENT:
            run.draft.condition(
                HEALTHY, "True", "Succeeded", f"{counted(len(observed), 'object')} {are(len(observed))} healthy"
            )
            self._meters.healthy(self._monotonic() - run.memory.waiting_since)
            return None
        return await self._open(run, state, failures(observed))

    def _current(self, run: ReconcileRun) -> frozenset[Identity]:
        """What need not be asked for: it was current, and nothing was heard of it since."""
        moved = self._objects.take_moved(run.key)
        if run.fresh:
            return run.memory.current - moved
        if not moved:
            return frozenset()
        return frozenset(each for each in run.memory.current - moved if self._objects.hears(run.key, each))

    async def _open(self, run: ReconcileRun, state: State, text: str) -> Result:
        """Not healthy, or not yet."""
        self._objects.wait(run.key, True)
        waited = self._monotonic() - run.memory.waiting_since
        if state is not State.FAILED and waited < run.timeout:
            run.draft.condition(HEALTHY, "Unknown", "Progressing", text)
            await self._progressing(run, f"waiting for health: {text}")
            return Result(min(self._poll, max(0.2, run.timeout - waited)))
        run.memory.applied = ""
        how = "failed early due to stalled resources" if state is State.FAILED else f"timeout after {run.timeout:g} s"
        run.draft.condition(HEALTHY, "False", "HealthCheckFailed", text)
        self._hold_prune(run)
        raise NotReady(
            "HealthCheckFailed",
            f"health check {how}: {text}",
            retry_after=run.retry_interval or parse_duration(run.spec.interval),
        )

    async def _progressing(self, run: ReconcileRun, message: str) -> None:
        run.draft.status = conditions.ready(
            run.manifest, status="Unknown", reason="Progressing", message=message,
            now=timestamp(self._clock()), base=run.draft.status,
        )  # fmt: skip
        await run.draft.write()
        run.draft.skip_status = True

    def _hold_prune(self, run: ReconcileRun) -> None:
        """Says which objects wait to be deleted until the new ones are healthy."""
        stale = difference(self._inventory(run), [entry_of(each) for each in run.objects])
        if stale and run.spec.prune:
            names = ", ".join(map(str, stale[:10]))
            run.draft.condition(PRUNE_HELD, "True", "HealthCheckFailed", f"not deleted before all is healthy: {names}")
