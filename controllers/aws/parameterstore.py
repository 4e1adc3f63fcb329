"""Parameter Store: up to ten parameters by name, a path, a search by tags, a history.

Names may carry a version or label (`/db/password:3`, `:stable`) and may be ARNs. GetParameters answers per name, with
what it does not know in InvalidParameters; but one name the caller may not read refuses the whole call (AccessDenied),
and one that cannot be decrypted does too (KmsDenied): the caller then asks one by one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from controllers.runtime.sensitive import Sensitive

from .edge import Edge

BATCH = 10  # names in one GetParameters


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    arn: str
    version: int
    kind: str  # String, StringList, SecureString
    value: Sensitive
    labels: tuple[str, ...] = ()
    modified: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ParameterBatch:
    """`values` by the name that was asked; `missing`: names that AWS does not know."""

    values: Mapping[str, Parameter]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParameterEntry:
    """What is known of a parameter without its value."""

    name: str
    arn: str
    kind: str
    version: int
    key_id: str = ""
    modified: dt.datetime | None = None


class ParameterStore(Edge):
    service: ClassVar[str] = "ssm"

    async def get(self, names: Sequence[str]) -> ParameterBatch:
        """Up to ten parameters, decrypted, each by name, name:version, name:label or ARN. Raises AwsError."""
        asked = list(dict.fromkeys(names))
        if not 1 <= len(asked) <= BATCH:
            raise ValueError(f"{len(asked)} parameter names: expected 1 to {BATCH}")
        answer = await self.call("get_parameters", Names=asked, WithDecryption=True)
        matched, unmatched = assign(asked, answer.get("Parameters", []), answer.get("InvalidParameters", []))
        values = {name: _parameter(item) for name, item in matched.items()}
        alone = replace(self, has_permit=False)  # the caller's permit was for the batch
        for name in unmatched:
            values |= (await alone.get([name])).values
        return ParameterBatch(values, tuple(name for name in asked if name not in values))

    async def by_path(
        self, path: str, *, recursive: bool = True, filters: Sequence[Mapping[str, Any]] = ()
    ) -> list[Parameter]:
        """All parameters below a path, decrypted, to the last page (AWS gives ten at a time)."""
        answers = await self.pages(
            "get_parameters_by_path",
            token="NextToken",  # noqa: S106
            Path=path,
            Recursive=recursive,
            WithDecryption=True,
            ParameterFilters=list(filters),
            MaxResults=10,
        )
        return [_parameter(item) for answer in answers for item in answer.get("Parameters", [])]

    async def describe(self, filters: Sequence[Mapping[str, Any]]) -> list[ParameterEntry]:
        """All parameters that match (by tag: `{"Key": "tag:team", "Values": ["a"]}`), to the last page."""
        answers = await self.pages(
            "describe_parameters",
            token="NextToken",  # noqa: S106
            ParameterFilters=list(filters),
            MaxResults=50,
        )
        return [_entry(item) for answer in answers for item in answer.get("Parameters", [])]

    async def tags(self, name: str) -> dict[str, str]:
        answer = await self.call("list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
        return {tag["Key"]: tag.get("Value", "") for tag in answer.get("TagList", [])}

    async def history(self, name: str) -> list[Parameter]:
        """All kept versions with their labels, oldest first."""
        answers = await self.pages(
            "get_parameter_history",
            token="NextToken",  # noqa: S106
            Name=name,
            WithDecryption=True,
            MaxResults=50,
        )
        return [_parameter(item) for answer in answers for item in answer.get("Parameters", [])]


def assign(
    asked: Sequence[str], found: Sequence[Mapping[str, Any]], invalid: Sequence[str]
) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """(answer by name, names without a certain answer); a name in neither does not exist. Pure.

    Names are asked for with or without a leading slash, as ARNs, with a version or label; AWS answers in any of these
    forms. An answer in the form that was asked for is certain; in another form it is taken where it fits one name and
    that name fits no other. A single name needs no form: what is answered is its answer.
    """
    if len(asked) == 1:
        return ({asked[0]: found[0]} if len(found) == 1 else {}), []
    matched: dict[str, Mapping[str, Any]] = {}
    for item in found:
        matched |= {name: item for name in asked if name in _forms(item)}
    rest = [name for name in asked if name not in matched and name not in invalid]
    unclaimed = [item for item in found if not any(name in _forms(item) for name in asked)]
    for name in rest:
        fitting = [item for item in unclaimed if _same(name, item)]
        if len(fitting) == 1 and sum(_same(other, fitting[0]) for other in rest) == 1:
            matched[name] = fitting[0]
    return matched, [name for name in rest if name not in matched]


def _forms(item: Mapping[str, Any]) -> tuple[str, str]:
    selector = str(item.get("Selector") or "")
    return f"{item['Name']}{selector}", f"{item.get('ARN', '')}{selector}"


def _same(name: str, item: Mapping[str, Any]) -> bool:
    """May this answer, in whatever form, be of this name?"""
    owner, path = _split(name)
    return any(
        path == other and (not owner or not whose or owner == whose) for whose, other in map(_split, _forms(item))
    )


def _split(text: str) -> tuple[str, str]:
    """("region:account" of an ARN or "", the path without its leading slash, selector and all)."""
    if not text.startswith("arn:"):
        return "", text.removeprefix("/")
    _, _, _, region, account, *rest = text.split(":", 5)
    return f"{region}:{account}", "".join(rest).removeprefix("parameter").removeprefix("/")


def _parameter(item: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=str(item["Name"]),
        arn=str(item.get("ARN", "")),
        version=int(item.get("Version", 0)),
        kind=str(item.get("Type", "")),
        value=Sensitive(str(item.get("Value", ""))),
        labels=tuple(item.get("Labels") or ()),
        modified=item.get("LastModifiedDate"),
    )


def _entry(item: Mapping[str, Any]) -> ParameterEntry:
    return ParameterEntry(
        name=str(item["Name"]),
        arn=str(item.get("ARN", "")),
        kind=str(item.get("Type", "")),
        version=int(item.get("Version", 0)),
        key_id=str(item.get("KeyId") or ""),
        modified=item.get("LastModifiedDate"),
    )
