"""What the restarter knows of Secrets: metadata of all by one watch, digests of the data of those that workloads use.

A Secret's data is read when a workload that opted in uses it and its resourceVersion is new; kept is its digest, never
its data. So a Secret that a hundred workloads share is read once to find out whether they are concerned; and once more
before each rollout, for what was heard may be old.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controllers.api.core import SECRETS
from controllers.api.resource import Key, key_of
from controllers.runtime.kube import KubeClient, NotFound, WatchEvent

from .marks import Digests, Marker
from .uses import Tags, tags_of


@dataclass(frozen=True, slots=True)
class _Seen:
    version: str
    tags: Tags


class SecretBook:
    """`on_event` is a watch's listener; `on_change(key)` hears of every Secret that came, went or became another."""

    def __init__(self, kube: KubeClient, marker: Marker, on_change: Callable[[Key], None]) -> None:
        self._kube, self._marker, self._on_change = kube, marker, on_change
        self._seen: dict[str, dict[str, _Seen]] = defaultdict(dict)
        self._digests: dict[Key, Digests] = {}

    def on_event(self, event: WatchEvent) -> None:
        key, meta = key_of(event.object), event.object["metadata"]
        if event.type == "DELETED":
            self._seen[key.namespace].pop(key.name, None)
            self._digests.pop(key, None)
        else:
            seen = _Seen(str(meta.get("resourceVersion") or ""), tags_of(meta.get("annotations")))
            if self._seen[key.namespace].get(key.name) == seen:
                return
            self._seen[key.namespace][key.name] = seen
        self._on_change(key)

    def known(self, namespace: str) -> Mapping[str, Tags]:
        """The Secrets of a namespace, by name."""
        return {name: seen.tags for name, seen in self._seen.get(namespace, {}).items()}

    async def digests(self, key: Key, *, fresh: bool) -> Digests | None:
        """None: there is no such Secret. `fresh`: as the API server has it now, not as last heard. Raises ApiError."""
        known = self._seen.get(key.namespace, {}).get(key.name)
        if not fresh:
            held = self._digests.get(key)
            if known is None or (held is not None and held.version == known.version):
                return held if known is not None else None
        try:
            found = self._marker.digests(await self._kube.get(SECRETS, key.name, key.namespace))
        except NotFound:
            self._digests.pop(key, None)
            return None
        self._digests[key] = found
        return found

    def forget(self, key: Key) -> None:
        """Nobody uses it any more."""
        self._digests.pop(key, None)
