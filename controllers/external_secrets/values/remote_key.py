"""From a remoteRef to the provider's call: names, stages, versions, prefixes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Service = Literal["SecretsManager", "ParameterStore"]
_ARN = re.compile(r"arn:[^:]*:(secretsmanager|ssm):([^:]*):([^:]*):(?:secret:|parameter)(.+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class RemoteKey:
    """One value at the provider: what a fetch is asked for, and what values are shared by.

    `name` has the store's prefix. `version` is "" for the current one, else a stage (`AWSPREVIOUS`), `uuid/<id>`, or a
    parameter's version or label. `tags`: the tags instead of the value.
    """

    service: Service
    name: str
    version: str = ""
    tags: bool = False

    @property
    def pinned(self) -> bool:
        """Anything but the current version: batches cannot ask for it."""
        return self.version not in ("", "AWSCURRENT") or self.tags

    @property
    def shown(self) -> str:
        return self.name if not self.version else f"{self.name} ({self.version})"


def remote_key(service: Service, key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
    """The prefix goes before names, not before ARNs."""
    name = key if key.startswith("arn:") else prefix + key
    current = service == "SecretsManager" and version == "AWSCURRENT"
    return RemoteKey(service, name, "" if current else version, tags)


def call_of(key: RemoteKey) -> dict[str, Any]:
    """The single call for a key: its name under `op`, and its parameters as boto3 takes them."""
    if key.service == "SecretsManager":
        if key.tags:
            return {"op": "DescribeSecret", "SecretId": key.name}
        if key.version.startswith("uuid/"):
            return {"op": "GetSecretValue", "SecretId": key.name, "VersionId": key.version.removeprefix("uuid/")}
        return {"op": "GetSecretValue", "SecretId": key.name, "VersionStage": key.version or "AWSCURRENT"}
    if key.tags:
        return {"op": "ListTagsForResource", "ResourceType": "Parameter", "ResourceId": key.name}
    name = f"{key.name}:{key.version}" if key.version else key.name
    return {"op": "GetParameter", "Name": name, "WithDecryption": True}


def arn_parts(text: str) -> tuple[str, str, str] | None:
    """(region, account, name) of a secret's or parameter's ARN; None for what is no such ARN."""
    found = _ARN.match(text)
    return (found[2], found[3], found[4]) if found else None
