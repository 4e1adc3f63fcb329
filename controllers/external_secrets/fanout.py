"""ClusterExternalSecret: in which namespaces there should be an ExternalSecret, and what it should be. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from controllers.api.external_secrets import CLUSTER_EXTERNAL_SECRETS, EXTERNAL_SECRETS, ClusterExternalSecretSpec
from controllers.api.meta import selects
from controllers.api.resource import Manifest

FORCE_SYNC = "external-secrets.io/force-sync"
FANNED = "secrets.inhaul.dev/fanned-out"
"""On a child: the names of the labels and annotations that it was given, so that those given up can be taken away."""
_NAME_LABEL = "kubernetes.io/metadata.name"
NOT_OURS = "external secret already exists in namespace"


def selected(spec: ClusterExternalSecretSpec, namespace: Manifest) -> bool:
    """Does a namespace get an ExternalSecret? By name or by any selector; one that is being deleted does not."""
    meta = namespace["metadata"]
    if meta.get("deletionTimestamp"):
        return False
    if meta["name"] in spec.namespaces:
        return True
    labels = {_NAME_LABEL: meta["name"], **(meta.get("labels") or {})}
    single = (spec.namespace_selector,) if spec.namespace_selector is not None else ()
    return any(selects(selector, labels) for selector in (*single, *spec.namespace_selectors))


def child_name(parent: Manifest) -> str:
    return str((parent.get("spec") or {}).get("externalSecretName") or parent["metadata"]["name"])


def owner_reference(parent: Manifest) -> dict[str, Any]:
    return {
        "apiVersion": CLUSTER_EXTERNAL_SECRETS.api_version,
        "kind": CLUSTER_EXTERNAL_SECRETS.kind,
        "name": parent["metadata"]["name"],
        "uid": parent["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned(child: Manifest, parent: Manifest) -> bool:
    """Was this ExternalSecret made for this ClusterExternalSecret?"""
    uid = parent["metadata"]["uid"]
    return any(
        owner.get("controller") and owner.get("uid") == uid for owner in child["metadata"].get("ownerReferences") or []
    )


def parents(child: Manifest) -> list[str]:
    """Names of the ClusterExternalSecrets that own an ExternalSecret."""
    owners = child["metadata"].get("ownerReferences") or []
    return [str(owner.get("name")) for owner in owners if owner.get("kind") == CLUSTER_EXTERNAL_SECRETS.kind]


def child(parent: Manifest, namespace: str, live: Manifest | None = None) -> Manifest:
    """The ExternalSecret that should be, made of the one that is: labels and annotations of others stay."""
    spec, meta = parent["spec"], (live or {}).get("metadata") or {}
    given = spec.get("externalSecretMetadata") or {}
    labels, annotations = dict(given.get("labels") or {}), dict(given.get("annotations") or {})
    if force := (parent["metadata"].get("annotations") or {}).get(FORCE_SYNC):
        annotations[FORCE_SYNC] = force
    names = {"annotations": sorted(annotations), "labels": sorted(labels)}
    before = _given(meta.get("annotations") or {})
    kept = {
        part: {key: text for key, text in (meta.get(part) or {}).items() if key not in before[part]}
        for part in ("labels", "annotations")
    }
    others = [owner for owner in meta.get("ownerReferences") or [] if not owner.get("controller")]
    out: dict[str, Any] = {
        "name": child_name(parent),
        "namespace": namespace,
        "annotations": {
            **kept["annotations"],
            **annotations,
            FANNED: json.dumps(names, sort_keys=True, separators=(",", ":")),
        },
        "ownerReferences": [*others, owner_reference(parent)],
    }
    if labels or kept["labels"]:
        out["labels"] = {**kept["labels"], **labels}
    if live is not None:
        out |= {name: meta[name] for name in ("uid", "resourceVersion", "finalizers") if name in meta}
    return {
        "apiVersion": EXTERNAL_SECRETS.api_version,
        "kind": EXTERNAL_SECRETS.kind,
        "metadata": out,
        "spec": deepcopy(spec["externalSecretSpec"]),
    }


def same(wanted: Mapping[str, Any], live: Manifest) -> bool:
    """Is the child as it should be? `wanted` is made of `live`."""
    ours, theirs = wanted["metadata"], live["metadata"]
    parts = ("labels", "annotations", "ownerReferences")
    return bool(wanted["spec"] == live.get("spec")) and all(
        (ours.get(part) or None) == (theirs.get(part) or None) for part in parts
    )


def _given(annotations: Mapping[str, str]) -> dict[str, set[str]]:
    try:
        loaded = json.loads(annotations.get(FANNED, "{}"))
        return {part: set(map(str, loaded.get(part) or ())) for part in ("labels", "annotations")}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {"labels": set(), "annotations": set()}


def status(
    before: Mapping[str, Any], *, name: str, provisioned: Iterable[str], failed: Mapping[str, str]
) -> dict[str, Any]:
    """The parent's status. Its conditions have no reason and no time: the kind's schema has no such fields."""
    condition = {"type": "Ready", "status": "False" if failed else "True"}
    if failed:
        first = next(iter(sorted(failed)))
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        condition["message"] = f"one or more namespaces failed: {first}: {failed[first]}{more}"
    others = [item for item in before.get("conditions") or [] if item.get("type") != "Ready"]
    out = {key: value for key, value in before.items() if key not in ("failedNamespaces", "provisionedNamespaces")}
    out |= {"externalSecretName": name, "conditions": [*others, condition]}
    if failed:
        out["failedNamespaces"] = [{"namespace": each, "reason": failed[each]} for each in sorted(failed)]
    if names := sorted(provisioned):
        out["provisionedNamespaces"] = names
    return out
