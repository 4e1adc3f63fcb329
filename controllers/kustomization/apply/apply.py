"""Edge: server-side apply of rendered objects, stage by stage, as the tenant.

Every object of a stage is dry-run first and all refusals are told at once, before anything of the stage is written.
Only what the server says would change is applied. A stage of definitions is waited for before the next begins, so a
custom resource can stand in one commit with its definition.

Apply is idempotent: after a crash anywhere the same run does what is left and finds the rest unchanged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from controllers.api.resource import Manifest, Resource
from controllers.kustomization.drift import detect as drift
from controllers.kustomization.drift.annotations import InvalidAnnotationError
from controllers.kustomization.drift.detect import IgnoreRule
from controllers.kustomization.drift.policy import Drift, Mode, Policy, check_mode, foreign, gone, judge
from controllers.kustomization.health.kstatus import State, compute
from controllers.kustomization.objects.diff import Operation, mask_patch
from controllers.kustomization.objects.inventory import entry_of
from controllers.kustomization.objects.labels import Identity, describe, identity
from controllers.kustomization.objects.managed_fields import without
from controllers.kustomization.objects.order import stages
from controllers.runtime.kube import ApiError, KubeClient, NotFound, UnknownKindError

from .plan import field_changes, is_forced, is_secret, skip_reason
from .recreate import asks_for_recreation, would_be_created

MANAGER = "kustomize-controller"
"""Upstream's field manager: with another, a field that is dropped from Git would stay for ever after a swap."""


