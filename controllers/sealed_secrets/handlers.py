"""Registers the SealedSecret controller: its kind, the watches that wake it, the key tasks, the HTTP doors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import SECRETS
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.tenancy import WriteSecretType
from controllers.runtime.conditions import SEALED_SECRETS as SEALED_STYLE
from controllers.runtime.controller import Controller
from controllers.runtime.kube import WatchEvent
from controllers.runtime.manager import Manager
from controllers.runtime.sandbox import no_core_dumps
from controllers.sops.errors import SealedError
from controllers.sops.settings import DecryptionSettings, parse_cutoff

from .endpoints import Rates, SealedDoors
from .key_manager import SealingKeyManager
from .metrics import KeyMeters, SealedMeters
from .reconcile import SealedSecretReconciler
from .target import LABEL, keys_of

SETTINGS = (DecryptionSettings,)


def register(manager: Manager) -> None:
    with manager.scope("decryption"):
        _register(manager, manager.settings.group(DecryptionSettings))


def _key_book(manager: Manager, options: DecryptionSettings, on_change: Callable[[], None]) -> SealingKeyManager:
    def told(secret: Manifest, reason: str, message: str, warning: bool) -> None:
        manager.events.record(SECRETS, secret, reason=reason, message=message, warning=warning)

    def bad_key(secret: Manifest, error: SealedError) -> None:
        told(secret, "KeyInvalid", error.message, True)

    return SealingKeyManager(
        manager.kube,
        manager.pools,
        options.key_namespace or manager.namespace,
        period=timedelta(days=options.key_renew_days),
        on_change=on_change,
        on_bad_key=bad_key,
        bits=options.key_bits,
        order=options.key_order,
        cutoff=parse_cutoff(options.key_cutoff_time),
        overdue=timedelta(days=options.old_key_days),
        on_told=told,
    )


def _register(manager: Manager, options: DecryptionSettings) -> None:
    secrets: dict[Key, Manifest] = {}

    def wake_all() -> None:
        for sealed in controller.store.list():
            controller.queue.changed(key_of(sealed))

    keys = _key_book(manager, options, wake_all)
    meters = SealedMeters(manager.metrics.registry)

    def refuse(namespace: str, secret_type: str) -> str:
        decision = manager.policies.allowed(namespace, WriteSecretType(secret_type))
        return "" if decision.allowed else decision.reason

    reconciler = SealedSecretReconciler(
        manager.kube, manager.pools, keys, drafts=lambda: controller, known=secrets.get, refuse=refuse, meters=meters
    )
    controller: Controller = manager.controller(SEALED_SECRETS, reconciler, style=SEALED_STYLE)

    def on_secret(event: WatchEvent) -> None:
        key = key_of(event.object)
        if event.type == "DELETED":
            secrets.pop(key, None)
        else:
            secrets[key] = event.object
        if controller.store.get(key) is not None:
            controller.queue.add(key)

    manager.watch(SECRETS, on_secret, label_selector=f"{LABEL}=true")
    manager.watch(
        SECRETS, lambda _: keys.changed(), label_selector=SealingKeyManager.selector, namespace=keys.namespace
    )
    manager.task("sealing keys", keys.follow, leader_only=False)
    manager.task("sealing key renewal", keys.renew)

    def uses() -> dict[object, frozenset[str]]:
        return {key_of(sealed): keys_of(secrets.get(key_of(sealed)) or {}) for sealed in controller.store.list()}

    manager.metrics.registry.register(KeyMeters(keys, uses))
    SealedDoors(keys, manager.pools, Rates(options.calls_per_second), meters).add(manager.route)
    no_core_dumps()
