"""What one RBAC rule allows, and whether rules cover others."""

from __future__ import annotations

import pytest

from controllers.standin.apiserver.auth.rbac import Rule, binds, bound_as, missing
from controllers.standin.apiserver.seams import Attributes, User


def asked(
    verb: str, resource: str = "", *, group: str = "", name: str = "", sub: str = "", path: str = ""
) -> Attributes:
    return Attributes(verb, group, "v1", resource, sub, "", name, path)


@pytest.mark.parametrize(
    ("rule", "request_", "allowed"),
    [
        (Rule(("get",), ("",), ("pods",)), asked("get", "pods"), True),
        (Rule(("get",), ("",), ("pods",)), asked("list", "pods"), False),
        (Rule(("get",), ("apps",), ("pods",)), asked("get", "pods"), False),
        (Rule(("get",), ("",), ("pods",)), asked("get", "pods", sub="log"), False),
        (Rule(("get",), ("",), ("pods/log",)), asked("get", "pods", sub="log"), True),
        (Rule(("get",), ("",), ("*/scale",)), asked("get", "deployments", sub="scale"), True),
        (Rule(("get",), ("",), ("*/scale",)), asked("get", "deployments"), False),
        (Rule(("*",), ("*",), ("*",)), asked("delete", "things", group="x", sub="y"), True),
        (Rule(("get",), ("",), ("secrets",), ("one",)), asked("get", "secrets", name="one"), True),
        (Rule(("get",), ("",), ("secrets",), ("one",)), asked("get", "secrets", name="two"), False),
        (Rule(("list",), ("",), ("secrets",), ("one",)), asked("list", "secrets"), False),
        (Rule(("get",), urls=("/logs/*",)), asked("get", path="/logs/a/b"), True),
        (Rule(("get",), urls=("/logs/*",)), asked("get", path="/log"), False),
        (Rule(("get",), urls=("/version",)), asked("get", "pods"), False),
    ],
)
def test_a_rule_allows_exactly_what_it_names(rule: Rule, request_: Attributes, allowed: bool) -> None:
    assert rule.allows(request_) is allowed


def test_what_is_missing_is_named_object_by_object_with_its_verbs() -> None:
    held = [Rule(("get",), ("",), ("configmaps",))]
    wanted = [Rule(("get", "list", "watch"), ("",), ("configmaps", "secrets"), ("a",))]
    assert missing(wanted, held) == [
        Rule(("list", "watch"), ("",), ("configmaps",), ("a",)),
        Rule(("get", "list", "watch"), ("",), ("secrets",), ("a",)),
    ]


def test_a_wildcard_is_covered_by_a_wildcard_alone() -> None:
    everything = Rule(("*",), ("*",), ("*",))
    assert missing([everything], [Rule(("get",), ("*",), ("*",))]) == [everything]
    assert missing([everything, Rule(("get",), ("",), ("pods/log",), ("x",))], [everything]) == []


def test_a_binding_binds_users_groups_and_accounts_of_its_namespace() -> None:
    binding = {
        "metadata": {"name": "b", "namespace": "team"},
        "subjects": [
            {"kind": "User", "name": "jane"},
            {"kind": "Group", "name": "devs"},
            {"kind": "ServiceAccount", "name": "robot"},
        ],
    }
    assert bound_as(binding, User("jane")) == 'User "jane"'
    assert bound_as(binding, User("x", ("devs",))) == 'Group "devs"'
    assert bound_as(binding, User("system:serviceaccount:team:robot")) == 'ServiceAccount "robot/team"'
    assert not binds(binding, User("system:serviceaccount:other:robot"))
