"""The Secret that should be, beside the one that is. Pure.

Creation policies (who owns the Secret), deletion policies (what follows when the provider has no value any more), and
which keys, labels and annotations of a shared Secret are ours: those that managedFields ascribe to our field manager.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from controllers.api.base import parse
from controllers.api.core import secret_data
from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Manifest

from .hashing import created_by, data_hash, object_hash
from .template import Rendered

MANAGED = "reconcile.external-secrets.io/managed"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
CREATED_BY = "reconcile.external-secrets.io/created-by"
PROVENANCE = "secrets.inhaul.dev/provenance"
METADATA_HASH = "secrets.inhaul.dev/metadata-hash"
FORCE_SYNC = "force-sync"
GENERATED = "secrets.inhaul.dev/generated"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", FORCE_SYNC, "external-secrets.io/force-sync")
REFUSED_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")

Outcome = Literal["sync", "keep", "delete", "fail"]


@dataclass(frozen=True, slots=True)
class DesiredSecret:
    """The target as it should be. Data, labels and annotations may hold secret values, so repr leaves them out."""

    namespace: str
    name: str
    type: str
    data: Mapping[str, bytes] = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)
    owner: Mapping[str, Any] | None = None
    immutable: bool = False
    finalizers: tuple[str, ...] = ()


def after_missing(deletion: str, *, missing: int, found: int) -> Outcome:
    """What follows when `missing` entries have no value at the provider and `found` keys remain."""
    if found:
        return "sync" if not missing or deletion != "Retain" else "fail"
    if deletion == "Delete":
        return "delete"
    if deletion == "Merge":
        return "sync"
    return "fail" if missing else "keep"


def data_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of keys added, removed, updated, and emptied (written with nothing in it)."""
    changes = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "updated": sorted(key for key in new.keys() & old.keys() if new[key] != old[key]),
    }
    written = [*changes["added"], *changes["updated"]]
    changes["emptied"] = sorted(key for key in written if len(new[key]) == 0)
    return {name: keys for name, keys in changes.items() if keys}


def wanted(
    external_secret: Manifest,
    rendered: Rendered,
    provenance: Mapping[str, Mapping[str, Any]] | None = None,
    generated: str = "",
) -> DesiredSecret:
    """The target of an ExternalSecret with these data. `generated`: the annotation about generated values."""
    meta, target = external_secret["metadata"], parse(ExternalSecretSpec, external_secret).target
    template, policy = target.template, target.creation_policy
    labels, annotations = dict(rendered.labels), dict(rendered.annotations)
    if template is None:
        labels = dict(meta.get("labels") or {})
        annotations = {key: text for key, text in (meta.get("annotations") or {}).items() if copied(key)}
    labels[MANAGED] = "true"
    if policy == "Owner":
        labels[CREATED_BY] = created_by(meta["namespace"], meta["name"])
    if provenance:
        annotations[PROVENANCE] = json.dumps(provenance, sort_keys=True, separators=(",", ":"))
    if generated:
        annotations[GENERATED] = generated
    return DesiredSecret(
        namespace=meta["namespace"],
        name=target.name or meta["name"],
        type=(template.type if template is not None else "") or "Opaque",
        data=rendered.data,
        labels=labels,
        annotations=annotations,
        owner=owner_reference(external_secret) if policy == "Owner" else None,
        immutable=target.immutable,
        finalizers=template.metadata.finalizers if template is not None else (),
    )


def copied(annotation: str) -> bool:
    """Does an annotation of the ExternalSecret go to its Secret?"""
    return annotation not in _NOT_COPIED and ".inhaul.dev/" not in annotation


