"""What can go wrong with one key on its way from the provider to the Secret.

    EntryError(error_class, message)     one entry of data/dataFrom failed; the class is what users and metrics see
    └── Missing                          the provider has no such secret: deletionPolicy decides what follows

    SpecError                          the ExternalSecret itself cannot be served as written
    TargetTemplateError                      the template failed on these data

Messages name keys and properties, never values, request ids or times: they go into conditions.
"""

from __future__ import annotations

from typing import Literal

ErrorClass = Literal[
    "AccessDenied",
    "Conversion",
    "Credentials",
    "Decode",
    "Generator",
    "InvalidParameter",
    "KMS",
    "NotFound",
    "NullBytes",
    "PropertyMissing",
    "Provider",
    "Refused",
    "Rewrite",
    "Throttled",
    "Unreachable",
    "UnsupportedField",
    "ValueInvalid",
]


class EntryError(Exception):
    """One entry failed."""

    def __init__(self, error_class: ErrorClass, message: str) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.message = message


class MissingValueError(EntryError):
    """The provider has no such secret, or has scheduled its deletion."""

    def __init__(self, message: str) -> None:
        super().__init__("NotFound", message)


class SpecError(Exception):
    """The spec cannot be served: only an edit can mend it."""


class TargetTemplateError(Exception):
    """A template of the target failed. The text holds no value."""
