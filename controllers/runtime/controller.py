"""One kind, its queue, its store, and the one exit of each reconcile.

A reconcile returns a Result or raises; the Controller turns every ending into conditions, observedGeneration, an event
on a change of readiness, metrics, and the queue's verdict:

| ending                  | Ready                    | looked at again                          |
|-------------------------|--------------------------|------------------------------------------|
| Result                  | True                     | after `requeue_after`                    |
| Stalled, InvalidSpecError    | False, Stalled=True      | on a change, or after `retry_after`      |
| NotReady                | False, Reconciling=True  | backoff, or after `retry_after`          |
| Conflict of a write     | left as it was           | backoff from 1 s                         |
| ApiError, UnknownKindError   | False, Reconciling=True  | backoff                                  |
| anything else: a bug    | False, Reconciling=True  | backoff; traceback in the log            |

A reconcile that wrote its status itself (StatusWriter) and returns a Result is left at its word.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from controllers.api.base import InvalidSpecError
from controllers.api.resource import Key, Manifest, Resource, key_of
from controllers.api.timestamps import timestamp

from . import conditions
from .conditions import Style
from .draft import Draft
from .events import EventRecorder
from .kube import ApiError, Conflict, NotFound, UnknownKindError
from .metrics import Metrics
from .queue import Verdict, WorkQueue
from .result import NotReady, Result, Stalled
from .status import StatusWriter, contended
from .store import Store, StoreChange

log = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[Result]]

_CONTENTION = timedelta(seconds=600)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile ended, as the exit sees it. `ready` None: say nothing about readiness."""

    name: str
    verdict: Verdict
    ready: bool | None
    reason: str = ""
    message: str = ""
    stalled: bool = False