def owner_reference(external_secret: Manifest) -> dict[str, Any]:
    return {
        "apiVersion": external_secret.get("apiVersion") or "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "name": external_secret["metadata"]["name"],
        "uid": external_secret["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def other_owner(live: Manifest, uid: str) -> str:
    """The name of another controller that owns the Secret, "" where there is none."""
    for owner in live["metadata"].get("ownerReferences") or []:
        if owner.get("controller") and owner.get("uid") != uid:
            return f"{owner.get('kind', '')} {owner.get('name', '')}"
    return ""


def target_valid(secret: Manifest, creation_policy: str) -> bool:
    """Is a whole Secret as we left it? Orphans are never looked at."""
    if creation_policy == "Orphan":
        return True
    meta = secret.get("metadata") or {}
    if not meta.get("uid") or (meta.get("labels") or {}).get(MANAGED) != "true":
        return False
    return bool((meta.get("annotations") or {}).get(DATA_HASH) == data_hash(secret_data(secret)))


def fields_of(entry: Mapping[str, Any], *path: str) -> set[str]:
    """Names of the fields that a managedFields entry owns below a path."""
    node: Any = entry.get("fieldsV1") or {}
    for part in path:
        node = node.get(f"f:{part}") if isinstance(node, Mapping) else None
    return {key[2:] for key in node if key.startswith("f:")} if isinstance(node, Mapping) else set()


def owned(managed: Iterable[Mapping[str, Any]], manager: str, *path: str) -> set[str]:
    """Names below a path that a field manager owns, by whatever operation."""
    return {name for entry in managed if entry.get("manager") == manager for name in fields_of(entry, *path)}


def foreign_data(managed: Iterable[Mapping[str, Any]], manager: str) -> bool:
    """Does anyone but us own a key of data (or stringData)?"""
    return any(entry.get("manager") != manager and "data" in fields_of(entry) for entry in managed)


def metadata_hash(live: Manifest, manager: str) -> str:
    """A hash over the labels and annotations that our manager owns, with the values they have now, and the names of the
    data keys that it owns: who changes one of these takes it from us, and the hash is another."""
    meta = live["metadata"]
    managed = meta.get("managedFields") or []
    seen: dict[str, dict[str, str]] = {}
    for part in ("labels", "annotations"):
        ours = owned(managed, manager, "metadata", part)
        seen[part] = {key: (meta.get(part) or {}).get(key, "") for key in ours if key not in (METADATA_HASH, DATA_HASH)}
    return object_hash({**seen, "data": sorted(owned(managed, manager, "data"))})


def wanted_metadata_hash(wanted_: DesiredSecret) -> str:
    """What `metadata_hash` yields on a Secret that nobody touched after us."""
    keys = sorted(wanted_.data)
    return object_hash({"labels": dict(wanted_.labels), "annotations": dict(wanted_.annotations), "data": keys})


def manifest(wanted_: DesiredSecret, live: Manifest | None = None, manager: str = "") -> Manifest:
    """The whole Secret to create, or to put in place of `live` (its foreign metadata stays, its data do not)."""
    old = (live or {}).get("metadata") or {}
    meta: dict[str, Any] = {"name": wanted_.name, "namespace": wanted_.namespace}
    if live is not None:
        meta |= {"uid": old.get("uid"), "resourceVersion": old.get("resourceVersion")}
    stale = {
        part: owned(old.get("managedFields") or [], manager, "metadata", part) for part in ("labels", "annotations")
    }
    for part, ours in (("labels", wanted_.labels), ("annotations", wanted_.annotations)):
        kept = {key: text for key, text in (old.get(part) or {}).items() if key not in stale[part]}
        meta[part] = {**kept, **ours}
    meta["annotations"] |= {DATA_HASH: data_hash(wanted_.data), METADATA_HASH: wanted_metadata_hash(wanted_)}
    others = [owner for owner in old.get("ownerReferences") or [] if not owner.get("controller")]
    if owners := [*others, *([dict(wanted_.owner)] if wanted_.owner else [])]:
        meta["ownerReferences"] = owners
    if finalizers := list(dict.fromkeys([*(old.get("finalizers") or []), *wanted_.finalizers])):
        meta["finalizers"] = finalizers
    body: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": wanted_.type}
    body["data"] = {key: base64.b64encode(value).decode() for key, value in sorted(wanted_.data.items())}
    if wanted_.immutable:
        body["immutable"] = True
    return body


def merge_patch(wanted_: DesiredSecret, live: Manifest, manager: str) -> Manifest:
    """creationPolicy Merge: our keys into a Secret that others share; keys that were ours and are not wanted go."""
    meta = live["metadata"]
    managed = meta.get("managedFields") or []
    patch: Manifest = {"metadata": {"uid": meta.get("uid"), "resourceVersion": meta.get("resourceVersion")}}
    present = live.get("data") or {}
    gone = {key: None for key in owned(managed, manager, "data") if key in present and key not in wanted_.data}
    data = {key: base64.b64encode(value).decode() for key, value in sorted(wanted_.data.items())}
    patch["data"] = {**gone, **data}
    merged = {key: value for key, value in secret_data(live).items() if key not in gone} | dict(wanted_.data)
    for part, ours in (("labels", wanted_.labels), ("annotations", wanted_.annotations)):
        stale = owned(managed, manager, "metadata", part) - set(ours) - {DATA_HASH, METADATA_HASH}
        patch["metadata"][part] = {**dict.fromkeys(stale & set(meta.get(part) or {})), **ours}
    patch["metadata"]["annotations"] |= {
        DATA_HASH: data_hash(merged),
        METADATA_HASH: wanted_metadata_hash(wanted_),
    }
    return patch


def same(patch: Any, live: Any) -> bool:
    """Would a merge patch leave an object as it is?"""
    if isinstance(patch, Mapping):
        if not isinstance(live, Mapping):
            return not any(value is not None for value in patch.values()) and live is None
        return all(same(value, live.get(key)) for key, value in patch.items())
    return bool(patch == live)
