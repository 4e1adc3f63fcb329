"""git connects to the address that was checked, whatever a resolver says later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controllers.git import GitAuth, GitError, Mirrors, Remote
from controllers.standin.cloud.git_server import GitServer, GitUser


async def test_git_goes_to_the_address_that_was_checked_and_to_no_other(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "srv", users=[GitUser("bot", "pw", write=("fleet",))], ssh=False)
    await server.start()
    await server.create_repo("fleet", {"a": "b"})
    url = server.https_url("fleet").replace("127.0.0.1", "localhost")
    auth = GitAuth.from_secret({"username": b"bot", "password": b"pw", "ca.crt": server.ca_pem}, url)

    def refs(address: str) -> dict[str, str]:
        remote = Remote(url, auth, timeout=5, addresses=(address,))
        with Mirrors(tmp_path / "m").use(remote) as mirror:
            return mirror.ls_remote()

    try:
        assert "refs/heads/main" in await asyncio.to_thread(refs, "127.0.0.1")
        with pytest.raises(GitError):  # nobody listens there, and the resolver is not asked
            await asyncio.to_thread(refs, "127.0.0.77")
    finally:
        await server.stop()
