"""Thirteen faults of a day, each told on its own object in words that help, while the neighbours go on."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import boto3
import pytest
import pytest_asyncio
import yaml

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import SECRETS, SERVICES
from controllers.api.external_secrets import EXTERNAL_SECRETS, SECRET_STORES
from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES
from controllers.api.inhaul import TENANT_POLICIES
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.api.source import GIT_REPOSITORIES
from controllers.standin.cloud.aws import ACCOUNT
from controllers.standin.demo.manifests import secret
from controllers.standin.demo.world import PAYMENTS, REGION, REPOSITORY
from tests.cluster import condition, until
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def running(stage: Stage) -> None:
    await stage.step("start")
    await stage.step("pointer")


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def neighbours(stage: Stage, running: None) -> Any:
    """After each fault the story's own objects are still ready, and a new secret still goes through."""
    yield
    wanted = (
        (EXTERNAL_SECRETS, "checkout-database"), (SECRET_STORES, "secrets-manager"), (KUSTOMIZATIONS, "checkout"),
        (IMAGE_POLICIES, "checkout"), (GIT_REPOSITORIES, "platform"),
    )  # fmt: skip
    for resource, name in wanted:
        await stage.until_ready(resource, name)
    await stage.step("rotate")


def make(resource: Resource, name: str, spec: dict[str, Any]) -> Manifest:
    meta = {"name": name, "namespace": PAYMENTS}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec}


def pointer(name: str, store: str = "secrets-manager", key: str = "payments/checkout/database") -> Manifest:
    data = [{"secretKey": "password", "remoteRef": {"key": key, "property": "password"}}]
    spec = {"refreshInterval": "1h", "secretStoreRef": {"name": store}, "data": data}
    return make(EXTERNAL_SECRETS, name, spec)


def aws_store(name: str, account: str) -> Manifest:
    auth = {"jwt": {"serviceAccountRef": {"name": account}}}
    return make(
        SECRET_STORES, name, {"provider": {"aws": {"service": "SecretsManager", "region": REGION, "auth": auth}}}
    )


def kustomization(name: str, path: str, account: str = "payments-reconciler") -> Manifest:
    spec = {
        "interval": "10m", "retryInterval": "1s", "path": path, "prune": True, "serviceAccountName": account,
        "targetNamespace": PAYMENTS, "sourceRef": {"kind": "GitRepository", "name": "platform"},
    }  # fmt: skip
    return make(KUSTOMIZATIONS, name, spec)


async def test_unknown_store_is_named_and_its_making_mends(stage: Stage) -> None:
    await stage.apply(pointer("lost", store="nowhere"))
    await stage.until_ready(EXTERNAL_SECRETS, "lost", "False", ("SecretSyncedError", "nowhere"))
    assert await stage.find(SECRETS, "lost") is None
    await stage.apply(aws_store("nowhere", "payments-secrets"))
    await stage.until_ready(EXTERNAL_SECRETS, "lost")


async def test_refused_aws_credentials_name_store_call_role_and_service_account(stage: Stage) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/payments-secrets"
    account = {
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "stranger", "namespace": PAYMENTS, "annotations": {"eks.amazonaws.com/role-arn": role}},
    }  # fmt: skip
    await stage.apply(account, aws_store("refused", "stranger"), pointer("refused", store="refused"))
    await stage.until_ready(
        EXTERNAL_SECRETS,
        "refused",
        "False",
        ("SecretSyncedError", "AssumeRoleWithWebIdentity", "AccessDenied", role, f"ServiceAccount {PAYMENTS}/stranger"),
    )
    assert await stage.find(SECRETS, "refused") is None


async def test_missing_key_is_named_and_its_making_mends(stage: Stage) -> None:
    await stage.apply(pointer("absent", key="payments/absent"))
    await stage.until_ready(EXTERNAL_SECRETS, "absent", "False", ("SecretSyncedError", "payments/absent"))
    stage.world.aws_create_secret("payments/absent", json.dumps({"password": "there now"}))
    await stage.until_ready(EXTERNAL_SECRETS, "absent")


