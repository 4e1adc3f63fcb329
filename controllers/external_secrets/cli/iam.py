"""The least IAM policy that lets a role read what ExternalSecrets ask for, and nothing else. Pure.

The providers name the permissions; roles on the way may each assume the next.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from controllers.external_secrets.providers.reads import PlannedRead, PlannedSource, ReadingIdentity
from controllers.external_secrets.providers.registry import planning_of

_ACCOUNT = re.compile(r"arn:[^:]+:iam::(\d{12}):role/")


def policies(
    reads: Iterable[PlannedRead],
    *,
    account: str = "",
    kms_keys: Sequence[str] = (),
    swept: Iterable[PlannedSource] = (),
) -> dict[str, dict[str, Any]]:
    """By reader: its policy. `account`: where no role says it; `swept`: sources with a version sweep."""
    by_reader: dict[ReadingIdentity, dict[PlannedSource, list[PlannedRead]]] = defaultdict(lambda: defaultdict(list))
    for read in reads:
        by_reader[read.source.reader][read.source].append(read)
    sweeps = set(swept)
    statements: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for reader, sources in sorted(by_reader.items()):
        for source, group in sorted(sources.items()):
            place, provider = account_of(reader, account), planning_of(source.service)
            granted = provider.statements(source, place, group, swept=source in sweeps, kms_keys=kms_keys)
            statements[reader.role or reader.base] += granted
        _chain(reader, statements)
    return {name: {"Version": "2012-10-17", "Statement": _merged(parts)} for name, parts in statements.items() if parts}


def account_of(reader: ReadingIdentity, account: str) -> str:
    """The account whose secrets are read: the given one, else the reading role's, else any."""
    found = _ACCOUNT.match(reader.role)
    return account or (found[1] if found else "*")


def _chain(reader: ReadingIdentity, statements: dict[str, list[dict[str, Any]]]) -> None:
    """Each role on the way may assume the next; with session tags it may tag, too."""
    steps = [*(() if reader.federated else (reader.base,)), *reader.chain, *([reader.role] if reader.role else [])]
    for before, after in pairwise(steps):
        actions = ["sts:AssumeRole", *(["sts:TagSession"] if reader.tags and after == reader.role else [])]
        statements[before].append({"Effect": "Allow", "Action": actions, "Resource": [after]})


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
