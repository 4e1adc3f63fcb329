"""The version sweep: what changed at the provider, found without reading a value. Pure.

ListSecrets and DescribeParameters tell names, versions and dates, a hundred or fifty a call. Beside what the Secrets
say they were made of (the provenance annotation), that finds each ExternalSecret for whom a look is worth while: the
cheap backstop for lost events. A sweep only ever asks to look again; what a secret is, and whether it is gone, is
decided by the refresh that follows. So where something is not known, it asks once too often rather than not at all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from controllers.api.duration import parse_duration
from controllers.api.timestamps import timestamp
from controllers.external_secrets.providers.registry import provider_named
from controllers.external_secrets.providers.source import ListedSecret
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey

from .match import Subscription

ANNOTATION = "secrets.inhaul.dev/sweep"
"""On a store: how often to sweep, a Go duration, or "true"."""
DEFAULT_INTERVAL = 600.0
_FILTERS = 10  # values in one filter of ListSecrets; DescribeParameters takes more
Why = Literal["version", "changed", "appeared", "gone", "found"]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One ExternalSecret: what it reads from the store that is swept, and what its Secret was made of."""

    interests: tuple[Subscription, ...]
    read: Mapping[str, frozenset[str]]  # ARN → versions
    refreshed: datetime


@dataclass(frozen=True, slots=True)
class ChangedVersion:
    """`about`: which key or find; `mark`: what a force-sync annotation says, the same for the same news."""

    about: str
    why: Why
    mark: str


def interval_of(annotation: str, *, floor: float) -> float:
    """Seconds between two sweeps; 0: none. Raises ValueError."""
    if annotation in ("", "false"):
        return 0.0
    return max(floor, DEFAULT_INTERVAL if annotation == "true" else parse_duration(annotation))


def provenance(annotation: str) -> dict[str, frozenset[str]]:
    """ARN → versions, as a target's provenance annotation has them. What cannot be read is not known."""
    try:
        entries = json.loads(annotation or "{}")
        found: dict[str, set[str]] = defaultdict(set)
        for entry in entries.values():
            for source in (entry, *entry.get("also", ())):
                if "arn" in source:  # what a generator made has none
                    found[source["arn"]].add(source.get("version", ""))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return {}
    return {arn: frozenset(versions) for arn, versions in found.items()}


def prefixes(interests: Iterable[Subscription]) -> tuple[str, ...]:
    """Beginnings of names that cover all that is read; empty: everything must be listed."""
    names: set[str] = set()
    for interest in interests:
        for key in interest.keys:
            names |= provider_named(key.service).listed_name(key.name)
        names |= {prefix + (find.get("path") or "") for _, find, prefix in interest.finds}
    if not names or "" in names:
        return ()
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        head, slash, _ = name.lstrip("/").partition("/")
        groups[head if slash else name[:1]].append(name)
    found = {_shared(group) for group in groups.values()}
    if "" in found:
        return ()
    found = {each for each in found if not any(each != other and each.startswith(other) for other in found)}
    if len(found) > _FILTERS:
        shared = _shared(names)
        found = {shared} if shared.strip("/") else set()
    return tuple(sorted(found))


def _shared(names: Iterable[str]) -> str:
    """The longest beginning that all have, character by character."""
    first, *_, last = [*sorted(names), ""][:-1] * 2
    same = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(same, min(len(first), len(last)))]


class Listing:
    """What a sweep listed, to be asked by key."""

    def __init__(self, service: str, listed: Iterable[ListedSecret]) -> None:
        self.service, self._provider = service, provider_named(service)
        self.listed = tuple(listed)
        self._by_form: dict[str, ListedSecret] = {}
        for item in self.listed:
            for form in self.spellings(item.arn) | self.spellings(item.name):
                self._by_form.setdefault(form, item)
        self._by_name = {text: item for item in self.listed for text in (item.name, item.arn)}
        self.accounts = {owner for item in self.listed if (owner := self._provider.owner(item.arn))}

    def spellings(self, name: str) -> frozenset[str]:
        return self._provider.spellings(name)

    def get(self, key: RemoteKey) -> ListedSecret | None:
        exact = self._by_name.get(key.name)
        if exact is not None or not key.name.startswith("arn:"):
            return exact or next(
                (self._by_name[form] for form in self.spellings(key.name) if form in self._by_name), None
            )
        return next((self._by_form[form] for form in sorted(self.spellings(key.name)) if form in self._by_form), None)

    def would_show(self, key: RemoteKey) -> bool:
        """Would this listing show the key, if it existed? Another account's secrets are never listed."""
        owner = self._provider.owner(key.name)
        return not owner or owner in self.accounts

    def matching(self, find: Mapping[str, Any], *, prefix: str) -> dict[str, tuple[str, datetime | None]]:
        """ARN → version and date of all that a find selects; where tags are not known, of all it may select."""
        try:
            matcher = Matcher(find, prefix=prefix)
        except EntryError:
            return {}
        return {
            item.arn: (item.version, item.changed)
            for item in self.listed
            if (matcher.without_tags(item.name) if item.tags is None else matcher(item.name, item.tags))
        }


