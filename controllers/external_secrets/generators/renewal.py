"""When a generated value is made anew, and how that survives a restart. Pure.

A generated value stands until its own time is over: the refresh interval since it was made, or its expiry less a
margin, whichever is first. So neither a restart nor a change of another key of the same ExternalSecret makes a new
password. What must be known for that stands on the target as an annotation: when, by which recipe (a hash of the
generator's spec) and under which key of the Secret, never the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.timestamps import parse_timestamp, timestamp
from controllers.external_secrets.events.match import announced_at
from controllers.external_secrets.values import schedule

FORCE = ("force-sync", "external-secrets.io/force-sync")


@dataclass(frozen=True, slots=True)
class GeneratedRecord:
    """One entry's generated values: when they were made, from what. `keys`: generated name → key of the target."""

    at: datetime
    recipe: str
    force: str = ""
    expires: datetime | None = None
    keys: Mapping[str, str] = field(default_factory=dict)


def load(annotation: str) -> dict[str, GeneratedRecord]:
    """Entry → what is known of its values; what cannot be read is not known."""
    out: dict[str, GeneratedRecord] = {}
    try:
        for where, each in json.loads(annotation or "{}").items():
            at, expires = parse_timestamp(each["at"]), each.get("expires")
            keys = {str(name): str(key) for name, key in (each.get("keys") or {}).items()}
            recipe, force = str(each["recipe"]), str(each.get("force") or "")
            out[where] = GeneratedRecord(at, recipe, force, parse_timestamp(expires) if expires else None, keys)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return {}
    return out


def dump(made: Mapping[str, GeneratedRecord]) -> str:
    """The annotation; "" where nothing was generated."""
    if not made:
        return ""
    entries: dict[str, dict[str, Any]] = {}
    for where, each in made.items():
        entries[where] = {"at": timestamp(each.at), "recipe": each.recipe}
        if each.force:
            entries[where]["force"] = each.force
        if each.expires:
            entries[where]["expires"] = timestamp(each.expires)
        if each.keys:
            entries[where]["keys"] = dict(each.keys)
    return json.dumps(entries, sort_keys=True, separators=(",", ":"))


def force_of(annotations: Mapping[str, str], now: datetime) -> str:
    """What a person wrote to have all made anew; an event's mark asks to read again and makes no new password."""
    given = " ".join(annotations.get(name, "") for name in FORCE if annotations.get(name))
    return "" if announced_at(given, now) is not None else given


def renewal(made: GeneratedRecord, spec: ExternalSecretSpec, uid: str) -> datetime | None:
    """When values made then are made anew under this ExternalSecret's spec; None: not by the clock."""
    wait = schedule.next_wait(spec, uid)
    if wait is None:
        return None
    due = made.at + timedelta(seconds=wait)
    if made.expires is None:
        return due
    margin = min(timedelta(hours=1), max(timedelta(0), (made.expires - made.at) / 10))
    return min(due, made.expires - margin)


def stands(
    made: GeneratedRecord | None, *, recipe: str, force: str, spec: ExternalSecretSpec, uid: str, now: datetime
) -> bool:
    """Are the values of an earlier refresh still those to be used?"""
    if made is None or made.recipe != recipe or (force and force != made.force) or made.at > now:
        return False
    when = renewal(made, spec, uid)
    return when is None or now < when


def earliest(made: Iterable[GeneratedRecord], spec: ExternalSecretSpec, uid: str) -> datetime | None:
    """The first renewal of all."""
    return min((when for each in made if (when := renewal(each, spec, uid)) is not None), default=None)


def stale(known: Mapping[str, GeneratedRecord], recipes: Mapping[str, str]) -> bool:
    """Was something made by a recipe that is no longer the one? `recipes` has those that can be told now."""
    return any(where in recipes and recipes[where] != each.recipe for where, each in known.items())


def kept_under(made: Mapping[str, bytes], data: Mapping[str, bytes]) -> dict[str, str]:
    """Where the target holds the generated values as they were made: name → key; {} where any is not to be found."""
    places = {value: key for key, value in sorted(data.items(), reverse=True)}
    found = {name: places[value] for name, value in made.items() if value in places}
    return found if found.keys() == made.keys() else {}
