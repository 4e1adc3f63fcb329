"""`dataFrom[].find`: does a secret belong to what it selects? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import re2

from .errors import EntryError


class Matcher:
    """Does a secret with this name and these tags belong to the find?"""

    def __init__(self, find: Mapping[str, Any], *, prefix: str = "") -> None:
        self._path = prefix + (find.get("path") or "")
        self._tags = dict(find.get("tags") or {})
        expression = (find.get("name") or {}).get("regexp") or ""
        options = re2.Options()
        options.log_errors = False
        try:
            self._name = re2.compile(expression, options=options) if expression else None
        except re2.error:
            raise EntryError("InvalidParameter", "find.name.regexp is not a regular expression") from None

    def __call__(self, name: str, tags: Mapping[str, str]) -> bool:
        """The regular expression is not anchored and sees the whole name."""
        return self.without_tags(name) and all(tags.get(key) == value for key, value in self._tags.items())

    def without_tags(self, name: str) -> bool:
        """Does the name alone belong to the find?"""
        if self._path and not name.startswith(self._path):
            return False
        return self._name is None or self._name.search(name) is not None
