"""AWS for the demo and the tests: starts, stops and steers the process of `aws_process.py`.

    aws = AwsStandin()
    await aws.start()
    boto3.client("secretsmanager", **aws.client_arguments())       # as the operator
    aws.env()                                                       # the same as environment variables

Roles and policies are made with boto3's `iam` as on AWS; `trust_issuer` is what CreateOpenIDConnectProvider would do,
`associate` what CreatePodIdentityAssociation would. Not AWS: resource policies, service control policies, permission
boundaries and cross-account reads of secrets are not judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from . import aws_ecr
from .registry import Pushed

ACCOUNT = "123456789012"
OPS_KEY = "AKIAINHAULOPS0000000"


class AwsStandin:
    """One AWS. `accounts` get an operator's key each; the first one's is that of `env()`."""

    def __init__(
        self,
        *,
        accounts: tuple[str, ...] = (ACCOUNT,),
        region: str = "eu-west-1",
        host: str = "127.0.0.1",
        port: int = 0,
        audiences: tuple[str, ...] = ("sts.amazonaws.com",),
    ) -> None:
        self.accounts, self.region = accounts, region
        self._host, self._port, self._audiences = host, port, audiences
        self._keys = {
            account: (f"{OPS_KEY[:-2]}{n:02}", secrets.token_urlsafe(30)) for n, account in enumerate(accounts)
        }
        self._ecr_key = secrets.token_bytes(32)
        self._process: subprocess.Popen[bytes] | None = None

    # --- life

    async def start(self) -> None:
        """Raises RuntimeError when the process does not come up within 60 s. Everything it holds is in its memory."""
        # Not asyncio's subprocess: the tests start it once and use it from one event loop per test.
        command = [sys.executable, "-m", "controllers.standin.cloud.aws_process"]
        # A session of its own: a terminal's Ctrl-C is for us alone. It ends when its stdin does.
        self._process = subprocess.Popen(  # noqa: ASYNC220
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the AWS process has no pipes")
        settings = {
            "host": self._host,
            "port": self._port,
            "static": {key: (secret, account) for account, (key, secret) in self._keys.items()},
            "audiences": self._audiences,
            "ecr_key": self._ecr_key.hex(),
        }
        stdin.write(json.dumps(settings).encode() + b"\n")
        stdin.flush()
        try:
            line = await asyncio.wait_for(asyncio.to_thread(stdout.readline), 60)
        except TimeoutError:
            line = b""
        if not line.strip().isdigit():
            await self.stop()
            raise RuntimeError("the AWS process did not come up; its standard error says why")
        self._port = int(line)

    async def stop(self) -> None:
        """Ends the process, hard: it has nothing to save. May be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        await asyncio.to_thread(process.wait)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    # --- what a client needs

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def pod_identity_url(self) -> str:
        """AWS_CONTAINER_CREDENTIALS_FULL_URI of pods; the token goes by AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE."""
        return f"{self.url}/v1/credentials"

    def key(self, account: str = "") -> tuple[str, str]:
        """(access key, secret) of an account's operator."""
        return self._keys[account or self.accounts[0]]

    def env(self, account: str = "") -> dict[str, str]:
        """The operator's environment."""
        access, secret = self.key(account)
        return {**self.endpoint_env(), "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}

    def endpoint_env(self) -> dict[str, str]:
        """Where AWS is, without any credentials: what a controller's process gets."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client_arguments(self, account: str = "") -> dict[str, Any]:
        access, secret = self.key(account)
        return {
            "endpoint_url": self.url,
            "region_name": self.region,
            "aws_access_key_id": access,
            "aws_secret_access_key": secret,
        }

    # --- steering

    async def trust_issuer(
        self, issuer: str, *, jwks_url: str = "", jwks: Mapping[str, Any] | None = None, ca_pem: str = ""
    ) -> None:
        """From now on tokens of this issuer are verified with these keys."""
        await self.control("issuers", {"issuer": issuer, "jwks_url": jwks_url, "jwks": jwks, "ca_pem": ca_pem})

    async def associate(self, *, cluster: str, namespace: str, service_account: str, role: str) -> None:
        """A Pod Identity association."""
        body = {"cluster": cluster, "namespace": namespace, "service_account": service_account, "role": role}
        await self.control("associations", body)

    async def throttle(self, match: str, *, rate: float, burst: float = 0) -> None:
        """At most `rate` calls per second to "service:Action" globs; 0 lifts it."""
        await self.control("throttle", {"match": match, "rate": rate, "burst": burst or rate})

    async def latency(self, match: str, seconds: float) -> None:
        await self.control("latency", {"match": match, "seconds": seconds})

    async def fail(
        self, match: str, *, code: str, status: int = 500, count: int = 1, message: str = "injected"
    ) -> None:
        body = {"match": match, "code": code, "status": status, "count": count, "message": message}
        await self.control("fault", body)

    async def expire_credentials(self) -> None:
        """All issued credentials expire now."""
        await self.control("expire", {})

    async def reset(self) -> None:
        """Forgets data, credentials, controls and counters; registered issuers stay."""
        await self.control("reset", {})

    async def calls(self, *, reset: bool = False) -> dict[tuple[str, str], int]:
        """(service:Action, role ARN or "ops") → count. `reset` starts over before counting."""
        found = await self.control("calls", None, method="DELETE" if reset else "GET")
        return {(item["call"], item["identity"]): int(item["count"]) for item in found["calls"]}

    async def control(self, what: str, body: Mapping[str, Any] | None, *, method: str = "POST") -> dict[str, Any]:
        """One call of the control API. Raises RuntimeError with its answer when it refuses."""
        if self._process is None:
            raise RuntimeError("AWS is not running")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_inhaul/{what}", data=data, method=method)  # noqa: S310 ours
        return await asyncio.to_thread(_ask, request)

    # --- ECR

    def ecr_login(self, password: str) -> bool:
        """Whether GetAuthorizationToken issued this password and it has not expired; for `Authenticator.ecr_login`."""
        return aws_ecr.login_good(self._ecr_key, password)

    async def use_registry(self, url: str) -> None:
        """The proxyEndpoint of GetAuthorizationToken from now on."""
        await self.control("registry", {"url": url})

    async def mirror_push(self, pushed: Pushed) -> None:
        """Tells ECR what the registry accepted; for `RegistryServer.on_push`. Publishes the ECR Image Action event."""
        body = {
            "account": self.accounts[0],
            "region": self.region,
            "repository": pushed.repository,
            "tag": pushed.tag,
            "digest": pushed.manifest.digest,
            "manifest": pushed.manifest.content.decode(),
            "media_type": pushed.manifest.media_type,
        }
        await self.control("ecr/image", body)


def _ask(request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our own process
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"control {request.selector}: {error.read().decode(errors='replace')}") from None
