"""IRSA from end to end: the API server signs a ServiceAccount's token, STS verifies it with the server's own keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controllers.api.resource import Resource
from controllers.aws.errors import CredentialsRefused
from controllers.aws.identity import Identities
from controllers.aws.secretsmanager import SecretsManager
from controllers.aws.settings import AwsSettings
from controllers.runtime.kube import ApiError, KubeClient, KubeConfig
from controllers.runtime.pools import Pools
from controllers.runtime.sensitive import Sensitive
from controllers.standin.apiserver import ApiServer
from controllers.standin.apiserver.plugins import default_plugins
from tests.integration.aws.conftest import REGION, service_account
from tests.integration.conftest import Aws

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, KubeConfig]]:
    server = ApiServer(tmp_path, plugins=default_plugins)
    await server.start()
    (tmp_path / "kubeconfig").write_text(server.admin_kubeconfig())
    yield server, KubeConfig.from_file(str(tmp_path / "kubeconfig"))
    await server.stop()


async def test_a_service_accounts_own_token_opens_its_role(
    aws: Aws, api: tuple[ApiServer, KubeConfig], pools: Pools
) -> None:
    server, config = api
    await aws.standin.trust_issuer(server.url, jwks_url=f"{server.url}/openid/v1/jwks", ca_pem=server.ca_pem)
    provider = server.url.removeprefix("https://")
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{provider}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{provider}:sub": "system:serviceaccount:team-a:eso"}},
    }
    role = aws.role("a", trust=trust, allow=[("secretsmanager:GetSecretValue", "arn:*:secret:team-a/*")])
    aws.client("secretsmanager").create_secret(Name="team-a/db", SecretString="v")
    async with KubeClient(config) as kube:
        await kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}})
        for name in ("eso", "other"):
            body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
            await kube.create(SERVICE_ACCOUNTS, body, "team-a")
        identities = Identities(pools, kube, settings=AwsSettings(endpoint=aws.url, attempts=1))
        edge = SecretsManager(identities, service_account(role), REGION)
        assert (await edge.get("team-a/db")).value == Sensitive("v")
        with pytest.raises(CredentialsRefused):
            await SecretsManager(identities, service_account(role, "team-a:other"), REGION).get("team-a/db")
        with pytest.raises(ApiError):
            await SecretsManager(identities, service_account(role, "team-a:none"), REGION).get("team-a/db")
