"""When an image repository is scanned, and what of the answer is kept. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controllers.image_automation.tags.reference import InvalidPolicyError, compile_regex

from .reference import is_tag

DEFAULT_EXCLUSIONS = (r"^.*\.sig$", r"^sha256-[0-9a-f]{64}(\.[a-z]+)?$")
"""Tags of signatures and attestations: cosign's `.sig`, `.att`, `.sbom`, and the index of the referrers tag schema,
which is named like the digest alone. They sort after most names. An `exclusionList` in the spec replaces this list."""
LATEST_TAGS = 10
REQUESTED = "reconcile requested"
_DUE = 1.0
"""Seconds before its time from which a scan counts as due."""


class TagStoreError(Exception):
    """The tag store failed where its content decides."""


class InvalidExclusionError(ValueError):
    """An expression of `exclusionList` that is none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to scan now, seconds to the next look, and why it is now ("" where it is not)."""

    scan: bool
    next_scan: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What an ImageRepository's status and the tag store say. `scanned_ago` in seconds, None: never."""

    canonical_name: str
    exclusions: Sequence[str]
    handled_request: str
    scanned_ago: float | None
    stored_tags: int | None
    """How many are stored; None: the store cannot be read."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The tags that were kept, in descending order of their bytes, and how they look in a status."""

    tags: tuple[str, ...]

    @property
    def latest(self) -> tuple[str, ...]:
        return self.tags[:LATEST_TAGS]

    @property
    def revision(self) -> str:
        return tags_revision(self.tags)


def should_scan(
    *, canonical_name: str, interval: float, exclusions: Sequence[str], requested: str, observed: Observed
) -> Decision:
    """The first reason wins: never scanned, requested, another image, other exclusions, nothing stored, due.

    Raises TagStoreError where that cannot be told.
    """
    reason = ""
    if observed.scanned_ago is None:
        reason = "first scan"
    elif requested and requested != observed.handled_request:
        reason = REQUESTED
    elif observed.canonical_name != canonical_name:
        reason = "new image name"
    elif tuple(observed.exclusions) != tuple(exclusions):
        reason = "exclusion list update"
    elif observed.stored_tags is None:
        raise TagStoreError("the tag store cannot be read")
    elif observed.stored_tags == 0:
        reason = "no tags in database"
    elif interval - observed.scanned_ago < _DUE:
        reason = "interval"
    if reason:
        return Decision(True, interval, reason)
    return Decision(False, interval - (observed.scanned_ago or 0.0))


def keep_tags(tags: Iterable[str], exclusions: Sequence[str] | None = None) -> list[str]:
    """Tags that no expression finds, in their order; None means the default list. Raises InvalidExclusionError."""
    compiled = []
    for number, pattern in enumerate(DEFAULT_EXCLUSIONS if exclusions is None else exclusions):
        try:
            compiled.append(compile_regex(pattern, f"spec.exclusionList[{number}]"))
        except InvalidPolicyError as error:
            raise InvalidExclusionError(f"failed to compile regex {pattern[:200]!r}: {error}") from None
    return [tag for tag in tags if not any(expression.search(tag) for expression in compiled)]


def scanned(tags: Iterable[str], exclusions: Sequence[str] | None = None) -> Scan:
    """What is kept of a registry's answer: well-formed tags, once each, in descending byte order."""
    kept = keep_tags({tag for tag in tags if is_tag(tag)}, exclusions)
    return Scan(tuple(sorted(kept, reverse=True)))


def tags_revision(tags: Sequence[str]) -> str:
    """Changes exactly when the set of tags does."""
    digest = hashlib.sha256("\n".join(sorted(tags, reverse=True)).encode()).hexdigest()
    return f"sha256:{digest}"


def accessible(
    *, same_namespace: bool, selectors: Sequence[Mapping[str, str]] | None, namespace_labels: Mapping[str, str]
) -> bool:
    """Whether policies of a namespace may use a repository. `selectors`: accessFrom's matchLabels; None: not set."""
    if same_namespace:
        return True
    return any(
        all(namespace_labels.get(key) == value for key, value in selector.items()) for selector in selectors or ()
    )
