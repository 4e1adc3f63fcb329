"""What the service edges share: an identity, a region, and one way to call and to page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .errors import InvalidRequest
from .identity import Identities, Identity

MAX_PAGES = 10_000  # a paging token that never ends is an error, not an endless loop


@dataclass(frozen=True, slots=True)
class Edge:
    """A service as one identity sees it in one region. Cheap: make one where you need it."""

    identities: Identities
    identity: Identity
    region: str
    service: ClassVar[str] = ""

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call; parameters that are None or empty are left out. Raises AwsError."""
        given = {key: value for key, value in parameters.items() if value is not None and value not in ("", [], {})}
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
                raise InvalidRequest(f"{self.service}:{operation}: the pages do not end", operation=self.service)
            following = latest
