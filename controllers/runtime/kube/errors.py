"""What can go wrong between us and an API server.

    ApiError                 any answer that is not a success; `status` is the HTTP status
    ├── BadRequest           400
    ├── Unauthorized         401
    ├── Forbidden            403
    ├── NotFound             404
    ├── AlreadyExists        409, reason AlreadyExists
    ├── Conflict             409: another resourceVersion, or a server-side apply field of another manager
    ├── Gone                 410: the resourceVersion or continue token is too old
    ├── Invalid              422; `causes` name the fields
    ├── TooManyRequests      429; `retry_after` in seconds
    ├── ServerError          5xx
    └── Unreachable          no answer at all; `status` is 0
    UnknownKindError              discovery does not list the kind

Built from the server's `Status`. Its messages quote what was sent, so those about Secrets are stripped of values before
anybody sees them (`without_values`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of `Status.details.causes`: `field` is a JSON path, `reason` is like FieldValueRequired."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """`reason` is the Status' CamelCase word, `details` its raw details (kind, name, group, …)."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        causes: tuple[Cause, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.causes = causes
        self.retry_after: float | None = None


class BadRequest(ApiError):
    pass


class Unauthorized(ApiError):
    pass


class Forbidden(ApiError):
    pass


class NotFound(ApiError):
    pass


class AlreadyExists(ApiError):
    pass


class Conflict(ApiError):
    pass


class Gone(ApiError):
    pass


class Invalid(ApiError):
    pass


class TooManyRequests(ApiError):
    pass


class ServerError(ApiError):
    pass


class Unreachable(ApiError):
    """No answer: refused, reset, timed out, TLS. The request may or may not have been served."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class UnknownKindError(Exception):
    """The API server serves no such kind (its CRD is missing, or not established yet)."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f"the API server does not serve kind {kind} in {api_version}")
        self.api_version = api_version
        self.kind = kind


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_from(status: int, body: bytes, *, retry_after: str = "", secret: bool = False) -> ApiError:
    """The error for an HTTP answer. `secret` says that the request was about a Secret: its values are stripped."""
    return error_from_status(_status_of(status, body), status, retry_after=retry_after, secret=secret)


def error_from_status(
    document: Mapping[str, Any], status: int, *, retry_after: str = "", secret: bool = False
) -> ApiError:
    """The error for a parsed `Status` (also the object of a watch's ERROR event)."""
    reason = _text(document.get("reason"))
    message = _text(document.get("message")) or f"HTTP {status}"
    details = document.get("details")
    details = details if isinstance(details, Mapping) else {}
    causes = tuple(
        Cause(_text(item.get("field")), _text(item.get("reason")), _text(item.get("message")))
        for item in details.get("causes") or ()
        if isinstance(item, Mapping)
    )
    if secret and status in (400, 422):
        message = without_values(message)
        causes = tuple(Cause(c.field, c.reason, without_values(c.message)) for c in causes)
        details = {key: value for key, value in details.items() if key != "causes"}
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_STATUS.get(status)
    kind = kind or (ServerError if status >= 500 else ApiError)
    error = kind(status, reason, message, details, causes)
    error.retry_after = _seconds(retry_after, details.get("retryAfterSeconds"))
    return error


def _status_of(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:  # a proxy's page, not the API server's answer: its text is none of ours to repeat
        return {"message": f"HTTP {status} without a Kubernetes Status body"}
    if isinstance(document, Mapping) and document.get("kind") == "Status":
        return document
    return {"message": f"HTTP {status} without a Kubernetes Status body"}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(header: str, detail: object) -> float | None:
    for value in (header, detail):
        try:
            seconds = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None


# The forms in which apimachinery quotes what it was sent: a field's value; the bytes around a JSON or YAML error.
_INVALID_VALUE = re.compile(r'((?:Invalid|Unsupported|Duplicate) value: )(?:"(?:[^"\\]|\\.)*"|[^\s:]+)', re.DOTALL)
_CONTEXT = re.compile(r"\.{3}\|.*\|\.{3}", re.DOTALL)
_MAP_DUMP = re.compile(r"map\[[^\n]*\]|\{\"[^\n]*\}", re.DOTALL)
_BYTES = re.compile(r"(illegal base64 data at input byte) \d+")


def without_values(message: str) -> str:
    """An API server's message with the values that it quotes taken out; the fields and the reasons stay."""
    for pattern, replacement in (
        (_CONTEXT, "...|redacted|..."),
        (_MAP_DUMP, "{redacted}"),
        (_INVALID_VALUE, r"\1<redacted>"),
        (_BYTES, r"\1"),
    ):
        message = pattern.sub(replacement, message)
    return message
