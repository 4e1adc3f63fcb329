"""Which writes a rule of a ValidatingAdmissionPolicy is about."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.standin.apiserver.policies import rule_matches
from controllers.standin.apiserver.seams import Admission, KindInfo, User

SECRETS = KindInfo("", "v1", "secrets", "Secret", True)
RULE: dict[str, Any] = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}


def write(operation: Any = "CREATE", subresource: str = "") -> Admission:
    return Admission(operation, User("u"), SECRETS, "ns", "one", {}, None, subresource)


@pytest.mark.parametrize(
    ("changes", "admission", "matches"),
    [
        ({}, write(), True),
        ({}, write("UPDATE"), False),
        ({"operations": ["*"]}, write("DELETE"), True),
        ({"apiGroups": ["apps"]}, write(), False),
        ({"resources": ["*"]}, write(), True),
        ({"resources": ["*"]}, write(subresource="token"), False),
        ({"resources": ["secrets/token"]}, write(subresource="token"), True),
        ({"resources": ["secrets/token"]}, write(), False),
        ({"resources": ["*/*"]}, write(subresource="token"), True),
        ({"resourceNames": ["two"]}, write(), False),
        ({"scope": "Cluster"}, write(), False),
        ({"scope": "Namespaced"}, write(), True),
    ],
)
def test_a_rule_matches_what_it_names(changes: dict[str, Any], admission: Admission, matches: bool) -> None:
    assert rule_matches({**RULE, **changes}, admission) is matches
