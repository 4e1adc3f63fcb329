"""What is asked of Parameter Store: which call reads a key, which lists the candidates of a find. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.external_secrets.providers.aws.names import with_prefix
from controllers.external_secrets.values.remote_key import RemoteKey

NAME = "ParameterStore"


def remote_key(key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
    """`version`: a parameter's version number or label."""
    return RemoteKey(NAME, with_prefix(prefix, key), version, tags)


def single_call(key: RemoteKey) -> dict[str, Any]:
    """The single call for a key: its name under `op`, and its parameters as boto3 takes them."""
    if key.tags:
        return {"op": "ListTagsForResource", "ResourceType": "Parameter", "ResourceId": key.name}
    name = f"{key.name}:{key.version}" if key.version else key.name
    return {"op": "GetParameter", "Name": name, "WithDecryption": True}


def list_call(find: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """The first page's call of a find: its name under `op`, and its parameters as boto3 takes them."""
    path, tags = find.get("path") or "", dict(find.get("tags") or {})
    if tags:
        filters = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [value]} for key, value in tags.items()]
        if path or prefix:
            filters.append({"Key": "Path", "Option": "Recursive", "Values": [_path(prefix + path)]})
        return {"op": "DescribeParameters", "ParameterFilters": filters}
    return {"op": "GetParametersByPath", "Path": _path(prefix + path), "Recursive": True, "WithDecryption": True}


def _path(text: str) -> str:
    return text if text.startswith("/") else f"/{text}"
