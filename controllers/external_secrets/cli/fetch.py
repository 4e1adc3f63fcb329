"""Values read from AWS for `inhaul secrets diff --fetch`, as whoever runs it: the SDK's usual chain of credentials.

Not as the store: its role trusts the controller and not a person's laptop. What IAM refuses to you is told as it would
be to the controller. The values stay in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from controllers.api.base import parse
from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Manifest
from controllers.aws.identity import Identities
from controllers.aws.settings import AwsSettings
from controllers.external_secrets.fetch.coalescer import Coalescer
from controllers.external_secrets.providers.provider import Clients
from controllers.external_secrets.providers.registry import Readers, store_provider
from controllers.external_secrets.providers.source import ValueSource
from controllers.external_secrets.refresh import forgive
from controllers.external_secrets.values.entries import (
    Entry,
    Fetched,
    Outcome,
    Resolved,
    StoreRef,
    StoreView,
    plan,
    resolve,
)
from controllers.external_secrets.values.errors import EntryError
from controllers.runtime.kube import KubeClient
from controllers.runtime.pools import Pools
from controllers.runtime.settings import Settings

from .render import engine


async def fetched(
    kube: KubeClient,
    manifest: Manifest,
    views: Mapping[StoreRef, StoreView],
    stores: Mapping[StoreRef, Manifest | None],
) -> Resolved:
    """All values that an ExternalSecret asks for, batched as the controller does. Raises SpecError."""
    settings = Settings.from_args([])
    pools = Pools(settings.pool)
    try:
        reader = Readers(Clients(Identities(pools, kube, settings=settings.group(AwsSettings))))
        coalescer = Coalescer(reader, gate=reader.gate)
        sources = {ref: _source(view, stores.get(ref) or {}) for ref, view in views.items()}
        entries = plan(parse(ExternalSecretSpec, manifest), views)
        outcomes = await asyncio.gather(*(_outcome(reader, coalescer, sources, views, entry) for entry in entries))
    finally:
        pools.close()
    resolved = resolve(entries, dict(enumerate(outcomes)), render=engine().text)
    forgive(resolved, manifest)
    return resolved


def _source(view: StoreView, store: Manifest) -> ValueSource:
    provider, spec = store_provider(store)
    return ValueSource(provider.caller_identity(spec.provider), view.region, provider.name)


async def _outcome(
    reader: Readers,
    coalescer: Coalescer,
    sources: Mapping[StoreRef, ValueSource],
    views: Mapping[StoreRef, StoreView],
    entry: Entry,
) -> Outcome | dict[str, Fetched]:
    try:
        if entry.remote is not None:
            return await coalescer.get(sources[entry.store], entry.remote, since=0.0)
        if entry.find is None:
            return EntryError("UnsupportedField", "generators create new values each time and cannot be compared")
        return await reader.find(sources[entry.store], entry.find, prefix=views[entry.store].prefix)
    except EntryError as error:
        return error
