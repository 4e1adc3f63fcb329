"""Registers Receivers and their door. No rule stands here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.api.notification import RECEIVERS
from controllers.runtime.manager import Manager
from controllers.runtime.settings import setting

from .hooks import BY_PATH, Hooks, paths_of
from .reconcile import ReceiverReconciler


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    prefix: ClassVar[str] = "notification"
    cross_namespace: bool = setting(True, "allow Receivers to refer to objects in other namespaces")


SETTINGS = (NotificationSettings,)


def register(manager: Manager) -> None:
    options = manager.settings.group(NotificationSettings)
    with manager.scope("notification"):
        reconciler = ReceiverReconciler(manager.kube, draft=lambda key: receivers.draft(key))
        receivers = manager.controller(RECEIVERS, reconciler)
        receivers.store.index(BY_PATH, paths_of)
        hooks = Hooks(manager.kube, receivers.store, cross_namespace=options.cross_namespace)
        manager.route("POST", "/hook/{digest}", hooks.serve)
