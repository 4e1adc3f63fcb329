"""What a value is shared by: the source it was read from, and the key there."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from controllers.aws.edge import Retry
from controllers.external_secrets.values.remote_key import RemoteKey, Service


class Source(NamedTuple):
    """Who asks where. Values are shared within a source and never between two."""

    identity: Hashable
    region: str
    service: Service
    retry: Retry | None = None


class Wanted(NamedTuple):
    """One key of one source."""

    source: Source
    key: RemoteKey
