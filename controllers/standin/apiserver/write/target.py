"""What a request is about, and how it is meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controllers.api.resource import Manifest

from ..seams import SYSTEM, User
from ..status_errors import StatusError, bad_request, not_found
from ..types.registry import ResourceType, Served
from . import meta

NAMESPACES = ("", "namespaces")


@dataclass(slots=True)
class Options:
    """How a write is meant. `warnings` collects what the answer's Warning headers say."""

    user: User = SYSTEM
    manager: str = "unknown"
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False
    duplicates: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)
    created: bool = False
    """Set by a PUT that created."""
    may_create: Callable[[], None] | None = None
    """Asked before an apply or a PUT creates; raises StatusError 403."""


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """What a request is about."""

    type: ResourceType
    served: Served
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> str:
        """Where the object stands in its table."""
        return meta.key(self.namespace, self.name)

    def missing(self) -> StatusError:
        """404 of this object."""
        return not_found(self.type.group, self.type.plural, self.name)


def check_name(target: RequestTarget, body: Manifest) -> None:
    """Raises 400 where an object is written under another name than its own."""
    head = body.get("metadata")
    given = head.get("name") if isinstance(head, dict) else None
    if not given:
        why = f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided"
        raise bad_request(why)
    if given != target.name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({target.name})")
