"""The tags of each scanned repository, packed and disposable.

A scan is shared by all ImageRepositories that name the same repository with the same identity and exclusions, and its
tags are kept once, compressed (40,000 tags of 20 characters take some 100 KiB). After a restart it is empty, and every
repository is scanned again before a policy picks anew: what is in a status stays meanwhile.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from controllers.api.resource import Key


@dataclass(frozen=True, slots=True)
class Packed:
    """A list of tags in descending byte order."""

    count: int
    revision: str
    data: bytes
    pushed: bytes = b""
    """When each tag was pushed, packed; empty where the registry does not say."""

    @property
    def identity(self) -> str:
        """Changes with the tags and with the times."""
        return f"{self.revision} {zlib.crc32(self.pushed)}"

    def times(self) -> dict[str, int]:
        """Tag → second of its push; empty where the registry does not say."""
        if not self.pushed:
            return {}
        return dict(zip(self.tags(), array("q", zlib.decompress(self.pushed)), strict=True))

    def tags(self) -> list[str]:
        return zlib.decompress(self.data).decode().split("\n") if self.count else []


def pack(tags: tuple[str, ...], revision: str, times: Mapping[str, int] | None = None) -> Packed:
    """`times`: tag → second of its push, 0 for unknown."""
    moments = array("q", [(times or {}).get(tag, 0) for tag in tags])
    pushed = zlib.compress(moments.tobytes(), 6) if any(moments) else b""
    return Packed(len(tags), revision, zlib.compress("\n".join(tags).encode(), 6) if tags else b"", pushed)


class TagStore:
    """By ImageRepository. For one event loop."""

    def __init__(self) -> None:
        self._packed: dict[Key, Packed] = {}
        self._shared: dict[str, Packed] = {}

    def put(self, key: Key, packed: Packed) -> None:
        """Equal lists are kept once."""
        known = self._shared.get(packed.identity)
        if known is None:
            if len(self._shared) > 2 * len(self._packed) + 64:
                live = {one.identity for one in self._packed.values()}
                self._shared = {name: one for name, one in self._shared.items() if name in live}
            known = self._shared[packed.identity] = packed
        self._packed[key] = known

    def drop(self, key: Key) -> None:
        self._packed.pop(key, None)

    def get(self, key: Key) -> Packed | None:
        return self._packed.get(key)

    def count(self, key: Key) -> int:
        packed = self._packed.get(key)
        return packed.count if packed else 0
