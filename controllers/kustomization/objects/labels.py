"""Labels and annotations: the owner's, common metadata, the switches on objects, and what a label may hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from controllers.api.meta import _texts, annotations_of
from controllers.api.resource import Key, Manifest

from .order import group_of

GROUP = "kustomize.toolkit.fluxcd.io"
OWNER_NAME, OWNER_NAMESPACE = f"{GROUP}/name", f"{GROUP}/namespace"
SSA, FORCE, PRUNE, RECONCILE = (f"{GROUP}/{name}" for name in ("ssa", "force", "prune", "reconcile"))

_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def labels_of(manifest: Mapping[str, object] | None) -> dict[str, str]:
    return _texts(manifest, "labels")


def describe(manifest: Mapping[str, object]) -> str:
    """`Kind/namespace/name` as events and messages name an object; `Kind/name` without a namespace."""
    meta = manifest.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    parts = (manifest.get("kind") or "?", meta.get("namespace"), meta.get("name") or "?")
    return "/".join(str(part) for part in parts if part)


def with_metadata(
    manifest: Manifest, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """A copy that carries these labels and annotations too; they win over what is there."""
    meta = dict(manifest.get("metadata") or {})
    for field, values in (("labels", labels), ("annotations", annotations)):
        if values:
            meta[field] = {**(meta.get(field) or {}), **values}
    return {**manifest, "metadata": meta}


def owner_labels(owner: Key) -> dict[str, str]:
    return {OWNER_NAME: owner.name, OWNER_NAMESPACE: owner.namespace}


def is_owned(live: Manifest, owner: Key) -> bool:
    """Does a live object carry our owner's labels? Only such objects are ever deleted."""
    labels = labels_of(live)
    return labels.get(OWNER_NAME) == owner.name and labels.get(OWNER_NAMESPACE) == owner.namespace


def is_set(manifest: Manifest | None, switch: str, value: str) -> bool:
    """Has an object this value of a switch (`ssa`, `force`, `prune`, `reconcile`), as a label or as an annotation?

    As in Flux either of them is enough, whatever the other says, and case does not matter.
    """
    texts = labels_of(manifest).get(switch), annotations_of(manifest).get(switch)
    return value.lower() in {str(text or "").lower() for text in texts}


def bad_labels(manifests: Iterable[Manifest]) -> list[str]:
    """A line per label that no API server takes, so that the cause can be named before one is asked."""
    return [
        f"{describe(manifest)}: metadata.labels[{key}]: invalid label value"
        + ("; it holds an expression, and postBuild has no variables" if "${" in str(value) else "")
        for manifest in manifests
        for key, value in labels_of(manifest).items()
        if not isinstance(value, str) or len(value) > 63 or not _VALUE.fullmatch(value)
    ]


def identity(manifest: Manifest) -> tuple[str, str, str, str]:
    """What makes an object the same one: group, kind, namespace, name."""
    meta = manifest.get("metadata") or {}
    return group_of(manifest), str(manifest.get("kind")), str(meta.get("namespace") or ""), str(meta.get("name"))


Identity = tuple[str, str, str, str]
