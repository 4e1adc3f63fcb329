"""What files of manifests say about reading: who reads what, where and how often. For `inhaul secrets plan`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from controllers.external_secrets.values.remote_key import RemoteKey


@dataclass(frozen=True, slots=True, order=True)
class ReadingIdentity:
    """`role` is the role that reads ("" where the files do not name it), `chain` the roles assumed before it.

    `federated`: the first of these is the service account's own, assumed by its token; otherwise `base` assumes it.
    """

    base: str
    chain: tuple[str, ...] = ()
    role: str = ""
    federated: bool = False
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        name = self.role or self.base
        return f"{name} [{', '.join(f'{key}={value}' for key, value in self.tags)}]" if self.tags else name


class PlannedSource(NamedTuple):
    """A source as far as files name it: what batches and values are shared within. `service`: the provider's name."""

    reader: ReadingIdentity
    region: str
    service: str


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """One entry of one ExternalSecret: a key, or a find. `interval` in seconds; 0: on change only."""

    source: PlannedSource
    owner: str
    where: str
    interval: float
    key: RemoteKey | None = None
    find: Mapping[str, Any] | None = None
    prefix: str = ""


class FindCalls(NamedTuple):
    """Calls of one find: `batched` as we make them, `single` with one call per value."""

    batched: int
    single: int
