"""What a reconcile says at its end.

`Result` when it went through. Two exceptions for the expected: `Stalled` for what only an edit (of the object or of
something it names) can mend, `NotReady` for what time can mend. Anything else that escapes a reconcile is a bug: logged
with a traceback, counted, backed off, never fatal to the process. Messages name the cause, hold no value of a secret
and no varying text (request ids, times), for they go into conditions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """Reconciled. `requeue_after` is in seconds; None means: when something changes."""

    requeue_after: float | None = None


class ReconcileError(Exception):
    """The object cannot be made ready now; `reason` is CamelCase, `message` is for a human."""

    def __init__(self, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Stalled(ReconcileError):  # noqa: N818 - a result, told apart by what mends it
    """Only an edit can mend this: not retried before something it depends on changes (or `retry_after` seconds)."""


class NotReady(ReconcileError):  # noqa: N818 - a result, told apart by what mends it
    """Time can mend this: retried with backoff, or after `retry_after` seconds."""
