"""EventBridge messages about secrets, parameters and images, as one typed `AwsChange`. Pure: bytes in, values out.

Secrets Manager speaks through CloudTrail: API calls name the secret as their caller did (name, ARN or part of one),
rotations by ARN. A failed call is an event too (`errorCode`), and so is a read: both are no change. Parameter Store and
ECR send events of their own. A message may come wrapped by SNS. Whatever is well-formed but none of ours is None;
whatever is not even well-formed raises `MalformedMessageError`.
Sources: the EventBridge pages of the Secrets Manager, Systems Manager and ECR user guides.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from controllers.api.timestamps import parse_timestamp

MAX_BYTES = 1 << 20  # SQS's own limit
_SECRET_CHANGES = frozenset(
    {
        "CancelRotateSecret",
        "CreateSecret",
        "DeleteSecret",
        "PutSecretValue",
        "ReplicateSecretToRegions",
        "RestoreSecret",
        "RotationSucceeded",
        "SecretVersionDeletion",
        "EndSecretVersionDelete",
        "StartSecretVersionDelete",
        "TagResource",
        "UntagResource",
        "UpdateSecret",
        "UpdateSecretVersionStage",
    }
)
_SECRET_KINDS = ("AWS API Call via CloudTrail", "AWS Service Event via CloudTrail")
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")
_MAX_TEXT = 2048  # characters of any name we keep

Service = Literal["secretsmanager", "ssm", "ecr"]


class MalformedMessageError(ValueError):
    """Not a message of EventBridge. The text says which field, never its content."""


@dataclass(frozen=True, slots=True)
class AwsChange:
    """Something changed. `name` is the secret's, parameter's or repository's; `arn` where the message has it.

    `action` is the API call or operation: "PutSecretValue", "RotationSucceeded", "Update", "PUSH", "DELETE" …
    `version_id` is a secret's new version if the message has it; `tag` and `digest` are an image's, `tag` also
    a parameter's label.
    """

    service: Service
    action: str
    name: str
    arn: str
    account: str
    region: str
    time: dt.datetime
    version_id: str = ""
    tag: str = ""
    digest: str = ""
    event_id: str = ""

    @property
    def deletes(self) -> bool:
        return self.action in ("DELETE", "Delete", "DeleteSecret", "EndSecretVersionDelete", "SecretVersionDeletion")


def parse(body: bytes | str) -> AwsChange | None:
    """The change in a queue message's body; None when it is about nothing of ours. Raises Malformed."""
    message = _json(body)
    if message.get("Type") == "Notification" and isinstance(message.get("Message"), str):
        message = _json(message["Message"])
    source, kind = message.get("source"), message.get("detail-type")
    if not isinstance(source, str) or not isinstance(kind, str):
        raise MalformedMessageError("source, detail-type: expected text")
    if source == "aws.secretsmanager" and kind in _SECRET_KINDS:
        return _secret(message)
    if source == "aws.ssm" and kind in ("Parameter Store Change", "Parameter Store Policy Action"):
        return _parameter(message)
    if source == "aws.ecr" and kind == "ECR Image Action":
        return _image(message)
    return None


def _secret(message: Mapping[str, Any]) -> AwsChange | None:
    detail = _detail(message)
    action = _text(detail, "eventName")
    if action not in _SECRET_CHANGES or detail.get("errorCode"):
        return None
    asked, answered = _mapping(detail.get("requestParameters")), _mapping(detail.get("responseElements"))
    extra = _mapping(detail.get("additionalEventData"))
    named = [
        answered.get("arn"),
        answered.get("aRN"),
        answered.get("ARN"),
        extra.get("SecretId"),
        asked.get("secretId"),
    ]
    named += [asked.get("resourceArn"), asked.get("name"), answered.get("name")]
    names = [value for value in named if isinstance(value, str) and 0 < len(value) <= _MAX_TEXT]
    if not names:
        raise MalformedMessageError("detail: no secret id found")
    arn = next((value for value in names if value.startswith("arn:")), "")
    plain = next((value for value in names if not value.startswith("arn:")), "") or secret_name(arn)
    version = answered.get("versionId") or asked.get("clientRequestToken") or asked.get("moveToVersionId") or ""
    return _change(
        message,
        "secretsmanager",
        action=action,
        name=plain,
        arn=arn,
        region=detail.get("awsRegion"),
        version_id=version if isinstance(version, str) else "",
    )


def secret_name(arn: str) -> str:
    """The name in a secret's ARN: without the hyphen and six random characters at its end."""
    name = arn.split(":", 6)[-1] if arn.count(":") >= 6 else arn
    return name[:-7] if _SUFFIX.fullmatch(name[-7:]) and len(name) > 7 else name


def _parameter(message: Mapping[str, Any]) -> AwsChange:
    detail = _detail(message)
    resources = message.get("resources")
    arn = next((item for item in resources if isinstance(item, str)), "") if isinstance(resources, list) else ""
    name = _text(detail, "name") if detail.get("name") else _text(detail, "parameter-name")
    action = detail.get("operation") or detail.get("action-status") or "Update"
    label = detail.get("label")
    return _change(
        message,
        "ssm",
        action=str(action),
        name=name,
        arn=arn[:_MAX_TEXT],
        tag=label if isinstance(label, str) else "",
    )


def _image(message: Mapping[str, Any]) -> AwsChange | None:
    detail = _detail(message)
    if detail.get("result") != "SUCCESS":
        return None
    tag, digest = detail.get("image-tag"), detail.get("image-digest")
    return _change(
        message,
        "ecr",
        action=_text(detail, "action-type"),
        name=_text(detail, "repository-name"),
        arn="",
        tag=tag if isinstance(tag, str) else "",
        digest=digest if isinstance(digest, str) else "",
    )


def _change(message: Mapping[str, Any], service: Service, *, region: Any = None, **fields: str) -> AwsChange:
    return AwsChange(
        service=service,
        account=_text(message, "account"),
        region=region if isinstance(region, str) and region else _text(message, "region"),
        time=_time(message.get("time")),
        event_id=str(message.get("id") or "")[:_MAX_TEXT],
        **fields,
    )


def _time(value: Any) -> dt.datetime:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return dt.datetime.fromtimestamp(value, dt.UTC)
        return parse_timestamp(value)
    except (TypeError, ValueError, OverflowError, OSError):
        raise MalformedMessageError("time: expected an ISO 8601 time") from None


def _json(body: bytes | str) -> dict[str, Any]:
    if len(body) > MAX_BYTES:
        raise MalformedMessageError(f"message: longer than {MAX_BYTES} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MalformedMessageError("message: expected a JSON object")
    return found


def _detail(message: Mapping[str, Any]) -> Mapping[str, Any]:
    detail = message.get("detail")
    if not isinstance(detail, dict):
        raise MalformedMessageError("detail: expected an object")
    return detail


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or not value or len(value) > _MAX_TEXT:
        raise MalformedMessageError(f"{key}: expected text of 1 to {_MAX_TEXT} characters")
    return value
