"""managedFields of what is answered and never stored: reviews and token requests carry them like any object."""

from __future__ import annotations

from datetime import UTC, datetime

from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp

from ..schema.loader import table
from ..seams import Call
from . import managed


def written_by(call: Call, body: Manifest, type_name: str, api_version: str, subresource: str = "") -> list[Manifest]:
    """The one entry of who asked; `type_name` as in the table of built-in types."""
    now = timestamp(datetime.now(UTC))
    by = managed.Write(call.manager or "unknown", api_version, now, subresource, ("f:status",))
    return managed.update(table()[type_name], None, body, by)