@dataclass(slots=True)
class SweepState:
    """What earlier sweeps told of one ExternalSecret, so that nothing is told twice. Lost without harm."""

    told: dict[str, str] = field(default_factory=dict)
    found: dict[str, dict[str, tuple[str, datetime | None]]] = field(default_factory=dict)


def news(listing: Listing, reader: Subscriber, memory: SweepState, *, now: datetime) -> ChangedVersion | None:
    """The first reason why this ExternalSecret should look again. Takes all of them into `memory`."""
    reasons: list[ChangedVersion] = []
    told: dict[str, str] = {}
    for interest in reader.interests:
        for key in interest.keys:
            verdict = _of_key(listing, key, reader, memory, now) if key.service == listing.service else None
            if verdict is not None:
                said = told[verdict.about] = "gone" if verdict.why == "gone" else verdict.mark
                if memory.told.get(verdict.about) != said:
                    reasons.append(verdict)
        for service, find, prefix in interest.finds:
            if service == listing.service:
                reasons += _of_find(listing, find, prefix, reader, memory)
    memory.told = told
    return reasons[0] if reasons else None


def _of_key(
    listing: Listing, key: RemoteKey, reader: Subscriber, memory: SweepState, now: datetime
) -> ChangedVersion | None:
    if provider_named(key.service).unlisted(key.version):
        return None
    item, about = listing.get(key), f"{key.shown} tags" if key.tags else key.shown
    known = _read(listing, reader, key, item)
    if item is None:
        return ChangedVersion(about, "gone", timestamp(now)) if known and listing.would_show(key) else None
    version = item.versions.get(key.version, "")
    mark = f"{timestamp(item.changed or now)} {version}".rstrip()
    if key.tags:
        return ChangedVersion(about, "changed", mark) if _later(item.changed, reader.refreshed) else None
    if not known or memory.told.get(about) == "gone":
        return ChangedVersion(about, "appeared", mark)
    return None if version in known or not version else ChangedVersion(about, "version", mark)


def _read(listing: Listing, reader: Subscriber, key: RemoteKey, item: ListedSecret | None) -> frozenset[str]:
    """The versions of a key that the Secret was made of."""
    if item is not None:
        return reader.read.get(item.arn, frozenset())
    spellings = listing.spellings(key.name)
    found = (versions for arn, versions in reader.read.items() if not spellings.isdisjoint(listing.spellings(arn)))
    return frozenset().union(*found)


def _of_find(
    listing: Listing, find: Mapping[str, Any], prefix: str, reader: Subscriber, memory: SweepState
) -> Sequence[ChangedVersion]:
    about = f"find {prefix} {json.dumps(find, sort_keys=True, default=str)}"
    before, after = memory.found.get(about), listing.matching(find, prefix=prefix)
    memory.found[about] = after
    if before is None:
        fresh = {arn: each for arn, each in after.items() if _later(each[1], reader.refreshed)}
    else:
        fresh = {arn: each for arn, each in after.items() if before.get(arn) != each}
    if not fresh and (before is None or not before.keys() - after.keys()):
        return ()
    newest = max((each[1] for each in fresh.values() if each[1]), default=None)
    version = next((each[0] for each in fresh.values() if each[1] == newest), "")
    return (ChangedVersion(about, "found", f"{timestamp(newest or reader.refreshed)} {version}".rstrip()),)


def _later(changed: datetime | None, refreshed: datetime) -> bool:
    """Dates of AWS and of our clock, which may differ by seconds: in doubt it was later."""
    return changed is not None and (changed - refreshed).total_seconds() > -5
