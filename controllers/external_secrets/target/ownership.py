"""Whose a target Secret is: which controllers stand in the way of a write, and which owner reference is ours. Pure.

As upstream: an owner is compared by group, kind and name, not by uid, so that an ExternalSecret that was deleted with
`--cascade=orphan` and created again takes its Secret back. Another ExternalSecret always stands in the way, for the two
would overwrite each other; a controller of any other kind only where we would become the controller ourselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest

Reference = Mapping[str, Any]


def owner_reference(external_secret: Manifest) -> dict[str, Any]:
    """The controller reference of a Secret that this ExternalSecret owns."""
    return {
        "apiVersion": external_secret.get("apiVersion") or "external-secrets.io/v1",
        "kind": EXTERNAL_SECRETS.kind,
        "name": external_secret["metadata"]["name"],
        "uid": external_secret["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(secret: Manifest) -> Reference:
    """The controller reference of a Secret, {} where it has none."""
    owners: list[Reference] = secret["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), {})


def obstacle(secret: Manifest, name: str, *, become_owner: bool) -> str:
    """Why the ExternalSecret `name` may not write this Secret, "" where it may."""
    owner = controller_of(secret)
    if not owner or _is_external_secret(owner, name):
        return ""
    shown = f"{secret['metadata']['name']} belongs to {owner.get('kind', '')} {owner.get('name', '')}"
    if _is_external_secret(owner):
        return f"target is owned by another ExternalSecret: Secret {shown}"
    return f"failed to take ownership of the target: Secret {shown}" if become_owner else ""


def owner_references(secret: Manifest, name: str, ours: Reference | None) -> list[dict[str, Any]]:
    """The owner references that a Secret should have: `ours` set or, where it is None, our controller reference
    removed. Those of others stay."""
    kept = [
        dict(owner)
        for owner in secret["metadata"].get("ownerReferences") or []
        if not _is_external_secret(owner, name) or (ours is None and not owner.get("controller"))
    ]
    return [*kept, dict(ours)] if ours is not None else kept


def _is_external_secret(owner: Reference, name: str | None = None) -> bool:
    group = str(owner.get("apiVersion") or "").partition("/")[0]
    is_kind = (group, owner.get("kind")) == (EXTERNAL_SECRETS.group, EXTERNAL_SECRETS.kind)
    return is_kind and name in (None, owner.get("name"))
