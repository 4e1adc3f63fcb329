"""Encrypted files in a Kustomization: what was tampered with is refused, and the rest goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from controllers.api.core import NAMESPACES, SECRETS, SERVICE_ACCOUNTS
from controllers.api.inhaul import TENANT_POLICIES
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.aws.identity import ROLE_ANNOTATION
from controllers.lang.yaml_dump import dump
from controllers.runtime.conditions import find
from controllers.sops.binary import find_sops
from controllers.sops.plaintext_scan import PLAINTEXT_ANNOTATION

from .conftest import World, configmap, running
from .test_apply import message, start


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


async def secret(identity: pyrage.x25519.Identity, directory: Path, name: str, password: str) -> str:
    meta = {"name": name, "namespace": "team-a"}
    plain = dump({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"password": password}})
    argv = [find_sops(), "encrypt", "--age", str(identity.to_public()), "--encrypted-regex", "^(data|stringData)$"]
    argv += ["--input-type", "yaml", "--output-type", "yaml", "--filename-override", "a.yaml"]
    env = {"PATH": os.defpath, "HOME": str(directory)}

    def run() -> bytes:
        return subprocess.run(argv, input=plain.encode(), capture_output=True, check=True, env=env).stdout

    return (await asyncio.to_thread(run)).decode()


async def test_a_tampered_file_is_refused_while_the_rest_is_applied_and_nothing_is_pruned(
    world: World, tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    first = await secret(identity, tmp_path, "db", "one")
    await start(
        world, {"app/db.yaml": first, "app/api.yaml": await secret(identity, tmp_path, "api", "x"),
                "app/settings.yaml": configmap("settings", "team-a", a="1")},
    )  # fmt: skip
    await world.secret("sops-keys", "team-a", **{"age.agekey": str(identity)})
    decryption = {"provider": "sops", "secretRef": {"name": "sops-keys"}}
    await world.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"spec": {"decryption": decryption}})
    async with running(world.manager()) as manager:
        await world.condition("app", "team-a", "True")
        tampered = first.replace("name: db", "name: da")
        assert tampered != first
        await world.push(
            {"app/db.yaml": tampered, "app/settings.yaml": configmap("settings", "team-a", a="2")}, "team-a"
        )
        held = await world.condition("app", "team-a", "False", "BuildFailed")
        assert "app/db.yaml: the MAC is not that of the values" in message(held)
        assert "2 other objects are applied" in message(held)
        assert await world.data("settings", "team-a") == {"a": "2"}
        assert (await world.kube.get(SECRETS, "db", "team-a"))["data"] == {"password": "b25l"}
        assert await world.get(SECRETS, "da", "team-a") is None
        assert len(held["status"]["inventory"]["entries"]) == 3
        assert 'result="MacMismatch"' in manager.metrics.render().decode()
        commit = await world.push({"app/db.yaml": await secret(identity, tmp_path, "db", "two")}, "team-a")
        await world.applied("app", "team-a", commit)
        assert (await world.kube.get(SECRETS, "db", "team-a"))["data"] == {"password": "dHdv"}


async def test_a_kms_file_is_opened_as_the_kustomizations_service_account_and_by_policy(
    world: World, tmp_path: Path, aws: Any, aws_environment: Callable[..., None]
) -> None:
    server = world.server
    await aws.standin.trust_issuer(server.url, jwks_url=f"{server.url}/openid/v1/jwks", ca_pem=server.ca_pem)
    provider = server.url.removeprefix("https://")
    key = str(aws.client("kms").create_key()["KeyMetadata"]["Arn"])
    trust = {
        "Effect": "Allow", "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{provider}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{provider}:sub": "system:serviceaccount:team-a:sops"}},
    }  # fmt: skip
    role = aws.role("sops", trust=trust, allow=[("kms:Decrypt", key)])
    access, secret_key = aws.standin.key()
    operator = {
        "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_ENDPOINT_URL": aws.url,
        "PATH": os.defpath, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    plain = dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "team-a"},
                  "stringData": {"password": "one"}})  # fmt: skip
    argv = [find_sops(), "encrypt", "--kms", key, "--encrypted-regex", "^stringData$", "--input-type", "yaml"]
    argv += ["--output-type", "yaml", "--filename-override", "a.yaml"]

    def run() -> bytes:
        return subprocess.run(argv, input=plain.encode(), capture_output=True, check=True, env=operator).stdout

    encrypted = (await asyncio.to_thread(run)).decode()
    aws_environment(AWS_EC2_METADATA_DISABLED="true")  # the controller itself has no credentials
    decryption = {"provider": "sops", "serviceAccountName": "sops"}
    await start(world, {"app/db.yaml": encrypted}, decryption=decryption)
    annotations = {"metadata": {"annotations": {ROLE_ANNOTATION: role}}}
    await world.make(SERVICE_ACCOUNTS, "sops", "team-a")
    await world.kube.patch(SERVICE_ACCOUNTS, "sops", "team-a", body=annotations)
    grants = {"namespaceSelector": {}, "git": [{"url": f"https://{world.git.https_url('fleet').split('/')[2]}/**"}]}
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        assert (await world.kube.get(SECRETS, "db", "team-a"))["data"] == {"password": "b25l"}
        await world.make(TENANT_POLICIES, "all", "", spec=grants)
    async with running(world.manager()):
        held = await world.condition("app", "team-a", "False", "BuildFailed")
        assert f"TenantPolicy all does not grant KMS key {key}" in message(held)


async def test_a_namespace_may_refuse_plaintext_secrets(world: World) -> None:
    plain = dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "team-a"},
                  "stringData": {"password": "hunter2"}})  # fmt: skip
    await start(world, {"app/db.yaml": plain, "app/settings.yaml": configmap("settings", "team-a", a="1")})
    await world.kube.patch(
        NAMESPACES, "team-a", body={"metadata": {"annotations": {PLAINTEXT_ANNOTATION: "refuse"}}}
    )  # fmt: skip
    async with running(world.manager()):
        held = await world.condition("app", "team-a", "False", "BuildFailed")
        text = str((find(held["status"], "Ready") or {}).get("message"))
        assert "Secret db is in plaintext: stringData.password" in text and "hunter2" not in text
        assert await world.get(SECRETS, "db", "team-a") is None
        assert await world.data("settings", "team-a") == {"a": "1"}
