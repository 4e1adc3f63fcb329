"""Parts that the integration tests share. All lazy: a run that asks for none starts none."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from controllers.standin.cloud.aws import AwsStandin

OTHER_ACCOUNT = "210987654321"
ISSUER = "https://oidc.example.com/id/TEST"


@pytest.fixture(scope="session")
def aws_process() -> Iterator[AwsStandin]:
    """AWS, started once per session; use `aws`, which is empty at the start of each test."""
    standin = AwsStandin(accounts=("123456789012", OTHER_ACCOUNT))
    asyncio.run(standin.start())
    yield standin
    asyncio.run(standin.stop())


client_of: Callable[..., Any] = boto3.client
"""boto3's client for a service that is known only at run time: its stubs have an overload for each literal name."""


@dataclass
class Aws:
    """AWS as its operator sees it, with the shortcuts that tests need."""

    standin: AwsStandin
    tokens: TokenMint
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.standin.url

    def client(self, service: str, account: str = "") -> Any:
        """boto3 as the operator."""
        if (service, account) not in self.clients:
            config = Config(retries={"total_max_attempts": 1})
            arguments = self.standin.client_arguments(account)
            self.clients[service, account] = client_of(service, config=config, **arguments)
        return self.clients[service, account]

    def client_as(self, credentials: dict[str, Any], service: str) -> Any:
        """boto3 with the Credentials of an STS answer."""
        return client_of(
            service,
            endpoint_url=self.url,
            region_name=self.standin.region,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def role(self, name: str, *, trust: dict[str, Any], allow: Any = (), account: str = "", path: str = "/") -> str:
        """A role; `allow` are (action or actions, resource or resources) pairs, or whole statements. Its ARN."""
        iam = self.client("iam", account)
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        statements = [
            item if isinstance(item, dict) else {"Effect": "Allow", "Action": item[0], "Resource": item[1]}
            for item in allow
        ]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
        return str(arn)

    def irsa_role(self, name: str, *, subject: str, allow: Any = (), account: str = "") -> str:
        return self.role(name, trust=irsa_trust(subject, account or "123456789012"), allow=allow, account=account)

    def assume(self, role: str, *, subject: str) -> dict[str, Any]:
        """Credentials of a role for a service account's token ("namespace:name")."""
        token = self.tokens.service_account(subject)
        sts = boto3.client("sts", endpoint_url=self.url, region_name=self.standin.region, config=UNSIGNED)
        answer = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="test", WebIdentityToken=token)
        return dict(answer["Credentials"])


UNSIGNED = Config(signature_version="unsigned", retries={"total_max_attempts": 1})


def irsa_trust(subject: str, account: str = "123456789012") -> dict[str, Any]:
    provider = ISSUER.removeprefix("https://")
    return {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{provider}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"{provider}:aud": "sts.amazonaws.com"},
            "StringLike": {f"{provider}:sub": f"system:serviceaccount:{subject}"},
        },
    }


class TokenMint:
    """Signs tokens as an API server does."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)

    @property
    def jwks(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        return {"keys": [{"kid": "k1", "kty": "RSA", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}]}

    def service_account(self, subject: str, *, audience: str = "sts.amazonaws.com", **claims: Any) -> str:
        """`subject`: "namespace:name"."""
        body = {"iss": ISSUER, "sub": f"system:serviceaccount:{subject}", "aud": [audience], "exp": time.time() + 600}
        return self.sign({**body, **claims})

    def sign(self, claims: dict[str, Any], *, algorithm: str = "RS256") -> str:
        head = _b64(json.dumps({"alg": algorithm, "kid": "k1"}).encode())
        body = _b64(json.dumps(claims).encode())
        signature = self._key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{body}.{_b64(signature)}"


def _number(value: int) -> str:
    return _b64(value.to_bytes((value.bit_length() + 7) // 8))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def token_mint(aws_process: AwsStandin) -> TokenMint:
    mint = TokenMint()
    asyncio.run(aws_process.trust_issuer(ISSUER, jwks=mint.jwks))
    return mint


@pytest.fixture
async def aws(aws_process: AwsStandin, token_mint: TokenMint) -> Aws:
    await aws_process.reset()
    return Aws(aws_process, token_mint)


@pytest.fixture
def aws_environment(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets a controller's environment: AWS's address, and what is given."""

    def setup(**variables: str) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {**aws.standin.endpoint_env(), **variables}.items():
            monkeypatch.setenv(name, value)

    return setup
