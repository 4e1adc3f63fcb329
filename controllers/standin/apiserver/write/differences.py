"""One object against its stored state: what stays, whether anything changed, whether the generation grows. Pure."""

from __future__ import annotations

import json

from controllers.api.resource import Manifest

from ..ssa import managed
from ..ssa.typed import InvalidListError, field_set, same
from ..storage import copied
from . import meta
from .target import NAMESPACES, RequestTarget

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def keep(target: RequestTarget, obj: Manifest, old: Manifest) -> None:
    """What this door does not change stays as it was."""
    if target.subresource in ("status", "finalize"):
        part = "status" if target.subresource == "status" else "spec"
        own = {part: obj[part]} if part in obj else {}
        obj.clear()
        obj.update(copied({name: value for name, value in old.items() if name != part}))
        obj.update(own)
        return
    if target.served.status:
        if "status" in old:
            obj["status"] = old["status"]
        else:
            obj.pop("status", None)
    if target.type.key == NAMESPACES and "spec" in old:
        obj["spec"] = old["spec"]
    head = obj["metadata"]
    for name in meta.KEPT:
        if name in old["metadata"]:
            head.setdefault(name, old["metadata"][name])
            if name not in ("uid", "creationTimestamp"):
                head[name] = old["metadata"][name]
        else:
            head.pop(name, None)
    head["name"] = head.get("name") or target.name


def set_generation(target: RequestTarget, obj: Manifest, old: Manifest) -> None:
    before = old["metadata"].get("generation")
    if before is None:
        return
    if target.served.info.custom:
        skipped = ("metadata", "apiVersion", *(("status",) if target.served.status else ()))
    else:
        skipped = ("metadata", "apiVersion", "status")
    left = {name: value for name, value in obj.items() if name not in skipped}
    right = {name: value for name, value in old.items() if name not in skipped}
    obj["metadata"]["generation"] = before if same(left, right) else before + 1


def unchanged(new: Manifest, old: Manifest) -> bool:
    """Whether only the times of managedFields differ, if anything."""
    if new.keys() != old.keys():
        return False
    if any(not same(new[name], old[name]) for name in new if name != "metadata"):
        return False
    return same(_timeless(new["metadata"]), _timeless(old["metadata"]))


_WRITER = ("manager", "operation", "apiVersion", "subresource")


def _timeless(head: Manifest) -> Manifest:
    entries = [{n: v for n, v in entry.items() if n != "time"} for entry in head.get("managedFields") or []]
    entries.sort(key=lambda entry: [str(entry.get(name)) for name in _WRITER])
    return {**head, "managedFields": entries}


def last_applied(target: RequestTarget, live: Manifest | None) -> frozenset[tuple[str, ...]]:
    """The fields that client-side apply set: server-side apply by kubectl may take them over."""
    text = ((live or {}).get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        config = json.loads(text) if text else None
        if not isinstance(config, dict):
            return frozenset()
        return field_set(target.served.schema, managed.owned_part(config))
    except (ValueError, InvalidListError):
        return frozenset()
