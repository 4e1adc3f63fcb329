"""Rendered objects that are kept between reconciles."""

from __future__ import annotations

from collections import OrderedDict

from controllers.kustomization.build.render import Rendered


class RenderCache:
    """Rendered objects by render key, the least recently used dropped beyond `limit` bytes (estimated)."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._entries: OrderedDict[str, tuple[Rendered, int]] = OrderedDict()

    def get(self, key: str) -> Rendered | None:
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: str, rendered: Rendered, size: int) -> None:
        if key in self._entries or size > self._limit:
            return
        self._entries[key] = rendered, size
        self._size += size
        while self._size > self._limit:
            _, (_, dropped) = self._entries.popitem(last=False)
            self._size -= dropped
