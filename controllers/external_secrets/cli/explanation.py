"""Why an ExternalSecret is as it is: which key from where, when next, why not Ready. Pure: manifests in, an answer out.

What a key was made of says the provenance annotation of the target; when the next refresh is due, the schedule that the
controller asks too. No value is read for it: a Secret's metadata is enough.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controllers.api.base import parse
from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp_or_none
from controllers.external_secrets.providers.registry import provider_named
from controllers.external_secrets.refresh import OPTIONAL
from controllers.external_secrets.target.desired import PROVENANCE
from controllers.external_secrets.target.hashing import field_manager, synced_resource_version
from controllers.external_secrets.target.observed import Targets, target_key
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.entries import Entry, StoreRef, StoreView, plan
from controllers.external_secrets.values.schedule import Due, Synced
from controllers.runtime.conditions import find as find_condition

_CAUSE = re.compile(r"(?P<where>.+?): (?P<cause>[A-Z][A-Za-z]+): (?P<rest>.+)", re.DOTALL)
ADVICE: Mapping[str, str] = {
    "AccessDenied": "IAM refuses the reader; `inhaul secrets plan -f DIR --iam` prints the policy that it needs",
    "Conversion": "two keys have one name, or a name is not a valid Secret key: rename with dataFrom[].rewrite",
    "Credentials": "no credentials: check the store's Ready condition and the role's trust policy",
    "Decode": "the value is not in the encoding that decodingStrategy names",
    "InvalidParameter": "AWS rejects the name or version",
    "KMS": "the reader may not use the key that encrypts it: kms:Decrypt on that key",
    "NotFound": "no secret of this name in this region and account, or it is scheduled for deletion",
    "NullBytes": "the value has a NUL byte and nullBytePolicy is Fail",
    "PropertyMissing": f"the JSON has no such property; name the key in {OPTIONAL} if it may be absent",
    "Provider": "AWS returned a server error; it is retried",
    "Refused": "no TenantPolicy grants it to this namespace",
    "Rewrite": "dataFrom[].rewrite failed on these names",
    "Throttled": "AWS throttles the calls; retried more slowly",
    "Unreachable": "AWS is unreachable; it is retried",
    "UnsupportedField": "not served",
    "ValueInvalid": "the value does not have the form that the entry expects",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One entry, and what its keys were last made of."""

    entry: str
    what: str
    source: str
    asked: str
    prop: str
    version_asked: str
    optional: bool
    made: tuple[Mapping[str, Any], ...]  # {key, arn, version, stage} of each key that came of it


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer. Times are UTC; `wait` seconds or None (never by the timer)."""

    name: str
    ready: str
    reason: str
    message: str
    since: str
    cause: str
    advice: str
    target: str
    target_state: str
    policies: str
    last: datetime | None
    due: Due
    next: datetime | None
    keys: tuple[Key, ...]

    @property
    def well(self) -> bool:
        return self.ready == "True"


def explain(
    manifest: Manifest, views: Mapping[StoreRef, StoreView], secret: Manifest | None, *, now: datetime
) -> Explanation:
    """`secret`: the target's metadata, None where there is none. Raises SpecError, ValueError (the interval)."""
    meta, spec, status = manifest["metadata"], parse(ExternalSecretSpec, manifest), manifest.get("status") or {}
    ready = find_condition(status, "Ready") or {}
    message = str(ready.get("message") or "")
    cause = _CAUSE.match(message) if ready.get("status") != "True" else None
    known = cause["cause"] if cause and cause["cause"] in ADVICE else ""
    policy = spec.target.creation_policy
    right = _target_right(manifest, secret, policy)
    last = synced(manifest)
    due = schedule.decide(
        spec, last, resource_version=version_of(manifest), uid=meta.get("uid", ""), target_valid=right, now=now
    )
    return Explanation(
        name=f"{meta.get('namespace', '')}/{meta['name']}",
        ready=str(ready.get("status") or "Unknown"),
        reason=str(ready.get("reason") or "never reconciled"),
        message=message,
        since=str(ready.get("lastTransitionTime") or ""),
        cause=known,
        advice=ADVICE.get(known, ""),
        target=target_key(manifest).name,
        target_state=_state(secret, right, policy),
        policies=f"{policy}, {spec.target.deletion_policy}",
        last=last.refresh_time,
        due=due,
        next=now + timedelta(seconds=due.wait) if due.wait is not None else None,
        keys=_keys(manifest, plan(spec, views), views, secret),
    )


