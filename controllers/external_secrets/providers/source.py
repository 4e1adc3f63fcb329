"""What a value is shared by: the source it was read from, and the key there."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from controllers.aws.edge import Retry
from controllers.external_secrets.values.remote_key import RemoteKey


class ValueSource(NamedTuple):
    """Who reads where. Values are shared within a source and never between two. `service`: the provider's name."""

    identity: Hashable
    region: str
    service: str
    retry: Retry | None = None


class SourceKey(NamedTuple):
    """One key of one source."""

    source: ValueSource
    key: RemoteKey


CURRENT = ""
"""The stage of the current version, as `RemoteKey.version` writes it."""


@dataclass(frozen=True, slots=True)
class ListedSecret:
    """One secret without its value. `versions`: version by stage, the current one under `CURRENT`."""

    name: str
    arn: str
    versions: Mapping[str, str] = field(default_factory=dict)
    changed: datetime | None = None
    tags: Mapping[str, str] | None = None  # None: not known

    @property
    def version(self) -> str:
        return self.versions.get(CURRENT, "")
