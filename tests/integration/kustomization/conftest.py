"""The room's two controllers under a Manager, on the embedded API server and a Git host, with tenants of their own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS, CRDS, NAMESPACES, ROLE_BINDINGS, ROLES, SECRETS
from controllers.api.crdgen import crds
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.api.source import GIT_REPOSITORIES
from controllers.kustomization import handlers
from controllers.runtime.conditions import find
from controllers.runtime.kube import KubeClient, KubeConfig, NotFound
from controllers.runtime.manager import Manager
from controllers.runtime.settings import Settings
from controllers.standin.apiserver import ApiServer
from controllers.standin.cloud.git_server import GitServer, GitUser


def configmap(name: str, namespace: str = "", **data: str) -> str:
    place = f", namespace: {namespace}" if namespace else ""
    values = "".join(f"\n  {key}: {value!r}" for key, value in data.items()) or " {}"
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{place}}}\ndata:{values}\n"


@dataclass
class World:
    server: ApiServer
    config: KubeConfig
    kube: KubeClient
    git: GitServer
    directory: Path
    requests: list[tuple[str, str]] = field(default_factory=list)

    async def tenant(self, name: str, *, rights: bool = True) -> None:
        """A namespace whose service account `default` may do everything inside it, and nothing else."""
        await self.kube.create(NAMESPACES, {"metadata": {"name": name}})
        if rights:
            rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
            await self.make(ROLES, "all", name, rules=rules)
            await self.make(
                ROLE_BINDINGS,
                "all",
                name,
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
                subjects=[{"kind": "ServiceAccount", "name": "default", "namespace": name}],
            )

    async def make(self, resource: Resource, name: str, namespace: str, **fields: Any) -> Manifest:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **fields}
        return await self.kube.create(resource, {**body, "metadata": {"name": name, "namespace": namespace}})

    async def secret(self, name: str, namespace: str, **data: str | bytes) -> None:
        raw = {key: value.encode() if isinstance(value, str) else value for key, value in data.items()}
        await self.make(SECRETS, name, namespace, data={k: base64.b64encode(v).decode() for k, v in raw.items()})

    async def repository(self, namespace: str, *, password: str = "r-pass", repo: str = "fleet", **spec: Any) -> None:
        data = {"username": "reader", "password": password, "ca.crt": self.git.ca_pem.decode()}
        await self.secret("git", namespace, **data)
        fields = {"url": self.git.https_url(repo), "interval": "1m", "ref": {"branch": "main"}, **spec}
        await self.make(GIT_REPOSITORIES, "fleet", namespace, spec={**fields, "secretRef": {"name": "git"}})

    async def kustomization(self, name: str, namespace: str, path: str, **spec: Any) -> None:
        source = {"kind": "GitRepository", "name": "fleet"}
        fields = {"sourceRef": source, "path": path, "interval": "5m", "prune": True, **spec}
        await self.make(KUSTOMIZATIONS, name, namespace, spec=fields)

    async def poke(self, namespace: str) -> None:
        """What a webhook does: asks the GitRepository to look now."""
        stamp = {
            "metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": str(asyncio.get_running_loop().time())}}
        }
        await self.kube.patch(GIT_REPOSITORIES, "fleet", namespace, body=stamp)

    async def push(self, files: dict[str, str | bytes | None], namespace: str) -> str:
        commit = await self.git.commit("fleet", files)
        await self.poke(namespace)
        return commit

    async def get(self, resource: Resource, name: str, namespace: str) -> Manifest | None:
        try:
            return await self.kube.get(resource, name, namespace)
        except NotFound:
            return None

    async def data(self, name: str, namespace: str) -> dict[str, str] | None:
        """A ConfigMap's data; None where there is none."""
        found = await self.get(CONFIGMAPS, name, namespace)
        return None if found is None else found.get("data") or {}

    async def until(self, question: Callable[[], Awaitable[Any]], seconds: float = 15) -> Any:
        async with asyncio.timeout(seconds):
            while not (answer := await question()):  # noqa: ASYNC110 - the server is another process in spirit
                await asyncio.sleep(0.05)
            return answer

    async def condition(
        self, name: str, namespace: str, status: str, reason: str = "", *, resource: Resource = KUSTOMIZATIONS
    ) -> Manifest:
        """The object, once its Ready has this status and reason for its generation."""
        last: Manifest = {}

        async def reached() -> bool:
            nonlocal last
            last = await self.kube.get(resource, name, namespace)
            ready = find(last.get("status"), "Ready") or {}
            seen = (last.get("status") or {}).get("observedGeneration") == last["metadata"]["generation"]
            return seen and ready.get("status") == status and reason in ("", ready.get("reason"))

        try:
            await self.until(reached)
        except TimeoutError:
            raise AssertionError(f"{resource.kind} {namespace}/{name}: {last.get('status')}") from None
        return last

    async def applied(self, name: str, namespace: str, commit: str) -> Manifest:
        """The Kustomization, once it has applied this commit."""

        async def reached() -> Manifest | None:
            found = await self.condition(name, namespace, "True")
            return found if found["status"].get("lastAppliedRevision", "").endswith(commit) else None

        found: Manifest = await self.until(reached)
        return found

    def manager(self, *flags: str, **environment: str) -> Manager:
        base = ("--web-port=0", "--web-host=127.0.0.1", "--lease-enabled=false", "--egress-allow-loopback=true",
                "--namespace=inhaul-system")  # fmt: skip
        environ = {"INHAUL_KUSTOMIZATION_MIRRORS": str(self.directory / "mirrors"), **environment}
        made = Manager(Settings.from_args((*base, *flags), environ=environ), config=self.config)
        handlers.register(made)
        return made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "apiserver").mkdir()
    server = ApiServer(tmp_path / "apiserver")
    git = GitServer(tmp_path / "git", users=(GitUser("reader", "r-pass", read=("*",)),))
    await asyncio.gather(server.start(), git.start())
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(server.admin_kubeconfig())
    config = KubeConfig.from_file(str(kubeconfig))
    try:
        async with KubeClient(config) as kube:
            for definition in crds():
                if definition["spec"]["group"].endswith(("toolkit.fluxcd.io", "inhaul.dev")):
                    await kube.create(CRDS, definition)
            yield World(server, config, kube, git, tmp_path)
    finally:
        await asyncio.gather(server.stop(), git.stop())


@asynccontextmanager
async def running(manager: Manager) -> AsyncIterator[Manager]:
    """The manager while it runs; its own exception is the test's."""
    task = asyncio.create_task(manager.run())
    try:
        started = asyncio.ensure_future(manager.started.wait())
        await asyncio.wait({started, task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert started.done(), "the manager did not start"
        yield manager
    finally:
        manager.stop()
        await asyncio.wait_for(task, 15)
