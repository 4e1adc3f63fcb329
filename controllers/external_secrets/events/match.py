"""Which keys a change at AWS is about. Pure; `controllers.aws.events` reads the messages.

An event names its secret by ARN, by name, or by part of an ARN; a store adds its prefix; so both sides are compared in
all these forms. Messages come twice, late and out of order: an event only says "look again".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from controllers.aws.events import AwsChange
from controllers.external_secrets.values.entries import StoreRef
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey, Service, arn_parts

_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")
_SERVICES: dict[str, Service] = {"secretsmanager": "SecretsManager", "ssm": "ParameterStore"}
_EVENT = "event="
LOOK_AGAIN = (2.0, 5.0, 15.0)
"""Seconds after an event at which to look again while the version it announced is not there."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one ExternalSecret reads somewhere: keys, and finds with their prefix."""

    region: str
    keys: tuple[RemoteKey, ...] = ()
    finds: tuple[tuple[Service, Mapping[str, Any], str], ...] = ()
    store: StoreRef | None = None


@lru_cache(maxsize=65536)
def forms(text: str) -> frozenset[str]:
    """A name as it may be written: with and without ARN, random suffix, leading slash."""
    parts = arn_parts(text)
    name = parts[2] if parts else text
    found = {text, name}
    if parts and _SUFFIX.search(name):
        found.add(name[:-7])
    if name.startswith("/") and name.count("/") == 1:
        found.add(name[1:])
    return frozenset(found)


def names_of(change: AwsChange) -> frozenset[str]:
    """Each form of what changed."""
    return forms(change.name) | (forms(change.arn) if change.arn else frozenset())


def concerns(change: AwsChange, key: RemoteKey, *, region: str) -> bool:
    """Is a key, read in `region`, what changed? An ARN of another account than the event's is not."""
    if key.service != _SERVICES.get(change.service) or (change.region and region and change.region != region):
        return False
    parts = arn_parts(key.name)
    if parts and change.account and parts[1] and parts[1] != change.account:
        return False
    return not names_of(change).isdisjoint(forms(key.name))


def interested(change: AwsChange, interests: Iterable[Subscription]) -> bool:
    """Does anything an ExternalSecret reads concern the change? A find is, whose name matches (tags are not known)."""
    for interest in interests:
        if any(concerns(change, key, region=interest.region) for key in interest.keys):
            return True
        if change.region and interest.region and change.region != interest.region:
            continue
        for service, find, prefix in interest.finds:
            if service == _SERVICES.get(change.service) and _found(change, find, prefix):
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
    moment = change.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    which = change.version_id or (f"{_EVENT}{change.event_id}" if change.event_id else "")
    return f"{moment} {which}".rstrip()


def announced_at(annotation: str, now: datetime) -> float | None:
    """Seconds since the event of which a force-sync annotation of ours tells; None for any other."""
    moment, _, which = annotation.partition(" ")
    try:
        return (now - datetime.fromisoformat(moment)).total_seconds() if which else None
    except (ValueError, TypeError):
        return None


def announced(annotation: str, now: datetime) -> tuple[str, float] | None:
    """(version, seconds since the event) that a force-sync annotation of ours announces; None where no version is."""
    since, version = announced_at(annotation, now), annotation.partition(" ")[2]
    return (version, since) if since is not None and version and not version.startswith(_EVENT) else None


def look_again(since: float) -> float | None:
    """Seconds until the next look for an announced version, None when it is time to give up."""
    return next((at - since for at in LOOK_AGAIN if at > since), None)
