"""Secrets Manager: one value, twenty values, a search, a description.

A batch is answered per key: what AWS refuses for one secret (missing, denied, scheduled for deletion) is that key's
error and nobody else's; a key that no answer can be told to belong to is asked for alone. BatchGetSecretValue always
gives AWSCURRENT and needs a permission of its own: on AccessDenied of the whole call the caller falls back to `get`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from controllers.runtime.sensitive import Sensitive

from .edge import Edge
from .errors import AwsError, from_code

BATCH = 20  # ids in one BatchGetSecretValue
CURRENT = "AWSCURRENT"
_BATCH_CALL = "secretsmanager:BatchGetSecretValue"
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")


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
        values, refused, unmatched = assign(ids, found, failed)
        errors = {asked: _error(item) for asked, item in refused.items()}
        alone = replace(self, has_permit=False)  # the caller's permit was for the batch
        for asked in unmatched:
            try:
                values[asked] = await alone.get(asked)
            except AwsError as error:
                errors[asked] = error
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


def assign(
    asked: Sequence[str], found: Sequence[SecretValue], failed: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, SecretValue], dict[str, Mapping[str, Any]], list[str]]:
    """(value by id, error by id, ids without a certain answer). Pure.

    An id is a name, an ARN, or an ARN without its six random characters; AWS answers in any of these forms. An answer
    in the form that was asked for is certain. In another form it is taken where it fits one id and nothing else does:
    an ARN without its suffix may look like another secret's ARN with one.
    """
    values: dict[str, SecretValue] = {}
    errors: dict[str, Mapping[str, Any]] = {}
    for value in found:
        values |= {each: value for each in asked if each in (value.name, value.arn)}
    for item in failed:
        identifier = str(item.get("SecretId", ""))
        errors |= {each: item for each in asked if each == identifier and each not in values}
    claimed = {*values, *errors}
    open_values = [value for value in found if not claimed & {value.name, value.arn}]
    open_errors = [item for item in failed if str(item.get("SecretId", "")) not in claimed]
    rest = [each for each in asked if each not in claimed]
    for each in rest:
        unclear = bool(_SUFFIX.search(each))
        fitting = [value for value in (open_values if unclear else found) if _partial(each, value.arn)]
        refused = [item for item in open_errors if _same(each, str(item.get("SecretId", "")))]
        if len(fitting) == 1 and not refused:
            values[each] = fitting[0]
        elif len(refused) == 1 and not fitting:
            identifier = str(refused[0].get("SecretId", ""))
            if sum(_same(other, identifier) for other in rest) == 1:
                errors[each] = refused[0]
    return values, errors, [each for each in rest if each not in values and each not in errors]


def _partial(asked: str, arn: str) -> bool:
    """Is `asked` this ARN without its suffix?"""
    return asked.startswith("arn:") and arn[:-7] == asked and bool(_SUFFIX.fullmatch(arn[-7:]))


def _same(one: str, other: str) -> bool:
    """May two ids, in whatever forms, be of one secret?"""
    if one == other or _partial(one, other) or _partial(other, one):
        return True
    name, arn = (other, one) if one.startswith("arn:") else (one, other)
    if name.startswith("arn:") or not arn.startswith("arn:"):
        return False
    named = arn.rpartition(":secret:")[2]
    return name in (named, _SUFFIX.sub("", named))


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
