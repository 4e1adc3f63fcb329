"""Registers External Secrets: its kinds, the watch of target Secrets, the indexes that wake, the event consumer."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial

from controllers.api.core import NAMESPACES, SECRETS
from controllers.api.external_secrets import (
    CLUSTER_EXTERNAL_SECRETS,
    CLUSTER_SECRET_STORES,
    EXTERNAL_SECRETS,
    PUSH_SECRETS,
    SECRET_STORES,
)
from controllers.api.push_secrets import CLUSTER_PUSH_SECRETS
from controllers.api.resource import Key, Manifest, Resource, key_of
from controllers.aws.ecr import EcrLogins
from controllers.aws.identity import OWN, Identities
from controllers.aws.settings import AwsSettings
from controllers.aws.sqs import Consumer
from controllers.restart import watch as restart_watch
from controllers.restart.watch import RestartSettings
from controllers.runtime.conditions import EXTERNAL_SECRETS as STYLE
from controllers.runtime.controller import Controller, Reconcile
from controllers.runtime.manager import Manager
from controllers.runtime.ownership import SHARD_LABEL
from controllers.runtime.result import Result
from controllers.templating import EXTERNAL_SECRETS as FUNCTIONS
from controllers.templating import Chance, with_chance

from .cluster_reconcile import ClusterReconciler
from .events.consumer import EventHandler
from .events.sweeper import Sweeper
from .fetch.coalescer import Coalescer
from .fetch.limit import AdmissionLimit
from .fetch.object_cache import ObjectCache
from .fetch.stores import StoreResolver
from .generators.generators import SERVED as SERVED_GENERATORS
from .generators.generators import Generators
from .metrics import Meters
from .providers.provider import Clients
from .providers.registry import Readers
from .push_secrets import UnservedReconciler
from .reconcile import ExternalSecretReconciler, changed_since
from .refresh import Refresher, template_sources
from .settings import ExternalSecretsSettings
from .store_reconcile import StoreReconciler
from .target.desired import MANAGED
from .target.observed import Targets
from .target.template import Engine
from .target.writer import TargetWriter
from .triggers import Triggers
from .values.entries import spec_or_empty

SETTINGS = (ExternalSecretsSettings, AwsSettings, RestartSettings)


def register(manager: Manager) -> None:
    with manager.scope("external-secrets"):
        _register(manager, manager.settings.group(ExternalSecretsSettings))
        restart_watch.register(manager)


def _register(manager: Manager, options: ExternalSecretsSettings) -> None:
    meters = Meters(manager.metrics)
    settings = manager.settings.group(AwsSettings)
    identities = Identities(manager.pools, manager.kube, settings=settings, observe=meters.called)
    meters.rate_limits(identities.rate_limits)
    clients = Clients(identities)
    reader = Readers(clients)
    coalescer = Coalescer(reader, window=options.window, gate=reader.gate, observe=meters.batch)
    reconcilers: dict[str, Reconcile] = {}
    controllers = _controllers(manager, options, reconcilers)
    controller = controllers["ExternalSecret"]
    triggers = Triggers(controllers)
    manager.policies.subscribe(triggers.policies)
    targets = Targets(triggers.manager_of, triggers.owner)

    def told(resource: Resource, key: Key, moment: datetime | None) -> None:
        triggers.object(resource, key, moment, tell=reconciler.source_changed)

    reads = ObjectCache(manager.kube, manager.watch, told)
    stores = (manager.store(SECRET_STORES), manager.store(CLUSTER_SECRET_STORES))
    resolver = StoreResolver(reads, *stores, manager.store(NAMESPACES), manager.policies)
    generators = _generators(manager, triggers, resolver, identities)
    admission, engine = AdmissionLimit(reader.backlog), _engine(options)
    refresher = Refresher(reads, manager.pools, resolver, coalescer, reader, engine, generators, admission=admission)
    writer = TargetWriter(manager.kube, targets)
    reconciler: ExternalSecretReconciler = ExternalSecretReconciler(
        manager.kube, refresher, targets, writer, meters, controller=lambda: controller
    )
    controller.store.subscribe(partial(_on_sight, controller, reconciler, reads))
    meters.fresh(controller.store.list)
    reconcilers["ExternalSecret"] = reconciler
    for kind in ("SecretStore", "ClusterSecretStore"):
        find = partial(controllers.__getitem__, kind)
        reconcilers[kind] = StoreReconciler(manager.kube, resolver, clients, triggers.users, controller=find)
    _register_others(manager, controllers, reconcilers)
    interests, floor = reconciler.all_interests, options.sweep_floor
    sweeper = Sweeper(manager.kube, controller.store, stores, resolver, reader, interests, meters, floor=floor)
    manager.task("version sweep", sweeper.run)
    manager.watch(SECRETS, targets.on_event, label_selector=f"{MANAGED}=true")
    if options.queue_url:
        lookup, changes = controller.store.get, lambda: reconciler.interest_changes
        handler = EventHandler(manager.kube, interests, lookup, coalescer, meters, changes=changes)
        manager.task("secret events", _consumer(options, identities, handler).run)


def _controllers(
    manager: Manager, options: ExternalSecretsSettings, reconcilers: dict[str, Reconcile]
) -> dict[str, Controller]:
    """The controllers of ExternalSecret and the stores, by kind; what they call comes into `reconcilers` later."""

    async def reconcile(kind: str, key: Key) -> Result:
        return await reconcilers[kind](key)

    concurrent = {EXTERNAL_SECRETS: options.concurrent, SECRET_STORES: 8, CLUSTER_SECRET_STORES: 8}
    return {
        resource.kind: manager.controller(
            resource, partial(reconcile, resource.kind), max_concurrent=count, style=STYLE
        )
        for resource, count in concurrent.items()
    }


def _generators(manager: Manager, triggers: Triggers, resolver: StoreResolver, identities: Identities) -> Generators:
    stores = {resource.kind: manager.store(resource) for resource in SERVED_GENERATORS}
    for kind, store in stores.items():
        triggers.listen(kind, store)
    return Generators(stores, resolver, EcrLogins(identities))


def _engine(options: ExternalSecretsSettings) -> Engine:
    chance = Chance(random=os.urandom, now=lambda: datetime.now(UTC))
    return Engine(with_chance(FUNCTIONS, chance), (options.left_delimiter, options.right_delimiter))


def _consumer(options: ExternalSecretsSettings, identities: Identities, handler: EventHandler) -> Consumer:
    return Consumer(
        identities,
        OWN,
        options.queue_url,
        handler,
        region=options.queue_region,
        wait=options.queue_wait,
        visibility=options.queue_visibility,
    )


def _on_sight(
    controller: Controller,
    reconciler: ExternalSecretReconciler,
    reads: ObjectCache,
    before: Manifest | None,
    after: Manifest | None,
) -> None:
    """A listener of ExternalSecrets. A start: what was announced or edited while nobody ran goes before the mass that
    is as it was."""
    if before is None or after is None:
        reconciler.interest_changes += 1
    if after is not None:
        for source, _ in template_sources(after["metadata"]["namespace"], spec_or_empty(after)):
            reads.watch(source)
    if before is None and after is not None and changed_since(after):
        controller.queue.changed(key_of(after))


def _register_others(manager: Manager, controllers: dict[str, Controller], reconcilers: dict[str, Reconcile]) -> None:
    """Kinds that need not be served: ClusterExternalSecret, and those that are answered and no more."""
    claim = manager.settings.claim
    # Upstream knows no switch for these kinds: beside it, those alone are ours that say so.
    selector = f"{SHARD_LABEL}={claim.name}" if claim.mode == "labelled" else ""
    for resource in (CLUSTER_EXTERNAL_SECRETS, PUSH_SECRETS, CLUSTER_PUSH_SECRETS):
        find = partial(controllers.__getitem__, resource.kind)
        if resource == CLUSTER_EXTERNAL_SECRETS:
            children, namespaces = controllers["ExternalSecret"].store, manager.store(NAMESPACES)
            fan_out = ClusterReconciler(manager.kube, children, namespaces, manager.status, controller=find)
            reconcilers[resource.kind] = fan_out
        else:
            reconcilers[resource.kind] = UnservedReconciler(manager.kube, find)
        controllers[resource.kind] = manager.controller(
            resource, reconcilers[resource.kind], style=STYLE, label_selector=selector, optional=True
        )
    fan_out.listen()
