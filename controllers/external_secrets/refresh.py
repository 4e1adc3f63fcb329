"""One refresh: stores, keys, values, templates. Reads through the edges and leaves the deciding to the pure modules."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.api.core import CONFIGMAPS, SECRETS
from controllers.api.resource import Manifest
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.pools import Pools

from .coalescer import Coalescer
from .entries import Entry, Fetched, Outcome, Resolved, StoreRef, plan, resolve, store_refs
from .errors import EntryError, TemplateProblem
from .events import Interest
from .provider import Finder
from .stores import OpenStore, StoreProblem, StoreResolver
from .template import Engine, Rendered, Source, render

OPTIONAL = "secrets.inhaul.dev/optional"
"""Annotation: secretKeys, separated by commas, that may be absent."""


@dataclass(slots=True)
class Refresh:
    """What was read for one ExternalSecret."""

    resolved: Resolved
    stores: dict[StoreRef, OpenStore]
    entries: list[Entry]
    versions: set[str] = field(default_factory=set)


class Refresher:
    """Shared by all reconciles."""

    def __init__(
        self,
        kube: KubeClient,
        pools: Pools,
        resolver: StoreResolver,
        coalescer: Coalescer,
        finder: Finder,
        engine: Engine,
    ) -> None:
        self._kube, self._pools = kube, pools
        self.resolver, self.coalescer, self._finder, self._engine = resolver, coalescer, finder, engine

    def interests(self, external_secret: Manifest) -> tuple[Interest, ...]:
        """What an ExternalSecret reads, as far as its stores are known; without any call."""
        spec, namespace = external_secret.get("spec") or {}, external_secret["metadata"]["namespace"]
        views, regions = {}, {}
        try:
            for ref in store_refs(spec):
                views[ref] = self.resolver.view(namespace, ref)
                regions[ref] = self.resolver.manifest(namespace, ref)["spec"]["provider"]["aws"]["region"]
            entries = plan(spec, views)
        except (StoreProblem, KeyError):
            return ()
        out = []
        for ref, view in views.items():
            mine = [entry for entry in entries if entry.store == ref]
            keys = tuple(entry.remote for entry in mine if entry.remote is not None)
            finds = tuple((view.service, entry.find, view.prefix) for entry in mine if entry.find is not None)
            out.append(Interest(regions[ref], keys, finds, ref))
        return tuple(out)

    async def read(self, external_secret: Manifest, *, since: float) -> Refresh:
        """All values, from fetches that began at loop time `since` or later. Raises StoreProblem, ApiError."""
        meta, spec = external_secret["metadata"], external_secret.get("spec") or {}
        namespace = meta["namespace"]
        stores = {ref: await self.resolver.open(namespace, ref) for ref in store_refs(spec)}
        entries = plan(spec, {ref: store.view for ref, store in stores.items()})
        outcomes = await asyncio.gather(*(self._entry(namespace, entry, stores, since) for entry in entries))
        resolved = resolve(entries, dict(enumerate(outcomes)), render=self._engine.text)
        _forgive(resolved, external_secret)
        versions = {f.version for f in outcomes if isinstance(f, Fetched)}
        return Refresh(resolved, stores, entries, versions)

    async def _entry(
        self, namespace: str, entry: Entry, stores: Mapping[StoreRef, OpenStore], since: float
    ) -> Outcome | dict[str, Fetched]:
        store = stores[entry.store]
        try:
            if entry.remote is not None:
                self.resolver.allow_key(namespace, entry.remote)
                return await self.coalescer.get(store.source, entry.remote, since=since)
            if entry.find is None:
                return EntryError("Unsupported", "generators are not served yet")
            found = await self._finder.find(store.source, entry.find, prefix=store.view.prefix)
            return {name: value for name, value in found.items() if self._may_read(namespace, store, name)}
        except EntryError as error:
            return error

    def _may_read(self, namespace: str, store: OpenStore, name: str) -> bool:
        """A find yields what the namespace may read; the rest is as if it were not there."""
        from .params import RemoteKey

        try:
            self.resolver.allow_key(namespace, RemoteKey(store.view.service, name))
        except EntryError:
            return False
        return True

    def expect(self, refresh: Refresh, *, wait: float | None, interval: float) -> None:
        """Tells the coalescer when these keys are due again."""
        if wait is None:
            return
        due = asyncio.get_running_loop().time() + wait
        for entry in refresh.entries:
            if entry.remote is not None:
                source = refresh.stores[entry.store].source
                self.coalescer.expect(source, entry.remote, due=due, interval=interval)

    # --- templates

    async def rendered(self, external_secret: Manifest, data: Mapping[str, bytes]) -> Rendered:
        """Data, labels and annotations of the target. Raises TemplateProblem, ApiError."""
        spec = external_secret.get("spec") or {}
        template = (spec.get("target") or {}).get("template")
        if template is None:
            return render(None, data, engine=self._engine)
        namespace = external_secret["metadata"]["namespace"]
        sources: list[Source] = []
        for at, item in enumerate(template.get("templateFrom") or []):
            sources += await self._sources(namespace, item, f"spec.target.template.templateFrom[{at}]")
        return await self._pools.run("templates", lambda: render(template, data, sources, engine=self._engine))

    async def _sources(self, namespace: str, item: Mapping[str, Any], where: str) -> list[Source]:
        target = item.get("target") or "Data"
        decoding = item.get("valuesDecodingStrategy") or "None"
        if item.get("literal") is not None:
            return [Source({"literal": str(item["literal"])}, "KeysAndValues", target, decoding)]
        out = []
        for kind, resource in (("configMap", CONFIGMAPS), ("secret", SECRETS)):
            ref = item.get(kind)
            if ref is None:
                continue
            try:
                manifest = await self._kube.get(resource, ref["name"], namespace)
            except NotFound:
                raise TemplateProblem(f"{where}: {resource.kind} {ref['name']} does not exist") from None
            for wanted in ref.get("items") or []:
                text = _template_text(manifest, wanted["key"], f"{where}: {resource.kind} {ref['name']}")
                out.append(Source({wanted["key"]: text}, wanted.get("templateAs") or "Values", target, decoding))
        return out


def _template_text(manifest: Manifest, key: str, where: str) -> str:
    value = (manifest.get("data") or {}).get(key)
    if value is None:
        raise TemplateProblem(f"{where} has no key {key}")
    if manifest.get("kind") != "Secret":
        return str(value)
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        raise TemplateProblem(f"{where}: key {key} holds no text") from None


def _forgive(resolved: Resolved, external_secret: Manifest) -> None:
    """Entries that an annotation names as optional may be absent."""
    annotations = external_secret["metadata"].get("annotations") or {}
    optional = {part.strip() for part in annotations.get(OPTIONAL, "").split(",")}
    resolved.missing = [(where, error) for where, error in resolved.missing if where not in optional]
    resolved.failed = [
        (where, error)
        for where, error in resolved.failed
        if not (where in optional and error.error_class == "PropertyMissing")
    ]
