"""Reading Secrets Manager or Parameter Store: calls in permit, errors as users see them, finds in batches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from controllers.aws.errors import AccessDenied, AwsError, InvalidRequest, NotFound
from controllers.aws.identity import Identities, Identity
from controllers.aws.rate_limit import Permit
from controllers.external_secrets.providers.provider import BatchRefusedError
from controllers.external_secrets.providers.source import ListedSecret, ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError, MissingValueError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey

from .errors import entry_error


class AwsReader:
    """A `SecretReader`; what one service does is in the four methods that its reader has."""

    batch_api = ""
    """The API that a batch calls, as rate limits name it."""
    batch_size = 1

    def __init__(self, identities: Identities) -> None:
        self.identities = identities

    async def read_batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, admitted: bool
    ) -> Mapping[RemoteKey, Outcome]:
        """`admitted`: the caller has passed `gate`. Raises AwsError."""
        raise NotImplementedError

    async def read_single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        """Raises AwsError, EntryError."""
        raise NotImplementedError

    async def list_versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        """Raises AwsError."""
        raise NotImplementedError

    async def read_found(
        self, source: ValueSource, find: Mapping[str, Any], matches: Matcher, prefix: str
    ) -> dict[str, Fetched]:
        """Raises AwsError, EntryError."""
        raise NotImplementedError

    # --- SecretReader

    def gate(self, source: ValueSource, *, urgent: bool) -> AbstractAsyncContextManager[Permit]:
        return self.identities.rate_limits.permit(identity_of(source), source.region, self.batch_api, urgent=urgent)

    def backlog(self, source: ValueSource) -> float:
        return self.identities.rate_limits.backlog(identity_of(source), source.region, self.batch_api)

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        return await self._batch(source, keys, admitted=True)

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        try:
            return await self.read_single(source, key)
        except AwsError as error:
            raise entry_error(error, key.shown) from None

    async def versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        """To the last page. What is within its recovery window is not listed: it counts as deleted."""
        try:
            return await self.list_versions(source, prefixes)
        except AwsError as error:
            raise entry_error(error, "sweep") from None

    async def find(self, source: ValueSource, find: Mapping[str, Any], *, prefix: str) -> dict[str, Fetched]:
        matches = Matcher(find, prefix=prefix)
        try:
            return await self.read_found(source, find, matches, prefix)
        except AwsError as error:
            raise entry_error(error, "find") from None

    # --- for the services' readers

    async def outcome(self, source: ValueSource, key: RemoteKey) -> Outcome:
        """A single read, its error as an outcome."""
        try:
            return await self.single(source, key)
        except EntryError as error:
            return error

    async def read_all(self, source: ValueSource, names: Sequence[str]) -> dict[str, Fetched]:
        """Current values of listed names, in batches. Raises EntryError."""
        out: dict[str, Fetched] = {}
        for at in range(0, len(names), self.batch_size):
            keys = [RemoteKey(source.service, name) for name in names[at : at + self.batch_size]]
            try:
                outcomes = await self._batch(source, keys, admitted=False)
            except BatchRefusedError:
                outcomes = {key: await self.outcome(source, key) for key in keys}
            for key, outcome in outcomes.items():
                if isinstance(outcome, MissingValueError):
                    continue  # deleted since it was listed
                if isinstance(outcome, EntryError):
                    raise outcome
                out[key.name] = outcome
        return out

    async def _batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, admitted: bool
    ) -> Mapping[RemoteKey, Outcome]:
        try:
            return await self.read_batch(source, keys, admitted=admitted)
        except AwsError as error:
            shared = entry_error(error, keys[0].shown if len(keys) == 1 else f"batch of {len(keys)}")
            if isinstance(error, AccessDenied | InvalidRequest | NotFound):
                raise BatchRefusedError(shared) from None
            raise shared from None


def identity_of(source: ValueSource) -> Identity:
    """AWS sources have an AWS identity: their provider made it."""
    assert isinstance(source.identity, Identity)  # noqa: S101
    return source.identity


def tags_document(tags: Mapping[str, str]) -> bytes:
    """A secret's tags as the JSON that metadataPolicy Fetch reads."""
    return json.dumps(dict(tags), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
