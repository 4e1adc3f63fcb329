"""What this process remembers of a Kustomization between two reconciles. All of it may be lost at any moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from controllers.kustomization.objects.labels import Identity
from controllers.sources.tree import Reads

from .apply.apply import Known
from .drift.annotations import RetainedField


@dataclass(slots=True)
class KustomizationState:
    """`done` is what the last whole run was made of: equal again and not yet due, nothing needs to be done."""

    done: str = ""
    due: float = 0.0
    """Monotonic seconds at which everything is looked at again whatever did not change."""
    applied: str = ""
    """What was applied and is waited for; "" where nothing is."""
    waiting_since: float = 0.0
    current: frozenset[Identity] = frozenset()
    """Objects that were current at the last look of the wait for health."""
    applied_at: datetime | None = None
    known: dict[Identity, Known] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    """Lines (`Kind/ns/name configured`) of the apply that is waited for."""
    was_healthy: bool = True
    started: float = 0.0
    skipped: frozenset[Identity] = frozenset()
    held: tuple[RetainedField, ...] | None = None
    """Fields that are left to humans; None: as the annotation tells."""
    reads: Reads | None = None
    """What the last render read; None before the first."""
    foreign: dict[Identity, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Subject and paths of what other managers added."""
