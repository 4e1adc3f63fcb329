"""Which resource types the API server serves, asked once per group and version and kept.

A miss asks again, for CRDs come and go, but at most once per second and group: a Kustomization full of unknown
kinds must not become a storm. Discovery lists a CRD only once it is Established, so `served` is the question to ask
before watching one.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from controllers.api.resource import Resource

from .connection import Call, Connection
from .errors import NotFound, UnknownKindError

_AGAIN = 1.0  # seconds between two reads of one group and version on behalf of misses


@dataclass(slots=True)
class _GroupVersion:
    by_kind: dict[str, Resource] = field(default_factory=dict)
    read_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Discovery:
    """Shared by all views of a client; always asks as ourselves."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, _GroupVersion] = {}

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """Raises UnknownKindError, or ApiError where discovery cannot be asked."""
        known = self._known.setdefault(api_version, _GroupVersion())
        if kind not in known.by_kind:
            async with known.lock:
                if kind not in known.by_kind and time.monotonic() - known.read_at >= _AGAIN:
                    known.by_kind = await self._read(api_version)
                    known.read_at = time.monotonic()
        try:
            return known.by_kind[kind]
        except KeyError:
            raise UnknownKindError(api_version, kind) from None

    async def served(self, resource: Resource) -> bool:
        """Asked anew each time: whether the type can be listed now."""
        try:
            found = await self._read(resource.api_version)
        except UnknownKindError:
            return False
        return any(item.plural == resource.plural for item in found.values())

    def forget(self) -> None:
        self._known.clear()

    async def _read(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        if not version or "/" in group or any(char in api_version for char in "?#% \n"):
            raise UnknownKindError(api_version, "(any)")
        try:
            document = await self._connection.call(Call("GET", root))
        except NotFound:
            return {}
        return {
            item["kind"]: Resource(group, version, item["name"], item["kind"], bool(item.get("namespaced")))
            for item in document.get("resources") or ()
            if "/" not in item["name"]
        }
