"""The stand-in's Git server, driven by the git client itself."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import httpx
import pytest

from controllers.standin.cloud.git_server import GitServer, GitUser, Push

READER = GitUser("reader", "r-pass", read=("fleet",))


class Client:
    def __init__(self, home: Path, server: GitServer, key: asyncssh.SSHKey) -> None:
        self.home, self.server = home, server
        (home / "ca.pem").write_bytes(server.ca_pem)
        (home / "known_hosts").write_text(server.known_hosts)
        (home / "id").write_bytes(key.export_private_key())
        (home / "id").chmod(0o600)

    async def git(
        self, *arguments: str, cwd: Path | None = None, auth: tuple[str, str] | None = None
    ) -> tuple[int, str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSL_CAINFO": str(self.home / "ca.pem"),
            "GIT_SSH_COMMAND": f"ssh -F /dev/null -i {self.home}/id -o UserKnownHostsFile={self.home}/known_hosts"
            " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes",
        }
        for name in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{name}_NAME": "Ada", f"GIT_{name}_EMAIL": "ada@example.com"}
        if auth:
            token = base64.b64encode(":".join(auth).encode()).decode()
            env |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {token}",
            }
        process = await asyncio.create_subprocess_exec(
            "git", *arguments, cwd=cwd or self.home, env=env, stdout=-1, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()


@pytest.fixture
async def pushes() -> list[Push]:
    return []


@pytest.fixture
async def client(tmp_path: Path, pushes: list[Push]) -> AsyncIterator[Client]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    writer = GitUser("writer", "w-pass", write=("fleet",), read=(), keys=(key.export_public_key().decode(),))

    async def remember(push: Push) -> None:
        pushes.append(push)

    server = GitServer(tmp_path / "srv", users=(READER, writer), on_push=remember)
    await server.start()
    await server.create_repo("fleet", {"app/values.yaml": "image: v1\n", "README.md": "fleet\n"})
    await server.create_repo("private", {"x": "y"})
    pushes.clear()
    (tmp_path / "home").mkdir()
    yield Client(tmp_path / "home", server, key)
    await server.stop()


async def _clone_and_commit(client: Client, url: str, auth: tuple[str, str] | None) -> Path:
    code, out = await client.git("clone", url, "work", auth=auth)
    assert code == 0, out
    work = client.home / "work"
    (work / "app/values.yaml").write_text("image: v2\n")
    assert (await client.git("commit", "-qam", "Bump", cwd=work))[0] == 0
    return work


async def test_a_writer_pushes_over_https_and_the_callback_knows_refs_user_and_options(
    client: Client, pushes: list[Push]
) -> None:
    work = await _clone_and_commit(client, client.server.https_url("fleet"), ("writer", "w-pass"))
    before = await client.server.head("fleet")
    code, out = await client.git(
        "push", "-o", "ci.skip", "-o", "a b", "origin", "main", cwd=work, auth=("writer", "w-pass")
    )
    assert code == 0, out
    after = await client.server.head("fleet")
    assert await client.server.read("fleet", "app/values.yaml") == b"image: v2\n"
    (push,) = pushes
    assert (push.user, push.repository, push.options) == ("writer", "fleet", ("ci.skip", "a b"))
    assert [(c.ref, c.old, c.new) for c in push.changes] == [("refs/heads/main", before, after)]


async def test_a_writer_pushes_over_ssh(client: Client, pushes: list[Push]) -> None:
    work = await _clone_and_commit(client, client.server.ssh_url("fleet"), None)
    code, out = await client.git("push", "origin", "main", cwd=work)
    assert code == 0, out
    assert await client.server.read("fleet", "app/values.yaml") == b"image: v2\n"
    assert pushes[0].user == "writer"


async def test_a_shallow_fetch_of_one_commit_works(client: Client) -> None:
    code, out = await client.git("clone", "--depth=1", client.server.https_url("fleet"), "w", auth=("reader", "r-pass"))
    assert code == 0, out


async def test_a_reader_cannot_push(client: Client, pushes: list[Push]) -> None:
    work = await _clone_and_commit(client, client.server.https_url("fleet"), ("reader", "r-pass"))
    code, out = await client.git("push", "origin", "main", cwd=work, auth=("reader", "r-pass"))
    assert code != 0 and "403" in out
    assert not pushes and await client.server.read("fleet", "app/values.yaml") == b"image: v1\n"


@pytest.mark.parametrize("auth", [None, ("reader", "wrong"), ("nobody", "r-pass")])
async def test_without_the_right_password_nothing_is_read(client: Client, auth: tuple[str, str] | None) -> None:
    code, _ = await client.git("ls-remote", client.server.https_url("fleet"), auth=auth)
    assert code != 0


async def test_anonymous_reads_where_allowed_and_still_cannot_write(client: Client) -> None:
    client.server.set_users(client.server.access.users, anonymous_read=True)
    work = await _clone_and_commit(client, client.server.https_url("fleet"), None)
    assert (await client.git("push", "origin", "main", cwd=work))[0] != 0


async def test_a_non_fast_forward_push_is_refused_and_not_announced(client: Client, pushes: list[Push]) -> None:
    work = await _clone_and_commit(client, client.server.https_url("fleet"), ("writer", "w-pass"))
    await client.server.commit("fleet", {"other": "x"})
    pushes.clear()
    code, out = await client.git("push", "origin", "main", cwd=work, auth=("writer", "w-pass"))
    assert code != 0 and "rejected" in out
    assert not pushes


async def test_an_ssh_key_reads_only_its_repositories_and_runs_no_shell(client: Client) -> None:
    assert (await client.git("ls-remote", client.server.ssh_url("private")))[0] != 0
    known = str(client.home / "known_hosts")
    host, port = client.server.ssh_url("x").removeprefix("ssh://git@").split("/")[0].split(":")
    options = {"username": "git", "client_keys": [str(client.home / "id")], "known_hosts": known}
    async with asyncssh.connect(host, int(port), **options) as connection:
        for command in ("id", "git-upload-pack /etc", "git-upload-pack 'fleet.git'; id", "git-shell", "'"):
            result = await connection.run(command, check=False, input="", timeout=10)
            assert result.exit_status == 128, command


async def test_an_unknown_ssh_key_is_refused(client: Client) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    host, port = client.server.ssh_url("x").removeprefix("ssh://git@").split("/")[0].split(":")
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(host, int(port), username="git", client_keys=[other], known_hosts=None)


@pytest.mark.parametrize(
    "path",
    [
        "/fleet.git/HEAD",
        "/fleet.git/objects/info/packs",
        "/fleet.git/info/refs",
        "/fleet.git/info/refs?service=git-upload-archive",
        "/../../etc/passwd/info/refs?service=git-upload-pack",
        "/fleet.git%2f..%2fprivate.git/info/refs?service=git-upload-pack",
        "/.home/info/refs?service=git-upload-pack",
        "/fleet.git/x.git/info/refs?service=git-upload-pack",
        "/%00/info/refs?service=git-upload-pack",
    ],
)
async def test_only_the_smart_paths_are_served(client: Client, path: str) -> None:
    client.server.set_users([GitUser("all", "p", write=("*",))])
    async with httpx.AsyncClient(verify=_trust(client.server), auth=("all", "p")) as http:
        assert (await http.get(client.server.url + path)).status_code == 404


async def test_a_body_that_is_no_pack_does_no_harm(client: Client) -> None:
    client.server.set_users([GitUser("all", "p", write=("*",))])
    async with httpx.AsyncClient(verify=_trust(client.server), auth=("all", "p")) as http:
        for service in ("git-receive-pack", "git-upload-pack"):
            url = f"{client.server.https_url('fleet')}/{service}"
            for body, headers in ((b"\xff" * 100_000, {}), (b"0000", {}), (b"zz", {"Content-Encoding": "gzip"})):
                await http.post(url, content=body, headers=headers)
    assert await client.server.read("fleet", "README.md") == b"fleet\n"


async def test_a_failing_callback_does_not_fail_the_push(client: Client) -> None:
    async def fail(push: Push) -> None:
        raise RuntimeError("callback")

    client.server.on_push = fail
    work = await _clone_and_commit(client, client.server.https_url("fleet"), ("writer", "w-pass"))
    assert (await client.git("push", "origin", "main", cwd=work, auth=("writer", "w-pass")))[0] == 0


async def test_names_that_are_none_are_refused(tmp_path: Path) -> None:
    server = GitServer(tmp_path)
    for name in ("../x", "/x", "a/../b", "a.git/b", "", "a b", "-x"):
        with pytest.raises(ValueError, match="repository name"):
            await server.create_repo(name)


def _trust(server: GitServer) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=server.ca_pem.decode())
