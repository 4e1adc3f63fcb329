"""The least IAM policy for reading secrets. Pure.

Secrets Manager puts six random characters behind a secret's name, so an ARN made of a name ends in `-??????`. What IAM
cannot narrow is allowed on `*`: BatchGetSecretValue also needs GetSecretValue for each secret, and ListSecrets shows
names and no values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.external_secrets.providers.aws.policy import Statement, allow, arn, literal
from controllers.external_secrets.providers.reads import PlannedRead

_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")
_LITERAL = re.compile(r"\^([A-Za-z0-9/_+=@-]*)")
"""The literal beginning of an anchored regular expression, cut before whatever may be optional."""


def statements(region: str, account: str, reads: Sequence[PlannedRead], *, swept: bool) -> list[Statement]:
    keys = {read.key for read in reads if read.key is not None}
    values = sorted({arn for key in keys if not key.tags for arn in secret_arns(key.name, region, account)})
    described = sorted({arn for key in keys if key.tags for arn in secret_arns(key.name, region, account)})
    out = allow(["secretsmanager:GetSecretValue"], values) + allow(["secretsmanager:DescribeSecret"], described)
    finds = [read for read in reads if read.find is not None]
    for read in finds:
        find = read.find or {}
        resource = arn("secretsmanager", region, account, f"secret:{literal(_beginning(find, read.prefix))}*")
        tags = {f"secretsmanager:ResourceTag/{key}": value for key, value in (find.get("tags") or {}).items()}
        out += allow(["secretsmanager:GetSecretValue"], [resource], tags)
    everywhere = []
    if finds or len([key for key in keys if not key.pinned]) > 1:
        everywhere.append("secretsmanager:BatchGetSecretValue")
    if finds or swept:
        everywhere.append("secretsmanager:ListSecrets")
    return out + (allow(everywhere, ["*"]) if everywhere else [])


def secret_arns(name: str, region: str, account: str) -> list[str]:
    """A secret by name or ARN. Whether an ARN ends in the random characters is guessed from its last seven."""
    if name.startswith("arn:"):
        return [literal(name)] if _SUFFIX.search(name) else [f"{literal(name)}-??????"]
    return [arn("secretsmanager", region, account, f"secret:{literal(name)}-??????")]


def _beginning(find: Mapping[str, Any], prefix: str) -> str:
    """What every name that a find can match begins with."""
    if find.get("path"):
        return prefix + str(find["path"])
    expression = str((find.get("name") or {}).get("regexp") or "")
    found = _LITERAL.match(expression)
    if prefix or found is None or "|" in expression:
        return prefix
    rest = expression[found.end() :]
    return found[1][:-1] if rest[:1] in ("?", "*", "{") else found[1]
