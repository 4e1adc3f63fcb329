"""Who is looked at again when something else changes: targets, stores, what stores and templates stand on, generators.

Indexes over the stores of ExternalSecrets and SecretStores, so that an event about any object of the cluster costs a
look into a table, and nothing more where nobody uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from controllers.api.resource import Key, Manifest, Resource, key_of
from controllers.runtime.conditions import is_true
from controllers.runtime.controller import Controller
from controllers.runtime.store import Store

from .generators.generators import generator_name
from .providers.registry import PROVIDERS
from .refresh import template_sources
from .target.hashing import field_manager
from .target.observed import target_key
from .values.entries import StoreRef, spec_or_empty, store_refs

SourceChanged = Callable[[Key, datetime | None], None]


class Triggers:
    """`controllers`: those of ExternalSecret, SecretStore and ClusterSecretStore, by kind."""

    def __init__(self, controllers: Mapping[str, Controller]) -> None:
        self._secrets = controllers["ExternalSecret"]
        self._stores = (controllers["SecretStore"], controllers["ClusterSecretStore"])
        store = self._secrets.store
        store.index("target", lambda manifest: [str(target_key(manifest))])
        store.index("store", _stores_of)
        store.index("source", _sources_of)
        store.index("generator", _generators_of)
        for each in self._stores:
            each.store.index("credentials", _credentials_of)

    def owner(self, target: Key) -> None:
        """A target Secret came, went or became another."""
        self._wake("target", str(target))

    def manager_of(self, target: Key) -> str:
        """The field manager of the ExternalSecret that a target belongs to."""
        found = self._secrets.store.by_index("target", str(target))
        return field_manager(found[0]["metadata"]["name"] if found else target.name)

    def users(self, ref: StoreRef, namespace: str) -> None:
        """A store has another answer."""
        self._wake("store", _store_name(ref, namespace))

    def object(self, resource: Resource, key: Key, moment: datetime | None, tell: SourceChanged) -> None:
        """An object that stores or templates may stand on came, went or became another."""
        name = _name(resource, key)
        for secret in self._secrets.store.by_index("source", name):
            tell(key_of(secret), moment)
        for controller in self._stores:
            for store in controller.store.by_index("credentials", name):
                controller.queue.changed(key_of(store))

    def policies(self) -> None:
        """TenantPolicies are others: who was refused may be granted it, and a store may be no longer."""
        for controller in self._stores:
            for store in controller.store.list():
                controller.queue.changed(key_of(store))
        for secret in self._secrets.store.list():
            if not is_true(secret.get("status"), "Ready"):
                self._secrets.queue.changed(key_of(secret))

    def listen(self, kind: str, generators: Store) -> None:
        """Hears of a kind of generators from now on."""

        def changed(before: Manifest | None, after: Manifest | None) -> None:
            manifest = after or before or {}
            if before is None or after is None or before.get("spec") != after.get("spec"):
                meta = manifest["metadata"]
                self._wake("generator", generator_name(meta.get("namespace", ""), kind, meta["name"]))

        generators.subscribe(changed)

    def _wake(self, index: str, value: str) -> None:
        for secret in self._secrets.store.by_index(index, value):
            self._secrets.queue.changed(key_of(secret))


def _name(resource: Resource, key: Key) -> str:
    return f"{resource.plural}/{key}"


def _store_name(ref: StoreRef, namespace: str) -> str:
    return f"{ref.kind}/{'' if ref.kind == 'ClusterSecretStore' else namespace}/{ref.name}"


def _stores_of(manifest: Manifest) -> list[str]:
    namespace = manifest["metadata"]["namespace"]
    return [_store_name(ref, namespace) for ref in store_refs(spec_or_empty(manifest))]


def _sources_of(manifest: Manifest) -> list[str]:
    sources = template_sources(manifest["metadata"]["namespace"], spec_or_empty(manifest))
    return [_name(*source) for source in sources]


def _generators_of(manifest: Manifest) -> list[str]:
    sources = [entry.source_ref for entry in spec_or_empty(manifest).data_from]
    refs = [source.generator_ref for source in sources if source is not None and source.generator_ref is not None]
    return [generator_name(manifest["metadata"]["namespace"], ref.kind, ref.name) for ref in refs]


def _credentials_of(store: Manifest) -> list[str]:
    """The objects that a store's credentials come from, where it names their namespace."""
    named = (store.get("spec") or {}).get("provider") or {}
    found = [each for provider in PROVIDERS if provider.field in named for each in provider.depends_on(store)]
    return list(dict.fromkeys(_name(*each) for each in found))
