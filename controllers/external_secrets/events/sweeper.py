"""Runs version sweeps: for each store that asks for it by annotation, once per identity, region and service.

Reads the stores and ExternalSecrets from memory, the targets' provenance by one LIST of metadata, the versions from
AWS; `sweep` compares. Who has news gets `force-sync`, as by an event. A sweep that fails is tried again at the next
interval and says so in the log and metrics; nothing else depends on it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from controllers.api.core import SECRETS
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.timestamps import timestamp_or_none
from controllers.external_secrets.fetch.stores import StoreResolver, is_ours
from controllers.external_secrets.metrics import Meters
from controllers.external_secrets.providers.provider import StoreError
from controllers.external_secrets.providers.source import ListedSecret, ValueSource
from controllers.external_secrets.target.desired import MANAGED, PROVENANCE
from controllers.external_secrets.target.observed import target_key
from controllers.external_secrets.values.entries import StoreRef, spec_or_empty, store_refs
from controllers.external_secrets.values.errors import EntryError
from controllers.runtime.kube import ApiError, KubeClient
from controllers.runtime.queue import URGENT
from controllers.runtime.store import Store

from . import version_diff as sweep
from .consumer import Forcer
from .match import Subscription
from .version_diff import ANNOTATION, Listing, Subscriber, SweepState

log = logging.getLogger(__name__)
_LOOK = 15.0  # seconds between two looks at the stores' annotations
_FEW = 20  # namespaces up to which each is listed, and not the cluster
_YIELD = 200  # objects between two pauses, so that the loop is not held


class Lister(Protocol):
    async def versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]: ...


@dataclass(frozen=True, slots=True)
class _Asks:
    """A store that is swept, as one namespace uses it."""

    ref: StoreRef
    namespace: str
    interval: float


@dataclass(slots=True)
class _Round:
    """What one source is swept for."""

    interval: float
    refs: set[tuple[str, StoreRef]]  # namespace, store


class Sweeper:
    """`await run()`, on the leader."""

    def __init__(
        self,
        kube: KubeClient,
        external_secrets: Store,
        stores: Sequence[Store],
        resolver: StoreResolver,
        lister: Lister,
        interests: Callable[[], Iterable[tuple[Key, tuple[Subscription, ...]]]],
        meters: Meters,
        *,
        floor: float,
    ) -> None:
        self._kube, self._external_secrets, self._stores = kube, external_secrets, stores
        self._resolver, self._lister, self._interests = resolver, lister, interests
        self._meters, self._floor = meters, floor
        self._force = Forcer(kube, external_secrets.get)
        self._asked: list[_Asks] = []
        self._next: dict[ValueSource, float] = {}
        self._memory: dict[tuple[ValueSource, Key], SweepState] = {}
        self._refused: dict[str, str] = {}

    async def run(self) -> None:
        URGENT.set(False)
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            pause = await self.tick(monotonic())

    async def tick(self, now: float) -> float:
        """Sweeps what is due. Seconds until the next look."""
        asks = self._asks()
        if not asks:
            self._next.clear()
            self._memory.clear()
            return _LOOK
        if not self._next or min(self._next.values()) <= now or asks != self._asked:
            self._asked, rounds = asks, await self._rounds(asks)
            for source in self._next.keys() - rounds.keys():
                del self._next[source]
            for source, each in rounds.items():
                first = now + each.interval * _share(f"{source}")
                self._next[source] = min(self._next.get(source, first), now + each.interval)
                if self._next[source] <= now:
                    await self._sweep(source, each)
                    self._next[source] = now + each.interval * (0.95 + 0.1 * _share(f"{source}{now}"))
        soonest = min(self._next.values(), default=now + _LOOK)
        return min(_LOOK, max(0.2, soonest - monotonic()))

    # --- what is swept

    def _asks(self) -> list[_Asks]:
        found = []
        users: dict[StoreRef, set[str]] | None = None
        for store in self._stores:
            for manifest in store.list():
                interval = self._interval(manifest)
                if not interval or not is_ours(manifest):
                    continue
                ref = StoreRef(manifest["kind"], manifest["metadata"]["name"])
                namespaces = {manifest["metadata"].get("namespace") or ""}
                if ref.kind == "ClusterSecretStore":
                    users = self._users() if users is None else users
                    namespaces = users.get(ref, set())
                found += [_Asks(ref, namespace, interval) for namespace in sorted(namespaces)]
        return found

    def _interval(self, manifest: Manifest) -> float:
        meta = manifest["metadata"]
        given = (meta.get("annotations") or {}).get(ANNOTATION, "")
        name = f"{manifest['kind']} {meta.get('namespace', '')}/{meta['name']}"
        try:
            interval = sweep.interval_of(given, floor=self._floor)
        except ValueError as error:
            self._say(name, f"{ANNOTATION}: {error}; no sweep")
            return 0.0
        if given:
            self._refused.pop(name, None)
        return interval

    def _users(self) -> dict[StoreRef, set[str]]:
        """Cluster stores → namespaces that use them."""
        found: dict[StoreRef, set[str]] = defaultdict(set)
        for manifest in self._external_secrets.list():
            for ref in store_refs(spec_or_empty(manifest)):
                if ref.kind == "ClusterSecretStore":
                    found[ref].add(manifest["metadata"]["namespace"])
        return found

    async def _rounds(self, asks: Iterable[_Asks]) -> dict[ValueSource, _Round]:
        rounds: dict[ValueSource, _Round] = {}
        for ask in asks:
            name = f"{ask.ref.kind} {ask.namespace}/{ask.ref.name}, opened"
            try:
                source = (await self._resolver.open(ask.namespace, ask.ref)).source
            except (StoreError, ApiError) as error:
                self._say(name, f"not swept: {error.message}")
                continue
            self._refused.pop(name, None)
            known = rounds.setdefault(source, _Round(ask.interval, set()))
            known.interval = min(known.interval, ask.interval)
            known.refs.add((ask.namespace, ask.ref))
        return rounds

    # --- one sweep

    async def _sweep(self, source: ValueSource, each: _Round) -> None:
        readers = self._readers(each.refs)
        began, label = monotonic(), source.service
        if not readers:
            return
        try:
            started = datetime.now(UTC).replace(microsecond=0)
            prefixes = sweep.prefixes(interest for interests in readers.values() for interest in interests)
            listing = Listing(source.service, await self._lister.versions(source, prefixes))
            told = await self._tell(source, listing, readers, started)
        except (EntryError, ApiError) as error:
            name = getattr(error, "error_class", "ApiError")
            self._say(f"{source}", f"sweep of {source.service} in {source.region} failed: {error.message}")
            self._meters.swept(label, name, monotonic() - began)
            return
        self._refused.pop(f"{source}", None)
        self._meters.swept(label, "ok", monotonic() - began)
        log.info("swept %d of %s: %d ExternalSecrets look again", len(listing.listed), source.service, told)

    def _readers(self, refs: set[tuple[str, StoreRef]]) -> dict[Key, tuple[Subscription, ...]]:
        """ExternalSecrets that read by these stores, and what of it."""
        found = {}
        for key, interests in self._interests():
            mine = tuple(item for item in interests if item.store and (key.namespace, item.store) in refs)
            if mine:
                found[key] = mine
        return found

    async def _tell(
        self, source: ValueSource, listing: Listing, readers: Mapping[Key, tuple[Subscription, ...]], started: datetime
    ) -> int:
        provenance = await self._provenance({key.namespace for key in readers})
        told, now = 0, datetime.now(UTC)
        for at, (key, interests) in enumerate(readers.items()):
            if at % _YIELD == 0:
                await asyncio.sleep(0)
            manifest = self._external_secrets.get(key)
            refreshed = _refreshed(manifest)
            if manifest is None or refreshed is None or refreshed >= started:
                continue  # it knows better than this listing, or soon will
            memory = self._memory.setdefault((source, key), SweepState())
            reader = Subscriber(interests, provenance.get(target_key(manifest), {}), refreshed)
            if (found := sweep.news(listing, reader, memory, now=now)) is not None:
                self._meters.sweep_news.labels(found.why).inc()
                told += 1
                try:
                    await self._force(key, found.mark)
                except ApiError:
                    del self._memory[source, key]  # or nobody would ever hear of it
                    raise
        for known in [known for known in self._memory if known[0] == source and known[1] not in readers]:
            del self._memory[known]
        return told

    async def _provenance(self, namespaces: set[str]) -> dict[Key, dict[str, frozenset[str]]]:
        """Target → what it was made of."""
        found: dict[Key, dict[str, frozenset[str]]] = {}
        for namespace in sorted(namespaces) if len(namespaces) <= _FEW else [""]:
            selector = f"{MANAGED}=true"
            listed = await self._kube.list(SECRETS, namespace, label_selector=selector, metadata_only=True)
            for at, secret in enumerate(listed.items):
                if at % _YIELD == 0:
                    await asyncio.sleep(0)
                annotation = (secret["metadata"].get("annotations") or {}).get(PROVENANCE, "")
                found[key_of(secret)] = sweep.provenance(annotation)
        return found

    def _say(self, about: str, message: str) -> None:
        """A warning, once for as long as it stands."""
        if self._refused.get(about) != message:
            log.warning("%s: %s", about.partition(",")[0] if about.startswith(("Sec", "Clu")) else "sweep", message)
        self._refused[about] = message


def _refreshed(manifest: Manifest | None) -> datetime | None:
    return timestamp_or_none(((manifest or {}).get("status") or {}).get("refreshTime"))


def _share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: sweeps of different stores are spread over their interval."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
