"""What can go wrong between us and a registry.

    RegistryError(reason, message)
    ├── Unauthorized   the registry refuses the credentials, or wants some
    ├── NotFound       no such repository, tag or digest
    ├── RateLimited    too many requests, also after retries
    ├── Unreachable    name resolution, connection, TLS, time limit, 5xx: time may mend it
    ├── InvalidResponseError  not what the specification says: JSON, headers, digests
    ├── TooLarge       more tags or bytes than the limits
    └── RefusedError   we refuse: an address, a redirect, a realm or link to another host, a Secret that does not parse

Messages name host, repository and cause in our words; nothing a registry sent is repeated.
"""

from __future__ import annotations


class RegistryError(Exception):
    """`reason` is fit for a condition, `message` for a human."""

    reason = "ReadOperationFailed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthorized(RegistryError):
    reason = "AuthenticationFailed"


class NotFound(RegistryError):
    pass


class RateLimited(RegistryError):
    pass


class Unreachable(RegistryError):
    pass


class InvalidResponseError(RegistryError):
    pass


class TooLarge(RegistryError):
    pass


class RefusedError(RegistryError):
    pass
