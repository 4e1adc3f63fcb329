"""What happens when a Kustomization is deleted: its objects go, stay, or are held, and nothing is orphaned silently.

The finalizer comes off only when the objects are deleted as the policy says, or are none of ours to delete. Where the
tenant's service account may no longer delete them, the Kustomization stays and says so. Where that account does not
exist any more, the objects that are left are named in an event. A disappearing definition is no wish to delete
workloads, and neither, until somebody confirms it, is the deletion of many Kustomizations at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from controllers.api.core import CRDS, NAMESPACES, SERVICE_ACCOUNTS
from controllers.api.duration import parse_duration
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.meta import annotations_of
from controllers.api.resource import Manifest, key_of
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import FLUX, drop_finalizer
from controllers.runtime.kube import ApiError, KubeClient, NotFound
from controllers.runtime.result import NotReady, Result, Stalled

from .apply.prune import prune, wait_gone
from .objects import inventory
from .objects.inventory import Entry

CONFIRM = "kustomize.inhaul.dev/confirm-deletion"
WINDOW, LEAST, SHARE = 60.0, 5, 0.2
"""More than max(LEAST, SHARE of all) deletions within WINDOW seconds are held until confirmed."""


class Finalizer:
    def __init__(
        self,
        kube: KubeClient,
        *,
        tenant: Callable[[Manifest], KubeClient],
        user: Callable[[Manifest], str],
        total: Callable[[], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`user` is whom a Kustomization acts as: `system:serviceaccount:NAMESPACE:NAME`, "" for the controller."""
        self._kube, self._tenant, self._user, self._total, self._clock = kube, tenant, user, total, clock
        self._recent: deque[tuple[float, str]] = deque()

    async def run(self, draft: Draft, manifest: Manifest) -> Result:
        """Ends with the finalizer off. Raises NotReady or Stalled while the Kustomization has to stay."""
        if FLUX not in (manifest["metadata"].get("finalizers") or ()):
            draft.skip_status = True
            return Result()
        entries = self._entries(manifest)
        spec = manifest.get("spec") or {}
        wanted = inventory.deletion(str(spec.get("deletionPolicy") or ""), prune=spec.get("prune") is True)
        if entries and wanted.delete and not spec.get("suspend") and not await self._definition_goes():
            await self._hold(draft, manifest)
            await self._delete(draft, manifest, entries, wait=wanted.wait)
        await drop_finalizer(self._kube, KUSTOMIZATIONS, manifest)
        draft.skip_status = True
        return Result()

    @staticmethod
    def _entries(manifest: Manifest) -> list[Entry]:
        try:
            return inventory.read(manifest.get("status"))
        except inventory.InvalidInventoryIdError as error:
            raise Stalled("PruneFailed", f"status.inventory: {error}") from None

    async def _definition_goes(self) -> bool:
        """Is our own CRD being deleted? Then nobody asked for the workloads to go."""
        name = f"{KUSTOMIZATIONS.plural}.{KUSTOMIZATIONS.group}"
        try:
            definition = await self._kube.get(CRDS, name, metadata_only=True)
        except NotFound:
            return True
        return bool(definition["metadata"].get("deletionTimestamp"))

    async def _hold(self, draft: Draft, manifest: Manifest) -> None:
        """Raises Stalled where too many go at once and nobody confirmed it."""
        now, uid = self._clock(), str(manifest["metadata"].get("uid"))
        while self._recent and now - self._recent[0][0] > WINDOW:
            self._recent.popleft()
        if uid not in {each for _, each in self._recent}:
            self._recent.append((now, uid))
        many = len(self._recent) > max(LEAST, SHARE * (self._total() + len(self._recent)))
        if not many or CONFIRM in annotations_of(manifest) or await self._is_terminating(key_of(manifest).namespace):
            draft.drop_condition("DeletionHeld")
            return
        text = (
            f"{len(self._recent)} Kustomizations were deleted within {WINDOW:g} s: their objects are kept until each "
            f"is annotated {CONFIRM}"
        )
        draft.condition("DeletionHeld", "True", "ManyDeletions", text)
        raise Stalled("DeletionHeld", text)

    async def _account_is_gone(self, manifest: Manifest) -> bool:
        """Does the service account not exist? Then nobody can delete in its name: as in Flux, finalization goes on."""
        _, _, name = self._user(manifest).rpartition(":")
        if not name:
            return False
        try:
            await self._kube.get(SERVICE_ACCOUNTS, name, key_of(manifest).namespace, metadata_only=True)
        except NotFound:
            return True
        return False

    async def _is_terminating(self, namespace: str) -> bool:
        try:
            found = await self._kube.get(NAMESPACES, namespace, metadata_only=True)
        except NotFound:
            return True
        return bool(found["metadata"].get("deletionTimestamp"))

    async def _delete(self, draft: Draft, manifest: Manifest, entries: list[Entry], *, wait: bool) -> None:
        owner = key_of(manifest)
        if await self._is_terminating(owner.namespace):
            inside = [entry for entry in entries if entry.namespace == owner.namespace]
            entries = inventory.difference(entries, inside)  # the namespace's end is theirs too
        tenant = self._tenant(manifest)
        result = await prune(tenant, owner, entries)
        if result.deleted:
            draft.event("ReconciliationSucceeded", "\n".join(f"{entry} deleted" for entry in result.deleted)[:1000])
        left = result.survivors(entries)
        if result.problems and await self._account_is_gone(manifest):
            names = ", ".join(map(str, left[:10])) + (f" and {len(left) - 10} more" if len(left) > 10 else "")
            text = f"{self._user(manifest)} does not exist, so objects may be left in the cluster: {names}"
            draft.event("PruneFailed", text, warning=True)
            return
        if result.problems:
            draft.status["inventory"] = inventory.write(left)
            raise NotReady("PruneFailed", f"its objects cannot be deleted: {'; '.join(result.problems[:10])}")
        if wait:
            timeout = parse_duration(str((manifest.get("spec") or {}).get("timeout") or "5m"))
            try:
                still = await wait_gone(tenant, result.deleted, timeout=min(timeout, 30.0))
            except ApiError as error:
                raise NotReady("PruneFailed", f"waiting for termination: {error.message}") from None
            if still:
                names = ", ".join(map(str, still[:10]))
                raise NotReady("PruneFailed", f"waiting for termination of {names}", retry_after=2.0)
