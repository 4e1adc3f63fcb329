"""`dataFrom[].find`: the call that lists candidates, and the exact test of each. Pure.

AWS's tag filters are not paired (any key of one tag, any value of another) and match prefixes, so what comes back is
tested again here by exact pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import re2

from .errors import EntryError
from .remote_key import Service


def list_call(service: Service, find: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """The first page's call: its name under `op`, and its parameters as boto3 takes them."""
    path, tags = find.get("path") or "", dict(find.get("tags") or {})
    if service == "SecretsManager":
        filters: list[dict[str, Any]] = []
        if path or prefix:
            filters.append({"Key": "name", "Values": [prefix + path]})
        for key, value in tags.items():
            filters += [{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [value]}]
        if not tags and not path and not prefix:
            return {"op": "ListSecrets"}
        return {"op": "BatchGetSecretValue" if tags or path else "ListSecrets", "Filters": filters}
    if tags:
        wanted = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [value]} for key, value in tags.items()]
        if path or prefix:
            wanted.append({"Key": "Path", "Option": "Recursive", "Values": [_path(prefix + path)]})
        return {"op": "DescribeParameters", "ParameterFilters": wanted}
    return {"op": "GetParametersByPath", "Path": _path(prefix + path), "Recursive": True, "WithDecryption": True}


def _path(text: str) -> str:
    return text if text.startswith("/") else f"/{text}"


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
