"""The example tenant is valid by our own CRDs, and its policy means what its manifests need."""

from __future__ import annotations

from controllers.api.base import parse
from controllers.api.crdgen import KINDS
from controllers.api.tenancy import ApplyKind, ReadGit, ReadKey, UseRole, WriteGit, allowed, policy_of
from controllers.api.unsupported import unsupported

from .test_build import build, of_kind

MODELS = {kind.resource.kind: kind.spec for kind in KINDS}
TREE = "tenants/payments"


def test_its_manifests_are_valid_and_served() -> None:
    ours = [item for item in build(TREE) if item["kind"] in MODELS]
    assert {item["kind"] for item in ours} == {"GitRepository", "Kustomization", "SecretStore", "TenantPolicy"}
    for item in ours:
        parse(MODELS[item["kind"]], item)
        assert unsupported(item) == []


def test_its_policy_lets_it_do_its_work_and_nothing_of_others() -> None:
    policies = [policy_of(of_kind(TREE, "TenantPolicy")["payments"])]
    labels = of_kind(TREE, "Namespace")["payments"]["metadata"]["labels"]
    role = of_kind(TREE, "ServiceAccount")["payments-secrets"]["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    url = of_kind(TREE, "GitRepository")["platform"]["spec"]["url"]

    def ask(request: ReadGit | WriteGit | UseRole | ReadKey | ApplyKind) -> bool:
        return allowed(policies, namespace="payments", namespace_labels=labels, request=request).allowed

    assert ask(UseRole(role)) and ask(ReadGit(url, "main")) and ask(ReadKey("SecretsManager", "payments/db"))
    assert ask(WriteGit(url, "main", "teams/payments/checkout/app.yaml"))
    assert not ask(WriteGit(url, "main", "teams/checkout/app.yaml"))
    assert not ask(ReadKey("SecretsManager", "checkout/db"))
    assert not ask(ApplyKind("rbac.authorization.k8s.io", "RoleBinding"))
