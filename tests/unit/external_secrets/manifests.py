"""Stores and ExternalSecrets as files have them, for the tests of the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from controllers.api.resource import Manifest
from controllers.external_secrets.cli.common import read_files
from controllers.external_secrets.cli.plan import Plan, plan_of

ROOT = Path(__file__).parents[3]
ROLE = "arn:aws:iam::111122223333:role/payments"


def store(name: str = "aws", service: str = "SecretsManager", kind: str = "SecretStore", **aws: Any) -> Manifest:
    meta = {"name": name, **({} if kind.startswith("Cluster") else {"namespace": "a"})}
    provider = {"aws": {"service": service, "region": "eu-west-1", **aws}}
    return {"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": meta, "spec": {"provider": provider}}


def secret(name: str = "db", namespace: str = "a", **spec: Any) -> Manifest:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h", **spec},
    }


def data(*keys: str, **remote: Any) -> list[dict[str, Any]]:
    return [{"secretKey": key.rpartition("/")[2], "remoteRef": {"key": key, **remote}} for key in keys]


def files(tmp_path: Path, *manifests: Manifest) -> str:
    path = tmp_path / "manifests.yaml"
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def planned(tmp_path: Path, *manifests: Manifest, **options: Any) -> Plan:
    return plan_of(read_files(files(tmp_path, *manifests)), **options)
