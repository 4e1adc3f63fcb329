"""Errors of AWS as the classes that users see."""

from __future__ import annotations

from controllers.aws.errors import (
    AccessDenied,
    AwsError,
    CredentialsRefused,
    InvalidRequest,
    KmsDenied,
    NotFound,
    ServerError,
    Throttled,
    Unreachable,
)
from controllers.external_secrets.values.errors import EntryError, ErrorClass, MissingValueError

_CLASSES: tuple[tuple[type[AwsError], ErrorClass], ...] = (
    (KmsDenied, "KMS"),
    (AccessDenied, "AccessDenied"),
    (CredentialsRefused, "Credentials"),
    (Throttled, "Throttled"),
    (Unreachable, "Unreachable"),
    (InvalidRequest, "InvalidParameter"),
    (ServerError, "Provider"),
)


def entry_error(error: AwsError, key: str) -> EntryError:
    """An error of AWS as one of ours, about a key."""
    if isinstance(error, NotFound):
        return MissingValueError(f"key {key}: {error.message}")
    for kind, name in _CLASSES:
        if isinstance(error, kind):
            return EntryError(name, f"key {key}: {error.message}")
    return EntryError("Provider", f"key {key}: {error.message}")
