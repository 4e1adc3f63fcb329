"""What ImagePolicies can say beyond upstream's fields, in annotations `image.inhaul.dev/…`. Pure.

    order: newest-pushed          the newest push among the tags that the policy keeps (needs push times: ECR)
    min-age: 24h                  no tag younger than this: by its push, or by when this policy first saw it
    ignore-tags: "*-debug,ci-*"   globs of tags that are never taken
    platform: linux/amd64,linux/arm64   only images for all of these
    track-tag: stable             the digest of this one tag, whatever the policy's order
    allow-downgrade: "true"       an older pick than the present one; "deleted": where that one's tag is gone
    held: v1.2.0,stable@sha256:…  refs not to write; set when a human reverts a commit, deleted by a human
    cosign-key: secret/NAME       a public key (key `cosign.pub`) or awskms:///ARN that must have signed the image

`first-seen` and `picked` are ours: what must outlive a restart. An annotation under our prefix that is none of these
is an error, not a wish that goes unheard.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from controllers.api.duration import parse_duration
from controllers.api.inhaul import PREFIX
from controllers.image_automation.tags.reference import InvalidPolicyError, Ref, is_tag

from .policy import NoTagSelectedError, Policy

HELD, FIRST_SEEN, PICKED = f"{PREFIX}held", f"{PREFIX}first-seen", f"{PREFIX}picked"
_KNOWN = (
    "order", "min-age", "ignore-tags", "platform", "track-tag", "allow-downgrade", "held", "cosign-key",
    "first-seen", "picked",
)  # fmt: skip
MAX_SEEN = 64
"""Candidates whose first sight is remembered on the object."""
MAX_HELD = 32
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9]+)?")


@dataclass(frozen=True, slots=True)
class Picked:
    """What is known of the image in `latestRef`: the revision of its source, and when it was pushed (seconds, or 0)."""

    ref: str = ""
    revision: str = ""
    pushed: int = 0

    def dump(self) -> str:
        return json.dumps({"ref": self.ref, "revision": self.revision, "pushed": self.pushed}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class PolicyAnnotations:
    """The annotations, read."""

    newest: bool = False
    min_age: float = 0.0
    """Seconds."""
    ignore: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    track: str = ""
    downgrade: str = ""
    """"" never, "true" always, "deleted" where the present tag is gone."""
    held: tuple[str, ...] = ()
    cosign_key: str = ""
    first_seen: Mapping[str, int] = field(default_factory=dict)
    picked: Picked = field(default_factory=Picked)

    @property
    def plain(self) -> bool:
        """Nothing here bears upon the order or the choice of tags."""
        return not (self.newest or self.min_age or self.ignore or self.platforms or self.held or self.cosign_key)

    @property
    def checks_images(self) -> bool:
        """Candidates must be looked at in the registry, one by one."""
        return bool(self.platforms or self.cosign_key)

    def holds(self, ref: Ref) -> bool:
        """Whether a human took this very image back."""
        return is_held(self.held, ref)


def is_held(held: Sequence[str], ref: Ref) -> bool:
    return ref.tag in held or bool(ref.digest and f"{ref.tag}@{ref.digest}" in held)


def held_of(annotations: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_words(str(annotations.get(HELD) or "")))[:MAX_HELD]


def picked_of(annotations: Mapping[str, Any]) -> Picked:
    try:
        document = json.loads(str(annotations.get(PICKED) or "{}"))
        return Picked(
            str(document.get("ref") or ""), str(document.get("revision") or ""), int(document.get("pushed") or 0)
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Picked()


def policy_annotations_of(annotations: Mapping[str, Any]) -> PolicyAnnotations:
    """Raises InvalidPolicyError with the annotation that is wrong."""
    given = {name.removeprefix(PREFIX): str(text) for name, text in annotations.items() if name.startswith(PREFIX)}
    for name in given:
        if name not in _KNOWN:
            raise InvalidPolicyError(f"annotation {PREFIX}{name[:63]}: unknown, expected one of {', '.join(_KNOWN)}")
    order = given.get("order", "")
    if order not in ("", "newest-pushed"):
        raise _wrong("order", order, "newest-pushed")
    downgrade = given.get("allow-downgrade", "").lower()
    if downgrade not in ("", "true", "false", "deleted"):
        raise _wrong("allow-downgrade", downgrade, "true, false or deleted")
    platforms = tuple(_words(given.get("platform", "")))
    for one in platforms:
        if not _PLATFORM.fullmatch(one):
            raise _wrong("platform", one, "os/architecture, such as linux/amd64")
    track = given.get("track-tag", "")
    if track and not is_tag(track):
        raise _wrong("track-tag", track, "a tag")
    key = given.get("cosign-key", "")
    if key and not key.startswith(("secret/", "awskms:///arn:")):
        raise _wrong("cosign-key", key, "secret/NAME or awskms:///ARN")
    return PolicyAnnotations(
        newest=bool(order),
        min_age=_age(given.get("min-age", "")),
        ignore=tuple(_words(given.get("ignore-tags", ""))),
        platforms=platforms,
        track=track,
        downgrade="" if downgrade == "false" else downgrade,
        held=held_of(annotations),
        cosign_key=key,
        first_seen=_seen(given.get("first-seen", "")),
        picked=picked_of(annotations),
    )


def _wrong(name: str, found: str, expected: str) -> InvalidPolicyError:
    return InvalidPolicyError(f"annotation {PREFIX}{name}: found {found[:100]!r}, expected {expected}")


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _age(text: str) -> float:
    try:
        seconds = parse_duration(text) if text else 0.0
    except ValueError:
        raise _wrong("min-age", text, "a duration such as 24h") from None
    if seconds < 0:
        raise _wrong("min-age", text, "a duration of zero or more")
    return seconds


def _seen(text: str) -> dict[str, int]:
    """What we wrote; whatever else stands there counts as nothing seen, which only delays."""
    try:
        document = json.loads(text or "{}")
        return {str(tag): int(moment) for tag, moment in document.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


@lru_cache(maxsize=512)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def ignored(tag: str, globs: Sequence[str]) -> bool:
    return any(_glob(one).match(tag) for one in globs)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Tags that may be taken, best first; why others may not; seconds until the next of them is old enough."""

    tags: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    ripe_in: float | None = None
    first_seen: Mapping[str, int] = field(default_factory=dict)
    """To be remembered, where it differs from what is."""


