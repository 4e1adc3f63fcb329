"""Failures as the API server words them: an HTTP code and a `Status` body with reason, details and causes.

Clients branch on `reason` and on `details.causes`, people read `message`; both are part of the interface. Every
refusal in this package is a `StatusError` made by one of the functions below, so that a wording stands in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of `details.causes`: `reason` is e.g. FieldValueInvalid, `field` a path such as `spec.replicas`."""

    reason: str
    message: str
    field: str = ""

    def body(self) -> dict[str, str]:
        """As JSON."""
        found = {"reason": self.reason} if self.reason else {}
        found["message"] = self.message
        if self.field:
            found["field"] = self.field
        return found


@dataclass(slots=True)
class StatusError(Exception):
    """A request that is refused. `group`, `kind` (a plural, for most) and `name` say which object it is about."""

    code: int
    reason: str
    message: str
    group: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    def body(self) -> dict[str, Any]:
        """The `Status` object that is sent."""
        about = {"name": self.name, "group": self.group, "kind": self.kind, "uid": self.uid}
        details: dict[str, Any] = {key: value for key, value in about.items() if value}
        if self.causes:
            details["causes"] = [cause.body() for cause in self.causes]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if details:
            status["details"] = details
        status["code"] = self.code
        return status


def qualified(plural: str, group: str) -> str:
    """`deployments.apps`, or `secrets` for the core group."""
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> StatusError:
    """400: the request itself cannot be understood."""
    return StatusError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> StatusError:
    """401."""
    return StatusError(401, "Unauthorized", message)


def forbidden(group: str, plural: str, name: str, why: str, *, causes: tuple[Cause, ...] = ()) -> StatusError:
    """403: `secrets "x" is forbidden: <why>`."""
    subject = qualified(plural, group)
    quoted = f' "{name}"' if name else ""
    return StatusError(403, "Forbidden", f"{subject}{quoted} is forbidden: {why}", group, plural, name, causes=causes)


def not_found(group: str, plural: str, name: str) -> StatusError:
    """404 of an object."""
    return StatusError(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', group, plural, name)


def page_not_found() -> StatusError:
    """404 of a path that no resource type serves."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(group: str = "", plural: str = "", verb: str = "") -> StatusError:
    """405. Without a verb: of a path that has no such method at all."""
    if not verb:
        return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    message = f"{verb} is not supported on resources of kind {qualified(plural, group)!r}".replace("'", '"')
    return StatusError(405, "MethodNotAllowed", message, group, plural)


def failed(message: str) -> StatusError:
    """500 without a reason: what the rules of storage or of typed merging refuse."""
    return StatusError(500, "", message)


class NothingHereError(Exception):
    """404 of a path that no part of the server knows: answered in plain text."""


def not_acceptable(accepted: str) -> StatusError:
    """406."""
    message = f"only the following media types are accepted: {accepted}"
    return StatusError(406, "NotAcceptable", message)


def already_exists(group: str, plural: str, name: str) -> StatusError:
    """409 of a create."""
    return StatusError(409, "AlreadyExists", f'{qualified(plural, group)} "{name}" already exists', group, plural, name)


def conflict(group: str, plural: str, name: str, why: str, *, causes: Iterable[Cause] = ()) -> StatusError:
    """409 of a write: `Operation cannot be fulfilled on secrets "x": <why>`."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, group, plural, name, causes=tuple(causes))


def modified(group: str, plural: str, name: str) -> StatusError:
    """409 of a write with a resourceVersion that is no longer the object's."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, why)


def gone(message: str) -> StatusError:
    """410 of a watch or a continued list whose history is no longer kept."""
    return StatusError(410, "Expired", message)


def too_large(found: int, limit: int) -> StatusError:
    """413 of a body."""
    message = f"the request body has {found} bytes or more, at most {limit} are accepted"
    return StatusError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(accepted: Sequence[str]) -> StatusError:
    """415."""
    listed = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return StatusError(415, "UnsupportedMediaType", message)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422: `Widget.example.org "x" is invalid: spec.size: Invalid value: …`. Here `kind` is the Kind, not the
    plural.
    """
    lines = (f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes)
    shown = list(dict.fromkeys(lines))
    text = shown[0] if len(shown) == 1 else "[" + ", ".join(shown) + "]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    return StatusError(422, "Invalid", message, group, kind, name, causes=tuple(causes))


def internal(message: str) -> StatusError:
    """500: a fault of ours; the message carries no value of any object."""
    return StatusError(500, "InternalError", f"Internal error occurred: {message}")


# --- causes -----------------------------------------------------------------------------------------------------------


def quoted(value: Any) -> str:
    """A value as messages show it: strings in quotes, booleans and null as in JSON, long ones cut."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= 256 else text[:250] + "…"


def invalid_value(path: str, value: Any, why: str) -> Cause:
    """`Invalid value: "x": <why>`."""
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {why}", path)


def type_invalid(path: str, value: Any, why: str) -> Cause:
    """A value of another JSON type than the schema has."""
    return Cause("FieldValueTypeInvalid", f"Invalid value: {quoted(value)}: {why}", path)


def required(path: str, why: str = "") -> Cause:
    """`Required value`."""
    return Cause("FieldValueRequired", f"Required value{': ' + why if why else ''}", path)


def not_supported(path: str, value: Any, accepted: Sequence[Any]) -> Cause:
    """`Unsupported value: "x": supported values: "a", "b"`."""
    listed = ", ".join(quoted(item) for item in accepted)
    message = f"Unsupported value: {quoted(value)}"
    return Cause("FieldValueNotSupported", f"{message}: supported values: {listed}" if listed else message, path)


def duplicate(path: str, value: Any) -> Cause:
    """`Duplicate value: …`."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {quoted(value)}", path)


def too_long(path: str, limit: int) -> Cause:
    """A string that is too long; the value is not shown."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def too_many(path: str, found: int, limit: int) -> Cause:
    """A list or map with too many items."""
    return Cause(
        "FieldValueTooMany", f"Too many: {found}: must have at most {limit} item{'' if limit == 1 else 's'}", path
    )


def field_forbidden(path: str, why: str) -> Cause:
    """`Forbidden: …`: a field that may not be set or changed."""
    return Cause("FieldValueForbidden", f"Forbidden: {why}", path)
