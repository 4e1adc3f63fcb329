"""The least IAM policy for reading parameters. Pure. DescribeParameters cannot be narrowed; it shows no values."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.external_secrets.providers.aws.policy import Statement, allow, arn, literal
from controllers.external_secrets.providers.reads import PlannedRead

from .calls import list_call


def statements(region: str, account: str, reads: Sequence[PlannedRead], *, swept: bool) -> list[Statement]:
    keys = {read.key for read in reads if read.key is not None}
    values = sorted({parameter_arn(key.name, region, account) for key in keys if not key.tags})
    tagged = sorted({parameter_arn(key.name, region, account) for key in keys if key.tags})
    out = allow(["ssm:GetParameters"], values) + allow(["ssm:ListTagsForResource"], tagged)
    describes = swept
    for read in (read for read in reads if read.find is not None):
        call = list_call(read.find or {}, prefix=read.prefix)
        if call["op"] == "GetParametersByPath":
            path = literal(call["Path"]).strip("/")
            resources = [arn("ssm", region, account, f"parameter/{path}")] if path else []
            resources.append(arn("ssm", region, account, f"parameter/{path}/*" if path else "*"))
            out += allow(["ssm:GetParametersByPath"], resources)
            continue
        describes = True
        begin = literal((read.find or {}).get("path") or read.prefix).lstrip("/")
        resource = arn("ssm", region, account, f"parameter/{begin}*")
        tags = {f"ssm:resourceTag/{key}": value for key, value in ((read.find or {}).get("tags") or {}).items()}
        out += allow(["ssm:GetParameters"], [resource], tags)
    return out + (allow(["ssm:DescribeParameters"], ["*"]) if describes else [])


def parameter_arn(name: str, region: str, account: str) -> str:
    if name.startswith("arn:"):
        return literal(name)
    return arn("ssm", region, account, f"parameter/{literal(name.lstrip('/'))}")
