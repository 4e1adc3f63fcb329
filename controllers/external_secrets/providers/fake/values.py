"""The values of a fake store, answered as upstream answers them. Pure.

A value is stored under key and version written one after the other; of two under the same text the later one counts. It
is found only under the version that it has: a version that is not asked for exactly is not found. A find looks at
`name.regexp` alone, takes the greatest version as text of each key, and converts names before they are rewritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from controllers.api.secret_stores import FakeProvider, FakeProviderData
from controllers.external_secrets.values.convert import convert_keys
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError, MissingValueError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey


class FakeValues:
    """Equal where the values are: a store that was edited is another one."""

    def __init__(self, spec: FakeProvider) -> None:
        self._stored: dict[str, FakeProviderData] = {each.key + each.version: each for each in spec.data}
        text = json.dumps([[each.key, each.version, each.value] for each in self._stored.values()])
        self._digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FakeValues) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return f"FakeValues({len(self._stored)} values)"

    def get(self, key: RemoteKey) -> Outcome:
        found = self._stored.get(key.name + key.version)
        if found is None or found.version != key.version:
            return MissingValueError(f"key {key.shown}: the store has no value of this key and version")
        return _fetched(key.name, found)

    def find(self, find: Mapping[str, Any]) -> Mapping[str, Fetched]:
        """Raises EntryError for a find without `name`, and where two names are converted to one."""
        if find.get("name") is None:
            raise EntryError("UnsupportedField", "find without name.regexp: the fake provider finds by name only")
        matches, newest = Matcher({"name": find["name"]}), dict[str, FakeProviderData]()
        for stored, each in self._stored.items():
            name = stored.removesuffix(each.version)
            if matches.without_tags(name) and (name not in newest or newest[name].version < each.version):
                newest[name] = each
        found = {name: _fetched(name, each) for name, each in newest.items()}
        return convert_keys(str(find.get("conversionStrategy") or "Default"), found)


def _fetched(name: str, each: FakeProviderData) -> Fetched:
    return Fetched(each.value.encode("utf-8", "surrogatepass"), version=each.version, name=name)
