"""Reads values of Parameter Store. They come as `Sensitive` and leave as `Fetched`, whose repr hides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.aws.parameterstore import BATCH, Parameter, ParameterEntry, ParameterStore
from controllers.external_secrets.providers.aws.reader import AwsReader, identity_of, tags_document
from controllers.external_secrets.providers.source import CURRENT, ListedSecret, ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.errors import MissingValueError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey

from .calls import list_call, single_call


class ParameterStoreReader(AwsReader):
    batch_api = "ssm:GetParameters"
    batch_size = BATCH

    async def read_batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, admitted: bool
    ) -> Mapping[RemoteKey, Outcome]:
        found = await self._edge(source, admitted=admitted).get([key.name for key in keys])
        return {
            key: _fetched(found.values[key.name])
            if key.name in found.values
            else MissingValueError(f"key {key.shown}: Parameter Store has no such parameter")
            for key in keys
        }

    async def read_single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        """By GetParameters, as batches do: readers need one permission for values, not two."""
        edge, call = self._edge(source), single_call(key)
        if call["op"] == "ListTagsForResource":
            return Fetched(tags_document(await edge.tags(call["ResourceId"])), name=key.name)
        found = await edge.get([call["Name"]])
        if call["Name"] not in found.values:
            raise MissingValueError(f"key {key.shown}: Parameter Store has no such parameter or version")
        return _fetched(found.values[call["Name"]])

    async def list_versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        by_name = [{"Key": "Name", "Option": "BeginsWith", "Values": list(prefixes)}] if prefixes else []
        return [_listed(entry) for entry in await self._edge(source).describe(by_name)]

    async def read_found(
        self, source: ValueSource, find: Mapping[str, Any], matches: Matcher, prefix: str
    ) -> dict[str, Fetched]:
        edge, call = self._edge(source), list_call(find, prefix=prefix)
        if call["op"] == "GetParametersByPath":
            found = await edge.by_path(call["Path"])
            return {item.name: _fetched(item) for item in found if matches(item.name, {})}
        # DescribeParameters filters by exact pairs, so the tags need no second look.
        listed = await edge.describe(call["ParameterFilters"])
        return await self.read_all(source, [entry.name for entry in listed if matches.without_tags(entry.name)])

    def _edge(self, source: ValueSource, *, admitted: bool = False) -> ParameterStore:
        return ParameterStore(self.identities, identity_of(source), source.region, admitted, source.retry)


def _fetched(value: Parameter) -> Fetched:
    return Fetched(value.value.reveal(), arn=value.arn, version=str(value.version), name=value.name)


def _listed(entry: ParameterEntry) -> ListedSecret:
    return ListedSecret(entry.name, entry.arn, {CURRENT: str(entry.version)}, entry.modified)
