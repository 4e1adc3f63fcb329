"""Who may do what: DESIGN's rules for TenantPolicies as promises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.tenancy import (
    ApplyKind,
    AskKeyService,
    DecryptWith,
    Policy,
    PullImage,
    ReadGit,
    ReadKey,
    Request,
    UseRole,
    WriteGit,
    WriteSecretType,
    allowed,
    policy_of,
)

ROLE = "arn:aws:iam::123456789012:role/payments-app"
KMS = "arn:aws:kms:eu-west-1:123456789012:key/1111"
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
REPO = "https://git.example.com/payments/app"

EVERYTHING: list[Request] = [
    UseRole(ROLE),
    ReadKey("SecretsManager", "payments/db"),
    DecryptWith(kms_arn=KMS),
    DecryptWith(age_recipient=AGE),
    ReadGit(REPO, "main"),
    WriteGit(REPO, "main", "deploy/app.yaml"),
    PullImage("ghcr.io/payments/app"),
    WriteSecretType("Opaque"),
    ApplyKind("apps", "Deployment"),
]

FULL: dict[str, Any] = {
    "roleARNs": ["arn:aws:iam::123456789012:role/payments-*"],
    "secretKeys": ["payments/**"],
    "kmsARNs": ["arn:aws:kms:*:123456789012:key/*"],
    "ageRecipients": [AGE],
    "git": [
        {"url": "https://git.example.com/payments/*", "branches": ["main"], "paths": ["deploy/**"], "access": "write"}
    ],
    "registries": ["ghcr.io/payments/*"],
}


def policy(name: str = "payments", labels: dict[str, str] | None = None, **spec: Any) -> Policy:
    selector = {"matchLabels": {"team": "payments"} if labels is None else labels}
    manifest = {"metadata": {"name": name}, "spec": {"namespaceSelector": selector, **spec}}
    read = policy_of(manifest)
    assert read.spec is not None, read.problem
    return read


def ask(policies: list[Policy], request: Request, **labels: str) -> bool:
    found = allowed(policies, namespace="ns", namespace_labels=labels or {"team": "payments"}, request=request)
    assert found.reason
    return found.allowed


@pytest.mark.parametrize("request_", EVERYTHING, ids=str)
def test_without_any_policy_everything_is_allowed(request_: Request) -> None:
    assert ask([], request_)


@pytest.mark.parametrize("request_", EVERYTHING, ids=str)
def test_with_the_first_policy_a_namespace_that_none_selects_gets_nothing(request_: Request) -> None:
    assert not ask([policy(**FULL)], request_, team="checkout")


@pytest.mark.parametrize("request_", EVERYTHING, ids=str)
def test_a_policy_grants_what_it_names(request_: Request) -> None:
    assert ask([policy(**FULL)], request_)


@pytest.mark.parametrize(
    "request_", [request for request in EVERYTHING if not isinstance(request, ApplyKind | WriteSecretType)], ids=str
)
def test_a_policy_that_names_nothing_grants_no_outward_call(request_: Request) -> None:
    assert not ask([policy()], request_)


@pytest.mark.parametrize(
    "request_",
    [
        UseRole("arn:aws:iam::123456789012:role/checkout-app"),
        UseRole("arn:aws:iam::999999999999:role/payments-app"),
        UseRole(""),
        ReadKey("SecretsManager", "checkout/db"),
        ReadKey("SecretsManager", "payments/../checkout/db"),
        ReadKey("SecretsManager", "arn:aws:secretsmanager:eu-west-1:999999999999:secret:payments/db"),
        DecryptWith(),
        DecryptWith(kms_arn=KMS, age_recipient=AGE),
        DecryptWith(age_recipient="age1other"),
        ReadGit("https://git.example.com/checkout/app", "main"),
        ReadGit(REPO, "refs/tags/v1"),
        ReadGit(REPO, ""),
        WriteGit(REPO, "release", "deploy/app.yaml"),
        WriteGit(REPO, "main", "ci/app.yaml"),
        WriteGit(REPO, "main", "deploy/../ci/app.yaml"),
        WriteGit(REPO, "main", "/deploy/app.yaml"),
        WriteGit(REPO, "main", "deploy//app.yaml"),
        PullImage("ghcr.io/payments/app/extra"),
        PullImage("payments/app"),
        WriteSecretType("kubernetes.io/service-account-token"),
        WriteSecretType("bootstrap.kubernetes.io/token"),
    ],
    ids=repr,
)
def test_a_policy_grants_nothing_beside_what_it_names(request_: Request) -> None:
    assert not ask([policy(**FULL)], request_)


def test_a_key_service_needs_a_grant_even_where_no_policy_exists() -> None:
    vault = AskKeyService("hc_vault:vault.example.com:8200/sops/a")
    assert not ask([], vault)
    assert not ask([policy(**FULL)], vault)
    granting = policy(**FULL, keyServices=["hc_vault:vault.example.com:8200/**"])
    assert ask([granting], vault)
    assert not ask([granting], AskKeyService("hc_vault:vault.example.com.evil.test:8200/sops/a"))
    assert not ask([granting], AskKeyService("hc_vault:http://vault.example.com:8200/sops/a"))


def test_policies_that_select_a_namespace_add_up() -> None:
    both = [policy("a", secretKeys=["a/*"]), policy("b", secretKeys=["b/*"])]
    assert ask(both, ReadKey("SecretsManager", "a/x")) and ask(both, ReadKey("SecretsManager", "b/x"))


def test_grants_of_two_policies_do_not_mix_into_a_third() -> None:
    git = [
        policy("a", git=[{"url": REPO, "branches": ["dev"], "access": "write"}]),
        policy("b", git=[{"url": REPO, "branches": ["main"], "access": "read"}]),
    ]
    assert ask(git, ReadGit(REPO, "main"))
    assert not ask(git, WriteGit(REPO, "main", "x"))


def test_a_key_grant_can_be_for_one_service() -> None:
    one = [policy(secretKeys=["ParameterStore:/payments/**"])]
    assert ask(one, ReadKey("ParameterStore", "/payments/db"))
    assert not ask(one, ReadKey("SecretsManager", "/payments/db"))


def test_an_arn_grant_is_no_service_prefix() -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:payments/db-AbCdEf"
    assert ask(
        [policy(secretKeys=["arn:aws:secretsmanager:*:123456789012:secret:payments/*"])], ReadKey("SecretsManager", arn)
    )


def test_reading_is_part_of_writing_and_writing_not_of_reading() -> None:
    read = [policy(git=[{"url": REPO}])]
    assert ask(read, ReadGit(REPO, "any")) and ask(read, ReadGit(REPO)) and not ask(read, WriteGit(REPO, "any", "x"))
    assert ask([policy(git=[{"url": REPO, "access": "write"}])], ReadGit(REPO, "main"))


def test_a_branch_means_the_same_by_its_full_reference() -> None:
    assert ask([policy(git=[{"url": REPO, "branches": ["main"]}])], ReadGit(REPO, "refs/heads/main"))


def test_kinds_are_free_until_a_policy_names_them() -> None:
    assert ask([policy()], ApplyKind("apps", "Deployment"))
    named = [policy(kinds={"allow": [{"group": "apps", "kind": "*"}]})]
    assert ask(named, ApplyKind("apps", "Deployment")) and not ask(named, ApplyKind("", "Secret"))


def test_a_denied_kind_stays_denied_whatever_another_policy_says() -> None:
    both = [policy("a", kinds={"deny": [{"group": "", "kind": "Secret"}]}), policy("b")]
    assert not ask(both, ApplyKind("", "Secret"))
    assert ask(both, ApplyKind("", "ConfigMap"))


def test_a_secret_without_a_type_is_opaque() -> None:
    assert ask([policy()], WriteSecretType(""))
    assert not ask([policy(secretTypes=["kubernetes.io/tls"])], WriteSecretType(""))


def test_a_policy_that_cannot_be_read_closes_and_never_opens() -> None:
    broken = policy_of({"metadata": {"name": "typo"}, "spec": {"namespaceSelector": {}, "secretKeys": "payments/*"}})
    decision = allowed([broken], namespace="ns", namespace_labels={}, request=UseRole(ROLE))
    assert not decision
    assert "typo" in decision.reason and "spec.secretKeys" in decision.reason


def test_a_namespace_is_selected_by_its_name_even_where_its_label_lies() -> None:
    mine = [policy(labels={"kubernetes.io/metadata.name": "ns"}, **FULL)]
    assert ask(mine, UseRole(ROLE), **{"kubernetes.io/metadata.name": "other"})
    theirs = [policy(labels={"kubernetes.io/metadata.name": "other"}, **FULL)]
    assert not ask(theirs, UseRole(ROLE), **{"kubernetes.io/metadata.name": "other"})


def test_selectors_with_an_operator_nobody_knows_select_nothing() -> None:
    odd = {"matchExpressions": [{"key": "team", "operator": "Like", "values": ["pay*"]}]}
    read = policy_of({"metadata": {"name": "odd"}, "spec": {"namespaceSelector": odd, **FULL}})
    assert not ask([read], UseRole(ROLE))


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [
        ("In", ["payments"], True),
        ("NotIn", ["payments"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_selectors_follow_the_operators_of_kubernetes(operator: str, values: list[str], selected: bool) -> None:
    selector = {"matchExpressions": [{"key": "team", "operator": operator, "values": values}]}
    read = policy_of({"metadata": {"name": "p"}, "spec": {"namespaceSelector": selector, **FULL}})
    assert ask([read], UseRole(ROLE)) is selected


def test_a_reason_never_shows_the_password_of_a_url() -> None:
    request = ReadGit("https://bot:hunter2@git.example.com/x", "main")
    decision = allowed([policy()], namespace="ns", namespace_labels={"team": "payments"}, request=request)
    assert "hunter2" not in decision.reason and "git.example.com" in decision.reason


SPECS = st.fixed_dictionaries(
    {},
    optional={
        "secretKeys": st.lists(st.sampled_from(["a/*", "b/**", "*", "**", "a/b"]), max_size=2),
        "roleARNs": st.lists(st.sampled_from([ROLE, "arn:aws:iam::*:role/*", "**"]), max_size=2),
        "registries": st.lists(st.sampled_from(["ghcr.io/*/*", "**"]), max_size=2),
        "git": st.lists(
            st.sampled_from([{"url": REPO}, {"url": REPO, "access": "write", "paths": ["a/**"]}]), max_size=2
        ),
    },
)
REQUESTS = st.sampled_from(
    [*EVERYTHING, ReadKey("ParameterStore", "a/b"), ReadKey("ParameterStore", "b/c/d"), WriteGit(REPO, "x", "a/b")]
)


@given(st.lists(SPECS, min_size=1, max_size=4), SPECS, REQUESTS)
def test_a_further_policy_without_denials_takes_nothing_away(
    specs: list[dict[str, Any]], more: dict[str, Any], request_: Request
) -> None:
    policies = [policy(str(number), **spec) for number, spec in enumerate(specs)]
    if ask(policies, request_):
        assert ask([*policies, policy("more", **more)], request_)


@given(st.lists(SPECS, min_size=1, max_size=4), REQUESTS)
def test_several_policies_grant_exactly_what_one_of_them_grants(specs: list[dict[str, Any]], request_: Request) -> None:
    policies = [policy(str(number), **spec) for number, spec in enumerate(specs)]
    assert ask(policies, request_) == any(ask([one], request_) for one in policies)


@given(st.lists(SPECS, min_size=1, max_size=3), REQUESTS)
def test_policies_of_others_change_nothing_for_a_namespace(specs: list[dict[str, Any]], request_: Request) -> None:
    others = [policy(str(number), labels={"team": "checkout"}, **spec) for number, spec in enumerate(specs)]
    mine = policy("mine", **FULL)
    assert ask([mine, *others], request_) == ask([mine], request_)
