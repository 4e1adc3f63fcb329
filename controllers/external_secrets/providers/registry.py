"""The secret services that are served. A new one is a folder beside this file, and a line in `PROVIDERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from controllers.api.base import parse
from controllers.api.resource import Manifest
from controllers.api.secret_stores import SecretStoreSpec
from controllers.aws.rate_limit import Permit
from controllers.external_secrets.values.entries import Fetched, Outcome, StoreRef, StoreView
from controllers.external_secrets.values.remote_key import RemoteKey

from .fake import FAKE
from .parameter_store import PARAMETER_STORE
from .provider import Clients, PlanningProvider, Provider, SecretReader, StoreError
from .secrets_manager import SECRETS_MANAGER
from .source import ListedSecret, ValueSource

PROVIDERS: tuple[Provider, ...] = (
    SECRETS_MANAGER,
    PARAMETER_STORE,
    FAKE,
)
DEFAULT = PROVIDERS[0]
"""Taken offline for a store whose manifest is not given."""
BATCH_SIZES: Mapping[str, int] = {provider.name: provider.batch_size for provider in PROVIDERS}
_BY_NAME = {provider.name: provider for provider in PROVIDERS}


def provider_named(name: str) -> Provider:
    """Raises KeyError for a name that is not in `PROVIDERS`."""
    return _BY_NAME[name]


def planning_of(name: str) -> PlanningProvider:
    """Of a provider that has calls to plan. Raises LookupError for any other."""
    planning = _BY_NAME[name].planning
    if planning is None:
        raise LookupError(f"reading {name} needs no plan")
    return planning


def provider_of_events(source: str) -> Provider | None:
    """The provider whose changes a service of `aws.events` announces."""
    return next((provider for provider in PROVIDERS if source and provider.event_source == source), None)


def store_provider(manifest: Manifest) -> tuple[Provider, SecretStoreSpec]:
    """Which provider a store reads. Raises StoreError for what is not served or contradicts itself,
    InvalidSpecError for what is malformed."""
    spec = parse(SecretStoreSpec, manifest)
    field = next(iter((manifest["spec"].get("provider") or {}).keys()), "")
    candidates = [provider for provider in PROVIDERS if provider.field == field]
    found = next((provider for provider in candidates if provider.serves(spec.provider)), None)
    if found is not None:
        found.settings(spec.provider)
        return found, spec
    if candidates:
        service = (manifest["spec"]["provider"][field] or {}).get("service", "")
        served = ", ".join(provider.name for provider in candidates)
        raise StoreError("InvalidProviderConfig", f"service {service} is not served; served: {served}")
    served = ", ".join(dict.fromkeys(provider.field for provider in PROVIDERS))
    raise StoreError("InvalidProviderConfig", f"provider {field} is not served; served: {served}")


def store_view(ref: StoreRef, provider: Provider, spec: SecretStoreSpec) -> StoreView:
    """What resolving an ExternalSecret needs to know of a store. Raises StoreError."""
    settings = provider.settings(spec.provider)
    return StoreView(ref, provider, settings.prefix, settings.region, provider.local(spec.provider))


class Readers:
    """A `SecretReader` over all providers: each source is read by its own."""

    def __init__(self, clients: Clients) -> None:
        self._readers: dict[str, SecretReader] = {provider.name: provider.reader(clients) for provider in PROVIDERS}

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        return await self._readers[source.service].batch(source, keys)

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        return await self._readers[source.service].single(source, key)

    async def find(self, source: ValueSource, find: Mapping[str, Any], *, prefix: str) -> dict[str, Fetched]:
        return await self._readers[source.service].find(source, find, prefix=prefix)

    async def versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        return await self._readers[source.service].versions(source, prefixes)

    def gate(self, source: ValueSource, *, urgent: bool) -> AbstractAsyncContextManager[Permit]:
        return self._readers[source.service].gate(source, urgent=urgent)

    def backlog(self, source: ValueSource) -> float:
        return self._readers[source.service].backlog(source)
