"""AWS behind the coalescer: Secrets Manager and Parameter Store as one `SecretReader`, and `find`.

Values come as `Sensitive` and leave as `Fetched`, whose repr hides them. Every error of AWS becomes an EntryError of
one of the classes that users see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from controllers.aws.edge import Retry
from controllers.aws.errors import (
    AccessDenied,
    AwsError,
    CredentialsRefused,
    InvalidRequest,
    KmsDenied,
    NotFound,
    ServerError,
    Throttled,
    Unreachable,
)
from controllers.aws.identity import Identities, Identity
from controllers.aws.parameterstore import Parameter, ParameterEntry, ParameterStore
from controllers.aws.rate_limit import Permit
from controllers.aws.secretsmanager import SecretEntry, SecretsManager, SecretValue
from controllers.external_secrets.fetch.keys import Listed
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import EntryError, ErrorClass, MissingValueError
from controllers.external_secrets.values.find import Matcher, list_call
from controllers.external_secrets.values.remote_key import RemoteKey

from .coalescer import BatchRefusedError
from .keys import ValueSource

_BATCHES = {"SecretsManager": "secretsmanager:BatchGetSecretValue", "ParameterStore": "ssm:GetParameters"}
_CLASSES: tuple[tuple[type[AwsError], ErrorClass], ...] = (
    (KmsDenied, "KMS"),
    (AccessDenied, "AccessDenied"),
    (CredentialsRefused, "Credentials"),
    (Throttled, "Throttled"),
    (Unreachable, "Unreachable"),
    (InvalidRequest, "InvalidParameter"),
    (ServerError, "Provider"),
)


class Finder(Protocol):
    """Lists what a `find` selects."""

    async def find(self, source: ValueSource, find: Mapping[str, Any], *, prefix: str) -> dict[str, Fetched]:
        """Name → value of all that match. Raises EntryError where any of them cannot be read."""
        ...


def entry_error(error: AwsError, key: str) -> EntryError:
    """An error of AWS as one of ours, about a key."""
    if isinstance(error, NotFound):
        return MissingValueError(f"key {key}: {error.message}")
    for kind, name in _CLASSES:
        if isinstance(error, kind):
            return EntryError(name, f"key {key}: {error.message}")
    return EntryError("Provider", f"key {key}: {error.message}")


class AwsReader:
    """One per process."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def _secrets(self, source: ValueSource, *, held: bool = False) -> SecretsManager:
        assert isinstance(source.identity, Identity)  # noqa: S101  # stores make sources with identities only
        return SecretsManager(self._identities, source.identity, source.region, held, source.retry)

    def _parameters(self, source: ValueSource, *, held: bool = False) -> ParameterStore:
        assert isinstance(source.identity, Identity)  # noqa: S101
        return ParameterStore(self._identities, source.identity, source.region, held, source.retry)

    def gate(self, source: ValueSource, *, urgent: bool) -> AbstractAsyncContextManager[Permit]:
        """The turn that a batch of this source needs, for `Coalescer`."""
        return self._identities.paces.turn(source.identity, source.region, _BATCHES[source.service], urgent=urgent)

    def backlog(self, source: ValueSource) -> float:
        """Seconds that a batch of this source would wait for its turn."""
        return self._identities.paces.backlog(source.identity, source.region, _BATCHES[source.service])

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        """Of a caller that has a turn by `gate`."""
        return await self._batch(source, keys, held=True)

    async def _batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, held: bool
    ) -> Mapping[RemoteKey, Outcome]:
        try:
            if source.service == "SecretsManager":
                return await self._secret_batch(source, keys, held=held)
            return await self._parameter_batch(source, keys, held=held)
        except AwsError as error:
            shared = entry_error(error, keys[0].shown if len(keys) == 1 else f"batch of {len(keys)}")
            if isinstance(error, AccessDenied | InvalidRequest | NotFound):
                raise BatchRefusedError(shared) from None
            raise shared from None

    async def _secret_batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, held: bool
    ) -> Mapping[RemoteKey, Outcome]:
        if len(keys) == 1:  # where the store says how often, it is the coalescer that counts
            once = source._replace(retry=Retry(1)) if held and source.retry else source
            return {keys[0]: await self._or_error(once, keys[0])}
        found = await self._secrets(source, held=held).batch([key.name for key in keys])
        return {
            key: _secret(found.values[key.name])
            if key.name in found.values
            else entry_error(found.errors[key.name], key.shown)
            for key in keys
        }

    async def _parameter_batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, held: bool
    ) -> Mapping[RemoteKey, Outcome]:
        found = await self._parameters(source, held=held).get([key.name for key in keys])
        return {
            key: _parameter(found.values[key.name])
            if key.name in found.values
            else MissingValueError(f"key {key.shown}: Parameter Store has no such parameter")
            for key in keys
        }

    async def _or_error(self, source: ValueSource, key: RemoteKey) -> Outcome:
        try:
            return await self.single(source, key)
        except EntryError as error:
            return error

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        try:
            if source.service == "SecretsManager":
                return await self._single_secret(self._secrets(source), key)
            return await self._single_parameter(self._parameters(source), key)
        except AwsError as error:
            raise entry_error(error, key.shown) from None

    async def _single_secret(self, edge: SecretsManager, key: RemoteKey) -> Fetched:
        if key.tags:
            entry = await edge.describe(key.name)
            return Fetched(_tags(entry.tags), arn=entry.arn, name=entry.name)
        if key.version.startswith("uuid/"):
            return _secret(await edge.get(key.name, version_id=key.version.removeprefix("uuid/")))
        return _secret(await edge.get(key.name, stage=key.version))

    async def _single_parameter(self, edge: ParameterStore, key: RemoteKey) -> Fetched:
        if key.tags:
            return Fetched(_tags(await edge.tags(key.name)), name=key.name)
        name = f"{key.name}:{key.version}" if key.version else key.name
        found = await edge.get([name])
        if name not in found.values:
            raise MissingValueError(f"key {key.shown}: Parameter Store has no such parameter or version")
        return _parameter(found.values[name])

    async def versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[Listed]:
        """Everything whose name has one of these beginnings (none: everything), to the last page; no values.
        Raises EntryError. What is within its recovery window is not listed: it counts as deleted."""
        try:
            if source.service == "SecretsManager":
                by_name = [{"Key": "name", "Values": list(prefixes)}] if prefixes else []
                return [_listed_secret(entry) for entry in await self._secrets(source).list(by_name)]
            by_name = [{"Key": "Name", "Option": "BeginsWith", "Values": list(prefixes)}] if prefixes else []
            return [_listed_parameter(entry) for entry in await self._parameters(source).describe(by_name)]
        except AwsError as error:
            raise entry_error(error, "sweep") from None

    async def find(self, source: ValueSource, find: Mapping[str, Any], *, prefix: str) -> dict[str, Fetched]:
        matches = Matcher(find, prefix=prefix)
        call = list_call(source.service, find, prefix=prefix)
        try:
            if source.service == "SecretsManager":
                return await self._find_secrets(self._secrets(source), source, call, matches)
            return await self._find_parameters(self._parameters(source), source, call, matches)
        except AwsError as error:
            raise entry_error(error, "find") from None

    async def _find_secrets(
        self, edge: SecretsManager, source: ValueSource, call: Mapping[str, Any], matches: Matcher
    ) -> dict[str, Fetched]:
        listed = await edge.list(call.get("Filters", ()))
        names = [entry.name for entry in listed if matches(entry.name, entry.tags) and entry.deleted is None]
        return await self._read_all(source, names, 20)

    async def _find_parameters(
        self, edge: ParameterStore, source: ValueSource, call: Mapping[str, Any], matches: Matcher
    ) -> dict[str, Fetched]:
        if call["op"] == "GetParametersByPath":
            found = await edge.by_path(call["Path"])
            return {item.name: _parameter(item) for item in found if matches(item.name, {})}
        # DescribeParameters filters by exact pairs, so the tags need no second look.
        listed = await edge.describe(call["ParameterFilters"])
        names = [entry.name for entry in listed if matches.without_tags(entry.name)]
        return await self._read_all(source, names, 10)

    async def _read_all(self, source: ValueSource, names: Sequence[str], size: int) -> dict[str, Fetched]:
        out: dict[str, Fetched] = {}
        for at in range(0, len(names), size):
            keys = [RemoteKey(source.service, name) for name in names[at : at + size]]
            try:
                outcomes = await self._batch(source, keys, held=False)
            except BatchRefusedError:
                outcomes = {key: await self._or_error(source, key) for key in keys}
            for key, outcome in outcomes.items():
                if isinstance(outcome, MissingValueError):
                    continue  # deleted since it was listed
                if isinstance(outcome, EntryError):
                    raise outcome
                out[key.name] = outcome
        return out


def _secret(value: SecretValue) -> Fetched:
    stage = "AWSCURRENT" if "AWSCURRENT" in value.stages or not value.stages else value.stages[0]
    return Fetched(value.value.reveal(), arn=value.arn, version=value.version_id, stage=stage, name=value.name)


def _parameter(value: Parameter) -> Fetched:
    return Fetched(value.value.reveal(), arn=value.arn, version=str(value.version), name=value.name)


def _listed_secret(entry: SecretEntry) -> Listed:
    versions = {stage: version for version, stages in entry.stages.items() for stage in stages}
    return Listed(entry.name, entry.arn, versions if entry.deleted is None else {}, entry.changed, entry.tags)


def _listed_parameter(entry: ParameterEntry) -> Listed:
    return Listed(entry.name, entry.arn, {"AWSCURRENT": str(entry.version)}, entry.modified)


def _tags(tags: Mapping[str, str]) -> bytes:
    return json.dumps(dict(tags), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
