"""Secrets Manager: one value, twenty values, a search, a description.

A batch is answered per key: what AWS refuses for one secret (missing, denied, scheduled for deletion) is that key's
error and nobody else's; a key that AWS answered with nothing at all is NotFound. BatchGetSecretValue always gives
AWSCURRENT and needs a permission of its own: on AccessDenied of the whole call the caller falls back to `get`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from controllers.runtime.sensitive import Sensitive

from .edge import Edge
from .errors import AwsError, NotFound, from_code

BATCH = 20  # ids in one BatchGetSecretValue
CURRENT = "AWSCURRENT"
_BATCH_CALL = "secretsmanager:BatchGetSecretValue"


@dataclass(frozen=True, slots=True)
class SecretValue:
    """`value` is SecretString's UTF-8, or SecretBinary as it is (`binary`)."""

    name: str
    arn: str
    version_id: str
    stages: tuple[str, ...]
    value: Sensitive
    binary: bool = False
    created: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SecretBatch:
    """By the id that was asked: a value or an error, never neither."""

    values: Mapping[str, SecretValue]
    errors: Mapping[str, AwsError]


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """What is known of a secret without its value."""

    name: str
    arn: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    kms_key: str = ""
    stages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # version id → stages
    changed: dt.datetime | None = None
    deleted: dt.datetime | None = None


def parse_version(text: str) -> tuple[str, str]:
    """remoteRef.version → (VersionId, VersionStage), one of them empty: "uuid/<id>" is an id, anything else a stage."""
    if text.startswith("uuid/"):
        return text.removeprefix("uuid/"), ""
    return "", text or CURRENT


class SecretsManager(Edge):
    service: ClassVar[str] = "secretsmanager"

    async def get(self, secret_id: str, *, version_id: str = "", stage: str = "") -> SecretValue:
        """One value by name or ARN. Raises NotFound, MarkedForDeletion, AccessDenied, KmsDenied …"""
        stage = stage or ("" if version_id else CURRENT)
        return _value(await self.call("get_secret_value", SecretId=secret_id, VersionId=version_id, VersionStage=stage))

    async def batch(self, secret_ids: Sequence[str]) -> SecretBatch:
        """Up to 20 current values in one call. Raises AwsError when the whole call fails."""
        ids = list(dict.fromkeys(secret_ids))
        if not 1 <= len(ids) <= BATCH:
            raise ValueError(f"{len(ids)} secret ids: expected 1 to {BATCH}")
        answers = await self.pages("batch_get_secret_value", token="NextToken", SecretIdList=ids)  # noqa: S106
        found = [_value(item) for answer in answers for item in answer.get("SecretValues", [])]
        failed = [item for answer in answers for item in answer.get("Errors", [])]
        values = {asked: value for asked in ids for value in found if names(asked, name=value.name, arn=value.arn)}
        errors: dict[str, AwsError] = {}
        for asked in ids:
            if asked not in values:
                errors[asked] = _error_of(asked, failed)
        return SecretBatch(values, errors)

    async def find(self, filters: Sequence[Mapping[str, Any]]) -> SecretBatch:
        """All values that match AWS's filters (prefix matches: test names and tags again), by ARN."""
        answers = await self.pages(
            "batch_get_secret_value",
            token="NextToken",  # noqa: S106
            Filters=list(filters),
            MaxResults=BATCH,
        )
        found = [_value(item) for answer in answers for item in answer.get("SecretValues", [])]
        failed = [item for answer in answers for item in answer.get("Errors", [])]
        errors = {str(item.get("SecretId", "")): _error(item) for item in failed}
        return SecretBatch({value.arn: value for value in found}, errors)

    async def list(self, filters: Sequence[Mapping[str, Any]] = ()) -> list[SecretEntry]:
        """All secrets that match AWS's filters, to the last page; none that is scheduled for deletion."""
        answers = await self.pages("list_secrets", token="NextToken", Filters=list(filters), MaxResults=100)  # noqa: S106
        return [_entry(item) for answer in answers for item in answer.get("SecretList", [])]

    async def describe(self, secret_id: str) -> SecretEntry:
        return _entry(await self.call("describe_secret", SecretId=secret_id))


def names(asked: str, *, name: str, arn: str) -> bool:
    """Whether `asked` (name, ARN, or ARN without its six random characters) names this secret."""
    return asked in (name, arn) or (asked.startswith("arn:") and arn[:-7] == asked and arn[-7:-6] == "-")


def _error_of(asked: str, failed: Sequence[Mapping[str, Any]]) -> AwsError:
    for item in failed:
        identifier = str(item.get("SecretId", ""))
        if asked == identifier or names(identifier, name=asked, arn=asked) or names(asked, name="", arn=identifier):
            return _error(item)
        if identifier.startswith("arn:") and identifier.rpartition(":secret:")[2][:-7] == asked:
            return _error(item)
    return NotFound(f"{_BATCH_CALL}: the response does not contain this secret", operation=_BATCH_CALL)


def _error(item: Mapping[str, Any]) -> AwsError:
    return from_code(str(item.get("ErrorCode", "")), str(item.get("Message", "")), operation=_BATCH_CALL)


def _value(item: Mapping[str, Any]) -> SecretValue:
    binary = "SecretString" not in item
    raw = item.get("SecretBinary", b"") if binary else item["SecretString"]
    return SecretValue(
        name=str(item["Name"]),
        arn=str(item["ARN"]),
        version_id=str(item.get("VersionId", "")),
        stages=tuple(item.get("VersionStages", ())),
        value=Sensitive(raw),
        binary=binary,
        created=item.get("CreatedDate"),
    )


def _entry(item: Mapping[str, Any]) -> SecretEntry:
    stages = item.get("VersionIdsToStages") or item.get("SecretVersionsToStages") or {}
    return SecretEntry(
        name=str(item["Name"]),
        arn=str(item["ARN"]),
        tags={tag["Key"]: tag.get("Value", "") for tag in item.get("Tags") or []},
        description=str(item.get("Description") or ""),
        kms_key=str(item.get("KmsKeyId") or ""),
        stages={version: tuple(found) for version, found in stages.items()},
        changed=item.get("LastChangedDate"),
        deleted=item.get("DeletedDate"),
    )
