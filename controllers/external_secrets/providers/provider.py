"""The Protocol of a secret service: everything that differs from one service to another, and nothing else.

A provider is named by a field of a store's `spec.provider` (two of them share `aws`). It knows how keys are written,
as whom and how values are read, what a call costs and takes, which events announce changes, and which permissions
reading needs. `registry` lists the providers; the rest of the controller asks through the Protocol.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from controllers.api.resource import Key, Manifest, Resource
from controllers.api.secret_stores import SecretStoreProvider
from controllers.api.tenancy import Request
from controllers.aws.identity import Identities
from controllers.aws.rate_limit import Permit
from controllers.external_secrets.values.entries import Fetched, LocalValues, Outcome, StoreRef
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.external_secrets.values.service import SecretService

from .reads import FindCalls, PlannedRead, PlannedSource, ReadingIdentity
from .source import ListedSecret, ValueSource


class StoreError(Exception):
    """The store cannot be used now. `reason` is for the store's own condition."""

    def __init__(self, reason: str, message: str, *, lasting: bool = True) -> None:
        super().__init__(message)
        self.reason, self.message, self.lasting = reason, message, lasting


class BatchRefusedError(Exception):
    """The provider refused a batch as a whole, for a reason that one key or one permission may be to blame for."""

    def __init__(self, error: EntryError) -> None:
        super().__init__(error.message)
        self.error = error


class StoreSettings(NamedTuple):
    """What every store has, whatever its provider."""

    region: str = ""
    prefix: str = ""


class Validation(NamedTuple):
    """The Ready=True condition of a store that may be used."""

    reason: str = "Valid"
    message: str = "store validated"


class StoreAccess(Protocol):
    """What a provider may ask of the cluster on behalf of a store."""

    async def kept(self, resource: Resource, key: Key, *, metadata_only: bool = False) -> Manifest | None:
        """An object that credentials come from; the store is reconciled again when it changes. Raises ApiError."""
        ...

    def allow(self, namespace: str, request: Request) -> None:
        """Raises StoreError where no TenantPolicy grants it."""
        ...


@dataclass(frozen=True, slots=True)
class Clients:
    """What readers make their calls with."""

    identities: Identities


class SecretReader(Protocol):
    """Reads values of one provider's sources."""

    async def batch(self, source: ValueSource, keys: Sequence[RemoteKey]) -> Mapping[RemoteKey, Outcome]:
        """Current values, an outcome per key; of a caller that has passed `gate`. Raises BatchRefusedError, or
        EntryError where no single call would work."""
        ...

    async def single(self, source: ValueSource, key: RemoteKey) -> Fetched:
        """One value of any version, or its tags. Raises EntryError."""
        ...

    async def find(self, source: ValueSource, find: Mapping[str, Any], *, prefix: str) -> dict[str, Fetched]:
        """Name → value of all that match. Raises EntryError where any of them cannot be read."""
        ...

    async def versions(self, source: ValueSource, prefixes: Sequence[str]) -> list[ListedSecret]:
        """Everything whose name has one of these beginnings (none: everything); no values. Raises EntryError."""
        ...

    def gate(self, source: ValueSource, *, urgent: bool) -> AbstractAsyncContextManager[Permit]:
        """Waits until a batch of this source may be sent."""
        ...

    def backlog(self, source: ValueSource) -> float:
        """Seconds that a batch of this source would wait in `gate`."""
        ...


class StoreProvider(Protocol):
    """A provider's side of stores. Every method is given the parsed `spec.provider`."""

    @property
    def field(self) -> str:
        """The field of `spec.provider` that names it."""
        ...

    def serves(self, spec: SecretStoreProvider) -> bool:
        """Whether a store with this field set is read through this provider."""
        ...

    def settings(self, spec: SecretStoreProvider) -> StoreSettings:
        """Raises StoreError for what no call can make right."""
        ...

    async def identity(self, access: StoreAccess, namespace: str, ref: StoreRef, spec: SecretStoreProvider) -> Hashable:
        """As whom `namespace` reads through the store. Raises StoreError, ApiError."""
        ...

    def caller_identity(self, spec: SecretStoreProvider) -> Hashable:
        """As whom a command reads through the store: whoever runs it."""
        ...

    async def validate(
        self, access: StoreAccess, clients: Clients, namespace: str, ref: StoreRef, spec: SecretStoreProvider
    ) -> Validation:
        """Whether the store can be read (`namespace` "": a cluster store). Raises StoreError, ApiError."""
        ...

    def depends_on(self, store: Manifest) -> list[tuple[Resource, Key]]:
        """The objects that the store's credentials come from, where it names their namespace."""
        ...

    def local(self, spec: SecretStoreProvider) -> LocalValues | None:
        """The values, where the store holds them itself."""
        ...


class PlanningProvider(Protocol):
    """What `inhaul secrets plan` asks: calls, prices and permissions."""

    @property
    def name(self) -> str: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def list_page(self) -> int:
        """Entries in one page of a listing."""
        ...

    def reading_identity(
        self, namespace: str, ref: StoreRef, spec: SecretStoreProvider, roles_of: Mapping[Key, str]
    ) -> ReadingIdentity:
        """`roles_of`: role by service account, where its manifest is known."""
        ...

    def single_calls(self, asked: Sequence[tuple[str, RemoteKey]]) -> int:
        """Calls without batches for these (ExternalSecret, key)."""
        ...

    def find_calls(self, find: Mapping[str, Any], *, prefix: str, matches: int) -> FindCalls: ...

    def dollars(self, calls: float, values: float, *, parameters_paid: bool) -> float:
        """List price of these calls, which read these values."""
        ...

    def statements(
        self, source: PlannedSource, account: str, reads: Sequence[PlannedRead], *, swept: bool, kms_keys: Sequence[str]
    ) -> list[dict[str, Any]]:
        """IAM policy statements that the reader needs."""
        ...


class Provider(SecretService, StoreProvider, Protocol):
    """A secret service. Stateless: readers hold the clients."""

    @property
    def batch_size(self) -> int:
        """Keys in one batch call."""
        ...

    @property
    def planning(self) -> PlanningProvider | None:
        """None where reading costs nothing and needs no permission."""
        ...

    @property
    def event_source(self) -> str:
        """The service of `aws.events.AwsChange` that announces its changes; "": none does."""
        ...

    def spellings(self, name: str) -> frozenset[str]:
        """Every form in which a key or an event may write this name."""
        ...

    def owner(self, name: str) -> str:
        """The account that a name belongs to, where the name says it."""
        ...

    def listed_name(self, name: str) -> frozenset[str]:
        """Beginnings under which a key's secret is listed."""
        ...

    def unlisted(self, version: str) -> bool:
        """Whether listings say nothing of this version: it never changes, or they do not show it."""
        ...

    def reader(self, clients: Clients) -> SecretReader: ...
