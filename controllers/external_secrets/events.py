"""Which keys an event of AWS is about. Pure; `consumer` moves the messages.

Secrets Manager speaks through CloudTrail (`AWS API Call via CloudTrail`, `AWS Service Event via CloudTrail`), Parameter
Store by itself (`Parameter Store Change`). An event names its secret by ARN, by name, or by a partial ARN; a store
adds its prefix; so both sides are compared in all these forms. Messages come twice, late and out of order:
an event only says "look again".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .params import RemoteKey, Service, arn_parts

_SECRET_CALLS = frozenset(
    (
        "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage", "RotationSucceeded", "DeleteSecret",
        "RestoreSecret", "CreateSecret", "RotateSecret",
    )
)  # fmt: skip
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")


@dataclass(frozen=True, slots=True)
class Change:
    """A secret or parameter that changed. `name` is without ARN; `names` holds each form it may be known by."""

    service: Service
    region: str
    account: str
    names: frozenset[str]
    version: str = ""
    event_id: str = ""


class NotAnEvent(ValueError):
    """The message is nothing we know; it says what was expected and quotes nothing of it."""


def parse_message(body: str) -> Change | None:
    """The change that a message tells of; None for an event of another kind. Raises NotAnEvent for poison."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAnEvent("message is not JSON") from None
    if isinstance(event, dict) and isinstance(event.get("Message"), str) and "detail" not in event:
        return parse_message(event["Message"])  # by way of SNS
    if not isinstance(event, dict) or not isinstance(event.get("detail"), dict):
        raise NotAnEvent("message is not an EventBridge event; expected an object with detail")
    detail: dict[str, Any] = event["detail"]
    region = str(event.get("region") or detail.get("awsRegion") or "")
    account = str(event.get("account") or "")
    event_id = str(event.get("id") or "")
    if event.get("detail-type") == "Parameter Store Change" or event.get("source") == "aws.ssm":
        return _parameter(detail, event, region, account, event_id)
    if detail.get("eventSource") == "secretsmanager.amazonaws.com" or event.get("source") == "aws.secretsmanager":
        return _secret(detail, event, region, account, event_id)
    return None


def _parameter(detail: dict[str, Any], event: dict[str, Any], region: str, account: str, id_: str) -> Change | None:
    name = detail.get("name") or next(
        (parts[2] for arn in event.get("resources") or [] if (parts := arn_parts(str(arn)))), ""
    )
    if not isinstance(name, str) or not name:
        return None
    return Change("ParameterStore", region, account, _forms(name), event_id=id_)


def _secret(detail: dict[str, Any], event: dict[str, Any], region: str, account: str, id_: str) -> Change | None:
    if detail.get("eventName") not in _SECRET_CALLS or detail.get("errorCode"):
        return None
    asked = detail.get("requestParameters") or {}
    answered = detail.get("responseElements") or {}
    extra = detail.get("additionalEventData") or {}
    candidates = [
        asked.get("secretId"), asked.get("name"), answered.get("arn"), answered.get("aRN"), answered.get("ARN"),
        answered.get("name"), extra.get("SecretId"), *(event.get("resources") or []),
    ]  # fmt: skip
    names: set[str] = set()
    for candidate in candidates:
        if isinstance(candidate, str) and candidate:
            names |= _forms(candidate)
    version = str(answered.get("versionId") or answered.get("VersionId") or "")
    return Change("SecretsManager", region, account, frozenset(names), version, id_) if names else None


def _forms(text: str) -> frozenset[str]:
    """A name as it may be written: with and without ARN, random suffix, leading slash."""
    parts = arn_parts(text)
    name = parts[2] if parts else text
    forms = {text, name}
    if parts and _SUFFIX.search(name):
        forms.add(name[:-7])
    if name.startswith("/") and name.count("/") == 1:
        forms.add(name[1:])
    return frozenset(forms)


def concerns(change: Change, key: RemoteKey, *, region: str) -> bool:
    """Is a key, read in `region`, what changed? Where the event names an account, an ARN of another one is not."""
    if key.service != change.service or (change.region and region and change.region != region):
        return False
    parts = arn_parts(key.name)
    if parts and change.account and parts[1] != change.account:
        return False
    return not change.names.isdisjoint(_forms(key.name))
