"""The book of TenantPolicies: asks `tenancy.allowed` with what the cluster says now.

Fails closed: until policies and namespaces have been read, and where they cannot be, nothing is allowed. The one
exception is a cluster without the TenantPolicy kind: there no policy can exist, and we behave as upstream does, saying
so once, loudly. Policies once seen stay in force when their CRD vanishes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from controllers.api.core import NAMESPACES
from controllers.api.inhaul import TENANT_POLICIES
from controllers.api.resource import Key, key_of
from controllers.api.tenancy import Decision, Policy, Request, allowed, policy_of

from .informers.watch import Watch
from .kube import KubeClient, WatchEvent
from .store import Store

log = logging.getLogger(__name__)


class PolicyBook:
    """`watches` are run by the manager. `allowed` may be called at any time."""

    def __init__(self, kube: KubeClient, *, timeout: float = 300.0) -> None:
        self._policies: dict[str, Policy] = {}
        self.names = Store(NAMESPACES)
        """The namespaces; the manager's store of them is this one."""
        self._warned = False
        self._listeners: list[Callable[[], None]] = []
        self.policies = Watch(kube, TENANT_POLICIES, self._see_policy, metadata_only=False, timeout=timeout)
        self.namespaces = Watch(kube, NAMESPACES, self._see_namespace, metadata_only=False, timeout=timeout)

    @property
    def watches(self) -> tuple[Watch, Watch]:
        return self.policies, self.namespaces

    def settled(self) -> bool:
        """Whether questions can be answered: both lists are in, or the kind is not served."""
        return self._no_kind() or (self.policies.synced.is_set() and self.namespaces.synced.is_set())

    def subscribe(self, listener: Callable[[], None]) -> None:
        """`listener()` hears after each TenantPolicy that came, went or was edited: answers may be others."""
        self._listeners.append(listener)

    def allowed(self, namespace: str, request: Request) -> Decision:
        """Whether the namespace may do what is requested."""
        if not self.settled():
            return Decision(False, "TenantPolicies have not been read yet")
        if not self._policies and not self._warned:
            self._warned = True
            log.warning("no TenantPolicy exists: every namespace may use every role, key, repository and registry")
        known = self.names.get(Key("", namespace))
        labels = known["metadata"].get("labels") or {} if known else {}
        return allowed(self._policies.values(), namespace=namespace, namespace_labels=labels, request=request)

    def _no_kind(self) -> bool:
        return self.policies.absent and not self._policies

    def _see_policy(self, event: WatchEvent) -> None:
        name, before = key_of(event.object).name, dict(self._policies)
        if event.type == "DELETED":
            self._policies.pop(name, None)
        else:
            policy = policy_of(event.object)
            if policy.problem:
                log.warning("TenantPolicy %s cannot be read and grants nothing: %s", name, policy.problem)
            self._policies[name] = policy
        if self._policies != before:
            for listener in self._listeners:
                listener()

    def _see_namespace(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self.names.drop(key_of(event.object))
        else:
            self.names.put(event.object)


class Policies(Protocol):
    """What callers need of the PolicyBook."""

    def allowed(self, namespace: str, request: Request) -> Decision: ...
