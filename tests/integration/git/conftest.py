"""A Git host with users of different rights, and a way to call our blocking functions on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from controllers.git import GitAuth, Mirrors, Remote
from controllers.standin.cloud.git_server import GitServer, GitUser, Push

FILES = {
    "app/deploy.yaml": "image: v1\n",
    "app/base/svc.yaml": "kind: Service\n",
    "README.md": "fleet\n",
    "app-2/x.yaml": "a: 1\n",
}


@dataclass
class Host:
    server: GitServer
    mirrors: Mirrors
    pushes: list[Push]
    key: bytes

    def https(self, user: str = "writer", password: str = "w-pass", repository: str = "fleet") -> Remote:
        data = {"username": user.encode(), "password": password.encode(), "ca.crt": self.server.ca_pem}
        url = self.server.https_url(repository)
        return Remote(url, GitAuth.from_secret(data, url), timeout=20)

    def ssh(self, known_hosts: str | None = None) -> Remote:
        url = self.server.ssh_url("fleet")
        data = {"identity": self.key, "known_hosts": (known_hosts or self.server.known_hosts).encode()}
        return Remote(url, GitAuth.from_secret(data, url), timeout=20)


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    users = (
        GitUser("reader", "r-pass", read=("fleet",)),
        GitUser("writer", "w-pass", write=("fleet",), read=(), keys=(key.export_public_key().decode(),)),
    )
    pushes: list[Push] = []

    async def remember(push: Push) -> None:
        pushes.append(push)

    server = GitServer(tmp_path / "srv", users=users, on_push=remember)
    await server.start()
    await server.create_repo("fleet", FILES)
    pushes.clear()
    yield Host(server, Mirrors(tmp_path / "mirrors"), pushes, key.export_private_key())
    await server.stop()
