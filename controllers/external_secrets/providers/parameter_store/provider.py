"""Parameter Store as a `Provider`. Prices are AWS's list prices of us-east-1 and most regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.aws.parameterstore import BATCH
from controllers.external_secrets.providers.aws import names
from controllers.external_secrets.providers.aws.policy import decrypt
from controllers.external_secrets.providers.aws.store import AwsStores
from controllers.external_secrets.providers.provider import Clients, PlanningProvider, SecretReader
from controllers.external_secrets.providers.reads import FindCalls, PlannedRead, PlannedSource
from controllers.external_secrets.values.extract import select
from controllers.external_secrets.values.remote_key import RemoteKey

from .calls import NAME, list_call, remote_key
from .policy import statements
from .reader import ParameterStoreReader

PER_VALUE = 0.05 / 10_000
"""Dollars for a parameter read with higher throughput or of the advanced tier; otherwise reading is free."""
_PATH_PAGE = 10


class ParameterStoreProvider(AwsStores):
    name = NAME
    batch_size = BATCH
    list_page = 50
    event_source = "ssm"

    def remote_key(self, key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
        return remote_key(key, version=version, prefix=prefix, tags=tags)

    def select(self, document: str, name: str, *, key: str) -> str:
        return select(document, name, key=key)

    def without_value(self, key: str) -> str:
        return f"parameter value is nil for key {key}"

    def spellings(self, name: str) -> frozenset[str]:
        return names.spellings(name)

    def owner(self, name: str) -> str:
        return names.owner(name)

    def listed_name(self, name: str) -> frozenset[str]:
        return names.listed_name(name)

    def unlisted(self, version: str) -> bool:
        """A number is fixed, and listings do not show labels."""
        return bool(version)

    def reader(self, clients: Clients) -> SecretReader:
        return ParameterStoreReader(clients.identities)

    # --- planning

    @property
    def planning(self) -> PlanningProvider:
        return self

    def single_calls(self, asked: Sequence[tuple[str, RemoteKey]]) -> int:
        """One per entry."""
        return len(asked)

    def find_calls(self, find: Mapping[str, Any], *, prefix: str, matches: int) -> FindCalls:
        if list_call(find, prefix=prefix)["op"] == "GetParametersByPath":
            pages = max(1, math.ceil(matches / _PATH_PAGE))
            return FindCalls(pages, pages)  # the list is the values
        pages = max(1, math.ceil(matches / self.list_page))
        return FindCalls(pages + math.ceil(matches / self.batch_size), pages + matches)

    def dollars(self, calls: float, values: float, *, parameters_paid: bool) -> float:
        """Parameters are counted, however they are asked for."""
        return values * PER_VALUE if parameters_paid else 0.0

    def statements(
        self, source: PlannedSource, account: str, reads: Sequence[PlannedRead], *, swept: bool, kms_keys: Sequence[str]
    ) -> list[dict[str, Any]]:
        granted = statements(source.region, account, reads, swept=swept)
        return granted + decrypt("ssm", source.region, kms_keys)


PARAMETER_STORE = ParameterStoreProvider()
