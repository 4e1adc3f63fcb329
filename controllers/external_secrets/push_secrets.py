"""PushSecret and ClusterPushSecret: accepted, and answered with what is not done and why.

Inhaul reads from AWS and writes to it nothing. A kind that is accepted in silence would look as if it were served; so
its objects get Ready=False. Nothing else of them is touched, their finalizers included.
"""

from __future__ import annotations

from collections.abc import Callable

from controllers.api.resource import Key
from controllers.runtime.controller import Controller
from controllers.runtime.result import Result, Stalled


class Unserved:
    """The reconcile of a kind that is not served."""

    def __init__(self, controller: Callable[[], Controller]) -> None:
        self._controller = controller

    async def __call__(self, key: Key) -> Result:
        manifest = self._controller().draft(key).manifest
        if manifest is None:
            return Result()
        message = f"{manifest['kind']} is not served: nothing is pushed to a provider"
        finalizers = manifest["metadata"].get("finalizers") or []
        if manifest["metadata"].get("deletionTimestamp") and finalizers:
            message += (
                f"; it cannot be deleted before its finalizers are removed by hand ({', '.join(finalizers)}), "
                "and what was pushed stays at the provider"
            )
        raise Stalled("UnsupportedField", message)
