"""The one door to moto's own data, in the process that runs it: roles, names of secrets and keys, images, events.

moto's classes are not an API; whatever we need of them is here and nowhere else.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from dataclasses import dataclass
from typing import Any

import moto.backends
from moto.kms import utils as kms_utils

from controllers.api.timestamps import timestamp

from .aws_policy import Document


@dataclass(frozen=True, slots=True)
class Role:
    arn: str
    trust: Document
    policies: tuple[Document, ...]
    max_seconds: int


def _backend(service: Any, account: str, region: str) -> Any:
    return moto.backends.get_backend(service)[account][region]


def role(arn: str) -> Role | None:
    """The role as IAM holds it; None when there is none."""
    parts = arn.split(":")
    if len(parts) != 6 or not parts[4].isdigit():
        return None
    for found in _backend("iam", parts[4], "aws").get_roles():
        if found.arn == arn:
            managed = (policy.document for policy in found.managed_policies.values())
            documents = tuple(_document(text) for text in (*found.policies.values(), *managed))
            seconds = int(found.max_session_duration or 3600)
            return Role(arn, _document(found.assume_role_policy_document), documents, seconds)
    return None


def _document(value: Any) -> Document:
    found = json.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else {}


def secret(account: str, region: str, identifier: str) -> tuple[str, str]:
    """(ARN, KMS key id) of a secret by name or ARN. An unknown one gets the ARN its name would have."""
    found = _backend("secretsmanager", account, region).secrets.get(identifier)
    if found is not None:
        return str(found.arn), str(getattr(found, "kms_key_id", None) or "")
    if identifier.startswith("arn:"):
        return identifier, ""
    return f"arn:aws:secretsmanager:{region}:{account}:secret:{identifier}", ""


def kms_key_arn(account: str, region: str, identifier: str) -> str:
    """The key's ARN, through aliases; "*" when there is no such key."""
    backend = _backend("kms", account, region)
    try:
        key = backend.any_id_to_key_id(identifier)
    except Exception:  # moto raises its HTTP errors here
        return "*"
    return f"arn:aws:kms:{region}:{account}:key/{key}"


def kms_key_of(ciphertext: str) -> str:
    """The key id inside a ciphertext (base64); empty when it is none."""
    try:
        found = kms_utils._deserialize_ciphertext_blob(base64.b64decode(ciphertext))
    except Exception:
        return ""
    return str(found.key_id)


def put_image(*, account: str, region: str, repository: str, tag: str, digest: str, manifest: str, kind: str) -> None:
    """What the registry accepted, told to ECR's data; the repository is created if need be (create on push)."""
    backend = _backend("ecr", account, region)
    if repository not in backend.repositories:
        backend.create_repository(repository, account, None, None, None, None, None)
    backend.put_image(repository, manifest, tag or None, kind or None, digest)


def put_event(
    *, account: str, region: str, source: str, kind: str, resources: list[str], detail: dict[str, Any]
) -> None:
    """An event to the default bus of this account and region; moto matches the rules and feeds the queues."""
    # Not moto's put_events: it loses the account and wants the time as a number. It matches, we deliver.
    message = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": account,
        "time": timestamp(dt.datetime.now(dt.UTC)),
        "region": region,
        "resources": resources,
        "detail": detail,
    }
    for rule in _backend("events", account, region).describe_event_bus("default").rules.values():
        if rule.state != "ENABLED" or not rule.event_pattern.matches_event(message):
            continue
        for target in rule.targets:
            _, _, service, queue_region, queue_account, name = str(target["Arn"]).split(":", 5)
            queue = _backend("sqs", queue_account, queue_region).queues.get(name) if service == "sqs" else None
            if queue is not None:
                group = target.get("SqsParameters", {}).get("MessageGroupId")
                _backend("sqs", queue_account, queue_region).send_message(
                    queue_name=name, message_body=json.dumps(message), group_id=group
                )
