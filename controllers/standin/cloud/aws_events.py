"""What AWS tells EventBridge after a change, in AWS's own shapes. moto changes silently; the facade speaks for it.

Secrets Manager speaks through CloudTrail ("AWS API Call via CloudTrail", rotations as "AWS Service Event via
CloudTrail"), Parameter Store and ECR directly.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from controllers.api.timestamps import timestamp

from .aws_http import Answer, Call
from .aws_identities import Identity

_SECRET_CALLS = {
    "CreateSecret",
    "PutSecretValue",
    "UpdateSecret",
    "UpdateSecretVersionStage",
    "DeleteSecret",
    "RestoreSecret",
    "TagResource",
    "UntagResource",
}
_HIDDEN = {"SecretString", "SecretBinary"}  # CloudTrail never holds values
_SSM = {"PutParameter": "Update", "DeleteParameter": "Delete", "LabelParameterVersion": "LabelParameterVersion"}


@dataclass(frozen=True, slots=True)
class Event:
    source: str
    kind: str  # detail-type
    resources: tuple[str, ...]
    detail: dict[str, Any]


def events_of(call: Call, identity: Identity, answer: Answer) -> list[Event]:
    """The events that follow from a call that succeeded."""
    if call.service == "secretsmanager":
        if call.action in _SECRET_CALLS:
            return [_api_call(call, identity, answer)]
        return [_rotation(call, identity, answer)] if call.action == "RotateSecret" else []
    if call.service == "ssm":
        return _parameter(call, identity, answer)
    if call.name == "ecr:PutImage":
        image = answer.json().get("image", {})
        reference = image.get("imageId", {})
        digest, tag = str(reference.get("imageDigest", "")), str(reference.get("imageTag", ""))
        return [
            image_action(str(image.get("repositoryName", "")), tag, digest, kind=image.get("imageManifestMediaType"))
        ]
    return []


def image_action(repository: str, tag: str, digest: str, *, action: str = "PUSH", kind: Any = "") -> Event:
    detail = {
        "result": "SUCCESS",
        "repository-name": repository,
        "image-digest": digest,
        "action-type": action,
        **({"image-tag": tag} if tag else {}),
        **({"manifest-media-type": kind} if kind else {}),
    }
    return Event("aws.ecr", "ECR Image Action", (), detail)


def _record(call: Call, identity: Identity, name: str) -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "eventTime": timestamp(dt.datetime.now(dt.UTC)),
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": name,
        "awsRegion": call.region,
        "eventID": str(uuid.uuid4()),
        "recipientAccountId": identity.account,
        "readOnly": False,
    }


def _api_call(call: Call, identity: Identity, answer: Answer) -> Event:
    body = answer.json()
    sent = {_camel(key): value for key, value in call.params.items() if key not in _HIDDEN}
    detail = {
        **_record(call, identity, call.action),
        "userIdentity": {"type": "AssumedRole" if identity.role else "IAMUser", "arn": identity.arn},
        "requestParameters": sent,
        "responseElements": {_camel(key): value for key, value in body.items() if isinstance(value, str)} or None,
        "eventType": "AwsApiCall",
    }
    return Event("aws.secretsmanager", "AWS API Call via CloudTrail", (), detail)


def _rotation(call: Call, identity: Identity, answer: Answer) -> Event:
    detail = {
        **_record(call, identity, "RotationSucceeded"),
        "userIdentity": {"accountId": identity.account, "invokedBy": "secretsmanager.amazonaws.com"},
        "requestParameters": None,
        "responseElements": None,
        "additionalEventData": {"SecretId": answer.json().get("ARN", "")},
        "eventType": "AwsServiceEvent",
    }
    return Event("aws.secretsmanager", "AWS Service Event via CloudTrail", (), detail)


def _parameter(call: Call, identity: Identity, answer: Answer) -> list[Event]:
    names = [call.params.get("Name")]
    operation = _SSM.get(call.action, "")
    if call.action == "PutParameter" and answer.json().get("Version") == 1:
        operation = "Create"
    if call.action == "DeleteParameters":
        names, operation = answer.json().get("DeletedParameters", []), "Delete"
    return [_parameter_event(call, identity, str(name), operation) for name in names if name and operation]


def _parameter_event(call: Call, identity: Identity, name: str, operation: str) -> Event:
    arn = f"arn:aws:ssm:{call.region}:{identity.account}:parameter/{name.lstrip('/')}"
    detail: dict[str, Any] = {"operation": operation, "name": name, "type": call.params.get("Type", "String")}
    if labels := call.params.get("Labels"):
        detail["label"] = labels[0] if isinstance(labels, list) else labels
    return Event("aws.ssm", "Parameter Store Change", (arn,), detail)


def _camel(key: str) -> str:
    return key.lower() if key.isupper() else key[:1].lower() + key[1:]
