"""In whose name a Kustomization acts. Pure but for making the view of the client.

Everything that touches a tenant's objects (apply, prune, health, the Secrets of substituteFrom and decryption) goes
through the view made here, so the API server decides by the tenant's own rights and not by ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from controllers.api.resource import Key
from controllers.runtime.kube import KubeClient
from controllers.runtime.result import Stalled
from controllers.runtime.settings import knob

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class KustomizationSettings:
    prefix: ClassVar[str] = "kustomization"
    default_service_account: str = knob("default", "service account of Kustomizations that name none")
    no_cross_namespace_refs: bool = knob(False, "refuse sources and dependencies in other namespaces")
    concurrent: int = knob(8, "Kustomizations reconciled at once; a health check holds none of these")
    apply_concurrent: int = knob(8, "dry runs of one Kustomization at once")
    stage_timeout: float = knob(60.0, "seconds for definitions and namespaces to settle between two stages")
    health_poll: float = knob(5.0, "seconds between two looks at objects that no watch of ours covers")
    render_cache: int = knob(64, "MiB of rendered manifests kept, so that an unchanged source is not built again")
    mirrors: str = knob("", "directory of the Git mirrors; empty: below the system's place for temporary files")
    repository_size: int = knob(1024, "MiB that one fetch of a repository may bring; more is refused")
    submodule_hosts: str = knob("", "hosts, by comma, that may hold submodules beside a repository's own host")
    mirror_bytes: int = knob(4096, "MiB of all mirrors together")


def account(own: str, namespace: str, name: str, *, default: str = "default") -> str:
    """The user that a Kustomization acts as: `name`, or else `default`, of its namespace.

    "" means the controller itself, and only in the controller's own namespace `own`. Raises
    Stalled for a name that no service account can have: it would stand in a header and in a user's name.
    """
    if name and not _NAME.fullmatch(name):
        raise Stalled("InvalidSpec", f"spec.serviceAccountName: found {name[:100]!r}, expected a ServiceAccount's name")
    if not name and namespace == own and own:
        return ""
    return f"system:serviceaccount:{namespace}:{name or default}"


def view(kube: KubeClient, user: str) -> KubeClient:
    """The client as that user. The API server adds a service account's groups by itself."""
    return kube.impersonate(user) if user else kube


def reference(namespace: str, ref_namespace: str, name: str) -> Key:
    """The key of a reference; without a namespace it stays in its own."""
    return Key(ref_namespace or namespace, name)
