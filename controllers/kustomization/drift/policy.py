"""What is done about a field that somebody changed by hand: reverted, held for them and told, or ignored. Pure.

The nearest word counts: the object's own annotation (in Git, else on the live object), then the first rule of the
Kustomization that matches the object and the field, then the Kustomization's mode, then Revert, which is what upstream
does.

Whether a difference is a hand's or Git's own is told by `managedFields`: what we still hold was last written by us, so
the difference comes from Git. What another manager took over is theirs. What is not there at all is a deletion by hand
exactly where we know that it was applied before; where nobody knows (after a restart, with another render), Git is
believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from controllers.api.meta import annotations_of
from controllers.api.resource import Manifest
from controllers.kustomization.objects.diff import MASK, segments
from controllers.kustomization.objects.inventory import entry_of
from controllers.kustomization.objects.managed_fields import (
    ABSENT,
    Holder,
    differences,
    held_by_others,
    holders,
    lookup,
)
from controllers.lang.yaml_load import InvalidYamlError, load

from .annotations import MODE, RULES, InvalidAnnotationError, Release, RetainedField, read_held, read_releases
from .detect import DriftSubject, check_target, target_of

LONGEST_RULES = 64 << 10
SHOWN = 256
MOST_FOREIGN = 20

SYSTEM = frozenset({
    "kube-controller-manager", "kube-scheduler", "kube-apiserver", "kubelet", "kube-proxy", "clusterrole-aggregation",
    "cloud-controller-manager", "horizontal-pod-autoscaler", "cainjector", "cert-manager-cainjector",
})  # fmt: skip
"""Managers whose additions are their work, and no news."""


class Mode(StrEnum):
    REVERT = "Revert"
    ALERT = "Alert"
    IGNORE = "Ignore"


@dataclass(frozen=True, slots=True)
class Rule:
    """A mode for some objects, or only for some of their fields (JSON pointers, `*` for any one segment)."""

    mode: Mode
    target: DriftSubject = field(default_factory=DriftSubject)
    paths: tuple[str, ...] = ()

    def matches(self, manifest: Manifest, path: str) -> bool:
        return (not self.paths or any(_below(path, each) for each in self.paths)) and self.target.matches(manifest)


@dataclass(frozen=True, slots=True)
class Policy:
    """All that a Kustomization's annotations say about drift."""

    default: Mode = Mode.REVERT
    rules: tuple[Rule, ...] = ()
    releases: tuple[Release, ...] = ()
    held: tuple[RetainedField, ...] = ()

    @property
    def token(self) -> str:
        """Equal where the same would be done; a release is a change."""
        text = repr((self.default, self.rules, self.releases))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def mode(self, wanted: Manifest, live: Manifest | None, path: str) -> Mode:
        """What is done about this field. Raises ValueError for an annotation that is no mode."""
        for side in (wanted, live):
            if text := annotations_of(side).get(MODE):
                return parse_mode(text)
        return next((rule.mode for rule in self.rules if rule.matches(wanted, path)), self.default)

    def may_hold(self, wanted: Manifest) -> bool:
        """Can anything of this object be left to others?"""
        return self.default is not Mode.REVERT or bool(self.rules) or MODE in annotations_of(wanted)

    def is_held(self, object_: str, path: str) -> RetainedField | None:
        return next((each for each in self.held if each.object == object_ and each.path == path), None)

    def is_released(self, object_: str, path: str) -> bool:
        return any(each.covers(RetainedField(object_, path)) for each in self.releases)


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that a hand changed, and what is done about it. Values are JSON texts, masked where secret."""

    field: RetainedField
    mode: Mode

    def __str__(self) -> str:
        """`/spec/replicas: Git has 2, live 5 (kubectl-edit, Update, 2026-…)`."""
        each = self.field
        by = ", ".join(part for part in (each.manager, each.operation, each.time) if part)
        place = each.path or "the object"
        return f"{place}: Git has {each.wanted or 'nothing'}, live {each.live or 'nothing'}" + (
            f" ({by})" if by else ""
        )


def parse_mode(text: str) -> Mode:
    """Raises InvalidAnnotationError."""
    for mode in Mode:
        if text.strip().lower() == mode.value.lower():
            return mode
    raise InvalidAnnotationError(f"annotation {MODE}: found {text[:40]!r}, expected Revert, Alert or Ignore")


def policy_of(owner: Manifest) -> Policy:
    """The policy of a Kustomization. Raises InvalidAnnotationError naming what cannot be read."""
    marks = annotations_of(owner)
    default = parse_mode(marks[MODE]) if marks.get(MODE) else Mode.REVERT
    return Policy(default, _rules(marks.get(RULES, "")), tuple(read_releases(marks)), tuple(read_held(marks)))


def _rules(text: str) -> tuple[Rule, ...]:
    if not text.strip():
        return ()
    if len(text) > LONGEST_RULES:
        raise InvalidAnnotationError(
            f"annotation {RULES}: found {len(text)} characters, expected at most {LONGEST_RULES}"
        )
    try:
        items = load(text)
    except InvalidYamlError as error:
        raise InvalidAnnotationError(f"annotation {RULES}: {error}") from None
    if not isinstance(items, list):
        raise InvalidAnnotationError(f"annotation {RULES}: expected a list of rules")
    return tuple(_rule(index, item) for index, item in enumerate(items))


def _rule(index: int, item: Any) -> Rule:
    where = f"annotation {RULES}: [{index}]"
    if not isinstance(item, Mapping) or "mode" not in item:
        raise InvalidAnnotationError(f"{where}: expected mode, and target or paths")
    if unknown := sorted(set(map(str, item)) - {"mode", "target", "paths"}):
        raise InvalidAnnotationError(f"{where}: unknown field {unknown[0][:40]!r}")
    paths, target = item.get("paths") or [], item.get("target") or {}
    if not isinstance(paths, list) or not isinstance(target, Mapping):
        raise InvalidAnnotationError(f"{where}: expected a list in paths and an object in target")
    if unknown := sorted(set(map(str, target)) - _TARGET):  # a misspelt field would leave a rule that matches all
        expected = ", ".join(sorted(_TARGET))
        raise InvalidAnnotationError(f"{where}: target: unknown field {unknown[0][:40]!r}, expected some of {expected}")
    try:
        for path in paths:
            segments(str(path))
    except ValueError as error:
        raise InvalidAnnotationError(f"{where}: paths: {error}") from None
    rule = Rule(_mode_of_rule(where, item["mode"]), target_of(target), tuple(map(str, paths)))
    try:
        check_target(rule.target)
    except ValueError as error:
        raise InvalidAnnotationError(f"{where}: target: {error}") from None
    return rule


_TARGET = {"group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"}


def _mode_of_rule(where: str, mode: Any) -> Mode:
    try:
        return parse_mode(str(mode))
    except InvalidAnnotationError as error:
        raise InvalidAnnotationError(f"{where}: mode: {str(error).rpartition(': ')[2]}") from None


def _below(path: str, pattern: str) -> bool:
    parts, wanted = segments(path), segments(pattern)
    return len(parts) >= len(wanted) and all(
        want in ("*", part) for want, part in zip(wanted, parts, strict=False)
    )  # fmt: skip


def judge(
    wanted: Manifest,
    live: Manifest,
    dry_run: Manifest,
    *,
    before: Manifest | None,
    policy: Policy,
    ours: str,
    hidden: tuple[str, ...] = (),
    now: str = "",
) -> list[Drift]:
    """The fields that a hand changed, each with its mode. `before` is what was applied last, None where nobody knows;
    `hidden` are pointers below which values are secret."""
    if not any(each.get("manager") == ours for each in (live["metadata"].get("managedFields") or ())):
        return []  # was never ours: taking it over is no drift
    entry, found = entry_of(wanted).id, []
    for each in differences(live, dry_run):
        if each.path.startswith("/metadata/labels/kustomize.toolkit.fluxcd.io~1"):
            continue  # the mark of ownership is nobody's to edit
        holding = holders(live, each.path)
        known = policy.is_held(entry, each.path)
        if known is None and not _by_hand(each.path, each.wanted, holding, before, ours):
            continue
        writer = next((holder for holder in holding if holder.manager != ours), Holder())
        secret = any(not pointer or each.path == pointer or each.path.startswith(f"{pointer}/") for pointer in hidden)
        mode = Mode.REVERT if policy.is_released(entry, each.path) else policy.mode(wanted, live, each.path)
        told = RetainedField(
            entry, each.path, _shown(each.wanted, secret), _shown(each.live, secret),
            writer.manager, writer.operation, writer.time, known.since if known else now,
        )  # fmt: skip
        found.append(Drift(told, mode))
    return found


def gone(wanted: Manifest, policy: Policy, *, known: bool, now: str) -> Drift | None:
    """A whole object that a hand deleted, where that is not to be undone; None where it is to be created.

    Only what is known to have been there (`known`: this process saw it, or this very render was applied whole before)
    or what is held already counts as deleted: the inventory names objects before they exist.
    """
    entry = entry_of(wanted).id
    held = policy.is_held(entry, "")
    if not (known or held) or policy.is_released(entry, ""):
        return None
    mode = policy.mode(wanted, None, "")
    told = RetainedField(entry, "", wanted='"present"', since=held.since if held else now)
    return Drift(told, mode) if mode is not Mode.REVERT else None


def _by_hand(path: str, wanted: Any, holding: list[Holder], before: Manifest | None, ours: str) -> bool:
    if any(holder.manager == ours for holder in holding):
        return False
    if wanted is ABSENT:
        return False  # Git dropped it, or the server did: nothing to hold
    if before is not None:
        return lookup(before, path) is not ABSENT
    return bool(holding)


def _shown(value: Any, secret: bool) -> str:
    if value is ABSENT:
        return ""
    if secret:
        return MASK
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def check_mode(manifest: Manifest) -> None:
    """Raises InvalidAnnotationError where an object's own mode is none, before it ever drifts."""
    if text := annotations_of(manifest).get(MODE):
        parse_mode(text)


def foreign(live: Manifest, *, ours: str, drifted: Iterable[str] = ()) -> tuple[str, ...]:
    """What other managers added to an object of ours: `/metadata/labels/x (kubectl-label, Update)`, no times.

    `drifted` are paths of fields that Git does speak of: they are no additions, whoever holds them now.
    """
    if not any(each.get("manager") == ours for each in (live["metadata"].get("managedFields") or ())):
        return ()
    told = tuple(drifted)
    found = {
        f"{path} ({holder.manager}, {holder.operation})"
        for path, holder in held_by_others(live, ours=ours)
        if holder.manager not in SYSTEM and not any(path == one or path.startswith(f"{one}/") for one in told)
    }
    return tuple(sorted(found)[:MOST_FOREIGN])


def summary(drifts: Iterable[Drift], limit: int = 10) -> str:
    """`Deployment/prod/checkout /spec/replicas: Git has 2, live 5 (…); and 3 more`."""
    lines = [f"{each.field.subject} {each}" for each in drifts]
    more = f"; and {len(lines) - limit} more" if len(lines) > limit else ""
    return "; ".join(lines[:limit]) + more
