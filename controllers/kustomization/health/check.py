"""Edge: looks at the health of objects once, as the tenant. Nobody waits here: a reconcile looks, ends, is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from controllers.api.core import PODS, REPLICA_SETS
from controllers.api.kustomize import HealthCheckExpr, KustomizationSpec
from controllers.api.resource import Manifest
from controllers.kustomization.objects.inventory import Entry, entry_of
from controllers.kustomization.objects.labels import Identity
from controllers.kustomization.objects.order import group_of
from controllers.runtime.kube import ApiError, KubeClient, NotFound, UnknownKindError

from . import cause
from .aggregate import Observed, is_fulfilled, with_pods
from .cel_evaluator import Evaluator
from .expressions import ExpressionError, HealthExpressions
from .kstatus import State, Status, compute

Expressions = Mapping[tuple[str, str], HealthExpressions]


def expressions(specs: Iterable[HealthCheckExpr]) -> Expressions:
    """Health expressions by (group, kind). Raises ExpressionError."""
    return {
        (each.api_version.rpartition("/")[0], each.kind): HealthExpressions(each.current, each.in_progress, each.failed)
        for each in specs
    }


def targets(
    spec: KustomizationSpec, objects: Sequence[Manifest], namespace: str
) -> list[tuple[Entry, Manifest | None]]:
    """What is waited for: every applied object, or those that are named; none where nothing is asked for."""
    if spec.wait:
        return [(entry_of(manifest), manifest) for manifest in objects]
    found: list[tuple[Entry, Manifest | None]] = []
    for check in spec.health_checks:
        group, _, version = (check.api_version or "apps/v1").rpartition("/")
        found.append((Entry(check.namespace or namespace, check.name, group, check.kind, version), None))
    return found


async def look(
    kube: KubeClient,
    wanted: Sequence[tuple[Entry, Manifest | None]],
    exprs: Expressions,
    evaluator: Evaluator,
    *,
    concurrent: int = 8,
    current: Collection[Identity] = (),
) -> list[Observed]:
    """The state of every target now; those that are `current`, as the caller knows, are not asked for."""
    slots = asyncio.Semaphore(concurrent)

    async def one(entry: Entry, manifest: Manifest | None) -> Observed:
        if entry.identity in current:
            return Observed(str(entry), Status(State.CURRENT))
        async with slots:
            return Observed(str(entry), await _state(kube, entry, manifest, exprs, evaluator))

    return list(await asyncio.gather(*(one(entry, manifest) for entry, manifest in wanted)))


def is_current_for_good(live: Manifest) -> bool:
    """Does what an apply answered tell already that an object is current?

    So it is with kinds that have no generation (ConfigMaps, Secrets, accounts, roles): nobody works on them after a
    write. All others are looked at, for their controllers may have something to say in the next moment.
    """
    if live["metadata"].get("generation") is not None or live["metadata"].get("deletionTimestamp"):
        return False
    return compute(live, now=datetime.now(UTC), flux_jobs=True).state is State.CURRENT


async def _state(
    kube: KubeClient, entry: Entry, wanted: Manifest | None, exprs: Expressions, evaluator: Evaluator
) -> Status:
    try:
        resource = await kube.resource_for(entry.api_version, entry.kind)
        live = await kube.get(resource, entry.name, entry.namespace if resource.namespaced else "")
    except UnknownKindError as error:
        return Status(State.NOT_FOUND, "UnknownKind", str(error))
    except NotFound:
        if is_fulfilled(State.NOT_FOUND, wanted):
            return Status(State.CURRENT, "", "the Job was removed after its work")
        return Status(State.NOT_FOUND, "NotFound", "not found")
    except ApiError as error:
        return Status(State.UNKNOWN, error.reason, error.message)
    if (entry.group, entry.kind) in exprs:
        try:
            return await evaluator.status(exprs[entry.group, entry.kind], live)
        except ExpressionError as error:
            return Status(State.UNKNOWN, "InvalidCELExpression", str(error))  # a status that is not written yet
    status = compute(live, now=datetime.now(UTC), flux_jobs=True)
    if status.state is State.CURRENT:
        return status
    kind = group_of(live), live.get("kind")
    if kind[0] == "apps" or kind == ("batch", "Job"):
        return await _explained(kube, live, status)
    return _with_cause(status, cause.of_pod(live)) if kind == ("", "Pod") else status


async def _explained(kube: KubeClient, live: Manifest, status: Status) -> Status:
    """The status with what its Pods say. Who may not list Pods gets the plain one."""
    labels = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    if not selector:
        return status
    try:
        pods = (await kube.list(PODS, live["metadata"].get("namespace") or "", label_selector=selector)).items
    except ApiError:
        return status
    now = datetime.now(UTC)
    if live.get("kind") in ("StatefulSet", REPLICA_SETS.kind):
        status = with_pods(status, [(compute(pod, now=now), pod) for pod in pods])
    return _with_cause(status, cause.find(live, children=pods))


def _with_cause(status: Status, told: cause.Cause | None) -> Status:
    if told is None or told.text in status.message:
        return status
    return replace(status, message=told.text if status.message in told.text else f"{status.message}; {told.text}")