def synced(manifest: Manifest) -> Synced:
    """What the last sync left in the status."""
    status = manifest.get("status") or {}
    return Synced(timestamp_or_none(status.get("refreshTime")), str(status.get("syncedResourceVersion") or ""))


def version_of(manifest: Manifest) -> str:
    meta = manifest["metadata"]
    return synced_resource_version(meta.get("generation") or 0, meta.get("labels") or {}, meta.get("annotations") or {})


def _target_right(manifest: Manifest, secret: Manifest | None, policy: str) -> bool:
    targets = Targets(lambda _: field_manager(manifest["metadata"]["name"]), lambda _: None)
    if secret is not None:
        targets.written(secret)
    return targets.right(target_key(manifest), owner_uid=manifest["metadata"].get("uid", ""), policy=policy)


def _state(secret: Manifest | None, right: bool, policy: str) -> str:
    if policy == "None":
        return "not written (creationPolicy None)"
    if secret is None:
        return "does not exist"
    return "as it was written" if right else "changed since it was written, or not owned by it"


# --- keys


def _keys(
    manifest: Manifest, entries: Sequence[Entry], views: Mapping[StoreRef, StoreView], secret: Manifest | None
) -> tuple[Key, ...]:
    annotations = manifest["metadata"].get("annotations") or {}
    optional = {part.strip() for part in annotations.get(OPTIONAL, "").split(",")}
    left = _provenance(secret)
    single = {entry.secret_key for entry in entries if entry.secret_key}
    made: dict[int, tuple[Mapping[str, Any], ...]] = {}
    # Keys and extracts are known by name and ARN; what is left then came of a find or a generator.
    for at, entry in sorted(enumerate(entries), key=lambda each: each[1].remote is None):
        mine = [key for key in left if _came_of(entry, key, left[key], single)]
        made[at] = tuple({"key": key, **left[key]} for key in mine)
        if not entry.secret_key:
            left = {key: source for key, source in left.items() if key not in mine}
    return tuple(
        _key(entry, views.get(entry.store), entry.where in optional, made[at]) for at, entry in enumerate(entries)
    )


def _key(entry: Entry, view: StoreView | None, optional: bool, made: tuple[Mapping[str, Any], ...]) -> Key:
    what = "key" if entry.secret_key else "extract" if entry.remote else "find" if entry.find else "generator"
    store = f"{entry.store.kind} {entry.store.name}" if what != "generator" else "generator"
    asked = entry.remote.name if entry.remote else _find_text(entry.find, view) if entry.find else ""
    version = entry.remote.version if entry.remote else ""
    prop = entry.property
    return Key(entry.where, what, store, asked, prop, version, optional, made)


def _find_text(find: Mapping[str, Any] | None, view: StoreView | None) -> str:
    given = find or {}
    parts = [f"path {(view.prefix if view else '') + given['path']}"] if given.get("path") else []
    parts += [f"name ~ {given['name']['regexp']}"] if (given.get("name") or {}).get("regexp") else []
    parts += [f"tag {key}={value}" for key, value in sorted((given.get("tags") or {}).items())]
    return ", ".join(parts)


def _came_of(entry: Entry, key: str, source: Mapping[str, Any], single: set[str]) -> bool:
    """Did this key of the target come of this entry? data wins over dataFrom; an extract is known by its ARN, and what
    is left is a find's or a generator's."""
    if entry.secret_key:
        return key == entry.secret_key
    if key in single:
        return False
    arn = str(source.get("arn") or "")
    if entry.remote is not None:
        provider = provider_named(entry.remote.service)
        return bool(provider.spellings(arn) & provider.spellings(entry.remote.name)) if arn else False
    return bool(arn) if entry.find is not None else not arn


def _provenance(secret: Manifest | None) -> dict[str, Mapping[str, Any]]:
    text = ((secret or {"metadata": {}})["metadata"].get("annotations") or {}).get(PROVENANCE) or "{}"
    try:
        raw = json.loads(text)
        return {str(key): dict(source) for key, source in raw.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}
