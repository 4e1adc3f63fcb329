"""SecretStore and ClusterSecretStore as a refresh sees them: may this namespace use it, and as whom does it read.

What a store's `spec.provider` means, its provider decides. TenantPolicy is asked before any outward call: none is made
for a role or key that the namespace was not granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import re2

from controllers.api.base import InvalidSpecError, parse
from controllers.api.duration import parse_duration
from controllers.api.external_secrets import CLUSTER_SECRET_STORES, SECRET_STORES
from controllers.api.meta import selects
from controllers.api.resource import Key, Manifest, Resource
from controllers.api.secret_stores import SecretStoreSpec
from controllers.api.tenancy import ReadKey, Request
from controllers.aws.edge import Retry
from controllers.external_secrets.providers.provider import Provider, StoreError
from controllers.external_secrets.providers.registry import store_provider, store_view
from controllers.external_secrets.providers.source import ValueSource
from controllers.external_secrets.values.entries import StoreRef, StoreView
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.runtime.conditions import find as find_condition
from controllers.runtime.policies import Policies
from controllers.runtime.store import Store

from .object_cache import ObjectCache

CONTROLLER = "inhaul"
_ATTEMPTS, _MOST_ATTEMPTS, _LONGEST_PAUSE = 3, 20, 60.0


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store, ready to be read by one namespace."""

    view: StoreView
    source: ValueSource


def retry_of(spec: SecretStoreSpec) -> Retry | None:
    """retrySettings as upstream means them: `maxRetries` is how often a call is made in all, 3 where it is not given.

    Bounded, for refreshes wait meanwhile. Raises ValueError for an interval that is no duration.
    """
    given = spec.retry_settings
    if given is None or (given.max_retries is None and not given.retry_interval):
        return None
    attempts = _ATTEMPTS if given.max_retries is None else given.max_retries
    pause = parse_duration(given.retry_interval) if given.retry_interval else None
    return Retry(min(max(attempts, 1), _MOST_ATTEMPTS), None if pause is None else min(max(pause, 0.0), _LONGEST_PAUSE))


def is_ours(manifest: Manifest) -> bool:
    """spec.controller names us, or nobody."""
    return (manifest.get("spec") or {}).get("controller") in (None, "", CONTROLLER)


class StoreResolver:
    """Turns references into open stores. ServiceAccounts and Secrets are read once until they change."""

    def __init__(
        self, objects: ObjectCache, stores: Store, cluster_stores: Store, namespaces: Store, policies: Policies
    ) -> None:
        self._objects, self._stores, self._cluster, self._namespaces = objects, stores, cluster_stores, namespaces
        self._policies = policies

    def manifest(self, namespace: str, ref: StoreRef) -> Manifest:
        """Raises StoreError where there is no such store."""
        cluster = ref.kind == "ClusterSecretStore"
        found = self._cluster.get(Key("", ref.name)) if cluster else self._stores.get(Key(namespace, ref.name))
        if found is None:
            where = "" if cluster else f" in namespace {namespace}"
            raise StoreError("StoreNotFound", f"{ref.kind} {ref.name} does not exist{where}", lasting=False)
        return found

    def view(self, namespace: str, ref: StoreRef) -> StoreView:
        """Service and prefix, without any call."""
        return store_view(ref, *self.provider(ref, self.manifest(namespace, ref)))

    def provider(self, ref: StoreRef, manifest: Manifest) -> tuple[Provider, SecretStoreSpec]:
        """Which provider the store reads. Raises StoreError."""
        try:
            return store_provider(manifest)
        except StoreError as problem:
            raise StoreError(problem.reason, f"{ref.kind} {ref.name}: {problem.message}") from None
        except InvalidSpecError as error:
            raise StoreError("InvalidStoreConfiguration", f"{ref.kind} {ref.name}: {error}") from None

    async def open(self, namespace: str, ref: StoreRef, *, gated: bool = True) -> OpenStore:
        """The store as `namespace` may use it. Raises StoreError; ApiError where the API server does not answer."""
        manifest = self.manifest(namespace, ref)
        provider, spec = self.provider(ref, manifest)
        view = store_view(ref, provider, spec)
        if ref.kind == "ClusterSecretStore":
            self._check_conditions(namespace, ref, manifest)
        if gated:
            self._check_ready(ref, manifest)
        identity = await provider.identity(self, namespace, ref, spec.provider)
        return OpenStore(view, ValueSource(identity, view.region, provider.name, self._retry(ref, manifest)))

    async def kept(self, resource: Resource, key: Key, *, metadata_only: bool = False) -> Manifest | None:
        """An object that credentials come from, read once until it changes. Raises ApiError."""
        return await self._objects.kept(resource, key, metadata_only=metadata_only)

    def _retry(self, ref: StoreRef, manifest: Manifest) -> Retry | None:
        try:
            return retry_of(parse(SecretStoreSpec, manifest))
        except ValueError as error:
            message = f"{ref.kind} {ref.name}: spec.retrySettings.retryInterval: {error}"
            raise StoreError("InvalidStoreConfiguration", message) from None

    def _check_ready(self, ref: StoreRef, manifest: Manifest) -> None:
        """No refresh hammers a store that was found broken, until its own reconcile finds it mended."""
        ready = find_condition(manifest.get("status") or {}, "Ready")
        if ready is not None and ready.get("status") == "False":
            detail = ready.get("message") or ready.get("reason")
            raise StoreError("StoreNotReady", f"{ref.kind} {ref.name} is not ready: {detail}", lasting=False)

    def _check_conditions(self, namespace: str, ref: StoreRef, manifest: Manifest) -> None:
        conditions = parse(SecretStoreSpec, manifest).conditions
        if not conditions:
            return
        known = self._namespaces.get(Key("", namespace)) or {"metadata": {}}
        labels: Mapping[str, str] = known["metadata"].get("labels") or {}
        for condition in conditions:
            if namespace in condition.namespaces or any(_matches(p, namespace) for p in condition.namespace_regexes):
                return
            if condition.namespace_selector is not None and selects(condition.namespace_selector, labels):
                return
        raise StoreError("StoreRefused", f"ClusterSecretStore {ref.name} does not admit namespace {namespace}")

    def allow(self, namespace: str, request: Request) -> None:
        """Raises StoreError where no TenantPolicy grants it."""
        decision = self._policies.allowed(namespace, request)
        if not decision.allowed:
            raise StoreError("Refused", decision.reason)

    def allow_key(self, namespace: str, key: RemoteKey) -> None:
        """Raises EntryError where the namespace may not read this key."""
        decision = self._policies.allowed(namespace, ReadKey(key.service, key.name))
        if not decision.allowed:
            raise EntryError("Refused", decision.reason)


def _matches(pattern: str, text: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options).search(text) is not None
    except re2.error:
        return False


STORE_RESOURCES = {"SecretStore": SECRET_STORES, "ClusterSecretStore": CLUSTER_SECRET_STORES}
