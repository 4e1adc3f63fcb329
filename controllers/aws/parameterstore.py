"""Parameter Store: up to ten parameters by name, a path, a search by tags, a history.

Names may carry a version or label (`/db/password:3`, `:stable`) and may be ARNs. GetParameters answers per name, with
what it does not know in InvalidParameters; but one name the caller may not read refuses the whole call (AccessDenied),
and one that cannot be decrypted does too (KmsDenied): the caller then asks one by one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
        values: dict[str, Parameter] = {}
        for item in answer.get("Parameters", []):
            selector = str(item.get("Selector") or "")
            for name in asked:
                if name in (f"{item['Name']}{selector}", f"{item.get('ARN', '')}{selector}"):
                    values[name] = _parameter(item)
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


def split_selector(name: str) -> tuple[str, str]:
    """(name or ARN, version or label): `/a:3` → ("/a", "3"). A parameter's name holds no colon, its ARN has five."""
    if not name.startswith("arn:"):
        base, _, selector = name.partition(":")
        return base, selector
    parts = name.split(":", 6)
    return ":".join(parts[:6]), parts[6] if len(parts) > 6 else ""


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
