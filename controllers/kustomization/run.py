"""One reconcile's own values, made anew for each; what outlives it stands in Memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from controllers.api.duration import parse_duration
from controllers.api.kustomize import KustomizationSpec
from controllers.api.resource import Key, Manifest
from controllers.runtime.draft import Draft
from controllers.runtime.kube import KubeClient

from .builder import Built
from .drift.policy import Policy
from .state import KustomizationState


@dataclass(slots=True)
class ReconcileRun:
    """One reconcile's own values."""

    key: Key
    draft: Draft
    manifest: Manifest
    spec: KustomizationSpec
    memory: KustomizationState
    tenant: KubeClient
    built: Built | None = None
    policy: Policy = field(default_factory=Policy)
    fresh: bool = False
    """Was something applied in this very run?"""
    objects: list[Manifest] = field(default_factory=list)
    """What is rendered, with owner labels and namespaces as applied."""

    @property
    def timeout(self) -> float:
        """Seconds for apply and health together."""
        given = self.spec.timeout
        return parse_duration(given) if given else max(30.0, parse_duration(self.spec.interval) - 30.0)

    @property
    def retry_interval(self) -> float | None:
        """Seconds after a failure, where the spec says; None: the queue's growing pauses."""
        return parse_duration(self.spec.retry_interval) if self.spec.retry_interval else None
