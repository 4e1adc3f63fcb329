"""What keeps an object that is being deleted: its finalizers, and a namespace's own in `spec.finalizers`. Pure."""

from __future__ import annotations

from controllers.api.resource import Manifest

from .target import NAMESPACES, RequestTarget


def has_namespace_finalizers(target: RequestTarget, obj: Manifest) -> bool:
    """Whether it is a namespace whose contents are still to be deleted."""
    return target.type.key == NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))


def removable(target: RequestTarget, obj: Manifest) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    head = obj["metadata"]
    if not head.get("deletionTimestamp") or head.get("finalizers"):
        return False
    return not has_namespace_finalizers(target, obj)
