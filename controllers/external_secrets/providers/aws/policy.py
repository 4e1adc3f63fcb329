"""What IAM policy statements of both services are made of. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Statement = dict[str, Any]


def allow(actions: list[str], resources: Sequence[str], equals: Mapping[str, str] | None = None) -> list[Statement]:
    """One statement; none where there is no resource."""
    if not resources:
        return []
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
    if equals:
        statement["Condition"] = {"StringEquals": dict(sorted(equals.items()))}
    return [statement]


def arn(service: str, region: str, account: str, rest: str) -> str:
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rpartition("-")[0].rpartition("-")[0], "aws")
    return f"arn:{partition}:{service}:{region}:{account}:{rest}"


def literal(text: str) -> str:
    """`*`, `?` and `${` of a name mean themselves."""
    return re.sub(r"[*?$]", lambda found: f"${{{found[0]}}}", text)


def decrypt(service: str, region: str, keys: Sequence[str]) -> list[Statement]:
    """kms:Decrypt with these keys, through this service only."""
    suffix = ".cn" if region.startswith("cn-") else ""
    return allow(["kms:Decrypt"], sorted(keys), {"kms:ViaService": f"{service}.{region}.amazonaws.com{suffix}"})
