"""What every step of the demo looks with: the cluster by the admin's eyes, Git, and patience.

Groups of steps are classes of their own over `Actor`, one module each; `story.py` tells them in order.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

from controllers.api.core import DEPLOYMENTS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.runtime.kube import NotFound

from .narrate import Narrator, StepFailedError
from .world import PAYMENTS, REPOSITORY, World

PATIENCE = 40.0
CHECKOUT = "teams/payments/checkout"


class Actor:
    """Somebody who acts on a world and looks at what follows."""

    def __init__(self, world: World, narrator: Narrator) -> None:
        self.world, self.tell = world, narrator

    async def get(self, resource: Resource, name: str, namespace: str = PAYMENTS) -> Manifest | None:
        try:
            return await self.world.admin.get(resource, name, namespace)
        except NotFound:
            return None

    async def until(self, what: str, look: Callable[[], Awaitable[Any]], patience: float = PATIENCE) -> Any:
        """The first true answer of `look`. Raises StepFailedError with what was waited for and the Kustomization's
        word.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := await look():
                return found
            self.world.check_alive()
            await asyncio.sleep(0.05)
        checkout = await self.get(KUSTOMIZATIONS, "checkout")
        raise StepFailedError(
            f"waited {patience:g} s for {what}; Kustomization checkout: {ready(checkout)[2] or 'not there'}"
        )

    async def secret_value(self, name: str, key: str) -> bytes | None:
        secret = await self.get(SECRETS, name)
        value = ((secret or {}).get("data") or {}).get(key)
        return None if value is None else base64.b64decode(value)

    async def commit(self, message: str, files: dict[str, bytes | str | None]) -> str:
        revision = await self.world.git.commit(REPOSITORY, files, message=message)
        self.tell.say(f"git: {revision[:7]} {message}")
        return revision

    async def applied(self, revision: str) -> Manifest | None:
        checkout = await self.get(KUSTOMIZATIONS, "checkout")
        applied = ((checkout or {}).get("status") or {}).get("lastAppliedRevision", "")
        return checkout if applied.endswith(revision) and ready(checkout)[0] == "True" else None

    async def running(self, tag: str) -> bool:
        deployment = await self.get(DEPLOYMENTS, "checkout")
        if deployment is None:
            return False
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        status = deployment.get("status") or {}
        current = status.get("observedGeneration") == deployment["metadata"]["generation"]
        ready = status.get("updatedReplicas") == status.get("availableReplicas") == deployment["spec"]["replicas"]
        return bool(image.endswith(f":{tag}") and current and ready)


def resources(*names: str) -> str:
    lines = "".join(f"  - {name}.yaml\n" for name in names)
    return f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{lines}"


def sync(name: str) -> str:
    """The Kustomization, as YAML, by which the folder `name` of payments is applied."""
    return f"""apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: {name}
  namespace: payments
spec:
  interval: 10m
  retryInterval: 5s
  sourceRef:
    kind: GitRepository
    name: platform
  path: ./teams/payments/{name}
  prune: true
  serviceAccountName: payments-reconciler
"""


def ready(manifest: Manifest | None) -> tuple[str, str, str]:
    """Status, reason and message of Ready."""
    for condition in ((manifest or {}).get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready":
            return condition["status"], condition["reason"], condition["message"]
    return "", "", ""
