"""A cluster and AWS with what teams have there; a controller on both."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controllers.api.core import SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest
from controllers.external_secrets import handlers
from controllers.runtime.manager import Manager
from tests.cluster import Cluster, condition, until
from tests.integration.conftest import Aws

NAMESPACE = "payments"


@dataclass
class Bench:
    cluster: Cluster
    aws: Aws

    def run(self, **settings: str) -> AbstractAsyncContextManager[Manager]:
        return self.cluster.managed(handlers, **settings)

    async def store(self, name: str = "aws", service: str = "SecretsManager", **provider: Any) -> None:
        aws = {"service": service, "region": self.aws.standin.region, **provider}
        await self.cluster.apply(store(name, {"aws": aws}))

    async def secret(self, name: str, **spec: Any) -> None:
        await self.cluster.apply(external_secret(name, **spec))

    async def found(self, name: str) -> Manifest | None:
        return await self.cluster.find(SECRETS, name, NAMESPACE)

    async def data(self, name: str) -> dict[str, bytes] | None:
        found = await self.found(name)
        return None if found is None else {k: base64.b64decode(v) for k, v in (found.get("data") or {}).items()}

    async def until_data(self, name: str, **wanted: bytes) -> None:
        async def reached() -> bool:
            return await self.data(name) == wanted

        await until(reached, what=f"Secret {name} with {sorted(wanted)}")

    async def ready(self, name: str) -> tuple[str, str, str]:
        return condition(await self.cluster.find(EXTERNAL_SECRETS, name, NAMESPACE))

    async def until_ready(self, name: str, status: str = "True", holds: str = "") -> str:
        async def reached() -> str:
            found = await self.ready(name)
            return found[2] if found[0] == status and holds in found[2] else ""

        try:
            return str(await until(reached, what=f"{name} Ready={status} {holds}"))
        except AssertionError:
            raise AssertionError(f"{name} is {await self.ready(name)}, wanted {status} {holds!r}") from None

    def create(self, name: str, value: str) -> str:
        return str(self.aws.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"])

    def put(self, name: str, value: str) -> None:
        self.aws.client("secretsmanager").put_secret_value(SecretId=name, SecretString=value)


def store(name: str, provider: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"provider": provider},
    }


def external_secret(name: str, **spec: Any) -> Manifest:
    """`secretStoreRef=None`: without a store."""
    given = {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h", **spec}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {key: value for key, value in given.items() if value is not None},
    }


def entry(secret_key: str, key: str, **remote: Any) -> dict[str, Any]:
    return {"secretKey": secret_key, "remoteRef": {"key": key, **remote}}


@pytest.fixture
async def bench(aws: Aws, aws_environment: Callable[..., None], tmp_path: Path) -> AsyncIterator[Bench]:
    aws_environment(**aws.standin.env())
    async with Cluster.standin(tmp_path) as cluster:
        await cluster.namespace(NAMESPACE)
        yield Bench(cluster, aws)
