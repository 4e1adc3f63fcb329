"""Edge: deletes what is no longer wanted, as the tenant, and only what carries our owner's labels.

The inventory says what we once applied, the live object says whether it is still ours. An object leaves the inventory
only when its deletion is confirmed, or when it turned out not to be ours (any more).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from controllers.api.resource import Key, Manifest, Resource
from controllers.kustomization.objects.inventory import Entry, survivors
from controllers.kustomization.objects.labels import is_owned
from controllers.kustomization.objects.order import sort_key
from controllers.runtime.kube import ApiError, KubeClient, NotFound, UnknownKindError

from .plan import keep_reason


@dataclass(slots=True)
class Pruned:
    """Outcome per entry: `deleted`, `skipped` (not ours, or kept by a switch) or `failed`; problems in words."""

    outcomes: dict[Entry, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    kept: dict[Entry, str] = field(default_factory=dict)

    def survivors(self, entries: Sequence[Entry]) -> list[Entry]:
        """What must stay in the inventory."""
        return survivors(entries, self.outcomes)

    @property
    def deleted(self) -> list[Entry]:
        return [entry for entry, outcome in self.outcomes.items() if outcome == "deleted"]


async def prune(kube: KubeClient, owner: Key, entries: Sequence[Entry]) -> Pruned:
    """Deletes these objects, dependants before what they stand on. Never raises for a single object."""
    result = Pruned()
    for entry in sorted(entries, key=_reverse, reverse=True):
        try:
            await _prune_one(kube, owner, entry, result)
        except UnknownKindError:
            result.outcomes[entry] = "deleted"  # its definition is gone, and every object with it
        except ApiError as error:
            result.outcomes[entry] = "failed"
            result.problems.append(f"{entry} delete failed ({error.reason}): {error.message}")
    return result


def _reverse(entry: Entry) -> tuple[int, str, str, str, str]:
    meta = {"namespace": entry.namespace, "name": entry.name}
    return sort_key({"apiVersion": entry.api_version, "kind": entry.kind, "metadata": meta})


async def _prune_one(kube: KubeClient, owner: Key, entry: Entry, result: Pruned) -> None:
    resource = await kube.resource_for(entry.api_version, entry.kind)
    live = await _get(kube, resource, entry)
    if live is None:
        result.outcomes[entry] = "deleted"
        return
    if not is_owned(live, owner):
        result.outcomes[entry] = "skipped"
        result.kept[entry] = "carries other owner labels"
        return
    if reason := keep_reason(live):
        result.outcomes[entry] = "skipped"
        result.kept[entry] = reason
        return
    with suppress(NotFound):
        await kube.delete(resource, entry.name, entry.namespace, uid=str(live["metadata"].get("uid") or ""))
    result.outcomes[entry] = "deleted"


async def _get(kube: KubeClient, resource: Resource, entry: Entry) -> Manifest | None:
    if resource.namespaced is not bool(entry.namespace):
        return None  # was never applied: such an object is refused before
    try:
        return await kube.get(resource, entry.name, entry.namespace, metadata_only=True)
    except NotFound:
        return None


async def wait_gone(kube: KubeClient, entries: Sequence[Entry], *, timeout: float) -> list[Entry]:
    """Waits until objects are gone; what is left after `timeout` seconds."""
    deadline, pause, left = monotonic() + timeout, 0.1, list(entries)
    while left:
        still = []
        for entry in left:
            try:
                resource = await kube.resource_for(entry.api_version, entry.kind)
                if await _get(kube, resource, entry) is not None:
                    still.append(entry)
            except (UnknownKindError, NotFound):
                continue
        left = still
        if not left or monotonic() > deadline:
            return left
        await asyncio.sleep(pause)
        pause = min(2.0, pause * 1.6)
    return []
