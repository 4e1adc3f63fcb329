"""Digest reflection, the refs that a policy's status holds, and its words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controllers.image_automation.tags.reference import Ref

DEFAULT_INTERVAL = 600.0
Reflection = Literal["Always", "IfNotPresent", "Never"]


@dataclass(frozen=True, slots=True)
class Refs:
    """`status.latestRef` and `status.observedPreviousRef`."""

    latest: Ref | None = None
    previous: Ref | None = None


def needs_lookup(policy: Reflection, *, name: str, tag: str, latest: Ref | None) -> bool:
    """Whether the registry must be asked for the tag's digest."""
    if policy == "Always":
        return True
    if policy == "Never":
        return False
    return latest is None or not latest.digest or (latest.name, latest.tag) != (name, tag)


def resolved(policy: Reflection, *, name: str, tag: str, before: Refs, looked_up: str = "") -> Refs:
    """The refs after a pick. `looked_up` is the digest where `needs_lookup` said so."""
    digest = ""
    if policy != "Never":
        kept = before.latest.digest if before.latest else ""
        digest = looked_up if needs_lookup(policy, name=name, tag=tag, latest=before.latest) else kept
    latest = Ref(name, tag, digest)
    if before.latest is not None and before.latest != latest:
        return Refs(latest, before.latest)
    return Refs(latest, before.previous)


def requeue_after(policy: Reflection, interval: float | None) -> float | None:
    """Seconds to the next look at the digest; None: none is due."""
    return (interval or DEFAULT_INTERVAL) if policy == "Always" else None


def ready_message(refs: Refs) -> str:
    """What the Ready condition says."""
    latest = refs.latest
    if latest is None:
        return ""
    text = f"Latest image tag for {latest.name} resolved to {latest.tag}"
    if latest.digest:
        text += f" with digest {latest.digest}"
    if refs.previous is not None and refs.previous != latest:
        text += f" (previously {refs.previous.image})"
    return text
