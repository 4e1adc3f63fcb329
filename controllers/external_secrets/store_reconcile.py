"""SecretStore and ClusterSecretStore: are they served, and do their credentials work?

Ready=True Valid, or Ready=False with upstream's reasons. ExternalSecrets of a store are woken when its answer changes,
so that they do not wait out a backoff for a store that was mended.
"""

from __future__ import annotations

from collections.abc import Callable

from controllers.api.base import InvalidSpecError, parse
from controllers.api.resource import Key, Manifest
from controllers.api.secret_stores import SecretStoreSpec
from controllers.runtime.conditions import find as find_condition
from controllers.runtime.controller import Controller
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient
from controllers.runtime.result import NotReady, Result

from .events import version_diff as sweep
from .fetch.stores import StoreResolver, is_ours, retry_of
from .providers.provider import Clients, StoreError, Validation
from .providers.registry import store_provider
from .values import schedule
from .values.entries import StoreRef

DEFAULT_REFRESH = 300.0
_RETRY = 60.0


class StoreReconciler:
    """For one of the two kinds."""

    def __init__(
        self,
        kube: KubeClient,
        resolver: StoreResolver,
        clients: Clients,
        wake: Callable[[StoreRef, str], None],
        *,
        controller: Callable[[], Controller],
    ) -> None:
        """`wake(store, namespace)`: look again at the ExternalSecrets of a store (namespace "" for a cluster store)."""
        self._kube = kube
        self._resolver, self._clients, self._wake, self._controller = resolver, clients, wake, controller
        self._said: dict[Key, tuple[bool, object]] = {}

    async def __call__(self, key: Key) -> Result:
        draft = self._controller().draft(key)
        manifest = draft.manifest
        ref = StoreRef(self._controller().resource.kind, key.name)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._said.pop(key, None)
            self._wake(ref, key.namespace)
            if manifest is not None and is_ours(manifest):
                await release(self._kube, self._controller().resource, manifest)
            draft.skip_status = True
            return Result()
        if not is_ours(manifest):
            draft.skip_status = True
            return Result()
        try:
            validation = await self._validate(ref, manifest)
        except NotReady:
            self._tell(key, ref, manifest, ready=False)
            raise
        draft.status["capabilities"] = "ReadOnly"
        draft.ready(validation.reason, f"{validation.message}{not_swept(manifest)}")
        self._tell(key, ref, manifest, ready=True)
        return Result(_interval(manifest))

    def _tell(self, key: Key, ref: StoreRef, manifest: Manifest, *, ready: bool) -> None:
        """Wakes who reads from the store where its answer or its spec is another than before."""
        said = (ready, manifest["metadata"].get("generation"))
        before = self._said.get(key)
        if before is None:
            was = find_condition(manifest.get("status") or {}, "Ready")
            before = (was is not None and was.get("status") == "True", said[1])
        self._said[key] = said
        if before != said:
            self._wake(ref, key.namespace)

    async def _validate(self, ref: StoreRef, manifest: Manifest) -> Validation:
        """Raises NotReady with upstream's reasons."""
        try:
            provider, spec = store_provider(manifest)
            retry_of(spec)
            namespace = manifest["metadata"].get("namespace") or ""
            return await provider.validate(self._resolver, self._clients, namespace, ref, spec.provider)
        except StoreError as problem:
            known = problem.reason.startswith("Invalid") or problem.reason == "ValidationFailed"
            reason = problem.reason if known else "InvalidProviderConfig"
            pause = None if reason == "ValidationFailed" else _RETRY
            raise NotReady(reason, problem.message, retry_after=pause) from None
        except InvalidSpecError as error:
            raise NotReady("InvalidStoreConfiguration", str(error), retry_after=_RETRY) from None
        except ValueError as error:
            message = f"spec.retrySettings.retryInterval: {error}"
            raise NotReady("InvalidStoreConfiguration", message, retry_after=_RETRY) from None


def not_swept(manifest: Manifest) -> str:
    """Why a store is not swept although its annotation asks for it; "" where it is, or need not be."""
    annotation = str((manifest["metadata"].get("annotations") or {}).get(sweep.ANNOTATION, ""))
    try:
        sweep.interval_of(annotation, floor=0.0)
    except ValueError as error:
        return f"; not swept: annotation {sweep.ANNOTATION}: {error}"
    return ""


def _interval(manifest: Manifest) -> float:
    given = parse(SecretStoreSpec, manifest).refresh_interval
    if given in (None, "", 0):
        return DEFAULT_REFRESH
    try:
        return max(schedule.store_interval(given), 1.0)
    except ValueError:
        return DEFAULT_REFRESH
