"""The Secret that should exist, compared with the one that does. Pure.

Creation policies (who owns the Secret), deletion policies (what follows when the provider no longer has a value), and
which keys, labels and annotations of a shared Secret are ours: those that managedFields ascribe to our field manager.

Type, immutability and finalizers are changed only where the spec sets them: an unset field leaves an existing Secret as
it is. A Secret that the spec makes immutable keeps the data that it has at that moment, whatever the provider has.
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
from .ownership import owner_reference, owner_references
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

OPAQUE = "Opaque"
"""The type of a Secret that says none."""

Outcome = Literal["sync", "keep", "delete", "fail"]


@dataclass(frozen=True, slots=True)
class DesiredSecret:
    """The target as it should be. Data, labels and annotations may hold secret values, so repr leaves them out."""

    namespace: str
    name: str
    type: str
    """"" leaves the type of an existing Secret as it is; a new one is Opaque."""
    data: Mapping[str, bytes] = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)
    owner: Mapping[str, Any] | None = None
    """Our controller reference; None: the Secret must not have one."""
    immutable: bool = False
    """False leaves an immutable Secret immutable."""
    finalizers: tuple[str, ...] = ()
    """To be added; a Secret's other finalizers stay."""
    creator: str = ""
    """The name of the ExternalSecret."""


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


def desired_secret(
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
        type=template.type if template is not None else "",
        data=rendered.data,
        labels=labels,
        annotations=annotations,
        owner=owner_reference(external_secret) if policy == "Owner" else None,
        immutable=target.immutable,
        finalizers=template.metadata.finalizers if template is not None else (),
        creator=meta["name"],
    )


def copied(annotation: str) -> bool:
    """Does an annotation of the ExternalSecret go to its Secret?"""
    return annotation not in _NOT_COPIED and ".inhaul.dev/" not in annotation


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


def mark_of(desired: DesiredSecret) -> str:
    """The annotation METADATA_HASH of a Secret written as desired: what `metadata_hash` yields while nobody else
    touches it and, where the spec sets type or immutability, a hash of these. Metadata alone do not show the two."""
    parts = {"labels": dict(desired.labels), "annotations": dict(desired.annotations), "data": sorted(desired.data)}
    return _mark(object_hash(parts), desired)


def _mark(metadata: str, desired: DesiredSecret) -> str:
    if not desired.type and not desired.immutable:
        return metadata
    return f"{metadata}.{object_hash({'type': desired.type, 'immutable': desired.immutable})}"


def metadata_part(mark: str) -> str:
    """Of a METADATA_HASH annotation, what `metadata_hash` yields."""
    return mark.partition(".")[0]


def type_of(secret: Manifest) -> str:
    return str(secret.get("type") or OPAQUE)


def is_frozen(desired: DesiredSecret, live: Manifest) -> bool:
    """Does an existing Secret keep its data? With `immutable` set it does, once it is immutable or was written by us.
    One that never was ours gets its data first."""
    annotations = live["metadata"].get("annotations") or {}
    return desired.immutable and (bool(live.get("immutable")) or DATA_HASH in annotations)


def manifest(desired: DesiredSecret, live: Manifest | None = None, manager: str = "") -> Manifest:
    """The whole Secret to create, or to replace `live` (foreign metadata stay, foreign data do not)."""
    if live is None:
        live = {"metadata": {}}
        meta: dict[str, Any] = {"name": desired.name, "namespace": desired.namespace}
    else:
        meta = _identity(desired, live)
    old = live["metadata"]
    stale = {
        part: owned(old.get("managedFields") or [], manager, "metadata", part) for part in ("labels", "annotations")
    }
    for part, ours in (("labels", desired.labels), ("annotations", desired.annotations)):
        kept = {key: text for key, text in (old.get(part) or {}).items() if key not in stale[part]}
        meta[part] = {**kept, **ours}
    meta["annotations"] |= {DATA_HASH: data_hash(desired.data), METADATA_HASH: mark_of(desired)}
    body = _body(desired, live, meta)
    body["type"] = desired.type or type_of(live)
    body["data"] = {key: base64.b64encode(value).decode() for key, value in sorted(desired.data.items())}
    return body


