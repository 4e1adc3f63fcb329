"""Reads fake stores: a source's identity is its values, so nothing is called and nothing waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from controllers.aws.rate_limit import Permit
from controllers.external_secrets.providers.source import ListedSecret, ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.remote_key import RemoteKey

from .values import FakeValues


class FakeReader:
    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        return {key: _values(source).get(key) for key in keys}

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        found = _values(source).get(key)
        if isinstance(found, EntryError):
            raise found
        return found

    async def find(self, source: ValueSource, find: Mapping[str, Any], *, prefix: str) -> dict[str, Fetched]:
        return dict(_values(source).find(find))

    async def versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        """There is nothing to sweep: an edit of the store is seen by its watch."""
        return []

    def gate(self, source: ValueSource, *, urgent: bool) -> AbstractAsyncContextManager[Permit]:
        return nullcontext(Permit(0))

    def backlog(self, source: ValueSource) -> float:
        return 0.0


def _values(source: ValueSource) -> FakeValues:
    """Fake sources have their values as identity: their provider made it."""
    assert isinstance(source.identity, FakeValues)  # noqa: S101
    return source.identity
