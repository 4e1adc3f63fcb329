"""Reads values of Secrets Manager. They come as `Sensitive` and leave as `Fetched`, whose repr hides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.aws.edge import Retry
from controllers.aws.secretsmanager import BATCH, SecretEntry, SecretsManager, SecretValue
from controllers.external_secrets.providers.aws.errors import entry_error
from controllers.external_secrets.providers.aws.reader import AwsReader, identity_of, tags_document
from controllers.external_secrets.providers.source import CURRENT, ListedSecret, ValueSource
from controllers.external_secrets.values.entries import Fetched, Outcome
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.remote_key import RemoteKey

from .calls import CURRENT_STAGE, list_call, single_call


class SecretsManagerReader(AwsReader):
    batch_api = "secretsmanager:BatchGetSecretValue"
    batch_size = BATCH

    async def read_batch(
        self, source: ValueSource, keys: Sequence[RemoteKey], *, admitted: bool
    ) -> Mapping[RemoteKey, Outcome]:
        if len(keys) == 1:  # where the store says how often, it is the coalescer that counts
            once = source._replace(retry=Retry(1)) if admitted and source.retry else source
            return {keys[0]: await self.outcome(once, keys[0])}
        found = await self._edge(source, admitted=admitted).batch([key.name for key in keys])
        return {
            key: _fetched(found.values[key.name])
            if key.name in found.values
            else entry_error(found.errors[key.name], key.shown)
            for key in keys
        }

    async def read_single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        edge, call = self._edge(source), single_call(key)
        if call["op"] == "DescribeSecret":
            entry = await edge.describe(call["SecretId"])
            return Fetched(tags_document(entry.tags), arn=entry.arn, name=entry.name)
        version, stage = call.get("VersionId", ""), call.get("VersionStage", "")
        return _fetched(await edge.get(call["SecretId"], version_id=version, stage=stage))

    async def list_versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        by_name = [{"Key": "name", "Values": list(prefixes)}] if prefixes else []
        return [_listed(entry) for entry in await self._edge(source).list(by_name)]

    async def read_found(
        self, source: ValueSource, find: Mapping[str, Any], matches: Matcher, prefix: str
    ) -> dict[str, Fetched]:
        listed = await self._edge(source).list(list_call(find, prefix=prefix).get("Filters", ()))
        names = [entry.name for entry in listed if matches(entry.name, entry.tags) and entry.deleted is None]
        return await self.read_all(source, names)

    def _edge(self, source: ValueSource, *, admitted: bool = False) -> SecretsManager:
        return SecretsManager(self.identities, identity_of(source), source.region, admitted, source.retry)


def _fetched(value: SecretValue) -> Fetched:
    stage = CURRENT_STAGE if CURRENT_STAGE in value.stages or not value.stages else value.stages[0]
    return Fetched(value.value.reveal(), arn=value.arn, version=value.version_id, stage=stage, name=value.name)


def _listed(entry: SecretEntry) -> ListedSecret:
    versions = {stage: version for version, stages in entry.stages.items() for stage in stages}
    if CURRENT_STAGE in versions:
        versions[CURRENT] = versions[CURRENT_STAGE]
    return ListedSecret(entry.name, entry.arn, versions if entry.deleted is None else {}, entry.changed, entry.tags)
