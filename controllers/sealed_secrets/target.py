"""What to do with the Secret that a SealedSecret wants, given the one that is there. Pure.

Upstream's ownership rules: an existing Secret is ours when the SealedSecret controls it; `managed` hands it over whole,
`patch` lets us add to it; anything else is somebody's and stays. Two marks of ours let a restart see that all is well
without unsealing: the label by which our Secrets are watched, and a digest of the SealedSecret that they came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from controllers.api.resource import Manifest

from .ciphertext import CLUSTER_WIDE, NAMESPACE_WIDE
from .unseal import MANAGED, PATCH

LABEL = "sealed.inhaul.dev/unsealed"
DIGEST = "sealed.inhaul.dev/source-digest"
KEYS = "sealed.inhaul.dev/keys"
"""Fingerprints of the keys that sealed the items, so that objects on an old key are known without unsealing."""
FIELD_MANAGER = "controller"
"""Upstream's field manager: with another, items dropped later would stay for ever after a swap."""


@dataclass(frozen=True, slots=True)
class Write:
    """The one write that makes the Secret right. `body` for create and replace is the whole object."""

    verb: Literal["none", "create", "replace"]
    body: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The Secret may not be written; only an edit can mend it."""

    reason: str
    message: str


def source_digest(sealed: Manifest) -> str:
    """A digest of all that the wanted Secret depends on: the spec, the scope, the name and the owner's uid."""
    meta = sealed["metadata"]
    annotations = meta.get("annotations") or {}
    parts = {
        "name": meta["name"],
        "namespace": meta.get("namespace", ""),
        "uid": meta.get("uid", ""),
        "scope": [annotations.get(CLUSTER_WIDE), annotations.get(NAMESPACE_WIDE)],
        "spec": sealed.get("spec"),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def marked(secret: Manifest, sealed: Manifest, keys: Iterable[str] = ()) -> Manifest:
    """The wanted Secret with our marks."""
    meta = secret["metadata"]
    return {
        **secret,
        "metadata": {
            **meta,
            "labels": {**(meta.get("labels") or {}), LABEL: "true"},
            "annotations": {**(meta.get("annotations") or {}), DIGEST: source_digest(sealed)}
            | ({KEYS: " ".join(sorted(set(keys)))} if keys else {}),
        },
    }


def keys_of(secret_metadata: Manifest) -> frozenset[str]:
    """The fingerprints of the keys that sealed what a Secret of ours came from; empty where it does not say."""
    annotations = (secret_metadata.get("metadata") or {}).get("annotations") or {}
    return frozenset(str(annotations.get(KEYS, "")).split())


def untouched(secret_metadata: Manifest, sealed: Manifest) -> bool:
    """Does the metadata alone (with managedFields) prove that the Secret is as we wrote it from this SealedSecret?

    True only where the digest is that of today's SealedSecret and no other manager owns anything in the Secret but its
    status-like leftovers: a hand edit of a value makes its editor an owner of that field.
    """
    meta = secret_metadata.get("metadata") or {}
    if (meta.get("annotations") or {}).get(DIGEST) != source_digest(sealed):
        return False
    managers = {entry.get("manager") for entry in meta.get("managedFields") or []}
    return managers == {FIELD_MANAGER}


def decide(sealed: Manifest, wanted: Manifest, existing: Manifest | None) -> Write | Refusal:
    """`wanted` is already marked."""
    if existing is None:
        return Write("create", wanted)
    name = wanted["metadata"]["name"]
    annotations = existing["metadata"].get("annotations") or {}
    owner = _controller(existing)
    ours = owner is not None and owner.get("uid") == sealed["metadata"].get("uid")
    adopted = annotations.get(MANAGED) == "true"
    patched = annotations.get(PATCH) == "true"
    if not (ours or adopted or patched or _was_ours(existing, wanted)):
        return Refusal("AlreadyExists", f'Resource "{name}" already exists and is not managed by SealedSecret')
    body = _merged(existing, wanted, own=adopted or ours) if patched else _replaced(existing, wanted)
    if _content(body) == _content(existing):
        return Write("none")
    if existing.get("immutable") and (body.get("data") or {}) != (existing.get("data") or {}):
        return Refusal("Immutable", f'Secret "{name}" is immutable and holds other data: delete it and it is recreated')
    if wanted.get("type") and wanted["type"] != existing.get("type", "Opaque"):
        found = existing.get("type", "Opaque")
        text = f'Secret "{name}" has type {found}, wanted {wanted["type"]}: delete it and it is recreated'
        return Refusal("TypeChanged", text)
    return Write("replace", body)


def _controller(existing: Manifest) -> Manifest | None:
    for reference in existing["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def _was_ours(existing: Manifest, wanted: Manifest) -> bool:
    """A Secret that we wrote without an owner reference (skip-set-owner-references) carries our marks instead."""
    meta = existing["metadata"]
    no_owner = not wanted["metadata"].get("ownerReferences") and _controller(existing) is None
    return no_owner and DIGEST in (meta.get("annotations") or {}) and (meta.get("labels") or {}).get(LABEL) == "true"


def _replaced(existing: Manifest, wanted: Manifest) -> Manifest:
    """Data, type, labels and annotations as wanted; what the server keeps stays."""
    dropped = ("labels", "annotations", "managedFields")
    kept = {key: value for key, value in existing["metadata"].items() if key not in dropped}
    for mark in (MANAGED, PATCH):
        # a hand-over is said on the Secret itself; it must not be lost by the first write
        if mark in (existing["metadata"].get("annotations") or {}):
            wanted = _annotated(wanted, mark, existing["metadata"]["annotations"][mark])
    metadata = {**kept, **{key: value for key, value in wanted["metadata"].items() if key != "ownerReferences"}}
    if wanted["metadata"].get("ownerReferences"):
        metadata["ownerReferences"] = wanted["metadata"]["ownerReferences"]
    body = {**existing, **wanted, "metadata": metadata}
    if "type" not in wanted:
        body["type"] = existing.get("type", "Opaque")
    return body


def _merged(existing: Manifest, wanted: Manifest, *, own: bool) -> Manifest:
    meta, new = existing["metadata"], wanted["metadata"]
    metadata = {key: value for key, value in meta.items() if key != "managedFields"}
    metadata["labels"] = {**(meta.get("labels") or {}), **(new.get("labels") or {})}
    metadata["annotations"] = {**(meta.get("annotations") or {}), **(new.get("annotations") or {})}
    if own and new.get("ownerReferences"):
        metadata["ownerReferences"] = new["ownerReferences"]
    return {**existing, "metadata": metadata, "data": {**(existing.get("data") or {}), **(wanted.get("data") or {})}}


def _annotated(secret: Manifest, name: str, value: str) -> Manifest:
    meta = secret["metadata"]
    return {**secret, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), name: value}}}


def _content(secret: Manifest) -> dict[str, Any]:
    meta = secret["metadata"]
    return {
        "data": secret.get("data") or {},
        "type": secret.get("type", "Opaque"),
        "immutable": bool(secret.get("immutable")),
        "labels": meta.get("labels") or {},
        "annotations": meta.get("annotations") or {},
        "owners": meta.get("ownerReferences") or [],
    }
