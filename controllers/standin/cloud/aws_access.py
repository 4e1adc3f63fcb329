"""Which resources a call touches, and whether its caller may: the part of IAM that moto leaves out.

Operators' keys may do everything in their account. A role's session may do what the role's policies allow on exactly
the resources of the call. BatchGetSecretValue is judged per secret: what is refused comes back in `Errors`, as on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import aws_backends
from .aws_http import AwsError, Call, denied
from .aws_identities import Identity
from .aws_policy import Effect, evaluate

_KMS_NO_KEY = {"ListKeys", "ListAliases", "CreateKey", "GenerateRandom"}
_SSM_FREE = {"DescribeParameters"}
_SQS_SEND = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}
_SQS_SEND["ChangeMessageVisibilityBatch"] = "ChangeMessageVisibility"


@dataclass(frozen=True, slots=True)
class Need:
    action: str  # "secretsmanager:GetSecretValue"
    resource: str  # ARN, or "*"


def needs(call: Call, identity: Identity) -> list[Need]:
    """What this call must be allowed to do."""
    params, account, region = call.params, identity.account, call.region
    found: Iterable[str] = ("*",)
    action = call.action
    if call.service == "secretsmanager":
        if "SecretId" in params:
            found = (aws_backends.secret(account, region, str(params["SecretId"]))[0],)
        elif call.action == "CreateSecret":
            found = (f"arn:aws:secretsmanager:{region}:{account}:secret:{params.get('Name')}-AbCdEf",)
    elif call.service == "ssm":
        found = [_parameter(account, region, name) for name in _ssm_names(call)]
    elif call.service == "kms":
        found = (_kms_resource(call, identity),)
    elif call.service == "ecr" and "repositoryName" in params:
        owner = params.get("registryId") or account
        found = (f"arn:aws:ecr:{region}:{owner}:repository/{params['repositoryName']}",)
    elif call.service == "sqs":
        action = _SQS_SEND.get(action, action)
        url = str(params.get("QueueUrl", "")).rstrip("/").split("/")
        name = params.get("QueueName") or url[-1]
        found = (f"arn:aws:sqs:{region}:{url[-2] if len(url) > 2 else account}:{name}",) if name else ("*",)
    return [Need(f"{call.service}:{action}", resource) for resource in found]


def _ssm_names(call: Call) -> list[str]:
    params = call.params
    if call.action in _SSM_FREE:
        return []
    names = params.get("Names") if isinstance(params.get("Names"), list) else None
    one = params.get("Name") or params.get("Path") or params.get("ResourceId")
    return [str(name) for name in names] if names is not None else [str(one)] if one else []


def _parameter(account: str, region: str, name: str) -> str:
    if name.startswith("arn:"):
        return re.sub(r"(:parameter/[^:]*):[^:]*$", r"\1", name)
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.partition(':')[0].strip('/')}"


def _kms_resource(call: Call, identity: Identity) -> str:
    if call.action in _KMS_NO_KEY:
        return "*"
    key = str(call.params.get("KeyId") or aws_backends.kms_key_of(str(call.params.get("CiphertextBlob", ""))))
    return aws_backends.kms_key_arn(identity.account, call.region, key) if key else "*"


def allows(identity: Identity, need: Need) -> Effect:
    if not identity.role:
        return Effect.ALLOW
    role = aws_backends.role(identity.role)
    if role is None:
        return Effect.NONE
    return evaluate(role.policies, action=need.action, resource=need.resource, context=identity.context())


def check(call: Call, identity: Identity) -> None:
    """Raises AwsError (AccessDenied) for the first thing the caller may not do."""
    wanted = needs(call, identity)
    if call.service == "ssm" and call.action in _SSM_FREE:
        wanted = [Need(call.name, "*")]
    for need in wanted:
        _require(call, identity, need)
    if call.name == "secretsmanager:GetSecretValue":
        check_kms_of(call, identity, str(call.params.get("SecretId", "")))


def _require(call: Call, identity: Identity, need: Need) -> None:
    effect = allows(identity, need)
    if effect is not Effect.ALLOW:
        explicit = effect is Effect.DENY
        raise denied(call, arn=identity.arn, action=need.action, resource=need.resource, explicit=explicit)


def check_kms_of(call: Call, identity: Identity, secret: str) -> None:
    """A secret under a key of one's own is readable only with kms:Decrypt on that key."""
    _, key = aws_backends.secret(identity.account, call.region, secret)
    if not key or key.endswith("aws/secretsmanager"):
        return
    arn = aws_backends.kms_key_arn(identity.account, call.region, key)
    if allows(identity, Need("kms:Decrypt", arn)) is not Effect.ALLOW:
        raise AwsError("AccessDeniedException", "Access to KMS is not allowed")


def refusal(call: Call, identity: Identity, secret: str) -> dict[str, Any] | None:
    """The entry of BatchGetSecretValue's `Errors` for a secret the caller may not read; None when they may."""
    arn, _ = aws_backends.secret(identity.account, call.region, secret)
    try:
        _require(call, identity, Need("secretsmanager:GetSecretValue", arn))
        check_kms_of(call, identity, secret)
    except AwsError as error:
        return {"SecretId": secret, "ErrorCode": error.code, "Message": error.message}
    return None
