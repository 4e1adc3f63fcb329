"""Registers the SealedSecret controller: its kind, the watches that wake it, the key tasks, the certificate's route."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import SECRETS
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.tenancy import WriteSecretType
from controllers.runtime.conditions import SEALED_SECRETS as SEALED_STYLE
from controllers.runtime.controller import Controller
from controllers.runtime.kube import WatchEvent
from controllers.runtime.manager import Manager

from .errors import SealedError
from .keybook import KeyBook
from .reconcile import SealedSecretReconciler
from .ring import newest
from .settings import DecryptionSettings
from .target import LABEL

SETTINGS = (DecryptionSettings,)


def register(manager: Manager) -> None:
    with manager.scope("decryption"):
        _register(manager, manager.settings.group(DecryptionSettings))


def _register(manager: Manager, knobs: DecryptionSettings) -> None:
    secrets: dict[Key, Manifest] = {}

    def wake_all() -> None:
        for sealed in controller.store.list():
            controller.queue.changed(key_of(sealed))

    def bad_key(secret: Manifest, error: SealedError) -> None:
        manager.events.record(SECRETS, secret, reason="KeyInvalid", message=error.message, warning=True)

    keys = KeyBook(
        manager.kube,
        manager.pools,
        knobs.key_namespace or manager.namespace,
        period=timedelta(days=knobs.key_renew_days),
        on_change=wake_all,
        on_bad_key=bad_key,
        bits=knobs.key_bits,
    )

    def refuse(namespace: str, secret_type: str) -> str:
        decision = manager.policies.allowed(namespace, WriteSecretType(secret_type))
        return "" if decision.allowed else decision.reason

    reconciler = SealedSecretReconciler(
        manager.kube, manager.pools, keys, drafts=lambda: controller, known=secrets.get, refuse=refuse
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
    manager.watch(SECRETS, lambda _: keys.changed(), label_selector=KeyBook.selector, namespace=keys.namespace)
    manager.task("sealing keys", keys.follow, leader_only=False)
    manager.task("sealing key renewal", keys.renew)

    async def certificate(request: web.Request) -> web.StreamResponse:
        key = newest(keys.ring.keys)
        if key is None:
            return web.Response(status=503, text="there is no sealing key yet\n")
        return web.Response(body=key.certificate_pem(), content_type="application/x-pem-file")

    manager.route("GET", "/v1/cert.pem", certificate)
