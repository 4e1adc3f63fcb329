"""What resolving an ExternalSecret needs to know of the secret service that it reads. `providers` implements it."""

from __future__ import annotations

from typing import Protocol

from .remote_key import RemoteKey


class SecretService(Protocol):
    """Pure: how keys are named, and how a value is read out of a document."""

    @property
    def name(self) -> str:
        """As stores, TenantPolicies, messages and metrics name the service."""
        ...

    def remote_key(self, key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
        """What `remoteRef.key` and `version` ask for in a store with this prefix; `tags`: metadataPolicy is Fetch."""
        ...

    def select(self, document: str, name: str, *, key: str) -> str:
        """The value of `property: name`. Raises EntryError; MissingValueError where the service calls that missing."""
        ...

    def without_value(self, key: str) -> str:
        """The error message for a secret that has neither text nor bytes."""
        ...
