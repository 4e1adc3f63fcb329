"""Deleting: preconditions, finalizers, and what a propagation policy asks of the garbage collector."""

from __future__ import annotations

from typing import Any

from controllers.api.resource import Manifest

from ..seams import Admission
from ..status_errors import invalid, not_supported
from ..storage import Item
from . import meta
from .finalizers import has_namespace_finalizers
from .rest import Rest
from .target import NAMESPACES, Options, RequestTarget

COLLECTOR = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}
"""The finalizers that the garbage collector works on."""
POLICIES = ("", "Orphan", "Background", "Foreground")


def delete(rest: Rest, target: RequestTarget, body: Any, options: Options) -> tuple[Manifest, bool]:
    """Deletes, or marks as being deleted where finalizers are left. Returns the last state and whether it is gone."""
    item = rest.item(target)
    wish = body if isinstance(body, dict) else {}
    conditions = wish.get("preconditions") or {}
    uid, version = str(conditions.get("uid") or ""), str(conditions.get("resourceVersion") or "")
    rest.preconditions(target, item.object, uid, version, deleting=True)
    kind = target.served.info
    for hook in rest.plugins.admission:
        old, dry = item.object, options.dry_run
        hook(Admission("DELETE", options.user, kind, target.namespace, target.name, None, old, "", dry), rest.storage)
    finalizers = _finalizers(item.object, wish)
    if options.dry_run:
        waits = finalizers or has_namespace_finalizers(target, item.object)
        return (_marked(rest, target, item.object, finalizers), False) if waits else (item.object, True)
    own_way = rest.delete_hooks.get(target.type.key)
    if own_way is not None:
        changed = own_way(target, item)
        if changed is not None:
            return changed, False
    if not finalizers and not has_namespace_finalizers(target, item.object):
        return rest.memory.remove(target.type.table, target.key).object, True
    return _mark(rest, target, item, finalizers), False


def _finalizers(old: Manifest, wish: Manifest) -> list[str]:
    """The finalizers that a deletion leaves: the object's, with the collector's as the policy wants them."""
    policy = wish.get("propagationPolicy") or ("Orphan" if wish.get("orphanDependents") else "")
    if policy not in POLICIES:
        cause = not_supported("propagationPolicy", policy, ("Foreground", "Background", "Orphan", "nil"))
        raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
    present = list(old["metadata"].get("finalizers") or [])
    if not policy:
        return present
    kept = [name for name in present if name not in COLLECTOR.values()]
    return [*kept, COLLECTOR[policy]] if policy in COLLECTOR else kept


def _mark(rest: Rest, target: RequestTarget, item: Item, finalizers: list[str]) -> Manifest:
    head = item.object["metadata"]
    if head.get("deletionTimestamp") and sorted(head.get("finalizers") or []) == sorted(finalizers):
        return item.object
    return rest.memory.put(target.type.table, target.key, _marked(rest, target, item.object, finalizers)).object


def _marked(rest: Rest, target: RequestTarget, old: Manifest, finalizers: list[str]) -> Manifest:
    """The object as one that is being deleted."""
    head = {**old["metadata"]}
    if not head.get("deletionTimestamp"):
        head["deletionTimestamp"] = meta.now_text(rest.clock())
        head["deletionGracePeriodSeconds"] = 0
        if "generation" in head:
            head["generation"] += 1
    head["finalizers"] = finalizers
    meta.tidy(head)
    obj = {**old, "metadata": head}
    if target.type.key == NAMESPACES:
        head.pop("deletionGracePeriodSeconds", None)
        obj["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return obj
