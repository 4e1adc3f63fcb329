"""Git hosts and repositories that are made to harm whoever fetches them.

Each test shows the refusal with everything as it is, and then the attack at work with that one guard taken away: by a
setting, by the guard's own constant, or by plain git.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controllers.api.source import GitRef
from controllers.git import (
    Found,
    Git,
    GitAuth,
    GitError,
    Mirrors,
    NotFound,
    ProcessLimits,
    RefusedError,
    Remote,
    Timeout,
    TooLarge,
    auth,
    mirrors,
    process,
    target,
)
from controllers.runtime import egress
from controllers.runtime.settings import EgressSettings
from controllers.sources.repositories import GitSources
from controllers.standin.cloud.tls import Authority
from tests.attacks import attack
from tests.attacks.gitting import MARK, plain, refs_of, repository
from tests.integration.git.conftest import Host, call, host

__all__ = ["host"]

AREA = "kustomization"


@dataclass
class Liar:
    """An https server that answers as it is told and remembers what it was asked."""

    answer: Callable[[web.Request], Any]
    seen: list[web.Request] = field(default_factory=list)
    authority: Authority = field(default_factory=Authority.create)
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Liar]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.seen.append(request)
            answer = self.answer(request)
            return answer if isinstance(answer, web.StreamResponse) else await answer

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context()).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def _context(self) -> ssl.SSLContext:
        return self.authority.server_context(("127.0.0.1", "localhost"))

    def remote(self, name: str = "127.0.0.1", *, timeout: float = 30) -> Remote:
        url = f"https://{name}:{self.port}/r.git"
        data = {"username": b"u", "password": b"hidden-value", "ca.crt": self.authority.pem}
        return Remote(url, GitAuth.from_secret(data, url), timeout=timeout)


@attack(
    AREA,
    "Git host that redirects a request, and with it the login, to another host",
    guard="git/process.py: http.followRedirects=false",
    without="the other host gets the request and the password",
)
async def test_a_redirect_carries_no_credentials_to_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.create()
    body = (
        b"001e# service=git-upload-pack\n0000"
        + b"004800000000000000000000000000000000000000 capabilities^{}\0x="
        + b"y" * 8
    )
    thief = Liar(lambda request: web.Response(status=404, body=body), authority=authority)
    async with thief.running():
        where = f"https://localhost:{thief.port}"
        liar = Liar(
            lambda request: web.Response(status=302, headers={"Location": f"{where}{request.path_qs}"}),
            authority=authority,
        )
        async with liar.running():
            with pytest.raises(RefusedError, match="redirects to another URL"):
                await call(refs_of, liar.remote(), tmp_path / "a")
            assert liar.seen and not thief.seen
            monkeypatch.setitem(process._CONFIG, "http.followRedirects", "true")
            with pytest.raises(GitError):
                await call(refs_of, liar.remote(), tmp_path / "b")
            assert thief.seen


@attack(
    AREA,
    "Git host whose name means another address when git asks again (DNS rebinding)",
    guard="git/process.py: bound to the checked address, https and ssh",
    without="git asks the resolver anew and connects",
)
@pytest.mark.parametrize("scheme", ["https", "ssh"])
async def test_git_connects_to_the_checked_address_alone(host: Host, tmp_path: Path, scheme: str) -> None:
    given = host.https() if scheme == "https" else host.ssh()
    assert await call(refs_of, given, tmp_path / "free")
    assert await call(refs_of, replace(given, addresses=("127.0.0.1",)), tmp_path / "same")
    with pytest.raises(GitError):  # nobody listens there: the name in the URL was not looked up
        await call(refs_of, replace(given, addresses=("127.0.0.77",), timeout=5), tmp_path / "pinned")


async def test_the_host_key_is_looked_up_under_the_name_and_not_under_the_address(host: Host, tmp_path: Path) -> None:
    url = host.server.ssh_url("fleet").replace("127.0.0.1", "localhost")
    for name, known in (("localhost", True), ("127.0.0.1", False)):
        lines = host.server.known_hosts.replace("127.0.0.1", name)
        data = {"identity": host.key, "known_hosts": lines.encode()}
        remote = Remote(url, GitAuth.from_secret(data, url), timeout=10, addresses=("127.0.0.1",))
        if known:
            assert await call(refs_of, remote, tmp_path / name)
        else:
            with pytest.raises(GitError, match="known_hosts"):
                await call(refs_of, remote, tmp_path / name)


@attack(AREA, "spec.url at a metadata address", guard="runtime/egress.py", without="the URL passes")
@attack(
    AREA,
    "spec.url at a service on the node's loopback",
    guard="runtime/egress.py",
    without="--egress-allow-loopback: the URL passes",
)
async def test_no_repository_is_at_a_metadata_or_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("https://169.254.169.254/latest", "ssh://git@[::ffff:169.254.169.254]/x", "https://127.0.0.1/r.git"):
        with pytest.raises(egress.EgressDeniedError):
            await egress.Egress().addresses(url)
    assert await egress.Egress(EgressSettings(allow_loopback=True)).addresses("https://127.0.0.1/r.git")
    monkeypatch.setattr(egress, "check_address", lambda address, settings: "")
    assert await egress.Egress().addresses("https://169.254.169.254/latest") == ("169.254.169.254",)


@attack(
    AREA,
    "Commit id of a private repository, asked for without its credentials",
    guard="git/auth.py: a mirror per URL and identity",
    without="the other tenant's mirror hands it out",
)
async def test_a_mirror_is_not_shared_between_identities(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(remote: Remote) -> str:
        with host.mirrors.use(remote) as mirror:
            return mirror.fetch(Found(commit, ""))

    commit = await host.server.head("fleet")
    stranger = Remote(host.server.https_url("fleet"), GitAuth(ca=host.server.ca_pem), timeout=10)
    await call(fetched, host.https())
    with pytest.raises(GitError):
        await call(fetched, stranger)
    monkeypatch.setattr(auth.GitAuth, "fingerprint", property(lambda self: "one for all"))
    await call(fetched, host.https())
    assert await call(fetched, stranger) == commit


@attack(
    AREA,
    "spec.ref.commit of a pull request, under a branch that a policy allows",
    guard="git/mirrors.py: fetch_on, the commit must be on the branch",
    without="the host hands the commit out by its id",
)
async def test_a_commit_that_was_never_on_the_branch_is_not_taken_for_it(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.server.git("fleet", "config", "uploadpack.allowAnySHA1InWant", "true")
    first = await host.server.head("fleet")
    for number in range(3):
        await host.server.commit("fleet", {"n": str(number)})
    await host.server.git("fleet", "branch", "pull", first)
    stray = await host.server.commit("fleet", {"evil": "1"}, branch="pull")
    sources = GitSources(host.mirrors)
    allowed, asked = target(GitRef(commit=first, branch="main")), target(GitRef(commit=stray, branch="main"))
    assert (await call(sources.look, host.https(), allowed, "")).found.commit == first
    with pytest.raises(NotFound, match="not part of refs/heads/main"):
        await call(sources.look, host.https(), asked, "")
    monkeypatch.setattr(mirrors.Mirror, "fetch_on", mirrors.Mirror.fetch)
    assert (await call(sources.look, host.https(), asked, "")).found.commit == stray


@attack(
    AREA,
    "Repository that is larger than the disk should hold",
    guard="git/process.py: RLIMIT_FSIZE of a fetch",
    without="--kustomization-repository-size higher: it is fetched",
)
async def test_a_repository_beyond_the_limit_is_cut(host: Host, tmp_path: Path) -> None:
    await host.server.commit("fleet", {"big": os.urandom(3 << 20)})

    def fetched(size: int) -> str:
        git = Git(limits=ProcessLimits(file_size=size))
        with Mirrors(tmp_path / str(size), git=git).use(host.https()) as mirror:
            return mirror.fetch_ref("refs/heads/main")

    with pytest.raises(TooLarge, match="more than 1 MiB"):
        await call(fetched, 1 << 20)
    assert not list((tmp_path / str(1 << 20)).rglob("tmp_*")), "nothing of it is kept"
    assert await call(fetched, 8 << 20)


@attack(
    AREA,
    "File that is small on the way and huge when it is opened",
    guard="git/objects.py: sizes are known before content is read",
    without="a higher limit: it is read",
)
async def test_a_file_that_inflates_is_not_read(host: Host) -> None:
    await host.server.commit("fleet", {"bomb": b"\0" * (12 << 20)})

    def read(limit: int) -> int:
        with host.mirrors.use(host.https()) as mirror:
            entries = mirror.objects.list_tree(mirror.fetch_ref("refs/heads/main"))
            chosen = [each.id for each in entries if each.path == "bomb"]
            return sum(len(content) for content in mirror.objects.read_blobs(chosen, limit=limit).values())

    with pytest.raises(TooLarge):
        await call(read, 8 << 20)
    assert await call(read, 16 << 20) == 12 << 20


@attack(
    AREA,
    "File of zeros that is nothing on the way and fills the memory of who indexes it",
    guard="git/process.py: core.bigFileThreshold, RLIMIT_AS",
    without="git holds it in memory (and our limit ends it)",
)
def test_what_inflates_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = repository(tmp_path / "other", {"a": "b"})
    with (other / "zeros").open("wb") as file:
        file.truncate(120 << 20)
    fast = ("-c", "core.compression=1", "-c", "core.bigFileThreshold=1m")
    plain(*fast, "add", "-A", cwd=other), plain("commit", "-qm", "y", cwd=other)
    plain(*fast, "gc", "-q", cwd=other)
    pack = next((other / ".git" / "objects" / "pack").glob("*.pack")).read_bytes()
    assert len(pack) < 2 << 20
    tight = Git(limits=ProcessLimits(memory=80 << 20))

    def indexed(name: str) -> bytes:
        directory = tmp_path / name
        directory.mkdir()
        tight.run("init", "--bare", git_dir=directory)
        return tight.run("index-pack", "--stdin", git_dir=directory, stdin=pack)

    assert indexed("streamed")
    monkeypatch.delitem(process._CONFIG, "core.bigFileThreshold")
    with pytest.raises(TooLarge):
        indexed("held")


@attack(
    AREA,
    "Host that answers and never ends",
    guard="git/process.py: a time limit, and the whole process group ends",
    without="git without a limit is still waiting",
)
async def test_a_host_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-advertisement"})
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    async with Liar(hang).running() as liar:
        argv = ["git", "-c", "http.sslVerify=false", "ls-remote", f"https://127.0.0.1:{liar.port}/r.git"]
        free = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL, start_new_session=True)
        try:
            with pytest.raises(Timeout, match="timed out after"):
                await call(refs_of, liar.remote(timeout=0.7), tmp_path / "a")
            assert free.returncode is None
        finally:
            os.killpg(free.pid, signal.SIGKILL)
            await free.wait()


@attack(
    AREA, "Host with references without end", guard="git/mirrors.py: MAX_REFS", without="a higher limit: all are taken"
)
async def test_references_without_end_are_refused(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        await host.server.git("fleet", "tag", f"v{number}", "main")
    monkeypatch.setattr(mirrors, "MAX_REFS", 5)
    with pytest.raises(TooLarge, match="references"):
        await call(refs_of, host.https(), tmp_path / "m")
    monkeypatch.undo()
    assert len(await call(refs_of, host.https(), tmp_path / "m")) > 8


@attack(
    AREA,
    "Host whose error text is made for our conditions and logs",
    guard="git/errors.py: what a server says is not repeated",
    without="git prints it",
)
async def test_what_a_host_says_stands_in_no_message(tmp_path: Path) -> None:
    text = f"ERR {MARK} call +1-555-0100 now\n"
    line = f"{len(text) + 4:04x}{text}".encode()

    def answer(request: web.Request) -> web.Response:
        return web.Response(body=line, headers={"Content-Type": "application/x-git-upload-pack-advertisement"})

    async with Liar(answer).running() as liar:
        with pytest.raises(GitError) as caught:
            await call(refs_of, liar.remote(), tmp_path / "a")
        assert MARK not in str(caught.value) and "hidden-value" not in str(caught.value)
        ca = tmp_path / "ca.pem"
        ca.write_bytes(liar.authority.pem)
        url = f"https://127.0.0.1:{liar.port}/r.git"
        said = await asyncio.to_thread(plain, "ls-remote", url, cwd=tmp_path, GIT_SSL_CAINFO=str(ca))
    assert MARK in said.stderr


@attack(
    AREA,
    "Host that shows another certificate or host key",
    guard="TLS by the given CA; StrictHostKeyChecking with the given known_hosts",
    without="git without the checks connects",
)
async def test_a_host_in_the_middle_is_not_believed(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority.create().pem
    url = host.server.https_url("fleet")
    data = {"username": b"writer", "password": b"w-pass", "ca.crt": other}
    forged = Remote(url, GitAuth.from_secret(data, url), timeout=10)
    with pytest.raises(GitError, match="TLS"):
        await call(refs_of, forged, tmp_path / "m")
    with pytest.raises(GitError, match="known_hosts"):
        await call(refs_of, host.ssh("[127.0.0.1]:1 ssh-ed25519 AAAA\n"), tmp_path / "m")
    monkeypatch.setitem(process._CONFIG, "http.sslVerify", "false")
    assert await call(refs_of, forged, tmp_path / "m")
