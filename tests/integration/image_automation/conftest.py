"""A cluster, a Git host and a registry, with a controller on all three."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES, IMAGE_UPDATE_AUTOMATIONS
from controllers.api.resource import Manifest, Resource
from controllers.image_automation import handlers
from controllers.standin.cloud.git_server import GitServer, GitUser
from controllers.standin.cloud.registry import Authenticator, RegistryServer, RegistryUser, push_image
from controllers.standin.cloud.tls import Authority
from tests.cluster import Cluster, condition, until

NS = "team-a"
KINDS: dict[str, Resource] = {one.kind: one for one in (IMAGE_REPOSITORIES, IMAGE_POLICIES, IMAGE_UPDATE_AUTOMATIONS)}
PATIENCE = 60.0
FILE = 'image: {host}/web:v1.0.0 # {{"$imagepolicy": "team-a:web"}}\r\n\r\nother:   1\r\n'


@dataclass
class Bench:
    cluster: Cluster
    git: GitServer
    registry: RegistryServer

    def run(self, **settings: str) -> Any:
        return self.cluster.managed(handlers, **{"egress-allow-loopback": "true", **settings})

    async def push(self, tag: str, repository: str = "web") -> str:
        assert self.registry.authority is not None
        return await push_image(
            self.registry.url, repository, tag, auth=("ci", "pw"), ca_pem=self.registry.authority.pem
        )

    async def setup(self, *, text: str = "", path: str = "apps/a.yaml") -> None:
        """A repository with one marked file, its GitRepository, and the Secrets."""
        assert self.registry.authority is not None
        content = text or FILE.format(host=self.registry.host)
        await self.git.create_repo("fleet", {path: content, "README.md": "x\n"})
        login = {"auths": {self.registry.host: {"username": "ci", "password": "pw"}}}
        await self.secret("git", username="bot", password="bot-pw", **{"ca.crt": self.git.ca_pem.decode()})
        await self.secret("pull", **{".dockerconfigjson": json.dumps(login)})
        await self.secret("ca", **{"ca.crt": self.registry.authority.pem.decode()})
        spec = {"interval": "1h", "url": self.git.https_url("fleet"), "ref": {"branch": "main"}}
        await self.cluster.apply(
            manifest("source.toolkit.fluxcd.io/v1", "GitRepository", "fleet", **spec, secretRef={"name": "git"})
        )

    async def secret(self, name: str, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        await self.cluster.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NS}, "data": encoded}
        )

    async def repository(self, name: str = "web", **spec: Any) -> None:
        base = {"image": f"{self.registry.host}/{name}", "interval": "1h"}
        refs = {"secretRef": {"name": "pull"}, "certSecretRef": {"name": "ca"}}
        await self.image("ImageRepository", name, **{**base, **refs, **spec})

    async def policy(self, name: str = "web", semver: str = ">=1.0.0", **spec: Any) -> None:
        base = {"imageRepositoryRef": {"name": name}, "policy": {"semver": {"range": semver}}}
        await self.image("ImagePolicy", name, **{**base, **spec})

    async def automation(self, name: str = "bot", path: str = "./apps", **push: Any) -> None:
        git = {"commit": {"author": {"name": "bot", "email": "bot@example.com"}}, "push": {"branch": "main", **push}}
        await self.image(
            "ImageUpdateAutomation",
            name,
            interval="1h",
            sourceRef={"kind": "GitRepository", "name": "fleet"},
            git=git,
            update={"strategy": "Setters", "path": path},
        )

    async def image(self, kind: str, name: str, **spec: Any) -> None:
        await self.cluster.apply(manifest("image.toolkit.fluxcd.io/v1", kind, name, **spec))

    async def get(self, kind: str, name: str) -> Manifest:
        return await self.cluster.find(KINDS[kind], name, NS) or {}

    async def until_ready(
        self, kind: str, name: str, status: str = "True", *, reason: str = "", holds: str = ""
    ) -> str:
        seen = ("", "", "")

        async def reached() -> bool:
            nonlocal seen
            seen = condition(await self.get(kind, name))
            return seen[0] == status and reason in seen[1] and holds in seen[2]

        try:
            await until(reached, patience=PATIENCE, what=f"{kind} {name} Ready={status}")
        except AssertionError:
            raise AssertionError(f"{kind} {name} is {seen}, wanted {status} {reason} {holds}") from None
        return seen[2]

    async def until_file(self, holds: str, path: str = "apps/a.yaml", branch: str = "main") -> str:
        async def reached() -> str:
            if not await self.git.head("fleet", branch):
                return ""
            text = (await self.git.read("fleet", path, revision=branch)).decode()
            return text if holds in text else ""

        return str(await until(reached, patience=PATIENCE, what=f"{path} with {holds}"))

    async def until_noted(self, commit: str, name: str = "bot") -> Manifest:
        """The automation's status once it says that this commit was pushed."""

        async def noted() -> Any:
            status = (await self.get("ImageUpdateAutomation", name)).get("status") or {}
            return status.get("lastPushCommit") == commit and status

        found: Manifest = await until(noted, patience=PATIENCE, what=f"lastPushCommit {commit}")
        return found

    async def request(self, kind: str, name: str, value: str) -> None:
        annotations = {"reconcile.fluxcd.io/requestedAt": value}
        await self.cluster.admin.patch(KINDS[kind], name, NS, body={"metadata": {"annotations": annotations}})

    async def commits(self, branch: str = "main") -> int:
        return int(await self.git.git("fleet", "rev-list", "--count", branch))


def manifest(api_version: str, kind: str, name: str, **spec: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NS}, "spec": spec}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    users = {"ci": RegistryUser("pw", push=("*",))}
    registry = RegistryServer(authority=Authority.create(), auth=Authenticator("bearer", users))
    git = GitServer(tmp_path / "srv", users=[GitUser("bot", "bot-pw", write=("fleet",))], ssh=False)
    await registry.start()
    await git.start()
    async with Cluster.standin(tmp_path) as cluster:
        await cluster.namespace(NS)
        yield Bench(cluster, git, registry)
    await git.stop()
    await registry.stop()
