"""Has a live object moved from what Git says, and which of it is to be left alone? Pure.

`dry_run` is always the server's own answer to a dry-run apply: the live object with our fields enforced. So a
difference between the two is exactly what applying would change.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import re2

from controllers.api.meta import annotations_of
from controllers.api.resource import Manifest
from controllers.kustomization.objects.diff import segments
from controllers.kustomization.objects.labels import labels_of
from controllers.kustomization.objects.normalize import for_comparison
from controllers.lang.label_selector import LabelSelector

CREATED, CONFIGURED, UNCHANGED, HELD = "created", "configured", "unchanged", "held"


@dataclass(frozen=True, slots=True)
class DriftSubject:
    """Which objects a rule speaks of. Texts are anchored RE2 expressions; an empty one matches all."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    label_selector: str = ""
    annotation_selector: str = ""

    def matches(self, manifest: Mapping[str, Any]) -> bool:
        """Raises ValueError for an expression or a selector that cannot be read."""
        group, _, version = str(manifest.get("apiVersion") or "").rpartition("/")
        meta = manifest.get("metadata") or {}
        return (
            _regex(self.group, group)
            and _regex(self.version, version)
            and _regex(self.kind, str(manifest.get("kind") or ""))
            and _regex(self.name, str(meta.get("name") or ""))
            and _regex(self.namespace, str(meta.get("namespace") or ""))
            and LabelSelector.parse(self.label_selector).matches(labels_of(manifest))
            and LabelSelector.parse(self.annotation_selector).matches(annotations_of(manifest))
        )


def target_of(spec: Mapping[str, Any] | None) -> DriftSubject:
    """A target as it stands in a spec."""
    spec = spec or {}
    names = {"labelSelector": "label_selector", "annotationSelector": "annotation_selector"}
    known = ("group", "version", "kind", "name", "namespace", *names)
    return DriftSubject(**{names.get(key, key): str(spec[key]) for key in known if spec.get(key)})