async def test_bad_semver_range_is_quoted_and_mended_by_a_good_one(stage: Stage) -> None:
    def policy(wanted: str) -> Manifest:
        spec = {"imageRepositoryRef": {"name": "checkout"}, "policy": {"semver": {"range": wanted}}}
        return make(IMAGE_POLICIES, "bad", spec)

    await stage.apply(policy("not >a range"))
    await stage.until_ready(IMAGE_POLICIES, "bad", "False", ("InvalidPolicy", "not >a range"))
    await stage.apply(policy("1.x"))
    await stage.until_ready(IMAGE_POLICIES, "bad")


async def test_refused_git_login_says_so_and_a_right_one_mends(stage: Stage) -> None:
    good = await stage.world.admin.get(SECRETS, "git-read", PAYMENTS)
    ca = stage.world.git.ca_pem.decode()
    await stage.apply(secret(PAYMENTS, "git-wrong", {"username": "payments-read", "password": "no", "ca.crt": ca}))
    url = stage.world.git.https_url(REPOSITORY)
    spec = {"interval": "2s", "url": url, "ref": {"branch": "main"}, "secretRef": {"name": "git-wrong"}}
    await stage.apply(make(GIT_REPOSITORIES, "refused", spec))
    await stage.until_ready(GIT_REPOSITORIES, "refused", "False", ("uthentication",))
    await stage.world.admin.patch(SECRETS, "git-wrong", PAYMENTS, body={"data": good["data"]})
    await stage.until_ready(GIT_REPOSITORIES, "refused")


async def test_broken_yaml_names_its_file_and_a_commit_mends(stage: Stage) -> None:
    at = "teams/payments/broken/broken.yaml"
    await stage.world.git.commit(REPOSITORY, {at: "kind: [\n"}, message="payments: broken")
    await stage.apply(kustomization("broken", "./teams/payments/broken"))
    await stage.until_ready(KUSTOMIZATIONS, "broken", "False", ("BuildFailed", "broken.yaml"))
    fine = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: fine\n"
    await stage.world.git.commit(REPOSITORY, {at: fine}, message="payments: mended")
    await stage.until_ready(KUSTOMIZATIONS, "broken")


async def test_tenant_without_rights_is_refused_by_name(stage: Stage) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": PAYMENTS}}
    at = "teams/payments/rights/map.yaml"
    plain = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: rights\n"
    await stage.world.git.commit(REPOSITORY, {at: plain}, message="payments: rights")
    await stage.apply(account, kustomization("rights", "./teams/payments/rights", "nobody"))
    await stage.until_ready(KUSTOMIZATIONS, "rights", "False", ("forbidden", f"{PAYMENTS}:nobody"))
    await stage.apply(kustomization("rights", "./teams/payments/rights"))
    await stage.until_ready(KUSTOMIZATIONS, "rights")


async def test_vault_store_is_kept_and_said_to_be_not_served(stage: Stage) -> None:
    await stage.apply(make(SECRET_STORES, "vault", {"provider": {"vault": {"server": "https://vault.example.com"}}}))
    await stage.until_ready(SECRET_STORES, "vault", "False", ("vault",))
    await stage.apply(pointer("vault", store="vault"))
    await stage.until_ready(EXTERNAL_SECRETS, "vault", "False", ("vault",))
    await stage.apply(pointer("vault"))
    await stage.until_ready(EXTERNAL_SECRETS, "vault")


async def test_tampered_sops_file_is_named_and_the_file_as_it_was_mends(stage: Stage) -> None:
    at = "teams/payments/tampered/secret.yaml"
    right = (await stage.world.sops_secret("tampered", {"a": "one", "b": "two"})).decode()
    first, second = re.findall(r"ENC\[AES256_GCM,data:([^,]+),", right)[:2]
    wrong = right.replace(first, second, 1)
    await stage.world.git.commit(REPOSITORY, {at: wrong}, message="payments: tampered")
    manifest = kustomization("tampered", "./teams/payments/tampered")
    manifest["spec"]["decryption"] = {"provider": "sops", "secretRef": {"name": "sops-age"}}
    await stage.apply(manifest)
    await stage.until_ready(KUSTOMIZATIONS, "tampered", "False", ("secret.yaml",))
    assert await stage.find(SECRETS, "tampered") is None
    await stage.world.git.commit(REPOSITORY, {at: right}, message="payments: as it was")
    await stage.until_ready(KUSTOMIZATIONS, "tampered")
    assert await stage.find(SECRETS, "tampered") is not None


