"""What a reconcile says about its object while it runs; the Controller's one exit writes it.

A reconcile asks its controller for the draft of its key, changes `draft.status` (a copy) and names the text of success:

    async def reconcile(self, key: Key) -> Result:
        draft = self.controller.draft(key)
        draft.status["artifact"] = …                       # fields of this kind's status
        draft.condition("Healthy", "True", "HealthChecksPassed", "3 of 3 objects are healthy")
        draft.ready("ReconciliationSucceeded", f"Applied revision: {revision}")
        draft.event("Progressing", "configmap/a created")
        return Result(requeue_after=…)                     # Ready=True; or raise Stalled / NotReady: Ready=False

Whatever way the reconcile ends, the exit writes status (if it differs), the event (if readiness changed), metrics.
`await draft.write()` writes what is there so far: for an inventory that must be stored before anything is applied.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

from controllers.api.resource import Key, Manifest
from controllers.api.unsupported import unsupported

from .conditions import Status, Style, remove_condition, set_condition
from .result import Stalled


class Suspendable(Protocol):
    """A spec with the field `suspend`."""

    @property
    def suspend(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class DraftEvent:
    reason: str
    message: str
    warning: bool


class Draft:
    """For the length of one reconcile. `manifest` is None where the object is gone."""

    def __init__(
        self,
        key: Key,
        manifest: Manifest | None,
        *,
        style: Style,
        now: Callable[[], str],
        write: Callable[[Draft], Awaitable[None]],
    ) -> None:
        self.key = key
        self.manifest = manifest
        self.status: Status = deepcopy((manifest or {}).get("status") or {})
        self.reason, self.message = "Succeeded", "Reconciled"
        self.events: list[DraftEvent] = []
        self.failure_event = ""
        """The reason of the Event of a failure, where upstream has its own; ours then leads the Event's message."""
        self.announces_success = True
        """Whether becoming ready is an Event by itself; False where the reconcile records one of its own."""
        self.spoken = False
        """Whether the reconcile used this draft for its Ready text."""
        self.skip_status = False
        """Whether the reconcile wrote its status itself, by a StatusWriter."""
        self._style, self._now, self._write = style, now, write

    def ready(self, reason: str, message: str) -> None:
        """The reason and message of Ready=True if this reconcile succeeds."""
        self.reason, self.message, self.spoken = reason, message, True

    def condition(self, type_: str, value: str, reason: str, message: str) -> None:
        """Sets a condition beside Ready; `value` is "True", "False" or "Unknown"."""
        meta: dict[str, Any] = (self.manifest or {}).get("metadata") or {}
        generation = meta.get("generation") if self._style.progress else None
        self.status = set_condition(
            self.status,
            type_,
            value=value,
            reason=reason,
            message=message,
            now=self._now(),
            generation=generation,
            update_time=self._style.update_time,
        )

    def drop_condition(self, type_: str) -> None:
        self.status = remove_condition(self.status, type_)

    def event(self, reason: str, message: str, *, warning: bool = False) -> None:
        """An Event on the object, recorded at the exit."""
        self.events.append(DraftEvent(reason, message, warning))

    def wanted(self, spec: Suspendable) -> bool:
        """Whether to reconcile: not where the spec suspends it, and then the status stays as it is.

        Raises Stalled where the spec sets a field that is not served.
        """
        if spec.suspend:
            self.skip_status = True
            return False
        if paths := unsupported(self.manifest or {}):
            raise Stalled("UnsupportedField", f"unsupported: {', '.join(paths)}")
        return True

    async def write(self) -> None:
        """Writes the status as it is now, before the reconcile ends. Raises ApiError."""
        await self._write(self)
