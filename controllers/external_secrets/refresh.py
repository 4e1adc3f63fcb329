"""One refresh: stores, keys, values, templates. Reads through the edges and leaves the deciding to the pure modules."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from controllers.api.base import InvalidSpecError, parse
from controllers.api.core import CONFIGMAPS, SECRETS, secret_data
from controllers.api.external_secrets import ExternalSecretSpec, GeneratorRef, TemplateFrom, TemplateRef
from controllers.api.resource import Key, Manifest, Resource
from controllers.runtime.pools import Pools

from .events.match import Subscription
from .fetch.coalescer import Coalescer
from .fetch.limit import AdmissionLimit
from .fetch.object_cache import ObjectCache
from .fetch.stores import OpenStore, StoreResolver
from .generators import renewal as generated
from .generators.generators import Generators
from .generators.renewal import GeneratedRecord
from .providers.provider import StoreError
from .providers.registry import Readers
from .target.desired import target_valid
from .target.observed import target_key
from .target.template import Engine, Rendered, TemplateSource, render
from .values.entries import Entry, Fetched, Outcome, Resolved, StoreRef, StoreView, plan, resolve, store_refs
from .values.errors import EntryError, SpecError, TargetTemplateError
from .values.remote_key import RemoteKey

OPTIONAL = "secrets.inhaul.dev/optional"
"""Annotation: secretKeys, separated by commas, that may be absent."""


@dataclass(slots=True)
class Refresh:
    """What was read for one ExternalSecret."""

    resolved: Resolved
    stores: dict[StoreRef, OpenStore]
    entries: list[Entry]
    versions: set[str] = field(default_factory=set)
    made: dict[str, GeneratedRecord] = field(default_factory=dict)
    """By entry: when what a generator made was made."""
    values: dict[str, dict[str, bytes]] = field(default_factory=dict, repr=False)
    """By entry: what it made."""

    def state(self, data: Mapping[str, bytes]) -> str:
        """The annotation about generated values, for a target that will hold `data`."""
        made = {at: replace(each, keys=generated.kept_under(self.values[at], data)) for at, each in self.made.items()}
        return generated.dump(made)


class Refresher:
    """Shared by all reconciles."""

    def __init__(
        self,
        reads: ObjectCache,
        pools: Pools,
        resolver: StoreResolver,
        coalescer: Coalescer,
        finder: Readers,
        engine: Engine,
        generators: Generators,
        *,
        admission: AdmissionLimit | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reads, self._pools, self._clock, self._admission = reads, pools, clock, admission or AdmissionLimit()
        self.resolver, self.coalescer, self._finder, self._engine = resolver, coalescer, finder, engine
        self._generators = generators
        self._values: dict[str, dict[str, tuple[GeneratedRecord, dict[str, bytes]]]] = {}  # by uid, then entry

    def interests(self, external_secret: Manifest) -> tuple[Subscription, ...]:
        """What an ExternalSecret reads, as far as its stores are known; without any call."""
        namespace = external_secret["metadata"]["namespace"]
        views: dict[StoreRef, StoreView] = {}
        try:
            spec = parse(ExternalSecretSpec, external_secret)
            for ref in store_refs(spec):
                views[ref] = self.resolver.view(namespace, ref)
            entries = plan(spec, views)
        except (InvalidSpecError, StoreError, SpecError):
            return ()
        out = []
        for ref, view in views.items():
            mine = [entry for entry in entries if entry.store == ref]
            keys = tuple(entry.remote for entry in mine if entry.remote is not None)
            finds = tuple((view.service.name, entry.find, view.prefix) for entry in mine if entry.find is not None)
            out.append(Subscription(view.region, keys, finds, ref))
        return tuple(out)

    async def read(self, external_secret: Manifest, *, since: float, known: Mapping[str, GeneratedRecord]) -> Refresh:
        """All values, from fetches that began at loop time `since` or later; what generators made before stands until
        its time is over (`known`: what the target says of it). Raises StoreError, SpecError, ApiError, Backpressure."""
        meta, spec = external_secret["metadata"], parse(ExternalSecretSpec, external_secret)
        namespace = meta["namespace"]
        stores = {ref: await self.resolver.open(namespace, ref) for ref in store_refs(spec)}
        entries = plan(spec, {ref: store.view for ref, store in stores.items()})
        sources = {store.source for store in stores.values()}
        self._admission.check(sources)
        made = {
            entry.where: asyncio.ensure_future(self._made(external_secret, entry.where, entry.generator, known))
            for entry in entries
            if entry.generator is not None
        }
        with self._admission.inside(sources):
            outcomes = await asyncio.gather(
                *(
                    self._entry(meta, entry, stores, since)
                    if entry.generator is None
                    else _values_of(made[entry.where])
                    for entry in entries
                )
            )
        resolved = resolve(entries, dict(enumerate(outcomes)), render=self._engine.text)
        forgive(resolved, external_secret)
        refresh = Refresh(resolved, stores, entries, versions_of(outcomes))
        for where, task in made.items():
            if isinstance(result := task.result(), tuple):
                refresh.made[where], refresh.values[where] = result[0], _plain(result[1])
        return refresh

    async def _entry(
        self, meta: Mapping[str, Any], entry: Entry, stores: Mapping[StoreRef, OpenStore], since: float
    ) -> Outcome | dict[str, Fetched]:
        namespace, store = meta["namespace"], stores[entry.store]
        try:
            if entry.remote is not None:
                self.resolver.allow_key(namespace, entry.remote)
                return await self.coalescer.get(store.source, entry.remote, since=since, asker=meta["uid"])
            found = await self._finder.find(store.source, entry.find or {}, prefix=store.view.prefix)
            return {name: value for name, value in found.items() if self._may_read(namespace, store, value.name)}
        except EntryError as error:
            return error

    # --- generators

    def recipes(self, external_secret: Manifest) -> dict[str, str]:
        """By entry: the recipe of what its generator would make now, where that can be told."""
        out = {}
        for at, entry in enumerate(parse(ExternalSecretSpec, external_secret).data_from):
            ref = entry.source_ref.generator_ref if entry.source_ref is not None else None
            if ref is not None:
                try:
                    recipe = self._generators.recipe(external_secret["metadata"]["namespace"], ref)
                    out[f"spec.dataFrom[{at}]"] = recipe
                except EntryError:
                    continue
        return out

    async def _made(
        self, external_secret: Manifest, where: str, ref: GeneratorRef, known: Mapping[str, GeneratedRecord]
    ) -> tuple[GeneratedRecord, Mapping[str, Fetched]] | EntryError:
        """An entry's generated values: those of before where they stand and are to be had, else new ones."""
        meta, now = external_secret["metadata"], self._clock()
        namespace, uid = meta["namespace"], meta["uid"]
        try:
            recipe = self._generators.recipe(namespace, ref)
            force = generated.force_of(meta.get("annotations") or {}, now)
            held = self._values.get(uid, {}).get(where)
            before = held[0] if held is not None else known.get(where)
            spec = parse(ExternalSecretSpec, external_secret)
            if before and generated.stands(before, recipe=recipe, force=force, spec=spec, uid=uid, now=now):
                values = held[1] if held is not None else await self._from_target(external_secret, before)
                if values:
                    self._values.setdefault(uid, {})[where] = (before, values)
                    shown = f"{ref.kind} {ref.name}"
                    return before, {name: Fetched(value, name=name, generator=shown) for name, value in values.items()}
            fresh = await self._generators.make(namespace, ref)
        except EntryError as error:
            return error
        except StoreError as problem:
            return EntryError("Refused" if problem.reason == "Refused" else "Credentials", problem.message)
        made = GeneratedRecord(now, recipe, force, fresh.expires)
        self._values.setdefault(uid, {})[where] = (made, _plain(fresh.values))
        return made, fresh.values

    async def _from_target(self, external_secret: Manifest, made: GeneratedRecord) -> dict[str, bytes]:
        """The generated values as the target holds them, where it is as we left it; {} where they cannot be told."""
        live = await self._reads.read_tracked(SECRETS, target_key(external_secret)) if made.keys else None
        if live is None or not target_valid(live, "Owner"):
            return {}
        data = secret_data(live)
        found = {name: data[key] for name, key in made.keys.items() if key in data}
        return found if found.keys() == made.keys.keys() else {}

    def forget(self, uid: str) -> None:
        """The ExternalSecret is gone."""
        self._values.pop(uid, None)

    def _may_read(self, namespace: str, store: OpenStore, name: str) -> bool:
        """A find yields what the namespace may read; the rest is as if it were not there."""
        try:
            self.resolver.allow_key(namespace, RemoteKey(store.source.service, name))
        except EntryError:
            return False
        return True

    def expect(self, refresh: Refresh, *, uid: str, wait: float | None, interval: float) -> None:
        """Tells the coalescer when the ExternalSecret of this uid wants these keys again."""
        if wait is None:
            return
        due = asyncio.get_running_loop().time() + wait
        for entry in refresh.entries:
            if entry.remote is not None:
                source = refresh.stores[entry.store].source
                self.coalescer.expect(source, entry.remote, due=due, interval=interval, asker=uid)

    # --- templates

    async def rendered(self, external_secret: Manifest, data: Mapping[str, bytes]) -> Rendered:
        """Data, labels and annotations of the target. Raises TargetTemplateError, ApiError."""
        template = parse(ExternalSecretSpec, external_secret).target.template
        if template is None:
            return render(None, data, engine=self._engine)
        namespace = external_secret["metadata"]["namespace"]
        sources: list[TemplateSource] = []
        for at, item in enumerate(template.template_from):
            sources += await self._sources(namespace, item, f"spec.target.template.templateFrom[{at}]")
        return await self._pools.run("templates", lambda: render(template, data, sources, engine=self._engine))

    async def _sources(self, namespace: str, item: TemplateFrom, where: str) -> list[TemplateSource]:
        target, decoding = item.target or "Data", item.values_decoding_strategy
        if item.literal is not None:
            return [TemplateSource({"literal": item.literal}, "KeysAndValues", target, decoding)]
        out = []
        for resource, ref in template_refs(item):
            manifest = await self._reads.read_tracked(resource, Key(namespace, ref.name))
            if manifest is None:
                raise TargetTemplateError(f"{where}: {resource.kind} {ref.name} does not exist")
            for each in ref.items:
                text = template_text(manifest, each.key, f"{where}: {resource.kind} {ref.name}")
                out.append(TemplateSource({each.key: text}, each.template_as, target, decoding))
        return out


