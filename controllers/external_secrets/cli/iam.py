"""The least IAM policy that lets a role read what ExternalSecrets ask for, and nothing else. Pure.

Names become ARNs; Secrets Manager puts six random characters behind a secret's name, so these are `-??????`. What IAM
cannot narrow (BatchGetSecretValue, ListSecrets and DescribeParameters know no resource) stands on `*`: the first also
needs GetSecretValue for each secret, the others show names and no values.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from controllers.external_secrets.values.find import list_call

from .forecast import Read, Spot, Who

_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")
_ACCOUNT = re.compile(r"arn:[^:]+:iam::(\d{12}):role/")
_LITERAL = re.compile(r"\^([A-Za-z0-9/_+=@-]*)")
"""The literal beginning of an anchored regular expression, cut before whatever may be optional."""


def policies(
    reads: Iterable[Read], *, account: str = "", kms_keys: Sequence[str] = (), swept: Iterable[Spot] = ()
) -> dict[str, dict[str, Any]]:
    """By reader: its policy. `account`: where no role says it; `swept`: sources with a version sweep."""
    by_who: dict[Who, dict[Spot, list[Read]]] = defaultdict(lambda: defaultdict(list))
    for read in reads:
        by_who[read.spot.who][read.spot].append(read)
    sweeps = set(swept)
    statements: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for who, spots in sorted(by_who.items()):
        for spot, group in sorted(spots.items()):
            place = account_of(who, account)
            make = _secrets if spot.service == "SecretsManager" else _parameters
            statements[who.role or who.base] += make(spot, place, group, spot in sweeps)
            statements[who.role or who.base] += _kms(spot, kms_keys)
        _chain(who, statements)
    return {name: {"Version": "2012-10-17", "Statement": _merged(parts)} for name, parts in statements.items()}


def account_of(who: Who, account: str) -> str:
    """The account whose secrets are read: the given one, else the reading role's, else any."""
    found = _ACCOUNT.match(who.role)
    return account or (found[1] if found else "*")


def _chain(who: Who, statements: dict[str, list[dict[str, Any]]]) -> None:
    """Each role on the way may assume the next; with session tags it may tag, too."""
    steps = [*(() if who.federated else (who.base,)), *who.chain, *([who.role] if who.role else [])]
    for before, after in pairwise(steps):
        actions = ["sts:AssumeRole", *(["sts:TagSession"] if who.tags and after == who.role else [])]
        statements[before].append({"Effect": "Allow", "Action": actions, "Resource": [after]})


def _secrets(spot: Spot, account: str, reads: Sequence[Read], swept: bool) -> list[dict[str, Any]]:
    keys = {read.key for read in reads if read.key is not None}
    values = sorted({arn for key in keys if not key.tags for arn in secret_arns(key.name, spot.region, account)})
    described = sorted({arn for key in keys if key.tags for arn in secret_arns(key.name, spot.region, account)})
    finds = [read for read in reads if read.find is not None]
    out = [_allow(["secretsmanager:GetSecretValue"], values), _allow(["secretsmanager:DescribeSecret"], described)]
    for read in finds:
        find = read.find or {}
        resource = _arn("secretsmanager", spot.region, account, f"secret:{_literal(_beginning(find, read.prefix))}*")
        tags = {f"secretsmanager:ResourceTag/{key}": value for key, value in (find.get("tags") or {}).items()}
        out.append(_allow(["secretsmanager:GetSecretValue"], [resource], tags))
    everywhere = []
    if finds or len([key for key in keys if not key.pinned]) > 1:
        everywhere.append("secretsmanager:BatchGetSecretValue")
    if finds or swept:
        everywhere.append("secretsmanager:ListSecrets")
    return [*filter(None, out), *([{"Effect": "Allow", "Action": everywhere, "Resource": ["*"]}] if everywhere else [])]


def _parameters(spot: Spot, account: str, reads: Sequence[Read], swept: bool) -> list[dict[str, Any]]:
    keys = {read.key for read in reads if read.key is not None}
    values = sorted({parameter_arn(key.name, spot.region, account) for key in keys if not key.tags})
    tagged = sorted({parameter_arn(key.name, spot.region, account) for key in keys if key.tags})
    out = [_allow(["ssm:GetParameters"], values), _allow(["ssm:ListTagsForResource"], tagged)]
    describes = swept
    for read in (read for read in reads if read.find is not None):
        call = list_call("ParameterStore", read.find or {}, prefix=read.prefix)
        if call["op"] == "GetParametersByPath":
            path = _literal(call["Path"]).strip("/")
            resources = [_arn("ssm", spot.region, account, f"parameter/{path}")] if path else []
            resources.append(_arn("ssm", spot.region, account, f"parameter/{path}/*" if path else "*"))
            out.append(_allow(["ssm:GetParametersByPath"], resources))
            continue
        describes = True
        begin = _literal((read.find or {}).get("path") or read.prefix).lstrip("/")
        resource = _arn("ssm", spot.region, account, f"parameter/{begin}*")
        tags = {f"ssm:resourceTag/{key}": value for key, value in ((read.find or {}).get("tags") or {}).items()}
        out.append(_allow(["ssm:GetParameters"], [resource], tags))
    if describes:
        out.append({"Effect": "Allow", "Action": ["ssm:DescribeParameters"], "Resource": ["*"]})
    return list(filter(None, out))


def _kms(spot: Spot, keys: Sequence[str]) -> list[dict[str, Any]]:
    if not keys:
        return []
    service = "secretsmanager" if spot.service == "SecretsManager" else "ssm"
    via = {"kms:ViaService": f"{service}.{spot.region}.amazonaws.com{'.cn' if spot.region.startswith('cn-') else ''}"}
    return list(filter(None, [_allow(["kms:Decrypt"], sorted(keys), via)]))


def secret_arns(name: str, region: str, account: str) -> list[str]:
    """A secret by name or ARN. Whether an ARN ends in the random characters its last seven tell, more or less."""
    if name.startswith("arn:"):
        return [_literal(name)] if _SUFFIX.search(name) else [f"{_literal(name)}-??????"]
    return [_arn("secretsmanager", region, account, f"secret:{_literal(name)}-??????")]


def parameter_arn(name: str, region: str, account: str) -> str:
    if name.startswith("arn:"):
        return _literal(name)
    return _arn("ssm", region, account, f"parameter/{_literal(name.lstrip('/'))}")


def _arn(service: str, region: str, account: str, rest: str) -> str:
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rpartition("-")[0].rpartition("-")[0], "aws")
    return f"arn:{partition}:{service}:{region}:{account}:{rest}"


def _literal(text: str) -> str:
    """`*`, `?` and `${` of a name mean themselves."""
    return re.sub(r"[*?$]", lambda found: f"${{{found[0]}}}", text)


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


def _allow(
    actions: list[str], resources: Sequence[str], equals: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    if not resources:
        return None
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
    if equals:
        statement["Condition"] = {"StringEquals": dict(sorted(equals.items()))}
    return statement


def _merged(statements: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Statements that differ in their resources alone, or in their actions alone, become one."""
    by_action: dict[str, dict[str, Any]] = {}
    for each in statements:
        known = by_action.setdefault(repr((each["Action"], each.get("Condition"))), {**each, "Resource": []})
        known["Resource"] = sorted({*known["Resource"], *each["Resource"]})
    by_resource: dict[str, dict[str, Any]] = {}
    for each in by_action.values():
        known = by_resource.setdefault(repr((each["Resource"], each.get("Condition"))), {**each, "Action": []})
        known["Action"] = sorted({*known["Action"], *each["Action"]})
    return list(by_resource.values())
