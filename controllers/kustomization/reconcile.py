"""Kustomization: source → render → inventory → apply as the tenant → health → prune → Ready.

Two facts carry it through a crash at any point. The inventory names everything that is owned or will be before the
first object is written, and applying what is applied changes nothing. All else is memory that may be lost: a run after
a restart does the whole once more and finds it done.

No run waits for health. It looks, says what is missing, ends, and is woken by the next change of one of its objects; a
new revision simply is the next run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

from controllers.api.base import parse
from controllers.api.duration import parse_duration
from controllers.api.kustomize import KUSTOMIZATIONS, KustomizationSpec
from controllers.api.meta import annotations_of
from controllers.api.plural import are, counted
from controllers.api.resource import Key, Manifest
from controllers.api.timestamps import timestamp
from controllers.kustomization.objects.labels import Identity
from controllers.kustomization.settings import KustomizationSettings
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import add_finalizer
from controllers.runtime.kube import KubeClient
from controllers.runtime.policies import Policies
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT, Store
from controllers.sources.tree import Reads

from . import dependencies
from .apply.apply import Applied, Applier, ApplyError
from .apply.preflight import check_deletions, check_objects, check_spec
from .apply.prune import prune
from .build.render import Rendered
from .builder import Builder, Built
from .drift.annotations import MODE, RULES, InvalidAnnotationError
from .drift.detect import CONFIGURED, CREATED, HELD, rules_of
from .drift.policy import policy_of
from .drift_status import DriftReport, DriftState, released
from .finalize import Finalizer
from .health.cel_evaluator import Evaluator
from .health_wait import PRUNE_HELD, HealthWait
from .history import recorded
from .metrics import Meters, lead_times
from .objects import inventory
from .objects.inventory import Entry, entry_of
from .objects.labels import identity, owner_labels, with_metadata
from .run import ReconcileRun
from .state import KustomizationState
from .tenant import account, view
from .watch.affected import reads_of
from .watch.coverage import Coverage
from .watch.owned import OwnedObjects


class Reconciler:
    def __init__(
        self,
        kube: KubeClient,
        builder: Builder,
        objects: OwnedObjects,
        *,
        own_namespace: str,
        settings: KustomizationSettings,
        policies: Policies,
        evaluator: Evaluator,
        draft: Callable[[Key], Draft],
        store: Callable[[], Store],
        meters: Meters,
        drift: DriftReport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._kube, self._builder, self._objects = kube, builder, objects
        self._own, self._settings, self._policies = own_namespace, settings, policies
        self._evaluator = evaluator
        self._health = HealthWait(
            objects, evaluator, meters, inventory=self._inventory, poll=settings.health_poll, clock=clock,
            monotonic=monotonic,
        )  # fmt: skip
        self._draft, self._store, self._clock, self._monotonic = draft, store, clock, monotonic
        self._memories: dict[Key, KustomizationState] = {}
        self._meters = meters
        self._drift, self._coverage = drift or DriftReport(kube), Coverage(kube, objects)
        self._finalizer = Finalizer(kube, tenant=self.tenant, user=self._user, total=lambda: len(store()))

    async def reconcile(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._memories.pop(key, None)
            self._objects.forget(key)
            self._drift.forget(key)
            self._meters.forget(key)
            return Result() if manifest is None else await self._finalizer.run(draft, manifest)
        if (marked := await add_finalizer(self._kube, KUSTOMIZATIONS, manifest)) is not None:
            self._store().put(marked)  # the next run may come before the event of this write
        spec = parse(KustomizationSpec, manifest)
        if requested := annotations_of(manifest).get(REQUESTED_AT):
            draft.status["lastHandledReconcileAt"] = requested
        if not draft.wanted(spec):
            return Result()
        check_spec(manifest, spec)
        memory = self._memories.setdefault(key, KustomizationState())
        try:
            policy = policy_of(manifest)
        except InvalidAnnotationError as error:
            raise Stalled("InvalidDriftPolicy", str(error)) from None
        run = ReconcileRun(key, draft, manifest, spec, memory, self.tenant(manifest), policy=policy)
        try:
            return await self._carry_out(run)
        finally:
            self._meters.ran(key, self._monotonic() - memory.started, draft.status)

    def reads(self, key: Key) -> Reads | None:
        """What the render of a Kustomization that is done with its last revision read; None for any other."""
        memory = self._memories.get(key)
        return memory.reads if memory is not None and memory.done else None

    def tenant(self, manifest: Manifest) -> KubeClient:
        """The client as the Kustomization's service account."""
        return view(self._kube, self._user(manifest))

    def _user(self, manifest: Manifest) -> str:
        namespace = manifest["metadata"].get("namespace") or ""
        name = str((manifest.get("spec") or {}).get("serviceAccountName") or "")
        return account(self._own, namespace, name, default=self._settings.default_service_account)

    async def _carry_out(self, run: ReconcileRun) -> Result:
        memory = run.memory
        memory.started = self._monotonic()
        source = self._builder.source(run.key, run.manifest)
        await self._dependencies_ready(run, source.revision)
        dirty = self._objects.take_dirty(run.key) | released(run.policy)
        try:
            with self._meters.timed("build"):
                run.built = built = await self._builder.build(run.tenant, run.key, run.manifest, run.spec, source)
        except NotReady as error:
            run.draft.status["lastAttemptedRevision"] = source.revision
            raise NotReady(error.reason, error.message, retry_after=error.retry_after or run.retry_interval) from None
        memory.reads = reads_of(built.source.directory, built.source.ids)
        try:
            return await self._advance(run, built, dirty)
        finally:
            built.close()

    async def _advance(self, run: ReconcileRun, built: Built, dirty: set[Identity]) -> Result:
        memory, token = run.memory, self._token(run, built)
        due = self._monotonic() >= memory.due
        if token == memory.done and not due and not dirty:
            return await self._unchanged(run, built)
        try:
            rendered = await self._builder.render(built)
        except NotReady as error:
            run.draft.status["lastAttemptedRevision"] = built.revision
            raise NotReady(error.reason, error.message, retry_after=run.retry_interval) from None
        for warning in built.keys.warnings[:10]:
            run.draft.event("DecryptionWarning", warning, warning=True)
        applier = self._applier(run, rendered)
        try:
            labelled = [with_metadata(manifest, owner_labels(run.key)) for manifest in rendered.objects]
            run.objects = await applier.scoped(labelled)
        except ApplyError as error:
            raise NotReady("ReconciliationFailed", str(error), retry_after=run.retry_interval) from None
        if token == memory.applied and not dirty:
            return await self._finish(run, rendered, token)
        partial = dirty if token in (memory.done, memory.applied) and not due else set()
        memory.done = memory.applied = ""
        await self._apply(run, rendered, applier, only=partial)
        memory.applied, memory.waiting_since, run.memory.applied_at = token, self._monotonic(), self._clock()
        return await self._finish(run, rendered, token)

    @staticmethod
    def _token(run: ReconcileRun, built: Built) -> str:
        meta = run.manifest["metadata"]
        marks = annotations_of(run.manifest)
        parts = (
            built.key, meta.get("uid"), meta.get("generation"), marks.get(REQUESTED_AT), marks.get(MODE),
            marks.get(RULES),
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    async def _dependencies_ready(self, run: ReconcileRun, revision: str) -> None:
        for dependency in run.spec.depends_on:
            key = Key(dependency.namespace or run.key.namespace, dependency.name)
            if self._settings.no_cross_namespace_refs and key.namespace != run.key.namespace:
                raise Stalled("AccessDenied", f"dependency '{key}' is in another namespace, which is not allowed here")
            found = self._store().get(key)
            holds = await self._evaluator.decided(dependency.ready_expr, {"self": run.manifest, "dep": found})
            if problem := dependencies.not_ready(run.manifest, dependency, key, found, revision, holds=holds):
                circle = dependencies.in_circle(run.key, self._store().list())
                if circle:
                    raise Stalled("DependencyCycle", f"circular dependsOn: {' -> '.join(map(str, circle))}")
                raise NotReady("DependencyNotReady", problem, retry_after=30.0)

    async def _unchanged(self, run: ReconcileRun, built: Built) -> Result:
        """A new revision that does not touch what we render, or an event that was none of ours."""
        run.draft.status |= {"lastAppliedRevision": built.revision, "lastAttemptedRevision": built.revision}
        run.draft.ready("ReconciliationSucceeded", f"Applied revision: {built.revision}")
        return await self._drift.end(self._state(run), max(1.0, run.memory.due - self._monotonic()), quiet=True)

    # Apply

    async def _apply(self, run: ReconcileRun, rendered: Rendered, applier: Applier, *, only: set[Identity]) -> None:
        objects = run.objects
        check_objects(objects, run.key.namespace, self._policies)
        deletes = run.spec.prune and not rendered.refused
        check_deletions(run.manifest, self._inventory(run), objects, prune=deletes)
        try:
            await self._record(run, objects)
            await self._coverage.cover(run.tenant, run.key.namespace, objects)
            self._objects.begin(run.key)
            try:
                with self._meters.timed("apply"):
                    await applier.run([each for each in objects if not only or identity(each) in only])
            finally:
                left = {each.identity: each.live for each in applier.applied if each.live and each.action != "skipped"}
                self._health.begin(run, left)
                self._objects.end(run.key, left, whole=not only)
        except ApplyError as error:
            self._objects.wait(run.key, False)
            self._remember(run, rendered, "ReconciliationFailed")
            done = [f"{each.subject} {each.action}" for each in applier.applied if each.action in _WRITTEN]
            text = f"{error}" + (f"; before that: {', '.join(done[:20])}" if done else "")
            raise NotReady("ReconciliationFailed", text, retry_after=run.retry_interval) from None
        if not only:
            run.memory.skipped = frozenset(
                each.identity for each in applier.applied if each.action in ("skipped", HELD)
            )  # fmt: skip
            run.memory.known = {each.identity: run.memory.known[each.identity] for each in applier.applied
                                if each.identity in run.memory.known}  # fmt: skip
        self._tell(run, applier.applied, drifted=bool(only))

    def _applier(self, run: ReconcileRun, rendered: Rendered) -> Applier:
        raw = run.manifest.get("spec") or {}
        return Applier(
            run.tenant,
            rules=rules_of(raw.get("ignore") or ()),
            force=run.spec.force,
            masked=rendered.masked,
            known=run.memory.known,
            policy=run.policy,
            same=_same_render(run, rendered),
            now=timestamp(self._clock()),
            concurrent=self._settings.apply_concurrent,
            stage_timeout=self._settings.stage_timeout,
        )

    async def _record(self, run: ReconcileRun, objects: list[Manifest]) -> None:
        """The inventory of all that is owned and all that will be, written before anything is applied."""
        old, new = self._inventory(run), [entry_of(each) for each in objects]
        run.draft.status["lastAttemptedRevision"] = _built(run).revision
        both = inventory.union(old, new)
        run.draft.status["inventory"] = inventory.write(both)
        if not inventory.equal(old, both):
            await run.draft.write()

    @staticmethod
    def _inventory(run: ReconcileRun) -> list[Entry]:
        try:
            return inventory.read(run.draft.status)
        except inventory.InvalidInventoryIdError as error:
            raise Stalled("ReconciliationFailed", f"status.inventory: {error}") from None

    def _tell(self, run: ReconcileRun, applied: list[Applied], *, drifted: bool) -> None:
        lines = [f"{each.subject} {each.action}" for each in applied if each.action in _WRITTEN]
        run.memory.changed = lines
        self._drift.take(self._state(run), applied, whole=not drifted)
        if lines and not drifted:
            run.draft.event("Progressing", "\n".join(lines)[:1000])

    def _state(self, run: ReconcileRun) -> DriftState:
        return DriftState(run.key, run.draft, run.manifest, run.policy, run.memory, self._clock)

    # Health, prune, end

    async def _finish(self, run: ReconcileRun, rendered: Rendered, token: str) -> Result:
        if rendered.refused:  # nothing is pruned, for what a refused file holds is not known
            self._remember(run, rendered, "BuildFailed")
            text = "; ".join(rendered.refused[:5])
            more = (
                f"; {counted(len(run.objects), 'other object')} {are(len(run.objects))} applied" if run.objects else ""
            )
            raise NotReady("BuildFailed", f"decryption failed: {text}{more}", retry_after=run.retry_interval)
        if (pending := await self._health.pending(run)) is not None:
            return pending
        await self._prune(run)
        self._objects.wait(run.key, False)
        built, memory = _built(run), run.memory
        if not _same_render(run, rendered):
            self._deliver(run, built)
        self._remember(run, rendered, "ReconciliationSucceeded")
        run.draft.status |= {"lastAppliedRevision": built.revision, "lastAttemptedRevision": built.revision}
        run.draft.drop_condition(PRUNE_HELD)
        run.draft.ready("ReconciliationSucceeded", f"Applied revision: {built.revision}")
        interval = parse_duration(run.spec.interval)
        memory.done, memory.applied, memory.due = token, "", self._monotonic() + interval
        return await self._drift.end(self._state(run), interval)

    def _deliver(self, run: ReconcileRun, built: Built) -> None:
        """Tells how long it took from the commit, once for a revision that changed what is rendered."""
        now = self._clock()
        times = lead_times(built.artifact, built.metadata, applied=run.memory.applied_at or now, healthy=now)
        if times is None:
            return
        by = f" by {built.metadata['author']}" if built.metadata.get("author") else ""
        run.draft.event("Delivered", f"{built.revision}{by}: {times}")
        self._meters.delivered(run.key.namespace, times)

    async def _prune(self, run: ReconcileRun) -> None:
        """Deletes what is no longer rendered, and leaves the exact inventory."""
        new = [entry_of(each) for each in run.objects]
        stale = inventory.difference(self._inventory(run), new)
        left: list[Entry] = []
        problems: list[str] = []
        if stale and run.spec.prune:
            with self._meters.timed("prune"):
                result = await prune(run.tenant, run.key, stale)
            self._meters.pruned.labels(run.key.namespace).inc(len(result.deleted))
            left, problems = result.survivors(stale), result.problems
            if result.deleted:
                lines = "\n".join(f"{entry} deleted" for entry in result.deleted)
                run.draft.event("ReconciliationSucceeded", lines[:1000])
        run.draft.status["inventory"] = inventory.write([*new, *left])
        if problems:
            raise NotReady("PruneFailed", "; ".join(problems[:10]))

    def _remember(self, run: ReconcileRun, rendered: Rendered, outcome: str) -> None:
        run.draft.status["history"] = recorded(
            run.draft.status.get("history"),
            digest=rendered.digest,
            status=outcome,
            now=timestamp(self._clock()),
            seconds=self._monotonic() - run.memory.started,
            metadata=_built(run).metadata,
        )


_WRITTEN = frozenset({CREATED, CONFIGURED, "recreated"})


def _same_render(run: ReconcileRun, rendered: Rendered) -> bool:
    """Was exactly this applied to its end before, as the status tells? True also after a restart."""
    last: Manifest = next(iter(run.draft.status.get("history") or ()), {})
    return last.get("digest") == rendered.digest and last.get("lastReconciledStatus") == "ReconciliationSucceeded"


def _built(run: ReconcileRun) -> Built:
    if run.built is None:
        raise RuntimeError("asked for a build that has not run")
    return run.built
