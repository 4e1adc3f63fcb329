"""What is asked of Secrets Manager: which call reads a key, which lists the candidates of a find. Pure.

AWS's tag filters are not paired (any key of one tag, any value of another) and match prefixes, so what comes back is
tested again by exact pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.external_secrets.providers.aws.names import with_prefix
from controllers.external_secrets.values.remote_key import RemoteKey

NAME = "SecretsManager"
CURRENT_STAGE = "AWSCURRENT"
_ID = "uuid/"


def remote_key(key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
    """AWSCURRENT is the current version, whether it is named or not."""
    return RemoteKey(NAME, with_prefix(prefix, key), "" if version == CURRENT_STAGE else version, tags)


def is_id(version: str) -> bool:
    """A version by its id, which never changes."""
    return version.startswith(_ID)


def single_call(key: RemoteKey) -> dict[str, Any]:
    """The single call for a key: its name under `op`, and its parameters as boto3 takes them."""
    if key.tags:
        return {"op": "DescribeSecret", "SecretId": key.name}
    if is_id(key.version):
        return {"op": "GetSecretValue", "SecretId": key.name, "VersionId": key.version.removeprefix(_ID)}
    return {"op": "GetSecretValue", "SecretId": key.name, "VersionStage": key.version or CURRENT_STAGE}


def list_call(find: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """The first page's call of a find: its name under `op`, and its parameters as boto3 takes them."""
    path, tags = find.get("path") or "", dict(find.get("tags") or {})
    filters: list[dict[str, Any]] = []
    if path or prefix:
        filters.append({"Key": "name", "Values": [prefix + path]})
    for key, value in tags.items():
        filters += [{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [value]}]
    if not filters:
        return {"op": "ListSecrets"}
    return {"op": "BatchGetSecretValue" if tags or path else "ListSecrets", "Filters": filters}
