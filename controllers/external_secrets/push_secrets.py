"""PushSecret and ClusterPushSecret: accepted, and answered with what is not done and why.

Inhaul reads from AWS and writes to it nothing. A kind that is accepted in silence would look as if it were served; so
its objects get Ready=False. One that is deleted is let go: after a swap it carries upstream's finalizer.
"""

from __future__ import annotations

from collections.abc import Callable

from controllers.api.external_secrets import PUSH_SECRETS
from controllers.api.resource import Key
from controllers.runtime.controller import Controller
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient
from controllers.runtime.result import Result, Stalled


class UnservedReconciler:
    """The reconcile of a kind that is not served."""

    def __init__(self, kube: KubeClient, controller: Callable[[], Controller]) -> None:
        self._kube, self._controller = kube, controller

    async def __call__(self, key: Key) -> Result:
        resource, draft = self._controller().resource, self._controller().draft(key)
        manifest = draft.manifest
        if manifest is None:
            return Result()
        if manifest["metadata"].get("deletionTimestamp"):
            if resource == PUSH_SECRETS:
                await release(self._kube, resource, manifest)
            if (manifest.get("spec") or {}).get("deletionPolicy") == "Delete":
                draft.event("NotDeletedAtProvider", "what was pushed stays at the provider", warning=True)
            draft.skip_status = True
            return Result()
        raise Stalled("UnsupportedField", f"{manifest['kind']} is not served: nothing is pushed to a provider")
