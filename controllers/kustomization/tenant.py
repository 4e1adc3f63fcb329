"""In whose name a Kustomization acts. Pure but for making the view of the client.

Everything that touches a tenant's objects (apply, prune, health, the Secrets of substituteFrom and decryption) goes
through the view made here, so the API server decides by the tenant's own rights and not by ours.
"""

from __future__ import annotations

import re

from controllers.api.resource import Key
from controllers.runtime.kube import KubeClient
from controllers.runtime.result import Stalled

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


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
