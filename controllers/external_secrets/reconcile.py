"""ExternalSecret: is it due, what do the stores say, what should the Secret be, write the difference.

Reads its own object and stores from memory and the target's state from a metadata watch; so an object that is right and
not due costs nothing. The Ready message names the first failing key, its error class and how many more there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from controllers.api.base import parse
from controllers.api.external_secrets import EXTERNAL_SECRETS, ExternalSecretSpec
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.tenancy import WriteSecretType
from controllers.api.timestamps import timestamp, timestamp_or_none
from controllers.api.unsupported import unsupported
from controllers.runtime.conditions import find as find_condition
from controllers.runtime.conditions import is_true
from controllers.runtime.controller import Controller
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import drop_finalizer
from controllers.runtime.kube import KubeClient
from controllers.runtime.queue import URGENT
from controllers.runtime.result import NotReady, Result, Stalled

from .events.match import Subscription, announced, announced_at, look_again
from .fetch.demand import AHEAD
from .fetch.limit import Backpressure
from .fetch.stores import is_ours
from .generators import renewal as generated
from .generators.renewal import GeneratedRecord
from .metrics import Meters
from .providers.provider import StoreError
from .refresh import Refresh, Refresher
from .target import desired as targeting
from .target.desired import DesiredSecret
from .target.hashing import created_by, synced_resource_version
from .target.observed import Targets, target_key
from .target.template import check_names
from .target.writer import SYNC_ERROR, TargetWriter, Written
from .values import schedule
from .values.entries import failure_text, spec_or_empty, store_refs
from .values.errors import SpecError, TargetTemplateError
from .values.schedule import Due, Synced
from .values.validate import validate

FINALIZER = "externalsecrets.external-secrets.io/externalsecret-cleanup"
_MISSING_TARGET = 30.0
"""Seconds until a Merge target that does not exist is looked for again: nothing tells of it."""


class ExternalSecretReconciler:
    """Registered by `handlers`."""

    def __init__(
        self,
        kube: KubeClient,
        refresher: Refresher,
        targets: Targets,
        writer: TargetWriter,
        meters: Meters,
        *,
        controller: Callable[[], Controller],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube, self._refresher, self._targets = kube, refresher, targets
        self._writer, self._meters, self._controller, self._clock = writer, meters, controller, clock
        self._interests: dict[Key, tuple[Subscription, ...]] = {}
        self.interest_changes = 0
        """Another number whenever `all_interests` may say something else; counted up too when objects come and go."""
        self._held: dict[Key, tuple[str, DesiredSecret]] = {}
        self._versions: dict[Key, set[str]] = {}
        self._made: dict[Key, Mapping[str, GeneratedRecord]] = {}
        self._uids: dict[Key, str] = {}
        self._stale: dict[Key, object] = {}  # a source of templates changed; each change is another object

    async def __call__(self, key: Key) -> Result:
        draft = self._controller().draft(key)
        manifest = draft.manifest
        if manifest is None:
            self._forget(key)
            return Result()
        if manifest["metadata"].get("deletionTimestamp"):
            return await self._finalize(draft, manifest)
        if not self._ours(manifest):
            draft.skip_status = True  # another controller's: not a word in its status
            return Result()
        self._check(manifest)
        self._uids[key] = manifest["metadata"]["uid"]
        self._note_interests(key, self._refresher.interests(manifest))
        due = await self._due(key, manifest)
        if not due.now:
            _as_it_was(draft)
            return Result(due.wait)
        ready = find_condition(manifest.get("status") or {}, "Ready") or {}
        if due.by_timer and URGENT.get() and ready.get("status") == "True":
            # A start woke all: what is merely due lets the new and the announced by.
            self._controller().queue.add(key, urgent=False)
            _as_it_was(draft)
            return Result()
        try:
            return await self._sync(draft, manifest, due)
        except Backpressure as refusal:
            if ready.get("status") != "True":
                raise
            self._controller().queue.add_after(key, refusal.retry_after or 0.0)
            _as_it_was(draft)
            return Result()

    def all_interests(self) -> list[tuple[Key, tuple[Subscription, ...]]]:
        """What each known ExternalSecret reads, also those that were not reconciled since the start: a message that
        came while no controller ran must find them."""
        out = []
        for manifest in self._controller().store.list():
            key = key_of(manifest)
            if key not in self._interests and not manifest["metadata"].get("deletionTimestamp"):
                self._interests[key] = self._refresher.interests(manifest)
            out.append((key, self._interests.get(key, ())))
        return out

    def source_changed(self, key: Key, moment: datetime | None) -> None:
        """A ConfigMap or Secret that the templates of an ExternalSecret stand in is another: at a moment, or than what
        was read (None). What was held of the target is no longer what it should be."""
        manifest = self._controller().store.get(key)
        synced = _synced(manifest).refresh_time if manifest is not None else None
        if moment is not None and synced is not None and moment < synced:
            return  # a start: it was so at the last sync
        self._held.pop(key, None)
        self._stale[key] = object()
        self._controller().queue.changed(key)

    def _note_interests(self, key: Key, interests: tuple[Subscription, ...]) -> None:
        if self._interests.get(key) != interests:
            self._interests[key] = interests
            self.interest_changes += 1

    # --- deciding

    def _ours(self, manifest: Manifest) -> bool:
        namespace = manifest["metadata"]["namespace"]
        for ref in store_refs(spec_or_empty(manifest)):
            try:
                if not is_ours(self._refresher.resolver.manifest(namespace, ref)):
                    return False
            except StoreError:
                continue
        return True

    def _check(self, manifest: Manifest) -> None:
        spec = parse(ExternalSecretSpec, manifest)
        try:
            validate(spec)
            schedule.interval_of(spec)
        except SpecError as problem:
            raise Stalled(SYNC_ERROR, str(problem)) from None
        except ValueError as error:
            raise Stalled(SYNC_ERROR, f"spec.refreshInterval: {error}") from None
        if paths := unsupported(manifest):
            raise Stalled("UnsupportedField", f"not served yet: {', '.join(paths)}")

    async def _due(self, key: Key, manifest: Manifest) -> Due:
        spec, meta = parse(ExternalSecretSpec, manifest), manifest["metadata"]
        synced = _synced(manifest)
        version = _version(manifest)
        valid = self._valid(manifest, spec.target.creation_policy)

        made = self._known(key, manifest)
        renew_at = generated.earliest(made.values(), spec, meta["uid"])
        stale = "a source of its templates changed" if key in self._stale else ""
        if made and generated.stale(made, self._refresher.recipes(manifest)):
            stale = "a generator changed"

        def decide(ok: bool) -> Due:
            return schedule.decide(
                spec,
                synced,
                resource_version=version,
                uid=meta["uid"],
                target_valid=ok,
                now=self._clock(),
                renew_at=renew_at,
                stale=stale,
            )

        due = decide(valid)
        if due.now and not valid and not decide(True).now and await self._writer.verify(manifest):
            due = decide(True)
        if not due.now and (again := self._awaited(key, manifest)) is not None:
            return Due(True, "the announced version was not there yet", again)
        return due

    def _known(self, key: Key, manifest: Manifest) -> Mapping[str, GeneratedRecord]:
        """What was generated for it, and when: as of the last refresh or, after a start, as the target says."""
        if key not in self._made:
            target = self._targets.get(target_key(manifest))
            return generated.load(target.generated) if target is not None else {}
        return self._made[key]

    def _valid(self, manifest: Manifest, policy: str) -> bool:
        reason = (find_condition(manifest.get("status") or {}, "Ready") or {}).get("reason")
        if reason in ("SecretDeleted", "SecretMissing"):
            return True  # there is no target, and that is as it was left
        if reason == "SecretSynced" and _synced_empty(manifest):
            return True
        return self._targets.right(target_key(manifest), owner_uid=manifest["metadata"]["uid"], policy=policy)

    def _awaited(self, key: Key, manifest: Manifest) -> float | None:
        """Seconds to the next look, while an event announced a version that was not yet read."""
        annotation = (manifest["metadata"].get("annotations") or {}).get(targeting.FORCE_SYNC, "")
        news = announced(annotation, self._clock())
        if news is None or key not in self._versions or news[0] in self._versions[key]:
            return None
        return look_again(news[1])

    # --- doing

    async def _sync(self, draft: Draft, manifest: Manifest, due: Due) -> Result:
        key = draft.key
        held = self._held.get(key)
        if due.reason == "target is missing or changed" and held is not None and held[0] == _version(manifest):
            written = await self._write(manifest, held[1])
            self._meters.drift.inc()
            draft.event("DriftCorrected", f"Secret {held[1].name} {written}")
            draft.ready("SecretSynced", "secret synced")
            return Result((await self._due(key, manifest)).wait)
        stale = self._stale.get(key)
        refresh = await self._read(manifest, due)
        if self._stale.get(key) is stale:
            self._stale.pop(key, None)
        outcome = self._outcome(draft, manifest, refresh)
        if outcome == "delete":
            if await self._writer.delete(manifest, target_key(manifest)):
                draft.event("Deleted", "secret deleted due to DeletionPolicy=Delete")
            return self._done(draft, manifest, refresh, "SecretDeleted", "secret deleted due to DeletionPolicy=Delete")
        if outcome == "keep":
            message = "secret retained due to DeletionPolicy=Retain"
            return self._done(draft, manifest, refresh, "SecretSynced", message)
        wanted = await self._wanted(manifest, refresh)
        written = await self._write(manifest, wanted)
        if written == "missing":
            result = self._done(draft, manifest, refresh, "SecretMissing", f"Secret {wanted.name} does not exist")
            return Result(min(result.requeue_after or _MISSING_TARGET, _MISSING_TARGET))
        if written in ("created", "updated"):
            draft.event(written.capitalize(), f"Secret {wanted.name} {written}")
        await self._clean_up(manifest)
        self._held[key] = (_version(manifest), wanted)
        draft.status["binding"] = {"name": wanted.name}
        return self._done(draft, manifest, refresh, "SecretSynced", "secret synced")

    async def _read(self, manifest: Manifest, due: Due) -> Refresh:
        now = asyncio.get_running_loop().time()
        # after a failure it looks anew: what it read then may be what has been mended
        early = due.by_timer and is_true(manifest.get("status") or {}, "Ready")
        since = now - AHEAD * schedule.interval_of(parse(ExternalSecretSpec, manifest)) if early else now
        try:
            known = self._known(key_of(manifest), manifest)
            refresh = await self._refresher.read(manifest, since=since, known=known)
        except StoreError as problem:
            self._meters.failed.labels("Store").inc()
            raise NotReady(SYNC_ERROR, problem.message) from None
        except SpecError as problem:
            raise Stalled(SYNC_ERROR, str(problem)) from None
        if refresh.resolved.failed:
            name, text = failure_text(refresh.resolved, [*refresh.resolved.failed, *refresh.resolved.missing])
            self._meters.failed.labels(name).inc()
            raise NotReady(SYNC_ERROR, text)
        return refresh

    def _outcome(self, draft: Draft, manifest: Manifest, refresh: Refresh) -> targeting.Outcome:
        policy, resolved = parse(ExternalSecretSpec, manifest).target.deletion_policy, refresh.resolved
        outcome = targeting.after_missing(policy, missing=len(resolved.missing), found=len(resolved.data))
        if resolved.missing:
            name, text = failure_text(resolved, resolved.missing)
            if outcome == "fail":
                self._meters.failed.labels(name).inc()
                raise NotReady(SYNC_ERROR, text)
            draft.event("MissingProviderSecret", text, warning=True)
        return outcome

    async def _wanted(self, manifest: Manifest, refresh: Refresh) -> DesiredSecret:
        try:
            rendered = await self._refresher.rendered(manifest, refresh.resolved.data)
            template = parse(ExternalSecretSpec, manifest).target.template
            check_names(rendered, {*refresh.resolved.data, *(template.data if template is not None else ())})
        except TargetTemplateError as problem:
            self._meters.failed.labels("Template").inc()
            raise NotReady(SYNC_ERROR, f"could not render the target: {problem}") from None
        provenance = {key: source for key, source in refresh.resolved.provenance.items() if source}
        return targeting.desired_secret(manifest, rendered, provenance, refresh.state(rendered.data))

    async def _write(self, manifest: Manifest, desired: DesiredSecret) -> Written:
        return await self._writer.write(manifest, desired, partial(self._allow_type, desired.namespace))

    def _allow_type(self, namespace: str, type_: str) -> None:
        """Raises Stalled, NotReady for a type that may not be written."""
        if type_ in targeting.REFUSED_TYPES:
            raise Stalled(SYNC_ERROR, f"Secrets of type {type_} mint credentials and are refused")
        try:
            self._refresher.resolver.allow(namespace, WriteSecretType(type_))
        except StoreError as problem:
            raise NotReady(SYNC_ERROR, problem.message) from None

    def _done(self, draft: Draft, manifest: Manifest, refresh: Refresh, reason: str, message: str) -> Result:
        """Synced: what the status says, and when to look again."""
        now = self._clock()
        draft.status["refreshTime"] = timestamp(now)
        draft.status["syncedResourceVersion"] = _version(manifest)
        draft.ready(reason, message)
        self._versions[draft.key], self._made[draft.key] = refresh.versions, refresh.made
        spec = parse(ExternalSecretSpec, manifest)
        interval, wait = schedule.interval_of(spec), self._next(manifest, refresh.made, now)
        self._refresher.expect(refresh, uid=manifest["metadata"]["uid"], wait=wait, interval=interval)
        self._meters.synced(draft.key, now.timestamp(), wait, _propagation(manifest, now))
        again = self._awaited(draft.key, manifest)
        return Result(min(again, wait or again) if again is not None else wait)

    def _next(self, manifest: Manifest, made: Mapping[str, GeneratedRecord], now: datetime) -> float | None:
        spec, uid = parse(ExternalSecretSpec, manifest), manifest["metadata"]["uid"]
        wait, renew_at = schedule.next_wait(spec, uid), generated.earliest(made.values(), spec, uid)
        if wait is None or renew_at is None:
            return wait
        return max(1.0, min(wait, (renew_at - now).total_seconds()))

    async def _clean_up(self, manifest: Manifest) -> None:
        """A renamed target: under Owner the old Secret goes, where this ExternalSecret owns it."""
        if parse(ExternalSecretSpec, manifest).target.creation_policy != "Owner":
            return
        meta, current = manifest["metadata"], target_key(manifest)
        for old in self._targets.created_by(created_by(meta["namespace"], meta["name"])):
            known = self._targets.get(old)
            if old != current and old.namespace == current.namespace and known and known.owner_uid == meta["uid"]:
                await self._writer.delete(manifest, old)

    async def _finalize(self, draft: Draft, manifest: Manifest) -> Result:
        """Upstream's finalizer, where it stands: deletionPolicy Delete deletes; Owner goes by its owner reference."""
        draft.skip_status = True
        if FINALIZER not in (manifest["metadata"].get("finalizers") or []):
            return Result()
        target = spec_or_empty(manifest).target
        if target.creation_policy == "Owner" and target.deletion_policy == "Delete":
            await self._writer.delete(manifest, target_key(manifest))
        await drop_finalizer(self._kube, EXTERNAL_SECRETS, manifest, FINALIZER)
        return Result()

    def _forget(self, key: Key) -> None:
        for known in (self._interests, self._held, self._versions, self._made, self._stale):
            known.pop(key, None)
        self._refresher.forget(self._uids.pop(key, ""))
        self._meters.forget(key)


