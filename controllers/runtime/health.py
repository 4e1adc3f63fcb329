"""What the probes say of this process, in words.

Alive: no wanted kind has been silent for longer than `stale` seconds; a restart is the cure, so nothing that a restart
cannot cure (an API server that is down for everybody, a missing CRD) counts before the watches have begun. Ready: the
kinds are served and the stores have been filled; a standby is ready too.
"""

from __future__ import annotations

import asyncio

from .informers.informer import Informer


class RuntimeHealth:
    def __init__(self, informer: Informer, stale: float) -> None:
        self._informer, self._stale = informer, stale
        self.waiting: set[str] = set()
        self.served = asyncio.Event()
        self.warm = False
        self.stopping = False

    def alive(self) -> list[str]:
        if not self._informer.started.is_set() or self.stopping:
            return []
        ages = {wanted.resource.plural: wanted.age() for wanted in self._informer.wanted}
        return [f"{name}: no event or bookmark for {age:.0f} s" for name, age in ages.items() if age > self._stale]

    def ready(self) -> list[str]:
        if self.stopping:
            return ["stopping"]
        if self.waiting:
            return [f"waiting for {name} to be served" for name in sorted(self.waiting)]
        return [] if self.warm else ["the initial lists are not complete yet"]
