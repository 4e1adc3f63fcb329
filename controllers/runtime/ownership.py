"""Which objects are ours, where an upstream controller may run beside us. Pure decisions.

`--claim=all`: every object; refused at start while an upstream controller of the same kinds runs. `--claim=labelled`:
only objects that name us by upstream's own switches: the sharding label on Flux's kinds and on SealedSecrets (whose
upstream has no switch), `spec.controller` on SecretStores. ExternalSecrets follow their store, so their watch has no
selector and `external_secrets` asks `owns_store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest, Resource

from .settings import ClaimSettings

SHARD_LABEL = "sharding.fluxcd.io/key"
_LABELLED_GROUPS = frozenset(
    {
        "image.toolkit.fluxcd.io",
        "kustomize.toolkit.fluxcd.io",
        "source.toolkit.fluxcd.io",
        "notification.toolkit.fluxcd.io",
        "bitnami.com",
    }
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream controller: how its Deployment is labelled, which API group it serves."""

    name: str
    label: str
    value: str
    groups: tuple[str, ...]


_NAME, _COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
UPSTREAM = (
    Upstream("external-secrets", _NAME, "external-secrets", ("external-secrets.io",)),
    Upstream("sealed-secrets-controller", _NAME, "sealed-secrets", ("bitnami.com",)),
    Upstream("kustomize-controller", _COMPONENT, "kustomize-controller", ("kustomize.toolkit.fluxcd.io",)),
    Upstream("source-controller", _COMPONENT, "source-controller", ("source.toolkit.fluxcd.io",)),
    Upstream("image-reflector-controller", _COMPONENT, "image-reflector-controller", ("image.toolkit.fluxcd.io",)),
    Upstream("image-automation-controller", _COMPONENT, "image-automation-controller", ("image.toolkit.fluxcd.io",)),
)


def selector(settings: ClaimSettings, resource: Resource) -> str:
    """The label selector with which a kind is watched under this claim; "" for all objects."""
    if settings.mode == "labelled" and resource.group in _LABELLED_GROUPS:
        return f"{SHARD_LABEL}={settings.name}"
    return ""


def owns_store(settings: ClaimSettings, spec: Mapping[str, Any]) -> bool:
    """Whether a SecretStore is ours. Its `controller` names one; a store that names none is anybody's under `all`."""
    named = spec.get("controller") or ""
    return named == settings.name or (settings.mode == "all" and not named)


def selectors_of_upstream() -> tuple[str, ...]:
    """Label selectors that find the Deployments of every known upstream controller."""
    values: dict[str, list[str]] = {}
    for upstream in UPSTREAM:
        values.setdefault(upstream.label, []).append(upstream.value)
    return tuple(f"{label} in ({','.join(names)})" for label, names in values.items())


def rivals(settings: ClaimSettings, resources: Iterable[Resource], deployments: Iterable[Manifest]) -> list[str]:
    """What stands against our start, in words that say how to resolve it; empty where nothing does.

    `deployments` are those that `selectors_of_upstream` find; one scaled to 0 is no rival. With `--sources=read` a
    running source-controller is wanted.
    """
    if settings.mode != "all":
        return []
    groups = {resource.group for resource in resources}
    if settings.sources == "read":
        groups.discard("source.toolkit.fluxcd.io")
    found = []
    for deployment in deployments:
        meta, spec = deployment.get("metadata") or {}, deployment.get("spec") or {}
        labels = meta.get("labels") or {}
        if spec.get("replicas", 1) == 0 or labels.get("app.kubernetes.io/managed-by") == "inhaul":
            continue
        for upstream in UPSTREAM:
            if labels.get(upstream.label) == upstream.value and groups.intersection(upstream.groups):
                where = f"{meta.get('namespace')}/{meta.get('name')}"
                found.append(
                    f"Deployment {where} runs {upstream.name} for the same kinds: scale it to 0 "
                    f"(kubectl -n {meta.get('namespace')} scale deployment {meta.get('name')} --replicas=0), "
                    "or start with --claim=labelled"
                )
    return found
