"""The demo's world: an API server, AWS, a Git host and a registry in and beside this process, and the controllers in
one of their own, with the identities and rights that an installation gives them.

    world = World(directory); await world.start(); …; await world.stop()

The controllers' process gets a service account's kubeconfig (the RBAC of kustomize/), a web-identity token for its AWS
role, and nothing else. `kill` ends it hard, `spawn` starts it again: nothing of the loop is lost by that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import boto3
import httpx
import pyrage
import yaml

from controllers.api.core import CRDS, SECRETS
from controllers.api.crdgen import crds
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp
from controllers.runtime.kube import KubeClient, KubeConfig

from ..apiserver.plugins import default_plugins
from ..apiserver.server import ApiServer
from ..cloud.aws import ACCOUNT, AwsStandin
from ..cloud.git_server import GitServer, GitUser
from ..cloud.registry import RegistryServer, push_image
from ..cloud.registry_auth import Authenticator
from . import manifests, tools

PAYMENTS = "payments"
SYSTEM = "inhaul-system"
REPOSITORY = "platform"
REGION = "eu-west-1"
ECR_HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
ECR_REPOSITORY = f"{ECR_HOST}/checkout"
KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
CONTROLLERS = "external-secrets,decryption,image-automation,kustomization"
_PLATFORM = Path(__file__).parent / "platform"


class Cluster(Protocol):
    """An API server that the world can start: the stand-in, or a real one (tests)."""

    @property
    def url(self) -> str: ...

    @property
    def ca_pem(self) -> str: ...

    async def start(self, port: int = 0) -> None: ...

    async def stop(self) -> None: ...

    def admin_kubeconfig(self) -> str: ...


class World:
    """All parts of the demo. `directory` is ours alone (0700) and holds keys; `api` None means the stand-in."""

    controllers = CONTROLLERS
    """Those that run, as `inhaul run --controllers` takes them."""

    def __init__(self, directory: Path, *, api: Cluster | None = None) -> None:
        self.directory = directory
        self.api: Cluster = api or ApiServer(directory / "apiserver", plugins=default_plugins)
        self.aws = AwsStandin(region=REGION)
        self.git = GitServer(directory / "git", users=(), anonymous_read=False)
        self.registry = RegistryServer(auth=Authenticator(mode="basic", ecr_login=self.aws.ecr_login))
        self.registry.on_push = self.aws.mirror_push
        self.age = pyrage.x25519.Identity.generate()
        self.web_port = tools.free_port()
        self.admin: KubeClient
        self._more: dict[str, str] = {}
        self._controllers: subprocess.Popen[bytes] | None = None
        self._passwords = {name: tools.password() for name in ("engineer", "payments-read", "payments-write")}

    # --- life

    async def start(self) -> None:
        """Everything but the controllers' process."""
        self.git.set_users(
            [
                GitUser("engineer", self._passwords["engineer"], write=("*",)),
                GitUser("payments-read", self._passwords["payments-read"], read=(REPOSITORY,)),
                GitUser("payments-write", self._passwords["payments-write"], write=(REPOSITORY,)),
            ]
        )
        await asyncio.gather(self.api.start(), self.aws.start(), self.git.start(), self.registry.start())
        kubeconfig = self.directory / "admin.kubeconfig"
        tools.write_private(kubeconfig, self.api.admin_kubeconfig())
        self.admin = KubeClient(KubeConfig.from_file(str(kubeconfig)))
        tools.write_private(self.directory / "git-ca.pem", self.git.ca_pem.decode())
        await self.aws.trust_issuer(self.api.url, jwks_url=f"{self.api.url}/openid/v1/jwks", ca_pem=self.api.ca_pem)
        await self.aws.use_registry(self.registry.url)
        await asyncio.to_thread(self._prepare_aws)
        await self.git.create_repo(REPOSITORY, {"README.md": "The platform repository of the demo.\n"})
        await self.git.commit(REPOSITORY, self.render("clusters"), message="platform: set up payments")
        await self.ci_push("v1.42.0")
        await self._prepare_cluster()

    async def stop(self) -> None:
        """Ends everything, whatever state it is in. No process stays."""
        await self.kill(signal.SIGTERM)
        if hasattr(self, "admin"):
            await self.admin.close()
        for part in (self.registry, self.git, self.aws, self.api):
            with contextlib.suppress(Exception):
                await part.stop()

    def spawn(self) -> None:
        """Starts the controllers' process. Its output goes to controllers.log in the directory."""
        argv = [sys.executable, "-m", "controllers.cli", "run", f"--controllers={self.controllers}"]
        with (self.directory / "controllers.log").open("ab") as log:
            self._controllers = subprocess.Popen(
                [*argv, f"--namespace={SYSTEM}"],
                env=self.controller_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends the controllers' process group and waits for it."""
        process, self._controllers = self._controllers, None
        if process is None:
            return
        for attempt in (how, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, attempt)
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, 10)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def check_alive(self) -> None:
        """Raises RuntimeError when the controllers' process has ended by itself."""
        if self._controllers is not None and (code := self._controllers.poll()) is not None:
            tail = (self.directory / "controllers.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the controllers ended with code {code}:\n{tail}")

    def controller_environment(self) -> dict[str, str]:
        """What the controllers' process knows: nothing of ours but this."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.directory / "controllers.kubeconfig"),
            **self.aws.endpoint_env(),
            "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/inhaul",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.directory / "aws-token"),
            "AWS_ROLE_SESSION_NAME": "inhaul",
            "INHAUL_EGRESS_ALLOW_LOOPBACK": "true",
            # a Pod's container that starts again keeps its name: what was killed leads on, and is not waited for
            "INHAUL_LEASE_IDENTITY": "controllers",
            "INHAUL_LEASE_DURATION": "30",  # a busy laptop is no reason to stop
            "INHAUL_LEASE_DEADLINE": "25",
            "INHAUL_DECRYPTION_KEY_BITS": "2048",  # 4096 take up to ten seconds to make
            "INHAUL_RESTART_ENABLED": "true",
            "INHAUL_WEB_HOST": "127.0.0.1",
            "INHAUL_WEB_PORT": str(self.web_port),
            "INHAUL_EXTERNAL_SECRETS_QUEUE_URL": self._queue_url("inhaul-external-secrets"),
            "INHAUL_IMAGE_AUTOMATION_QUEUE_URL": self._queue_url("inhaul-image-automation"),
            # the stand-in's queue does not see that an ended consumer hung up, and would give it the next message
            "INHAUL_EXTERNAL_SECRETS_QUEUE_WAIT": "2",
            "INHAUL_IMAGE_AUTOMATION_QUEUE_WAIT": "2",
            **self._more,
        }

    def _queue_url(self, name: str) -> str:
        return f"{self.aws.url}/{ACCOUNT}/{name}"

    # --- setting up

    def _client(self, service: str) -> Any:
        return boto3.client(service, **self.aws.client_arguments())  # type: ignore[call-overload]

    def _prepare_aws(self) -> None:
        """Roles that trust service accounts, the ECR repository, queues and event rules; as an operator would."""
        issuer = self.api.url.removeprefix("https://")
        iam = self._client("iam")
        for role, subject, policy in manifests.aws_roles(ACCOUNT, REGION, SYSTEM):
            iam.create_role(
                RoleName=role, AssumeRolePolicyDocument=json.dumps(manifests.trust(ACCOUNT, issuer, subject))
            )
            iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=json.dumps(policy))
        self._client("ecr").create_repository(repositoryName="checkout")
        sqs, events = self._client("sqs"), self._client("events")
        for queue, pattern in manifests.EVENT_RULES.items():
            sqs.create_queue(QueueName=queue)
            events.put_rule(Name=queue, EventPattern=json.dumps(pattern))
            arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
            events.put_targets(Rule=queue, Targets=[{"Id": "queue", "Arn": arn}])

    async def _prepare_cluster(self) -> None:
        """CRDs, our RBAC, the platform's own Kustomization, and the credentials that cannot lie in Git."""
        for crd in crds():
            await self.admin.apply(CRDS, crd, field_manager="inhaul-demo")
        # a policy refers to namespaces, a credential lies in one: everything in the order of its need
        bootstrap = [*manifests.installation(), *manifests.bootstrap(self.git.https_url(REPOSITORY), SYSTEM)]
        for manifest in bootstrap:
            resource = await self.admin.resource_for(manifest["apiVersion"], manifest["kind"])
            await self.admin.apply(resource, manifest, field_manager="inhaul-demo")
        for namespace, name, data in self._credentials():
            await self.admin.apply(SECRETS, manifests.secret(namespace, name, data), field_manager="inhaul-demo")
        token = await self.admin.token_request(SYSTEM, manifests.SERVICE_ACCOUNT, audiences=(), expiration=86400)
        tools.write_private(
            self.directory / "controllers.kubeconfig",
            manifests.kubeconfig(self.api.url, self.api.ca_pem, token.token.reveal_text(), SYSTEM),
        )
        aws = await self.admin.token_request(
            SYSTEM, manifests.SERVICE_ACCOUNT, audiences=("sts.amazonaws.com",), expiration=86400
        )
        tools.write_private(self.directory / "aws-token", aws.token.reveal_text())

    def _credentials(self) -> list[tuple[str, str, dict[str, str]]]:
        ca = self.git.ca_pem.decode()

        def login(user: str) -> dict[str, str]:
            return {"username": user, "password": self._passwords[user], "ca.crt": ca}

        return [
            (SYSTEM, "git-read", login("payments-read")),
            (PAYMENTS, "git-read", login("payments-read")),
            (PAYMENTS, "git-write", login("payments-write")),
            (PAYMENTS, "sops-age", {"payments.agekey": str(self.age)}),
        ]

    async def keep_secret(self, name: str, data: dict[str, str]) -> None:
        """A credential of payments that cannot lie in Git, put there by hand."""
        await self.admin.apply(SECRETS, manifests.secret(PAYMENTS, name, data), field_manager="inhaul-demo")

    def engineer_url(self, repository: str) -> str:
        """The Git URL with an engineer's login in it, for a person to paste."""
        return self.git.https_url(repository).replace("https://", f"https://engineer:{self._passwords['engineer']}@")

    # --- what the actors of the story do

    def render(self, folder: str) -> dict[str, bytes | str | None]:
        """The files of one folder of the platform repository, with the names of this world."""
        names = {
            "ACCOUNT": ACCOUNT,
            "REGION": REGION,
            "ECR_HOST": ECR_HOST,
            "GIT_URL": self.git.https_url(REPOSITORY),
            "AGE_RECIPIENT": str(self.age.to_public()),
        }
        found: dict[str, bytes | str | None] = {}
        for path in sorted((_PLATFORM / folder).rglob("*.yaml")):
            text = path.read_text()
            for name, value in names.items():
                text = text.replace(f"@@{name}@@", value)
            found[path.relative_to(_PLATFORM).as_posix()] = text
        return found

    async def ci_push(self, tag: str) -> str:
        """What CI does at its end: a push to ECR with its own login. Returns the digest."""
        answer = await asyncio.to_thread(self._client("ecr").get_authorization_token)
        user, password = tools.basic(answer["authorizationData"][0]["authorizationToken"])
        labels = {"org.opencontainers.image.revision": tools.password()}
        return await push_image(self.registry.url, "checkout", tag, labels=labels, auth=(user, password))

    def aws_create_secret(self, name: str, value: str, **tags: str) -> None:
        marks = [{"Key": key, "Value": text} for key, text in tags.items()]
        self._client("secretsmanager").create_secret(Name=name, SecretString=value, Tags=marks)

    def aws_put_secret(self, name: str, value: str) -> str:
        """The new version's id."""
        return str(self._client("secretsmanager").put_secret_value(SecretId=name, SecretString=value)["VersionId"])

    def aws_create_key(self) -> str:
        """The ARN of a new KMS key."""
        return str(self._client("kms").create_key()["KeyMetadata"]["Arn"])

    async def sops_secret(self, name: str, values: dict[str, str], *, kms: str = "") -> bytes:
        """A Secret as an engineer encrypts it with sops, for payments' age key or with a KMS key."""
        head = {"name": name, "namespace": PAYMENTS}
        manifest: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": head}
        manifest["stringData"] = values
        plain = yaml.safe_dump(manifest, sort_keys=False).encode()
        recipient = ("--kms", kms) if kms else ("--age", str(self.age.to_public()))
        return await asyncio.to_thread(tools.sops_encrypt, plain, recipient, self.aws.env() if kms else {})

    async def renew_sealing_key(self) -> None:
        """Restarts the controllers with the order to replace sealing keys made before now."""
        await asyncio.sleep(1.1)  # certificates know whole seconds
        await self.kill(signal.SIGTERM)
        self._more = {
            "INHAUL_DECRYPTION_KEY_CUTOFF_TIME": timestamp(datetime.now(UTC)),
            "INHAUL_DECRYPTION_OLD_KEY_DAYS": "0",  # what is sealed with an older key is to be told at once
        }
        self.spawn()

    async def reseal(self, text: str) -> str:
        """What `inhaul reseal` makes of a SealedSecret's file, with a backup of the cluster's key Secrets."""
        listed = await self.admin.list(SECRETS, SYSTEM, label_selector=KEY_LABEL)
        backup = {"apiVersion": "v1", "kind": "List", "items": listed.items}
        return await asyncio.to_thread(tools.reseal, text, json.dumps(backup), self.directory)

    async def sealed_secret(self, name: str, values: dict[str, str]) -> str:
        """A SealedSecret as an engineer makes it with the controller's public certificate."""
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{self.web_port}/v1/cert.pem")
            answer.raise_for_status()
        sealed: Manifest = tools.seal(answer.content, PAYMENTS, name, values)
        return yaml.safe_dump(sealed, sort_keys=False)