def check_target(target: DriftSubject) -> None:
    """Raises ValueError for an expression or a selector that cannot be read."""
    for name in ("group", "version", "kind", "name", "namespace"):
        try:
            _compiled(getattr(target, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    for name, text in (("labelSelector", target.label_selector), ("annotationSelector", target.annotation_selector)):
        try:
            LabelSelector.parse(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _regex(pattern: str, text: str) -> bool:
    return not pattern or _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # the library would write to standard error
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        told = error.args[0] if error.args else ""
        told = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
        raise ValueError(f"regular expression {pattern[:100]!r}: {told}") from None


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """Fields (JSON pointers) of some objects that others may own."""

    paths: tuple[str, ...]
    target: DriftSubject = field(default_factory=DriftSubject)


def rules_of(specs: Iterable[Mapping[str, Any]]) -> list[IgnoreRule]:
    """`spec.ignore`. Raises ValueError naming the field that cannot be read."""
    rules = [IgnoreRule(tuple(spec.get("paths") or ()), target_of(spec.get("target"))) for spec in specs]
    for index, rule in enumerate(rules):
        for number, path in enumerate(rule.paths):
            try:
                segments(path)
            except ValueError as error:
                raise ValueError(f"spec.ignore[{index}].paths[{number}]: {error}") from None
        try:
            check_target(rule.target)
        except ValueError as error:
            raise ValueError(f"spec.ignore[{index}].target.{error}") from None
    return rules


def ignored_paths(manifest: Manifest, rules: Iterable[IgnoreRule]) -> list[str]:
    return [path for rule in rules if rule.target.matches(manifest) for path in rule.paths]


def has_drifted(existing: Manifest | None, dry_run: Manifest) -> bool:
    """Would applying change anything but what others added to labels and annotations?"""
    if existing is None or not (dry_run.get("metadata") or {}).get("resourceVersion"):
        return True
    for read in (labels_of, annotations_of):
        live, wanted = read(existing), read(dry_run)
        if any(live.get(key) != value for key, value in wanted.items()):
            return True
    return for_comparison(existing) != for_comparison(dry_run)


def would_change(existing: Manifest | None, dry_run: Manifest) -> bool:
    """As `has_drifted`, and also where a label or annotation of ours is no longer wanted: only applying removes it."""
    return has_drifted(existing, dry_run) or any(
        not read(existing).keys() <= read(dry_run).keys() for read in (labels_of, annotations_of)
    )


def action(existing: Manifest | None, dry_run: Manifest, rules: Sequence[IgnoreRule] = ()) -> str:
    """`created`, `configured` or `unchanged`, fields under an ignore rule left out of the comparison."""
    if existing is None or not (dry_run.get("metadata") or {}).get("resourceVersion"):
        return CREATED
    paths = ignored_paths(dry_run, rules)
    one, other = (_without(side, paths) for side in (existing, dry_run)) if paths else (existing, dry_run)
    return CONFIGURED if would_change(one, other) else UNCHANGED


def payload(desired: Manifest, existing: Manifest | None, rules: Sequence[IgnoreRule], *, manager: str) -> Manifest:
    """What is sent, ignored fields left to others.

    A new object has all fields. On a live one an ignored field is left out where another manager applies it, and else
    takes the live value, so that nothing changes and the field stays ours.
    """
    paths = ignored_paths(desired, rules) if existing is not None else []
    if not paths or existing is None:
        return desired
    result = copy.deepcopy(desired)
    for pointer in paths:
        parts = segments(pointer)
        if _lookup(result, parts) is _ABSENT:
            continue
        live = _lookup(existing, parts)
        if live is _ABSENT or _applied_by_other(existing, parts, manager):
            _remove(result, parts)
        else:
            _assign(result, parts, copy.deepcopy(live))
    return result


def _without(manifest: Manifest, paths: Iterable[str]) -> Manifest:
    result = copy.deepcopy(manifest)
    for pointer in paths:
        _remove(result, segments(pointer))
    return result


_ABSENT = object()


def _child(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return _ABSENT


def _lookup(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = _child(value, part)
    return value


def _remove(value: Any, parts: Sequence[str]) -> None:
    parent: Any = _lookup(value, parts[:-1]) if parts else _ABSENT
    if parent is _ABSENT or _child(parent, parts[-1]) is _ABSENT:
        return
    if isinstance(parent, dict):
        del parent[parts[-1]]
    else:
        del parent[int(parts[-1])]


def _assign(value: Any, parts: Sequence[str], new: Any) -> None:
    parent = _lookup(value, parts[:-1])
    if isinstance(parent, list):
        parent[int(parts[-1])] = new
    else:
        parent[parts[-1]] = new


def _applied_by_other(existing: Manifest, parts: Sequence[str], manager: str) -> bool:
    entries = (existing.get("metadata") or {}).get("managedFields") or []
    return any(
        entry.get("operation") == "Apply"
        and entry.get("manager") != manager
        and not entry.get("subresource")
        and owns(entry.get("fieldsV1") or {}, existing, parts)
        for entry in entries
    )


def owns(fields: Mapping[str, Any], manifest: Any, parts: Sequence[str]) -> bool:
    """Does a set of managed fields hold the field at this path? List members are found by index, key or value."""
    position: Any = fields
    value = manifest
    for part in parts:
        key = f"f:{part}"
        if isinstance(value, list):
            key = _member_key(position, value, part)
        position = position.get(key) if isinstance(position, Mapping) else None
        if position is None:
            return False
        value = _child(value, part)
    return True


def _member_key(position: Any, items: list[Any], part: str) -> str:

    item = _child(items, part)
    for key in position if isinstance(position, Mapping) else ():
        if key.startswith("k:") and isinstance(item, dict):
            wanted = json.loads(key[2:])
            if all(item.get(name) == value for name, value in wanted.items()):
                return str(key)
    return f"i:{part}"
