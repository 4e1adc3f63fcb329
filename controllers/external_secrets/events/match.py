"""Which keys a change at AWS is about. Pure; `controllers.aws.events` reads the messages.

An event names its secret by ARN, by name, or by part of an ARN; a store adds its prefix; so both sides are compared in
all these forms. Messages come twice, late and out of order: an event only says "look again".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controllers.api.timestamps import parse_timestamp, timestamp
from controllers.aws.events import AwsChange
from controllers.external_secrets.providers.registry import provider_of_events
from controllers.external_secrets.values.entries import StoreRef
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey

_EVENT = "event="
LOOK_AGAIN = (2.0, 5.0, 15.0)
"""Seconds after an event at which to look again while the version it announced is not there."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one ExternalSecret reads somewhere: keys, and finds with their prefix."""

    region: str
    keys: tuple[RemoteKey, ...] = ()
    finds: tuple[tuple[str, Mapping[str, Any], str], ...] = ()
    store: StoreRef | None = None


def names_of(change: AwsChange) -> frozenset[str]:
    """Every spelling of what changed; none where no provider's changes are announced by that service."""
    provider = provider_of_events(change.service)
    if provider is None:
        return frozenset()
    return provider.spellings(change.name) | (provider.spellings(change.arn) if change.arn else frozenset())


def concerns(change: AwsChange, key: RemoteKey, *, region: str) -> bool:
    """Is a key, read in `region`, what changed? An ARN of another account than the event's is not."""
    provider = provider_of_events(change.service)
    if provider is None or key.service != provider.name or _elsewhere(change, region):
        return False
    owner = provider.owner(key.name)
    if owner and change.account and owner != change.account:
        return False
    return not names_of(change).isdisjoint(provider.spellings(key.name))


def _elsewhere(change: AwsChange, region: str) -> bool:
    return bool(change.region and region and change.region != region)


def interested(change: AwsChange, interests: Iterable[Subscription]) -> bool:
    """Does anything an ExternalSecret reads concern the change? A find is, whose name matches (tags are not known)."""
    provider = provider_of_events(change.service)
    for interest in interests:
        if any(concerns(change, key, region=interest.region) for key in interest.keys):
            return True
        if provider is None or _elsewhere(change, interest.region):
            continue
        for service, find, prefix in interest.finds:
            if service == provider.name and _found(change, find, prefix):
                return True
    return False


def _found(change: AwsChange, find: Mapping[str, Any], prefix: str) -> bool:
    try:
        matcher = Matcher(find, prefix=prefix)
    except EntryError:
        return False
    return any(matcher.without_tags(name) for name in names_of(change) if not name.startswith("arn:"))


def mark(change: AwsChange) -> str:
    """The value of the force-sync annotation: when, and which version was announced or, where the event names none,
    which event it was (`event=…`: nothing waits for it). Equal for equal messages."""
    moment = timestamp(change.time)
    which = change.version_id or (f"{_EVENT}{change.event_id}" if change.event_id else "")
    return f"{moment} {which}".rstrip()


def announced_at(annotation: str, now: datetime) -> float | None:
    """Seconds since the event of which a force-sync annotation of ours tells; None for any other."""
    moment, _, which = annotation.partition(" ")
    try:
        return (now - parse_timestamp(moment)).total_seconds() if which else None
    except (ValueError, TypeError):
        return None


def announced(annotation: str, now: datetime) -> tuple[str, float] | None:
    """(version, seconds since the event) that a force-sync annotation of ours announces; None where no version is."""
    since, version = announced_at(annotation, now), annotation.partition(" ")[2]
    return (version, since) if since is not None and version and not version.startswith(_EVENT) else None


def look_again(since: float) -> float | None:
    """Seconds until the next look for an announced version, None when it is time to give up."""
    return next((at - since for at in LOOK_AGAIN if at > since), None)