def template_refs(item: TemplateFrom) -> list[tuple[Resource, TemplateRef]]:
    both = ((CONFIGMAPS, item.config_map), (SECRETS, item.secret))
    return [(resource, ref) for resource, ref in both if ref is not None]


def template_sources(namespace: str, spec: ExternalSecretSpec) -> list[tuple[Resource, Key]]:
    """The ConfigMaps and Secrets whose templates an ExternalSecret of this namespace uses."""
    items = spec.target.template.template_from if spec.target.template is not None else ()
    return [(resource, Key(namespace, ref.name)) for item in items for resource, ref in template_refs(item)]


async def _values_of(
    task: asyncio.Future[tuple[GeneratedRecord, Mapping[str, Fetched]] | EntryError],
) -> EntryError | dict[str, Fetched]:
    found = await task
    return found if isinstance(found, EntryError) else dict(found[1])


def versions_of(outcomes: Iterable[Outcome | Mapping[str, Fetched]]) -> set[str]:
    """Every version that was read, also those that a find found."""
    fetched: list[Fetched] = []
    for outcome in outcomes:
        if isinstance(outcome, Fetched):
            fetched.append(outcome)
        elif isinstance(outcome, Mapping):
            fetched += outcome.values()
    return {each.version for each in fetched if each.version}


def _plain(values: Mapping[str, Fetched]) -> dict[str, bytes]:
    return {name: each.value for name, each in values.items() if each.value is not None}


def template_text(manifest: Manifest, key: str, where: str) -> str:
    value = (manifest.get("data") or {}).get(key)
    if value is None:
        raise TargetTemplateError(f"{where} has no key {key}")
    if manifest.get("kind") != "Secret":
        return str(value)
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        raise TargetTemplateError(f"{where}: key {key} holds no text") from None


def forgive(resolved: Resolved, external_secret: Manifest) -> None:
    """Entries that an annotation names as optional may be absent."""
    annotations = external_secret["metadata"].get("annotations") or {}
    optional = {part.strip() for part in annotations.get(OPTIONAL, "").split(",")}
    resolved.missing = [(where, error) for where, error in resolved.missing if where not in optional]
    resolved.failed = [
        (where, error)
        for where, error in resolved.failed
        if not (where in optional and error.error_class == "PropertyMissing")
    ]
