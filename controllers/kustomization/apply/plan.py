"""What a run would do to a cluster: create, update, delete, leave, hold; with field diffs, secrets masked. Pure.

A plan is made of wanted objects, live ones and the server's dry-run answers, then executed; it is also what `plan` and
`diff` show, what an event tells, and what a guard is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controllers.api.resource import Manifest
from controllers.kustomization.drift import detect as drift
from controllers.kustomization.drift.detect import IgnoreRule
from controllers.kustomization.objects.diff import Operation, differences, mask_patch
from controllers.kustomization.objects.inventory import Entry, difference, entry_of
from controllers.kustomization.objects.labels import FORCE, PRUNE, RECONCILE, SSA, describe, is_set
from controllers.kustomization.objects.normalize import for_comparison

CREATE, UPDATE, RECREATE, DELETE, UNCHANGED, HELD = "create", "update", "recreate", "delete", "unchanged", "held"


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One object's part in a plan. `reason` tells why it is held or left."""

    action: str
    entry: Entry
    subject: str
    fields: tuple[Operation, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes, in the order in which they are made."""

    changes: tuple[PlannedChange, ...] = field(default=())

    def of(self, *actions: str) -> list[PlannedChange]:
        return [change for change in self.changes if change.action in actions]

    @property
    def is_empty(self) -> bool:
        """Would executing it write nothing?"""
        return not self.of(CREATE, UPDATE, RECREATE, DELETE)

    def summary(self) -> str:
        """`2 to create, 1 to update, 0 to delete, 7 unchanged, 0 held`."""
        names = {CREATE: "to create", UPDATE: "to update", DELETE: "to delete", UNCHANGED: "unchanged", HELD: "held"}
        texts = [f"{len(self.of(action))} {name}" for action, name in names.items()]
        if recreated := self.of(RECREATE):
            texts.insert(2, f"{len(recreated)} to recreate")
        return ", ".join(texts)


@dataclass(frozen=True, slots=True)
class Seen:
    """One wanted object beside what the cluster answered: live state (None: not there) and dry-run result."""

    wanted: Manifest
    live: Manifest | None
    dry_run: Manifest | None
    recreated: str = ""
    """Why the object is deleted and created again (`force`); "" where it is not."""


def plan(
    seen: Iterable[Seen],
    *,
    inventory: Sequence[Entry] = (),
    prune: bool = False,
    rules: Sequence[IgnoreRule] = (),
    masked: frozenset[str] = frozenset(),
) -> Plan:
    """The plan for wanted objects and the objects of the last inventory that are no longer wanted.

    `masked` holds inventory ids of objects with decrypted or substituted secrets: all their values are hidden.
    """
    wanted = list(seen)
    changes = [_change(one, rules, masked) for one in wanted]
    gone = difference(inventory, [entry_of(one.wanted) for one in wanted])
    for entry in gone:
        action, reason = (DELETE, "no longer in the source") if prune else (HELD, "prune is off")
        changes.append(PlannedChange(action, entry, str(entry), reason=reason))
    return Plan(tuple(changes))


def skip_reason(wanted: Manifest, live: Manifest | None) -> str:
    """Why an object is not applied at all: its own switches, on the wanted or the live object; "" where it is."""
    for switch, value in ((RECONCILE, "disabled"), (SSA, "Ignore")):
        if is_set(wanted, switch, value) or is_set(live, switch, value):
            return f"{switch}: {value}"
    if live is not None and is_set(wanted, SSA, "IfNotPresent"):
        return f"{SSA}: IfNotPresent"
    return ""


def is_forced(wanted: Manifest, live: Manifest, force: bool) -> bool:
    """May an object be recreated where an update is refused? `force` is the Kustomization's."""
    return force or is_set(wanted, FORCE, "enabled") or is_set(live, FORCE, "enabled")


def keep_reason(live: Manifest) -> str:
    """Why a live object is not deleted although it is no longer wanted; "" where it may be."""
    for switch, value in ((PRUNE, "disabled"), (RECONCILE, "disabled"), (SSA, "Ignore")):
        if is_set(live, switch, value):
            return f"{switch}: {value}"
    return ""


def _change(one: Seen, rules: Sequence[IgnoreRule], masked: frozenset[str]) -> PlannedChange:
    entry, subject = entry_of(one.wanted), describe(one.wanted)
    if reason := skip_reason(one.wanted, one.live):
        return PlannedChange(HELD, entry, subject, reason=reason)
    if one.recreated:
        return PlannedChange(RECREATE, entry, subject, reason=one.recreated)
    outcome = drift.action(one.live, one.dry_run or one.wanted, rules)
    if outcome == drift.CREATED or one.live is None:
        return PlannedChange(CREATE, entry, subject)
    if outcome == drift.UNCHANGED:
        return PlannedChange(UNCHANGED, entry, subject)
    hidden: tuple[str, ...] = ("",) if entry.id in masked else ("/data", "/stringData") if is_secret(entry) else ()
    fields = mask_patch(field_changes(one.live, one.dry_run or one.wanted), fields=hidden)
    return PlannedChange(UPDATE, entry, subject, tuple(fields))


def is_secret(entry: Entry) -> bool:
    return (entry.group, entry.kind) == ("", "Secret")


def field_changes(live: Manifest, dry_run: Manifest) -> list[Operation]:
    """Every field that applying would change: content, labels, annotations."""
    found = list(differences(for_comparison(live), for_comparison(dry_run)))
    for name in ("labels", "annotations"):
        found += differences(_meta(live, name), _meta(dry_run, name), f"/metadata/{name}")
    return found


def _meta(manifest: Manifest, name: str) -> Mapping[str, Any]:
    return (manifest.get("metadata") or {}).get(name) or {}
