"""In what order objects are applied and deleted, and Kustomizations after what they depend on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controllers.api.resource import Key, Manifest

FIRST = (
    "CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterClass", "RuntimeClass", "PriorityClass",
    "StorageClass", "VolumeSnapshotClass", "IngressClass", "GatewayClass", "ClusterRoleBinding", "ResourceQuota",
    "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Service", "LimitRange", "Deployment",
    "StatefulSet", "CronJob", "PodDisruptionBudget",
)  # fmt: skip
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

_DEFINITIONS = {
    "CustomResourceDefinition": "apiextensions.k8s.io",
    "Namespace": "",
    "ClusterRole": "rbac.authorization.k8s.io",
}
_RANK = {kind: rank for rank, kind in enumerate(FIRST)} | {kind: 10_000 + rank for rank, kind in enumerate(LAST)}


class DependencyCycleError(ValueError):
    """Objects that wait for one another. `cycle` begins and ends with the same key."""

    def __init__(self, cycle: Sequence[Key]) -> None:
        super().__init__("circular dependsOn: " + " -> ".join(map(str, cycle)))
        self.cycle = tuple(cycle)


def group_of(manifest: Manifest) -> str:
    """The API group of an object, "" for the core group."""
    group, slash, _ = str(manifest.get("apiVersion") or "").rpartition("/")
    return group if slash else ""


def sort_key(manifest: Manifest) -> tuple[int, str, str, str, str]:
    """Sorts objects for applying: definitions and what others stand on first, webhooks last."""
    meta, kind = manifest.get("metadata") or {}, str(manifest.get("kind") or "")
    rank = _RANK.get(kind, 1_000)
    known = "" if kind in _RANK else group_of(manifest)
    return rank, known, kind, str(meta.get("namespace") or ""), str(meta.get("name") or "")


def for_apply(manifests: Iterable[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=sort_key)


def stages(manifests: Iterable[Manifest], custom_kinds: Sequence[str] = ()) -> list[list[Manifest]]:
    """Groups that are applied one after another, each settled before the next; empty ones are left out.

    Definitions, then kinds that end in `Class`, then `custom_kinds` (`group/Kind`), then the rest.
    """
    found: list[list[Manifest]] = [[], [], [], []]
    for manifest in for_apply(manifests):
        kind, group = str(manifest.get("kind") or ""), group_of(manifest)
        if _DEFINITIONS.get(kind) == group:
            found[0].append(manifest)
        elif kind.endswith("Class"):
            found[1].append(manifest)
        elif f"{group}/{kind}" in custom_kinds:
            found[2].append(manifest)
        else:
            found[3].append(manifest)
    return [stage for stage in found if stage]


def by_dependency(dependencies: Mapping[Key, Sequence[Key]]) -> list[Key]:
    """Keys so that each comes after what it depends on; unknown ones are named too. Raises DependencyCycleError."""
    done: list[Key] = []
    settled: set[Key] = set()
    for start in dependencies:
        path: list[Key] = [start]
        pending = [iter(dependencies[start])]
        while path:
            if path[-1] in settled:
                path.pop()
                pending.pop()
                continue
            step = next(pending[-1], None)
            if step is None:
                settled.add(path[-1])
                done.append(path.pop())
                pending.pop()
            elif step in path:
                raise DependencyCycleError([*path[path.index(step) :], step])
            elif step not in settled:
                path.append(step)
                pending.append(iter(dependencies.get(step, ())))
    return done
