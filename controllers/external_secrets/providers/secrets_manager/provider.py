"""Secrets Manager as a `Provider`. Prices are AWS's list prices of us-east-1 and most regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.aws.secretsmanager import BATCH
from controllers.external_secrets.providers.aws import names
from controllers.external_secrets.providers.aws.policy import decrypt
from controllers.external_secrets.providers.aws.store import AwsStores
from controllers.external_secrets.providers.provider import Clients, PlanningProvider, SecretReader
from controllers.external_secrets.providers.reads import FindCalls, PlannedRead, PlannedSource
from controllers.external_secrets.values.extract import select
from controllers.external_secrets.values.remote_key import RemoteKey

from .calls import NAME, is_id, remote_key
from .policy import statements
from .reader import SecretsManagerReader

PER_CALL = 0.05 / 10_000
"""Dollars for a call."""


class SecretsManagerProvider(AwsStores):
    name = NAME
    batch_size = BATCH
    list_page = 100
    event_source = "secretsmanager"

    def remote_key(self, key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
        return remote_key(key, version=version, prefix=prefix, tags=tags)

    def select(self, document: str, name: str, *, key: str) -> str:
        return select(document, name, key=key)

    def without_value(self, key: str) -> str:
        return f"no secret string nor binary for key {key}"

    def spellings(self, name: str) -> frozenset[str]:
        return names.spellings(name)

    def owner(self, name: str) -> str:
        return names.owner(name)

    def listed_name(self, name: str) -> frozenset[str]:
        return names.listed_name(name)

    def unlisted(self, version: str) -> bool:
        return is_id(version)

    def reader(self, clients: Clients) -> SecretReader:
        return SecretsManagerReader(clients.identities)

    # --- planning

    @property
    def planning(self) -> PlanningProvider:
        return self

    def single_calls(self, asked: Sequence[tuple[str, RemoteKey]]) -> int:
        """One per key of each ExternalSecret."""
        return len(set(asked))

    def find_calls(self, find: Mapping[str, Any], *, prefix: str, matches: int) -> FindCalls:
        pages = max(1, math.ceil(matches / self.list_page))
        return FindCalls(pages + math.ceil(matches / self.batch_size), pages + matches)

    def dollars(self, calls: float, values: float, *, parameters_paid: bool) -> float:
        return calls * PER_CALL

    def statements(
        self, source: PlannedSource, account: str, reads: Sequence[PlannedRead], *, swept: bool, kms_keys: Sequence[str]
    ) -> list[dict[str, Any]]:
        granted = statements(source.region, account, reads, swept=swept)
        return granted + decrypt("secretsmanager", source.region, kms_keys)


SECRETS_MANAGER = SecretsManagerProvider()
