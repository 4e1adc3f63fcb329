"""`bitnami.com/v1alpha1`: SealedSecret."""

from __future__ import annotations

from typing import Annotated

from .base import Bool, Fields, Format, Implied, Int, JsonObject, Nullable
from .meta import Strings, Time
from .resource import Resource

SEALED_SECRETS = Resource("bitnami.com", "v1alpha1", "sealedsecrets", "SealedSecret")


class SecretTemplate(Fields):
    """The Secret that is made, apart from the sealed items."""

    metadata: JsonObject = {}
    """Labels, annotations and other metadata of the Secret."""
    type: str = ""
    """Default: Opaque."""
    immutable: Bool | None = None
    data: Annotated[Strings | None, Nullable()] = None
    """Go templates over the unsealed items."""


class SealedSecretSpec(Fields):
    """Items that only the holder of a sealing key can open."""

    template: SecretTemplate = SecretTemplate()
    data: Annotated[str, Format("byte")] | None = None
    """One envelope around a whole Secret: the first format, still read."""
    encrypted_data: dict[str, str]
    """Sealed items, base64."""


class SealedSecretCondition(Fields):
    """`Synced`, and what we add."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_update_time: Time | None = None
    last_transition_time: Time | None = None


class SealedSecretStatus(Fields):
    """Whether the Secret is what the SealedSecret says."""

    observed_generation: Annotated[Int, Format("int64"), Implied()] = 0
    conditions: tuple[SealedSecretCondition, ...] = ()
