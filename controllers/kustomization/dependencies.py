"""Is a dependency of a Kustomization ready, and who waits for whom? Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from controllers.api.kustomize import Dependency
from controllers.api.resource import Key, Manifest
from controllers.kustomization.objects.references import dependencies_of, source_of
from controllers.runtime.conditions import find

from .health.expressions import ExpressionError, holds

DRIFTED = "DriftDetected"
"""A Ready=False of this reason holds nobody up: what is applied works, a field is held."""


def not_ready(
    self_: Manifest,
    dependency: Dependency,
    key: Key,
    found: Manifest | None,
    revision: str,
    *,
    holds: Callable[[str, Mapping[str, object]], bool] = holds,
) -> str:
    """Why a dependency is not ready; "" where it is. `revision` is what our own source has now; `holds` decides a
    readyExpr, or raises ExpressionError."""
    if found is None:
        return f"dependency '{key}' not found"
    if dependency.ready_expr:
        try:
            ready = holds(dependency.ready_expr, {"self": self_, "dep": found})
        except ExpressionError as error:
            return f"dependency '{key}': {error}"
        return "" if ready else f"dependency '{key}' is not ready: its readyExpr is false"
    status = found.get("status") or {}
    condition = find(status, "Ready") or {}
    if status.get("observedGeneration") != found["metadata"].get("generation"):
        return f"dependency '{key}' is not ready: its latest generation is not reconciled yet"
    if condition.get("status") != "True" and condition.get("reason") != DRIFTED:
        return f"dependency '{key}' is not ready"
    if source_of(found) == source_of(self_) and status.get("lastAppliedRevision") != revision:
        return f"dependency '{key}' is not updated to revision {revision} yet"
    return ""


def in_circle(key: Key, manifests: Iterable[Manifest]) -> list[Key]:
    """The circle that a Kustomization stands in by dependsOn; empty where it is in none."""
    graph = {Key(each["metadata"].get("namespace") or "", each["metadata"]["name"]): each for each in manifests}
    path: list[Key] = []
    seen: set[Key] = set()

    def walk(at: Key) -> bool:
        path.append(at)
        for step in dependencies_of(graph[at]) if at in graph else ():
            if step == key:
                path.append(step)
                return True
            if step not in seen:
                seen.add(step)
                if walk(step):
                    return True
        path.pop()
        return False

    return path if walk(key) else []