async def test_sealed_secret_under_another_name_does_not_open(stage: Stage) -> None:
    sealed = yaml.safe_load(await stage.world.sealed_secret("sealed-for-a", {"token": "x"}))
    moved = {**sealed, "metadata": {**sealed["metadata"], "name": "sealed-b"}}
    await stage.apply(moved)

    async def refused() -> bool:
        status, _, message = condition(await stage.find(SEALED_SECRETS, "sealed-b"), "Synced")
        return status == "False" and "token" in message

    await until(refused, patience=60)
    assert await stage.find(SECRETS, "sealed-b") is None
    await stage.apply(sealed)

    async def opened() -> bool:
        return await stage.find(SECRETS, "sealed-for-a") is not None

    await until(opened, patience=60)
    assert await stage.find(SECRETS, "sealed-b") is None


def grants(**more: Any) -> Manifest:
    """A further policy for payments; what policies give adds up, what one denies is denied."""
    spec = {"namespaceSelector": {"matchLabels": {"tenant": PAYMENTS}}, **more}
    return {"apiVersion": "inhaul.dev/v1alpha1", "kind": "TenantPolicy", "metadata": {"name": "faults"}, "spec": spec}


async def test_registry_that_refuses_is_named_and_a_login_mends(stage: Stage) -> None:
    host = stage.world.registry.host
    spec = {"image": f"{host}/checkout", "interval": "1h", "insecure": True}
    await stage.apply(make(IMAGE_REPOSITORIES, "refused", spec))
    await stage.until_ready(IMAGE_REPOSITORIES, "refused", "False", ("AccessDenied", host))
    await stage.apply(grants(registries=[f"{host}/**"]))
    await stage.until_ready(IMAGE_REPOSITORIES, "refused", "False", ("AuthenticationFailed", host))
    answer = await asyncio.to_thread(boto3.client("ecr", **stage.world.aws.client_arguments()).get_authorization_token)
    login = {"auth": answer["authorizationData"][0]["authorizationToken"]}
    config = secret(PAYMENTS, "registry", {".dockerconfigjson": json.dumps({"auths": {host: login}})})
    await stage.apply({**config, "type": "kubernetes.io/dockerconfigjson"})
    await stage.apply(make(IMAGE_REPOSITORIES, "refused", {**spec, "secretRef": {"name": "registry"}}))
    await stage.until_ready(IMAGE_REPOSITORIES, "refused")


async def test_source_beyond_the_tenants_grant_is_refused_by_its_url(stage: Stage) -> None:
    await stage.world.git.create_repo("salaries", {"a.yaml": "kind: ConfigMap\n"})
    url = stage.world.git.https_url("salaries")
    spec = {"interval": "1m", "url": url, "ref": {"branch": "main"}, "secretRef": {"name": "git-read"}}
    await stage.apply(make(GIT_REPOSITORIES, "beyond", spec))
    await stage.until_ready(GIT_REPOSITORIES, "beyond", "False", ("salaries",))
    artifact = ((await stage.find(GIT_REPOSITORIES, "beyond") or {}).get("status") or {}).get("artifact")
    assert artifact is None


async def test_kind_beyond_the_tenants_grant_is_refused_though_rbac_allows_it(stage: Stage) -> None:
    await stage.apply(grants(kinds={"deny": [{"group": "", "kind": "Service"}]}))
    service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: beyond\nspec:\n  ports:\n  - port: 80\n"
    plain = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beyond\n"
    folder = "teams/payments/beyond"
    await stage.world.git.commit(
        REPOSITORY, {f"{folder}/service.yaml": service, f"{folder}/map.yaml": plain}, message="payments: beyond"
    )
    await stage.apply(kustomization("beyond", f"./{folder}"))
    await stage.until_ready(KUSTOMIZATIONS, "beyond", "False", ("Service",))
    assert await stage.find(SERVICES, "beyond") is None
    await stage.world.git.commit(REPOSITORY, {f"{folder}/service.yaml": None}, message="payments: within")
    await stage.until_ready(KUSTOMIZATIONS, "beyond")
    await stage.world.admin.delete(TENANT_POLICIES, "faults")