def _synced(manifest: Manifest) -> Synced:
    status = manifest.get("status") or {}
    return Synced(timestamp_or_none(status.get("refreshTime")), str(status.get("syncedResourceVersion") or ""))


def _version(manifest: Manifest) -> str:
    meta = manifest["metadata"]
    return synced_resource_version(meta.get("generation") or 0, meta.get("labels") or {}, meta.get("annotations") or {})


def changed_since(manifest: Manifest) -> bool:
    """Is the object another than at its last sync: its spec, a label, an annotation?"""
    return _synced(manifest).resource_version != _version(manifest)


def _synced_empty(manifest: Manifest) -> bool:
    ready = find_condition(manifest.get("status") or {}, "Ready") or {}
    return "retained" in str(ready.get("message"))


def _as_it_was(draft: Draft) -> None:
    """Not due: the object is as ready as its last sync left it."""
    ready = find_condition(draft.status, "Ready") or {}
    if ready.get("status") == "True":
        draft.ready(str(ready.get("reason") or "SecretSynced"), str(ready.get("message") or ""))
    else:
        draft.ready("SecretSynced", "secret synced")


def _propagation(manifest: Manifest, now: datetime) -> float | None:
    """Seconds from an announced change to its sync; None where no event announced it or it was synced before."""
    since = announced_at((manifest["metadata"].get("annotations") or {}).get(targeting.FORCE_SYNC, ""), now)
    synced = _synced(manifest).refresh_time
    if since is None or (synced is not None and now - timedelta(seconds=since) < synced):
        return None
    return max(since, 0.0)
