"""Restart on change: has a Secret that a workload uses other data than its Pods were started with? Pure.

Level-triggered, so that neither a lost event nor a controller's death loses or repeats a restart. What was last acted
on stands as marks (one per used key) in an annotation of the workload itself. Is it absent, the marks are recorded and
nothing else happens, for that touches no Pod template. Does one differ, ONE patch with the resourceVersion that was
judged writes the new marks and the Pod template's annotation together: whoever comes second gets a conflict, reads
again and finds nothing to do.

What does not restart: a change of metadata, a write of equal data, a key that no container uses, a Secret (or key) that
vanishes (new Pods could not start without it; its mark is kept for its return), a Secret that came to be used or to
exist (Pods could not start before), unless every use of it is optional, for then they did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from controllers.api.duration import parse_duration
from controllers.api.resource import Manifest
from controllers.api.timestamps import micro_timestamp, parse_timestamp

from .uses import PAUSE_PERIOD

SEEN = "restart.inhaul.dev/seen"
"""On a workload: marks of what its Pods were started with. See `restart_marks` for why they tell nothing."""
RESTARTED_AT, RESTARTED_FOR = "restart.inhaul.dev/restarted-at", "restart.inhaul.dev/restarted-for"
"""On a Pod template: the change that makes the rollout. Time, and names of Secrets; nothing made from values."""
FIELD_MANAGER = "inhaul-restart"
ABSENT = ""
"""The mark of what is not there."""

Marks = Mapping[str, str]
"""Mark by key of one Secret; `*` for the whole of its data."""
_MAX_SEEN = 200_000
_MAX_FOR = 20  # names in the Pod template


@dataclass(frozen=True, slots=True)
class Record:
    """The annotation `SEEN`, read. `by` says with which key, for which workload it was made."""

    by: str
    secrets: Mapping[str, Marks] = field(default_factory=dict)
    at: datetime | None = None

    def text(self) -> str:
        body: dict[str, Any] = {"by": self.by, "secrets": {name: dict(marks) for name, marks in self.secrets.items()}}
        if self.at is not None:
            body["at"] = micro_timestamp(self.at)
        return json.dumps(body, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and the marks that stand afterwards. `changed`: the Secrets for which a restart is due."""

    action: Literal["nothing", "record", "restart"]
    secrets: Mapping[str, Marks]
    changed: tuple[str, ...] = ()


def read_record(workload: Manifest, by: str) -> Record | None:
    """The workload's record; None where there is none, where it cannot be read, or where it is not this workload's
    (copied from another, or made with a key that is lost)."""
    text = (workload["metadata"].get("annotations") or {}).get(SEEN) or ""
    if not text or len(text) > _MAX_SEEN:
        return None
    try:
        raw = json.loads(text)
        at = parse_timestamp(raw["at"]) if raw.get("at") else None
        secrets = {str(name): {str(k): str(m) for k, m in marks.items()} for name, marks in raw["secrets"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if raw.get("by") != by:
        return None
    return Record(by, secrets, at)


def decide(record: Record | None, present: Mapping[str, Marks], optional: frozenset[str]) -> Decision:
    """`present`: the marks of every chosen Secret as it is now. `optional`: those without which Pods start too."""
    if record is None:
        return Decision("record", dict(present))
    after: dict[str, Marks] = {}
    changed = []
    for name, marks in present.items():
        before = record.secrets.get(name, {})
        kept = {key: _kept(before.get(key), mark) for key, mark in marks.items()}
        after[name] = kept
        if any(_is_news(before.get(key), mark, name in optional) for key, mark in kept.items()):
            changed.append(name)
    if changed:
        return Decision("restart", after, tuple(sorted(changed)))
    return Decision("nothing" if after == record.secrets else "record", after)


def _kept(before: str | None, mark: str) -> str:
    return before if mark == ABSENT and before else mark


def _is_news(before: str | None, mark: str, optional: bool) -> bool:
    if before is None or before == mark:
        return False
    return optional if before == ABSENT else True


def wait_left(workload: Manifest, record: Record | None, *, pause: float, now: datetime) -> float:
    """Seconds until the workload may be restarted again; 0: now. Changes meanwhile come together in that restart."""
    own = (workload["metadata"].get("annotations") or {}).get(PAUSE_PERIOD)
    if own:
        with suppress(ValueError):  # as if it were not there
            pause = parse_duration(own)
    if record is None or record.at is None:
        return 0.0
    passed = (now - record.at).total_seconds()
    return max(0.0, pause - passed) if passed >= 0 else 0.0


def patch_record(workload: Manifest, record: Record | None) -> Manifest:
    """A merge patch of the record alone (None: take it away). The Pod template stays as it is."""
    return _patch(workload, None if record is None else record.text())


def patch_restart(workload: Manifest, record: Record, changed: tuple[str, ...]) -> Manifest:
    """A merge patch of record and Pod template at once. `record.at` is the time of the restart."""
    assert record.at is not None  # noqa: S101 - the caller's own time
    shown = ", ".join(changed[:_MAX_FOR]) + (f" and {len(changed) - _MAX_FOR} more" if len(changed) > _MAX_FOR else "")
    body = _patch(workload, record.text())
    annotations = {RESTARTED_AT: micro_timestamp(record.at), RESTARTED_FOR: shown}
    return {**body, "spec": {"template": {"metadata": {"annotations": annotations}}}}


def _patch(workload: Manifest, text: str | None) -> Manifest:
    meta = workload["metadata"]
    precise = {"uid": meta.get("uid"), "resourceVersion": meta.get("resourceVersion")}
    return {"metadata": {**precise, "annotations": {SEEN: text}}}


def held_back(workload: Manifest) -> str:
    """Why a rollout does not begin by itself, in words; "" where it does."""
    spec = workload.get("spec") or {}
    if spec.get("paused"):
        return "it is paused; it rolls out when it is resumed"
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return "its updateStrategy is OnDelete: each Pod changes when it is deleted"
    return ""