class Controller:
    """Made by `Manager.controller`. `queue` and `store` are for the room's own watches and look-ups."""

    def __init__(
        self,
        resource: Resource,
        reconcile: Reconcile,
        *,
        queue: WorkQueue,
        store: Store,
        writer: StatusWriter,
        events: EventRecorder,
        metrics: Metrics,
        style: Style = conditions.FLUX,
        label_selector: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.resource = resource
        self.queue = queue
        self.store = store
        self.label_selector = label_selector
        self.leading_since: datetime | None = None
        self._reconcile = reconcile
        self._writer, self._events, self._metrics, self._style = writer, events, metrics, style
        self._clock = clock
        self._drafts: dict[Key, Draft] = {}
        self._contended: dict[Key, tuple[str, datetime]] = {}

    def draft(self, key: Key) -> Draft:
        """The draft of the reconcile that runs for this key. Outside of one: KeyError."""
        return self._drafts[key]

    # Events

    def on_event(self, type_: str, manifest: Manifest) -> None:
        """Takes a watch event in: fills the store, and wakes the key where a reconcile could come out differently."""
        key = key_of(manifest)
        if type_ == "DELETED":
            if self.store.drop(key):
                self._contended.pop(key, None)
                self.queue.changed(key)
            return
        self._note_contention(key, manifest)
        met = self.store.get(key) is not None
        change = self.store.put(manifest)
        if change == StoreChange.SPEC and not met and _settled(manifest):
            self.queue.add(key, urgent=False)  # a start: what is in order lets by what is not
        elif change == StoreChange.SPEC:
            self.queue.changed(key)
        elif change == StoreChange.METADATA:
            self.queue.add(key)

    def on_written(self, manifest: Manifest) -> None:
        """Our own status write was answered: the store knows it before its event comes."""
        key = key_of(manifest)
        if draft := self._drafts.get(key):
            draft.skip_status = True
            draft.manifest = manifest
        if self.store.get(key) is not None and self.store.put(dict(manifest)) == StoreChange.SPEC:
            self.queue.changed(key)

    def _note_contention(self, key: Key, manifest: Manifest) -> None:
        if self.leading_since is None:
            return
        since = max(self.leading_since, self._clock() - _CONTENTION)
        if other := contended(manifest, since=since):
            if not self._rival(key):
                self.queue.add(key)  # to say so, once
            self._contended[key] = (other, self._clock())

    def _rival(self, key: Key) -> str:
        """Who else wrote this status lately. Our saying so takes their fields over, so their trace is remembered."""
        other, seen = self._contended.get(key, ("", None))
        return other if seen is not None and self._clock() - seen < _CONTENTION else ""

    # The one exit

    async def work(self, key: Key) -> Verdict:
        """One reconcile, from the queue. Never raises but for cancellation."""
        manifest = self.store.get(key)
        draft = Draft(key, manifest, style=self._style, now=self._now, write=self._write_early)
        self._drafts[key] = draft
        started = monotonic()
        try:
            outcome = await self._outcome(key)
            verdict = await self._exit(draft, outcome)
        finally:
            self._drafts.pop(key, None)
            self._metrics.reconcile_seconds.labels(self.queue.name).observe(monotonic() - started)
        self._metrics.reconciles.labels(self.queue.name, outcome.name).inc()
        if manifest is None and self.store.get(key) is None and not verdict.failed:
            return Verdict()
        return verdict

    async def _outcome(self, key: Key) -> Outcome:
        if other := self._rival(key):
            message = f"another controller ({other}) also writes this object's status; run only one of them"
            return Outcome("contended", Verdict(after=_CONTENTION.total_seconds()), False, "Contended", message)
        try:
            result = await self._reconcile(key)
        except Stalled as error:
            return Outcome(
                "stalled", Verdict(after=error.retry_after), False, error.reason, error.message, stalled=True
            )
        except InvalidSpecError as error:
            return Outcome("stalled", Verdict(), False, "InvalidSpec", str(error), stalled=True)
        except NotReady as error:
            return Outcome("not_ready", _failed(error.retry_after), False, error.reason, error.message)
        except Conflict:
            return Outcome("conflict", _failed(), None)
        except UnknownKindError as error:
            return Outcome("not_ready", _failed(), False, "UnknownKind", str(error))
        except ApiError as error:
            log.warning("%s %s: %s", self.resource.kind, key, error.message, extra={"reason": error.reason})
            verdict = _failed(error.retry_after)
            return Outcome("api_error", verdict, False, error.reason or "ApiError", f"API server: {error.message}")
        except Exception as error:
            log.exception("%s %s: reconcile failed with an unexpected error", self.resource.kind, key)
            message = f"unexpected error ({type(error).__name__}); see the controller's log for the traceback"
            return Outcome("bug", _failed(), False, "InternalError", message)
        return Outcome("success", Verdict(after=result.requeue_after), True)

    async def _exit(self, draft: Draft, outcome: Outcome) -> Verdict:
        if draft.manifest is None or outcome.ready is None:
            return outcome.verdict
        left_alone = outcome.ready and draft.skip_status and not draft.spoken
        try:
            if not left_alone:
                await self._write_status(draft, outcome)
        except (NotFound, Conflict):
            pass  # gone, or another object under this name: its own event wakes the key
        except ApiError as error:
            log.warning("%s %s: status not written: %s", self.resource.kind, draft.key, error.message)
            return _failed(error.retry_after)
        for event in draft.events:
            self._events.record(
                self.resource, draft.manifest, reason=event.reason, message=event.message, warning=event.warning
            )
        return outcome.verdict

    async def _write_status(self, draft: Draft, outcome: Outcome) -> None:
        manifest = draft.manifest
        assert manifest is not None  # noqa: S101 - _exit looked
        ok = bool(outcome.ready)
        reason = draft.reason if ok else outcome.reason
        message = draft.message if ok else outcome.message
        wrote_last = draft.skip_status and not draft.spoken
        status = conditions.ready(
            manifest,
            status="True" if ok else "False",
            reason=reason,
            message=message,
            now=self._now(),
            style=self._style,
            stalled=outcome.stalled,
            base=manifest.get("status") or {} if wrote_last else draft.status,
        )
        before, after = (conditions.find(item, self._style.ready) for item in (manifest.get("status"), status))
        await self._writer.write(self.resource, manifest, status)
        changed = after is not None and any(
            (before or {}).get(name) != after[name] for name in ("status", "reason", "message")
        )
        if ok and not draft.announces_success:
            return
        if not ok and draft.failure_event:
            reason, message = draft.failure_event, f"{reason}: {message}"
        if changed or not ok:  # a failure that goes on is announced again: its event must not be forgotten before it
            self._events.record(self.resource, manifest, reason=reason, message=message, warning=not ok)

    async def _write_early(self, draft: Draft) -> None:
        """`draft.write()`: the status so far. What the reconcile says later still goes through the exit."""
        if draft.manifest is None:
            return
        by_hand = draft.skip_status
        draft.manifest = await self._writer.write(self.resource, draft.manifest, draft.status)
        draft.skip_status = by_hand

    def _now(self) -> str:
        return timestamp(self._clock())


def _failed(after: float | None = None) -> Verdict:
    return Verdict(failed=True, after=after)


def _settled(manifest: Manifest) -> bool:
    """Was it Ready as it is written now?"""
    status = manifest.get("status") or {}
    generation = manifest["metadata"].get("generation")
    return conditions.is_true(status, "Ready") and status.get("observedGeneration", generation) == generation