def frozen_manifest(desired: DesiredSecret, live: Manifest) -> Manifest:
    """`live` with its data, type and templated metadata as they are: only ownership, immutability and finalizers are
    as desired. A mark over labels that change here would be wrong, so it goes."""
    meta, old = _identity(desired, live), live["metadata"]
    before = dict(old.get("labels") or {})
    labels = {key: text for key, text in before.items() if key != CREATED_BY}
    labels |= {key: desired.labels[key] for key in (MANAGED, CREATED_BY) if key in desired.labels}
    annotations = {**(old.get("annotations") or {}), DATA_HASH: data_hash(secret_data(live))}
    mark = annotations.pop(METADATA_HASH, "")
    if mark and labels == before:
        annotations[METADATA_HASH] = _mark(metadata_part(mark), desired)
    body = _body(desired, live, {**meta, "labels": labels, "annotations": annotations})
    return {**body, "type": type_of(live), "data": live.get("data") or {}}


def _identity(desired: DesiredSecret, live: Manifest) -> dict[str, Any]:
    old = live["metadata"]
    names = {"name": desired.name, "namespace": desired.namespace}
    return {**names, "uid": old.get("uid"), "resourceVersion": old.get("resourceVersion")}


def _body(desired: DesiredSecret, live: Manifest, meta: dict[str, Any]) -> Manifest:
    """What both share: owner references, finalizers and immutability."""
    if owners := owner_references(live, desired.creator, desired.owner):
        meta["ownerReferences"] = owners
    if finalizers := finalizers_of(desired, live):
        meta["finalizers"] = finalizers
    body: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
    if desired.immutable or live.get("immutable") is not None:
        body["immutable"] = desired.immutable or bool(live.get("immutable"))
    return body


def finalizers_of(desired: DesiredSecret, live: Manifest) -> list[str]:
    """The finalizers that the Secret should have; one that is being deleted takes no new ones."""
    present = live["metadata"].get("finalizers") or []
    added = () if live["metadata"].get("deletionTimestamp") else desired.finalizers
    return list(dict.fromkeys([*present, *added]))


def merge_patch(desired: DesiredSecret, live: Manifest, manager: str) -> Manifest:
    """creationPolicy Merge: our keys into a Secret that others share; keys that were ours and are no longer desired are
    removed."""
    meta = live["metadata"]
    managed = meta.get("managedFields") or []
    patch: Manifest = {"metadata": {"uid": meta.get("uid"), "resourceVersion": meta.get("resourceVersion")}}
    present = live.get("data") or {}
    gone = {key: None for key in owned(managed, manager, "data") if key in present and key not in desired.data}
    data = {key: base64.b64encode(value).decode() for key, value in sorted(desired.data.items())}
    patch["data"] = {**gone, **data}
    merged = {key: value for key, value in secret_data(live).items() if key not in gone} | dict(desired.data)
    for part, ours in (("labels", desired.labels), ("annotations", desired.annotations)):
        stale = owned(managed, manager, "metadata", part) - set(ours) - {DATA_HASH, METADATA_HASH}
        patch["metadata"][part] = {**dict.fromkeys(stale & set(meta.get(part) or {})), **ours}
    patch["metadata"]["annotations"] |= {DATA_HASH: data_hash(merged), METADATA_HASH: mark_of(desired)}
    return patch | _shared_fields(desired, live, patch["metadata"])


def _shared_fields(desired: DesiredSecret, live: Manifest, meta: dict[str, Any]) -> Manifest:
    """Puts owner references and finalizers into `meta` where they change; immutability is the answer."""
    wanted: dict[str, list[Any]] = {
        "ownerReferences": owner_references(live, desired.creator, desired.owner),
        "finalizers": finalizers_of(desired, live),
    }
    meta |= {part: value for part, value in wanted.items() if value != (live["metadata"].get(part) or [])}
    return {"immutable": True} if desired.immutable and not live.get("immutable") else {}


def same(patch: Any, live: Any) -> bool:
    """Would a merge patch leave an object as it is?"""
    if isinstance(patch, Mapping):
        if not isinstance(live, Mapping):
            return not any(value is not None for value in patch.values()) and live is None
        return all(same(value, live.get(key)) for key, value in patch.items())
    return bool(patch == live)
