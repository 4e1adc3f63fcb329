"""Registers Kustomizations with a manager, and which changes requeue them. No rule is decided here."""

from __future__ import annotations

from functools import partial

from controllers.api.core import CONFIGMAPS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Key, Manifest, key_of
from controllers.aws.settings import AwsSettings
from controllers.git.process import Git
from controllers.kustomization.objects.references import configs_of, dependencies_of, source_of
from controllers.kustomization.settings import KustomizationSettings
from controllers.runtime.conditions import find
from controllers.runtime.controller import Controller
from controllers.runtime.kube import WatchEvent
from controllers.runtime.manager import Manager
from controllers.sops.service import SopsService
from controllers.sops.settings import SopsSettings
from controllers.sources import kinds

from .build.inputs import Decryption
from .builder import Builder
from .drift_status import DriftMetrics, DriftReport
from .health.cel_evaluator import Evaluator
from .metrics import Meters
from .reconcile import Reconciler
from .watch.owned import OwnedObjects
from .watch.source_changes import SourceWaker

WATCHED = "reconcile.fluxcd.io/watch=Enabled"
"""Label of Secrets and ConfigMaps whose change wakes the Kustomizations that name them."""

_BY_SOURCE, _BY_DEPENDENCY, _BY_CONFIG = "source", "dependsOn", "config"

SETTINGS = (KustomizationSettings, *kinds.SETTINGS, SopsSettings, AwsSettings)


def register(manager: Manager, *, git: Git | None = None, decryption: Decryption | None = None) -> None:
    """`git` and `decryption` are given by whoever composes the process: allowed protocols, a KMS, an audit."""
    settings = manager.settings.group(KustomizationSettings)
    objects = OwnedObjects(
        manager,
        on_dirty=lambda key: kustomizations.queue.changed(key),
        on_status=lambda key: kustomizations.queue.changed(key),
    )
    served = kinds.register(manager, git=git)
    given = decryption or _decryption(SopsService(manager))
    builder = Builder(served, pools=manager.pools, settings=settings, decryption=given)
    reconciler = Reconciler(
        manager.kube,
        builder,
        objects,
        own_namespace=manager.namespace,
        settings=settings,
        policies=manager.policies,
        evaluator=Evaluator(manager.heavy),
        draft=lambda key: kustomizations.draft(key),
        meters=Meters(manager.metrics.registry),
        drift=DriftReport(manager.kube, DriftMetrics(manager.metrics.registry)),
        store=lambda: kustomizations.store,
    )
    kustomizations = manager.controller(KUSTOMIZATIONS, reconciler.reconcile, max_concurrent=settings.concurrent)
    for source in served.values():
        waker = SourceWaker(
            source,
            kustomizations.queue,
            users=partial(_users, kustomizations, source.kind),
            reads=reconciler.reads,
        )
        manager.task(f"requeue by path of {source.kind}", waker.run)
        source.subscribe(waker.note)
    _wake(manager, kustomizations)


def _decryption(service: SopsService) -> Decryption:
    return Decryption(
        kms=service.kms, policy=service.policy, audit=service.audit, cache=service.cache,
        shared_keys=service.shared_keys, plaintext=service.plaintext,
    )  # fmt: skip


def _users(kustomizations: Controller, kind: str, source: Key) -> list[Manifest]:
    return kustomizations.store.by_index(_BY_SOURCE, _name(kind, source))


def _wake(manager: Manager, kustomizations: Controller) -> None:
    """A ready dependency wakes its dependants, a watched input its users."""
    store, queue = kustomizations.store, kustomizations.queue
    store.index(_BY_SOURCE, lambda manifest: [_name(*source_of(manifest))])
    store.index(_BY_DEPENDENCY, lambda manifest: [str(key) for key in dependencies_of(manifest)])
    store.index(_BY_CONFIG, configs_of)

    def kustomization_changed(before: Manifest | None, after: Manifest | None) -> None:
        if after is not None and _progress(before) != _progress(after):
            for manifest in store.by_index(_BY_DEPENDENCY, str(key_of(after))):
                queue.changed(key_of(manifest))

    def input_changed(kind: str, event: WatchEvent) -> None:
        if event.type in ("ADDED", "MODIFIED"):
            for manifest in store.by_index(_BY_CONFIG, _name(kind, key_of(event.object))):
                queue.changed(key_of(manifest))

    store.subscribe(kustomization_changed)
    for resource in (SECRETS, CONFIGMAPS):
        manager.watch(resource, partial(input_changed, resource.kind), label_selector=WATCHED)


def _name(kind: str, key: Key) -> str:
    return f"{kind}/{key}"


def _progress(manifest: Manifest | None) -> tuple[object, ...]:
    """What dependants look at."""
    status = (manifest or {}).get("status") or {}
    ready = find(status, "Ready") or {}
    generation = status.get("observedGeneration")
    return ready.get("status"), ready.get("reason"), generation, status.get("lastAppliedRevision")
