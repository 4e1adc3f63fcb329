"""What the service edges share: an identity, a region, and one way to call and to page.

Services whose quotas are low are *paced*: their calls wait for their permit (`rate_limit`), and are tried again here
and not by the SDK, whose tries would hold a thread and hide from us that AWS throttles.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from typing import Any, ClassVar

from controllers.runtime.queue import URGENT

from .errors import InvalidRequest, ServerError, Throttled, Unreachable
from .identity import RATE_LIMITED, Identities, Identity

MAX_PAGES = 10_000  # a paging token that never ends is an error, not an endless loop
THROTTLED_TRIES = 6
_BACKOFF, _LONGEST_BACKOFF = 0.1, 2.0  # seconds before another try of a call that failed by itself


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failing call is made in all, and the fixed seconds between two; None: growing pauses with jitter."""

    attempts: int
    pause: float | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """A service as one identity sees it in one region. Cheap: make one where you need it.

    `has_permit`: the caller has the permit for its call already, and hears of Throttled at once. `retry` is for paced
    services.
    """

    identities: Identities
    identity: Identity
    region: str
    has_permit: bool = False
    retry: Retry | None = None
    service: ClassVar[str] = ""

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call; parameters that are None or empty are left out. Raises AwsError."""
        given = {key: value for key, value in parameters.items() if value is not None and value not in ("", [], {})}
        if self.service not in RATE_LIMITED:
            return await self.identities.call(self.identity, self.region, self.service, operation, **given)
        for attempt in itertools.count(1):
            try:
                return await self._in_turn(operation, given)
            except Throttled:
                if self.has_permit or attempt >= (self.retry.attempts if self.retry else THROTTLED_TRIES):
                    raise
                if self.retry and self.retry.pause:
                    await asyncio.sleep(self.retry.pause)
            except (ServerError, Unreachable):
                if attempt >= (self.retry or self.identities.settings).attempts:
                    raise
                await asyncio.sleep(self._pause(attempt))
        raise RuntimeError("unreachable")

    def _pause(self, attempt: int) -> float:
        if self.retry is not None and self.retry.pause is not None:
            return self.retry.pause
        return min(_LONGEST_BACKOFF, _BACKOFF * 2.0**attempt) * random.random()  # noqa: S311 jitter

    async def _in_turn(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        if self.has_permit:
            return await self.identities.call(self.identity, self.region, self.service, operation, **given)
        api = f"{self.service}:{action(operation)}"
        async with self.identities.rate_limits.permit(self.identity, self.region, api, urgent=URGENT.get()):
            return await self.identities.call(self.identity, self.region, self.service, operation, **given)

    async def pages(self, operation: str, *, token: str, **parameters: Any) -> list[dict[str, Any]]:
        """All pages; `token` is the member that carries the next page's token, in both directions."""
        found: list[dict[str, Any]] = []
        following: str | None = None
        while True:
            answer = await self.call(operation, **parameters, **{token: following})
            found.append(answer)
            latest = answer.get(token)
            if not latest:
                return found
            if latest == following or len(found) >= MAX_PAGES:
                raise InvalidRequest(
                    f"{self.service}:{operation}: the service returned the same page token twice",
                    operation=self.service,
                )
            following = latest


def action(operation: str) -> str:
    """The API's name of an operation in boto3's spelling: "get_parameters" → "GetParameters"."""
    return "".join(part.capitalize() for part in operation.split("_"))
