"""Where keys of one source wait until a call takes them: the urgent before those that are merely due."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from controllers.external_secrets.values.entries import Fetched
from controllers.external_secrets.values.remote_key import RemoteKey


@dataclass(slots=True)
class InFlightFetch:
    """One fetch of one key. `began` is set when its call starts: until then anyone may join."""

    future: asyncio.Future[Fetched]
    began: float | None = None
    throttled: int = 0  # calls of it that AWS throttled
    askers: set[Hashable] = field(default_factory=set)
    spare: float = 0.0  # seconds that its value may get old for those who may come as unannounced as its askers did


@dataclass(slots=True)
class PendingKeys:
    """Keys of one source that no call has taken yet, in two lanes, and the calls that are on their way to take them."""

    urgent: dict[RemoteKey, InFlightFetch] = field(default_factory=dict)
    due: dict[RemoteKey, InFlightFetch] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    calls: int = 0
    urgent_calls: int = 0
    flying: int = 0  # calls that were made and not answered yet

    def __len__(self) -> int:
        return len(self.urgent) + len(self.due)

    @property
    def idle(self) -> bool:
        return not (len(self) or self.calls or self.flying or self.timer)

    def take(self, limit: int) -> dict[RemoteKey, InFlightFetch]:
        """The next call's keys, the urgent ones first."""
        taken: dict[RemoteKey, InFlightFetch] = {}
        for lane in (self.urgent, self.due):
            for key in list(lane)[: limit - len(taken)]:
                taken[key] = lane.pop(key)
        return taken
