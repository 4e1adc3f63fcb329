"""The facade's judgement of policies."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.resource import Manifest
from controllers.standin.cloud.aws_policy import Effect, conditions_hold, evaluate, glob, trusts

ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:a/db-AbCdEf"


def policy(*statements: Manifest) -> Manifest:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **s} for s in statements]}


def verdict(
    *statements: Manifest, action: str = "secretsmanager:GetSecretValue", resource: str = ARN, **context: str
) -> Effect:
    known = {key.replace("_", ":"): (value,) for key, value in context.items()}
    return evaluate([policy(*statements)], action=action, resource=resource, context=known)


def test_nothing_allows_by_default() -> None:
    assert verdict() is Effect.NONE
    assert verdict({"Action": "secretsmanager:ListSecrets"}) is Effect.NONE


@pytest.mark.parametrize(
    "action", ["secretsmanager:GetSecretValue", "secretsmanager:get*", "*", ["x:y", "secretsmanager:*"]]
)
def test_actions_are_globs_without_case(action: list[str] | str) -> None:
    assert verdict({"Action": action}) is Effect.ALLOW


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:secretsmanager:*:*:secret:a/*", Effect.ALLOW),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:a/db-??????", Effect.ALLOW),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:a/db", Effect.NONE),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:A/*", Effect.NONE),
        (["x", "*"], Effect.ALLOW),
    ],
)
def test_resources_are_globs_with_case(resource: list[str] | str, expected: Effect) -> None:
    assert verdict({"Action": "*", "Resource": resource}) is expected


def test_deny_wins_in_any_order() -> None:
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*:a/*"}
    assert verdict({"Action": "*"}, deny) is Effect.DENY
    assert verdict(deny, {"Action": "*"}) is Effect.DENY


def test_not_action_and_not_resource() -> None:
    assert verdict({"NotAction": "iam:*"}) is Effect.ALLOW
    assert verdict({"NotAction": "secretsmanager:*"}) is Effect.NONE
    only = {"Effect": "Allow", "Action": "*", "NotResource": "*:a/*"}
    assert evaluate([{"Statement": only}], action="x:y", resource=ARN, context={}) is Effect.NONE


def test_variables_are_the_callers_tags_and_match_nothing_when_missing() -> None:
    own = {"Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/namespace}/*"}
    tagged = {"aws:principaltag/namespace": ("a",)}
    assert evaluate([policy(own)], action="x:y", resource=ARN, context=tagged) is Effect.ALLOW
    other = {"aws:principaltag/namespace": ("b",)}
    assert evaluate([policy(own)], action="x:y", resource=ARN, context=other) is Effect.NONE
    assert evaluate([policy(own)], action="x:y", resource=ARN, context={}) is Effect.NONE


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"StringEquals": {"k": "v"}}, True),
        ({"StringEquals": {"K": ["x", "v"]}}, True),
        ({"StringEquals": {"k": "V"}}, False),
        ({"StringEquals": {"none": "v"}}, False),
        ({"StringEqualsIfExists": {"none": "v"}}, True),
        ({"StringNotEquals": {"k": "v"}}, False),
        ({"StringNotEquals": {"none": "v"}}, True),
        ({"StringLike": {"k": "?"}}, True),
        ({"Null": {"none": "true"}}, True),
        ({"Null": {"k": "true"}}, False),
        ({"ForAnyValue:StringEquals": {"many": ["b", "z"]}}, True),
        ({"ForAllValues:StringEquals": {"many": ["b", "z"]}}, False),
        ({"ForAllValues:StringEquals": {"none": ["b"]}}, True),
        ({"StringEquals": {"k": "v"}, "StringLike": {"k": "x*"}}, False),
        ({"NumericLessThan": {"k": "3"}}, False),
    ],
)
def test_conditions(conditions: dict[str, Any], holds: bool) -> None:
    assert conditions_hold(conditions, {"k": ("v",), "many": ("a", "b")}) is holds


def test_an_unknown_operator_never_opens() -> None:
    unknown = {"Action": "*", "Condition": {"DateGreaterThan": {"k": "v"}}}
    assert verdict(unknown) is Effect.NONE
    assert verdict({"Action": "*"}, {**unknown, "Effect": "Deny"}) is Effect.DENY


def test_trust_needs_principal_action_and_condition() -> None:
    document = {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Federated": "arn:p"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringLike": {"i:sub": "system:serviceaccount:a:*"}},
        }
    }

    def ask(principal: tuple[str, str], subject: str, action: str = "sts:AssumeRoleWithWebIdentity") -> Effect:
        return trusts(document, action=action, principals=[principal], context={"i:sub": (subject,)})

    assert ask(("Federated", "arn:p"), "system:serviceaccount:a:x") is Effect.ALLOW
    assert ask(("Federated", "arn:p"), "system:serviceaccount:b:x") is Effect.NONE
    assert ask(("Federated", "arn:q"), "system:serviceaccount:a:x") is Effect.NONE
    assert ask(("AWS", "arn:p"), "system:serviceaccount:a:x") is Effect.NONE
    assert ask(("Federated", "arn:p"), "system:serviceaccount:a:x", "sts:AssumeRole") is Effect.NONE


def test_a_glob_of_many_stars_is_quick() -> None:
    assert not glob("a" * 5000, "*a" * 6 + "b")
