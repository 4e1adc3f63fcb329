"""The scale subresource: `autoscaling/v1 Scale` as a view of an object's replica counts."""

from __future__ import annotations

from typing import Any

from controllers.api.resource import Manifest

from ..status_errors import bad_request, invalid, invalid_value
from ..types.registry import ScalePaths
from ..write.target import RequestTarget

Path = tuple[str, ...]


def _at(obj: Any, path: Path) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _selector_text(selector: Any) -> str:
    if isinstance(selector, str):
        return selector
    if not isinstance(selector, dict):
        return ""
    labels = selector.get("matchLabels", selector) or {}
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()) if isinstance(value, str))


def _paths(target: RequestTarget) -> ScalePaths:
    return target.served.scale or ScalePaths()


def read_scale(target: RequestTarget, obj: Manifest) -> Manifest:
    """The Scale of an object."""
    paths, head = _paths(target), obj["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Manifest = {"replicas": _at(obj, paths.status_replicas) or 0}
    if paths.selector and (text := _selector_text(_at(obj, paths.selector))):
        status["selector"] = text
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: head[name] for name in names if name in head},
        "spec": {"replicas": wanted} if (wanted := _at(obj, paths.replicas)) else {},
        "status": status,
    }


def with_replicas(target: RequestTarget, obj: Manifest, scale: Any) -> Manifest:
    """`obj` (the caller's copy) with the replicas of a Scale. Raises StatusError 400, 422."""
    if not isinstance(scale, dict) or scale.get("kind", "Scale") != "Scale":
        raise bad_request("the body must be a Scale of autoscaling/v1")
    wanted = (scale.get("spec") or {}).get("replicas", 0)
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise bad_request("spec.replicas: must be an integer")
    if wanted < 0 and target.type.custom:
        cause = invalid_value(".spec.replicas", wanted, "should be a non-negative integer")
        raise invalid(target.type.group, target.served.info.kind, target.name, [cause])
    if wanted < 0:
        cause = invalid_value("spec.replicas", wanted, "must be greater than or equal to 0")
        raise invalid("autoscaling", "Scale", target.name, [cause])
    path = _paths(target).replicas
    part = obj
    for name in path[:-1]:
        part = part.setdefault(name, {})
    part[path[-1]] = wanted
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        obj["metadata"]["resourceVersion"] = version
    return obj