def candidates(
    policy: Policy, tags: Sequence[str], extras: PolicyAnnotations, *, times: Mapping[str, int], now: datetime
) -> Candidates:
    """`times`: tag → seconds of its push, where the registry says. Raises NoTagSelectedError."""
    if extras.track:
        if extras.track not in tags:
            raise NoTagSelectedError(f"annotation {PREFIX}track-tag: the repository has no tag {extras.track}")
        return Candidates((extras.track,), first_seen=extras.first_seen)
    if extras.plain:
        return Candidates((policy.pick(tags),), first_seen=extras.first_seen)
    ranked = [tag for _, tag in policy.ranked(tags)]
    if extras.newest:
        if not times:
            raise NoTagSelectedError(
                f"annotation {PREFIX}order: this registry gives no push times, expected one of ECR"
            )
        ranked.sort(key=lambda tag: -times.get(tag, 0))  # stable: the policy's own order among equals
    at = int(now.astimezone(UTC).timestamp())
    seen = {tag: extras.first_seen.get(tag, at) for tag in ranked[:MAX_SEEN]} if extras.min_age and not times else {}
    kept: list[str] = []
    rejected: list[tuple[str, str]] = []
    ripe: float | None = None
    for tag in ranked:
        if ignored(tag, extras.ignore):
            rejected.append((tag, "is ignored (ignore-tags)"))
        elif tag in extras.held:
            rejected.append((tag, "is held: a human took it back"))
        elif extras.min_age and (left := extras.min_age - (at - times.get(tag, seen.get(tag, at)))) > 0:
            rejected.append((tag, f"is too young (min-age, {int(left)} s left)"))
            ripe = left if ripe is None or left < ripe else ripe
        else:
            kept.append(tag)
    if not ranked:
        raise NoTagSelectedError("unable to determine latest version from provided list: no tag is in the range")
    return Candidates(tuple(kept), tuple(rejected), ripe, seen)


def is_downgrade(
    policy: Policy, extras: PolicyAnnotations, *, present: str, wanted: str, times: Mapping[str, int]
) -> bool:
    """Whether the wanted tag is older than the present one by the policy's own order, whatever the list holds.

    A present tag that the rules of the policy no longer admit is no measure: the user asked for another.
    """
    if present == wanted or extras.track or ignored(present, extras.ignore):
        return False
    old, new = policy.key(present), policy.key(wanted)
    if old is None or new is None:
        return False
    if extras.newest:
        before, after = times.get(present) or extras.picked.pushed, times.get(wanted, 0)
        if before and after and before != after:
            return after < before
    return bool(new > old) if policy.lowest else bool(new < old)
