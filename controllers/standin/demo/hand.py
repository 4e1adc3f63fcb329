"""A hand edits the cluster: undone in dev's mode, held and named in prod's, given back to Git when released."""

from __future__ import annotations

import time

from controllers.api.core import DEPLOYMENTS
from controllers.api.kustomize import KUSTOMIZATIONS

from .actor import Actor, ready
from .engineer import Engineer
from .narrate import StepFailedError, Told
from .world import PAYMENTS


class Hand(Actor):
    """Somebody with kubectl, and the modes of drift."""

    async def drift(self, told: Told) -> str:
        began = time.monotonic()
        await self._by_hand(5)
        self.tell.say("operator: kubectl scale deployment checkout --replicas=5, in dev's mode (Revert)")
        await self.until("the revert", lambda: self._replicas(2))
        told.measured["edit_to_revert"] = round(time.monotonic() - began, 2)
        await self._annotate(mode="Alert")
        self.tell.say("the Kustomization gets prod's mode: drift.inhaul.dev/mode: Alert")
        await self.until("the mode to be seen", self._settled)
        began = time.monotonic()
        await self._by_hand(6)

        async def held() -> str:
            status, reason, message = ready(await self.get(KUSTOMIZATIONS, "checkout"))
            return message if (status, reason) == ("False", "DriftDetected") else ""

        message = await self.until("the drift to be told", held)
        told.measured["edit_to_condition"] = round(time.monotonic() - began, 2)
        self.tell.say(f"cluster: Kustomization checkout: {message}")
        if "/spec/replicas: Git has 2, live 6 (kubectl-edit" not in message or not await self._replicas(6):
            raise StepFailedError(f"the field was not held and named: {message}")
        said = await Engineer(self.world).inhaul("why", "deployment/checkout")
        self.tell.say(f"engineer: inhaul why deployment/checkout\n{said.rstrip()}")
        if "kubectl-edit" not in said or "/spec/replicas" not in said:
            raise StepFailedError("inhaul why does not name the hold")
        await self._annotate(mode=None, release='[{"object":"*"}]')
        await self.until("the release", lambda: self._replicas(2))
        return (
            f"reverted after {told.measured['edit_to_revert']:.1f} s; in prod's mode held and named after "
            f"{told.measured['edit_to_condition']:.1f} s, given back to Git when released"
        )

    async def _by_hand(self, replicas: int) -> None:
        body = {"spec": {"replicas": replicas}}
        await self.world.admin.patch(DEPLOYMENTS, "checkout", PAYMENTS, body=body, field_manager="kubectl-edit")

    async def _replicas(self, wanted: int) -> bool:
        deployment = await self.get(DEPLOYMENTS, "checkout")
        return deployment is not None and deployment["spec"]["replicas"] == wanted

    async def _annotate(self, **marks: str | None) -> None:
        stamp = {"reconcile.fluxcd.io/requestedAt": str(time.time_ns())}
        named = {f"drift.inhaul.dev/{name}": value for name, value in marks.items()} | stamp
        await self.world.admin.patch(KUSTOMIZATIONS, "checkout", PAYMENTS, body={"metadata": {"annotations": named}})

    async def _settled(self) -> bool:
        """Has the controller taken the latest request up, and ended well?"""
        checkout = await self.get(KUSTOMIZATIONS, "checkout") or {}
        asked = checkout["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"]
        handled = (checkout.get("status") or {}).get("lastHandledReconcileAt")
        return bool(handled == asked and ready(checkout)[0] == "True")