class ApplyError(Exception):
    """One or more objects were refused. `problems` has one line each, no value of a Secret in it."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        super().__init__(shown)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Applied:
    """What happened to one object: `created`, `configured`, `recreated`, `unchanged` or `skipped`."""

    subject: str
    identity: Identity
    action: str
    live: Manifest | None = field(repr=False, default=None)
    """The object as the server has it now, without managed fields."""
    fields: tuple[Operation, ...] = ()
    drifts: tuple[Drift, ...] = ()
    """Fields that a hand changed, each reverted, held or ignored."""
    foreign: tuple[str, ...] = ()
    """What other managers added to the object."""


@dataclass(slots=True)
class Known:
    """What was last seen of an object: equal to what is there and wanted now, no dry run is needed."""

    resource_version: str
    wanted: str
    drifts: tuple[Drift, ...] = ()
    foreign: tuple[str, ...] = ()
    before: Manifest | None = field(repr=False, default=None)
    """What was wanted then; kept only where drift may be held."""


@dataclass(slots=True)
class _Candidate:
    wanted: Manifest
    resource: Resource
    live: Manifest | None
    action: str
    sent: Manifest
    fields: tuple[Operation, ...] = ()
    recreate: bool = False
    drifts: tuple[Drift, ...] = ()
    foreign: tuple[str, ...] = ()


class Applier:
    """One Kustomization's applies through one tenant's client. `known` is kept between runs by the caller."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        rules: Sequence[IgnoreRule] = (),
        force: bool = False,
        masked: frozenset[str] = frozenset(),
        known: dict[Identity, Known] | None = None,
        policy: Policy | None = None,
        same: bool = False,
        now: str = "",
        concurrent: int = 8,
        stage_timeout: float = 60.0,
    ) -> None:
        self._kube, self._dry = kube, kube.dry_run()
        self._rules, self._force, self._masked = rules, force, masked
        self._known = known if known is not None else {}
        self._policy, self._same, self._now = policy or Policy(), same, now
        """`same`: what is rendered now was applied whole before, though this process may not remember it."""
        self._slots = asyncio.Semaphore(concurrent)
        self._stage_timeout = stage_timeout
        self.applied: list[Applied] = []
        """Everything that was done so far; complete also when `run` raises."""

    async def scoped(self, objects: Iterable[Manifest]) -> list[Manifest]:
        """The objects with a namespace exactly where their kind has one. Raises ApplyError naming all that lack one.

        Kinds that are not served yet (their definition comes in this very set) are taken as they are.
        """
        result, problems = [], []
        for manifest in objects:
            meta = manifest["metadata"]
            try:
                resource = await self._kube.resource_for(manifest["apiVersion"], manifest["kind"])
            except UnknownKindError:
                result.append(manifest)
                continue
            if resource.namespaced and not meta.get("namespace"):
                problems.append(f"{describe(manifest)} namespace not specified")
            elif not resource.namespaced and meta.get("namespace"):
                manifest = {**manifest, "metadata": {k: v for k, v in meta.items() if k != "namespace"}}
            result.append(manifest)
        if problems:
            raise ApplyError(problems)
        return result

    async def run(self, objects: Iterable[Manifest]) -> list[Applied]:
        """Applies all stages. Raises ApplyError; `applied` then tells what had been done."""
        groups = stages(objects)
        for index, stage in enumerate(groups):
            candidates = await self._examine(stage)
            for candidate in candidates:
                self.applied.append(await self._write(candidate))
            if index + 1 < len(groups):
                await self._settle(candidates)
        return self.applied

    async def _examine(self, stage: Sequence[Manifest]) -> list[_Candidate]:
        outcomes = await asyncio.gather(*(self._examined(manifest) for manifest in stage))
        if problems := [outcome for outcome in outcomes if isinstance(outcome, str)]:
            raise ApplyError(problems)
        return [outcome for outcome in outcomes if isinstance(outcome, _Candidate)]

    async def _examined(self, wanted: Manifest) -> _Candidate | str:
        """What would be done to an object, or why it is refused."""
        async with self._slots:
            try:
                check_mode(wanted)
                return await self._compare(wanted)
            except UnknownKindError as error:
                return f"{describe(wanted)} dry-run failed: {error}"
            except InvalidAnnotationError as error:
                return f"{describe(wanted)}: {error}"
            except ApiError as error:
                return f"{describe(wanted)} dry-run failed ({error.reason}): {error.message}"

    async def _compare(self, wanted: Manifest) -> _Candidate:
        resource = await self._kube.resource_for(wanted["apiVersion"], wanted["kind"])
        live = await self._get(resource, wanted)
        if skip_reason(wanted, live):
            return _Candidate(wanted, resource, live, "skipped", wanted)
        known_alive = self._same or identity(wanted) in self._known
        if live is None and (lost := gone(wanted, self._policy, known=known_alive, now=self._now)):
            return _Candidate(wanted, resource, None, drift.HELD, wanted, drifts=(lost,))
        sent = drift.payload(wanted, live, self._rules, manager=MANAGER)
        known = self._known.get(identity(wanted))
        version = (live or {}).get("metadata", {}).get("resourceVersion")
        if known is not None and (known.resource_version, known.wanted) == (version, self._digest(sent)):
            return _Candidate(
                wanted, resource, live, drift.UNCHANGED, sent, drifts=known.drifts, foreign=known.foreign
            )  # fmt: skip
        try:
            return await self._dry_run(wanted, resource, live, sent)
        except ApiError as error:
            if await self._mended_by_recreation(resource, wanted, live, error):
                return _Candidate(wanted, resource, live, "recreated", wanted, recreate=True)
            raise

    async def _dry_run(self, wanted: Manifest, resource: Resource, live: Manifest | None, sent: Manifest) -> _Candidate:
        """What applying would do, fields that are held for a human left out of it."""
        dry = await self._dry.apply(resource, sent, field_manager=MANAGER)
        if live is None:
            return _Candidate(wanted, resource, live, drift.CREATED, sent)
        action, drifts = drift.action(live, dry, self._rules), tuple[Drift, ...]()
        hidden = self._hidden(wanted)
        if action == drift.CONFIGURED:
            drifts = tuple(judge(
                wanted, live, dry, before=self._before(wanted, sent), policy=self._policy, ours=MANAGER,
                hidden=hidden, now=self._now,
            ))  # fmt: skip
            left = [each.field.path for each in drifts if each.mode is not Mode.REVERT]
            if left:
                sent = without(sent, left)
                dry = await self._dry.apply(resource, sent, field_manager=MANAGER)
                action = drift.action(live, dry, self._rules)
        fields: tuple[Operation, ...] = ()
        if action == drift.CONFIGURED:
            fields = tuple(mask_patch(field_changes(live, dry), fields=hidden))
        others = foreign(live, ours=MANAGER, drifted=[each.field.path for each in drifts])
        return _Candidate(wanted, resource, live, action, sent, fields, drifts=drifts, foreign=others)

    def _before(self, wanted: Manifest, sent: Manifest) -> Manifest | None:
        """What we applied last, as far as anybody knows."""
        known = self._known.get(identity(wanted))
        if known is None:
            return wanted if self._same else None
        return known.before if known.before is not None else wanted if known.wanted == self._digest(sent) else None

    def _digest(self, sent: Manifest) -> str:
        return f"{digest_of(sent)} {self._policy.token}"

    def _hidden(self, wanted: Manifest) -> tuple[str, ...]:
        entry = entry_of(wanted)
        return ("",) if entry.id in self._masked else ("/data", "/stringData") if is_secret(entry) else ()

    async def _mended_by_recreation(
        self, resource: Resource, wanted: Manifest, live: Manifest | None, refusal: ApiError
    ) -> bool:
        if live is None or not is_forced(wanted, live, self._force) or not asks_for_recreation(refusal):
            return False
        return await would_be_created(self._dry, resource, wanted, refusal, manager=MANAGER)

    async def _get(self, resource: Resource, wanted: Manifest) -> Manifest | None:
        meta = wanted["metadata"]
        try:
            return await self._kube.get(resource, meta["name"], meta.get("namespace") or "")
        except NotFound:
            return None

    async def _write(self, candidate: _Candidate) -> Applied:
        subject, key = describe(candidate.wanted), identity(candidate.wanted)
        if candidate.action in (drift.UNCHANGED, drift.HELD, "skipped"):
            live = candidate.live
        else:
            try:
                if candidate.recreate and candidate.live is not None:
                    await self._remove(candidate.resource, candidate.live)
                live = await self._kube.apply(candidate.resource, candidate.sent, field_manager=MANAGER)
            except ApiError as error:
                raise ApplyError([f"{subject} apply failed ({error.reason}): {error.message}"]) from None
        if live is not None and candidate.action != "skipped":
            self._note(candidate, live)
        return Applied(
            subject, key, candidate.action, _slim(live), candidate.fields, candidate.drifts, candidate.foreign
        )  # fmt: skip

    def _note(self, candidate: _Candidate, live: Manifest) -> None:
        """What the next look is compared with: the whole of what is wanted, held fields too."""
        full = drift.payload(candidate.wanted, candidate.live, self._rules, manager=MANAGER)
        left = tuple(each for each in candidate.drifts if each.mode is not Mode.REVERT)
        before = candidate.wanted if self._policy.may_hold(candidate.wanted) else None
        version = str(live["metadata"].get("resourceVersion") or "")
        self._known[identity(candidate.wanted)] = Known(version, self._digest(full), left, candidate.foreign, before)

    async def _remove(self, resource: Resource, live: Manifest) -> None:
        """Deletes exactly this object and waits until its name is free."""
        meta = live["metadata"]
        try:
            await self._kube.delete(resource, meta["name"], meta.get("namespace") or "", uid=meta["uid"])
        except NotFound:
            return
        await self._until(lambda: self._is_gone(resource, live), f"{describe(live)} is still being deleted")

    async def _is_gone(self, resource: Resource, live: Manifest) -> bool:
        now = await self._get(resource, live)
        return now is None or now["metadata"].get("uid") != live["metadata"].get("uid")

    async def _settle(self, candidates: Sequence[_Candidate]) -> None:
        for candidate in candidates:
            if candidate.action in ("skipped", drift.HELD):
                continue
            await self._until(
                partial(self._is_settled, candidate),
                f"{describe(candidate.wanted)} is not ready for the objects that need it",
            )

    async def _is_settled(self, candidate: _Candidate) -> bool:
        live = await self._get(candidate.resource, candidate.wanted)
        return live is not None and compute(live).state is State.CURRENT

    async def _until(self, holds: Callable[[], Awaitable[bool]], problem: str) -> None:
        deadline, pause = monotonic() + self._stage_timeout, 0.05
        while True:
            try:
                if await holds():
                    return
            except ApiError as error:
                raise ApplyError([f"{problem}: {error.message}"]) from None
            if monotonic() > deadline:
                raise ApplyError([f"{problem} after {self._stage_timeout:g} s"])
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 1.6)


def digest_of(manifest: Mapping[str, object]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _slim(live: Manifest | None) -> Manifest | None:
    if live is None:
        return None
    meta = {name: value for name, value in live["metadata"].items() if name != "managedFields"}
    return {"apiVersion": live.get("apiVersion"), "kind": live.get("kind"), "metadata": meta}
