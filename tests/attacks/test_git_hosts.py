"""Git hosts and repositories that are made to harm whoever fetches them.

Each test shows the refusal with everything as it is, and then the attack at work with that one guard taken away: by a
setting, by the guard's own constant, or by plain git.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
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
    Limits,
    Mirrors,
    NotFound,
    Refused,
    Remote,
    Timeout,
    TooLarge,
    auth,
    mirrors,
    objects,
    process,
    target,
)
from controllers.git.errors import BrokenRepository
from controllers.git.process import _environment
from controllers.kustomization.sources import GitSources
from controllers.runtime import egress
from controllers.runtime.settings import EgressSettings
from controllers.standin.cloud.tls import Authority
from tests.attacks import attack
from tests.integration.git.conftest import Host, call, host

__all__ = ["host"]

AREA = "kustomization"
MARK = "stolen-by-a-fetch"


def program(directory: Path, name: str = "evil") -> tuple[Path, Path]:
    """A program that leaves a mark when it runs, and the mark."""
    mark, path = directory / f"{name}-ran", directory / name
    path.write_text(f"#!/bin/sh\n: > {mark}\n")
    path.chmod(0o755)
    return path, mark


def plain(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """git as a user without our care would run it."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
           "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", **environment}  # fmt: skip
    return subprocess.run(["git", *argv], cwd=cwd, env=env, capture_output=True, text=True, timeout=20, check=False)


def repository(directory: Path, files: dict[str, str]) -> Path:
    """A repository with a worktree and one commit on main."""
    directory.mkdir()
    assert plain("init", "-q", "-b", "main", cwd=directory).returncode == 0
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    plain("add", "-A", "-f", cwd=directory)
    assert plain("commit", "-q", "-m", "x", cwd=directory).returncode == 0
    return directory


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
            return await answer if asyncio.iscoroutine(answer) else answer

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

    def remote(self, name: str = "127.0.0.1", *, timeout: float = 10) -> Remote:
        url = f"https://{name}:{self.port}/r.git"
        data = {"username": b"u", "password": b"hidden-value", "ca.crt": self.authority.pem}
        return Remote(url, GitAuth.from_secret(data, url), timeout=timeout)


def refs_of(remote: Remote, directory: Path, git: Git | None = None) -> dict[str, str]:
    with Mirrors(directory, git=git).use(remote) as mirror:
        return mirror.ls_remote()


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
            with pytest.raises(Refused, match="redirects elsewhere"):
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
        with pytest.raises(egress.EgressDenied):
            await egress.Egress().addresses(url)
    assert await egress.Egress(EgressSettings(allow_loopback=True)).addresses("https://127.0.0.1/r.git")
    monkeypatch.setattr(egress, "check_address", lambda address, settings: "")
    assert await egress.Egress().addresses("https://169.254.169.254/latest") == ("169.254.169.254",)


@attack(
    AREA,
    "spec.url `file://`: another worktree or mirror on the same disk",
    guard="git/process.py: protocols by allow-list",
    without="git reads it",
)
def test_a_repository_on_our_own_disk_is_not_read(tmp_path: Path) -> None:
    other = repository(tmp_path / "other", {"key": MARK})
    remote = Remote(f"file://{other}/.git")
    with pytest.raises(Refused, match="protocol 'file'"):
        refs_of(remote, tmp_path / "m")
    assert "refs/heads/main" in refs_of(remote, tmp_path / "m", Git(protocols=frozenset({"file"})))


@attack(
    AREA,
    "`ext::` transport: a command line as URL",
    guard="git/process.py: protocols by allow-list (GIT_ALLOW_PROTOCOL)",
    without="git runs the command",
)
def test_a_transport_that_is_a_command_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    url = f"ext::{evil}"
    with pytest.raises(Refused):
        refs_of(Remote(url), tmp_path / "m")
    monkeypatch.setattr(process, "check_url", lambda url, protocols: url)  # the second guard stands alone
    monkeypatch.setattr(mirrors, "check_url", lambda url, protocols: url)
    with pytest.raises(Refused, match="not allowed"):
        refs_of(Remote(url), tmp_path / "m")
    assert not mark.exists()
    with pytest.raises(GitError):
        refs_of(Remote(url), tmp_path / "m", Git(protocols=frozenset({"ext"})))
    assert mark.exists()


@attack(
    AREA,
    "Name of a reference that is an option of git (`--upload-pack=…`)",
    guard="git/refs.py, and `--` before what is named",
    without="git runs the program",
)
def test_a_reference_is_never_an_option(tmp_path: Path) -> None:
    evil, mark = program(tmp_path)
    option = f"--upload-pack={evil}"
    for ref in (GitRef(branch=option), GitRef(tag=option), GitRef(name=option)):
        with pytest.raises(Refused):
            target(ref)
    other = repository(tmp_path / "other", {"a": "b"})
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        mirror.ls_remote([option])
        assert not mark.exists()
    plain("ls-remote", option, f"file://{other}", cwd=tmp_path)
    assert mark.exists()


@attack(
    AREA,
    "Host of an ssh URL that is an option of ssh (`-oProxyCommand=…`)",
    guard="git/process.py: check_url",
    without="ssh runs the command",
)
def test_a_host_is_never_an_option_of_ssh(tmp_path: Path) -> None:
    evil, mark = program(tmp_path)
    with pytest.raises(Refused):
        process.check_url(f"ssh://-oProxyCommand={evil}/x")
    argv = ["ssh", "-F", "/dev/null", f"-oProxyCommand={evil}", "host.invalid"]
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    assert mark.exists()


@attack(
    AREA,
    "Password in spec.url, where status and messages would show it",
    guard="git/process.py: check_url",
    without="git prints the URL with it",
)
def test_a_url_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    url = "https://u:hidden-value@127.0.0.1:1/x.git"
    with pytest.raises(Refused) as caught:
        refs_of(Remote(url), tmp_path / "m")
    assert "hidden-value" not in str(caught.value)
    assert "127.0.0.1" in plain("ls-remote", url, cwd=tmp_path).stderr


@attack(
    AREA,
    "Bare repository among the files, with a program in its configuration",
    guard="git/process.py: safe.bareRepository=explicit, no worktree",
    without="git in that directory runs the program",
)
def test_a_bare_repository_inside_a_repository_is_not_one(tmp_path: Path) -> None:
    evil, mark = program(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "objects").mkdir(), (bare / "refs").mkdir()
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text(f"[core]\nrepositoryformatversion=0\nbare=false\nworktree={bare}\nfsmonitor={evil}\n")
    plain("status", cwd=bare)
    assert mark.exists(), "the attack must work where nothing guards"
    mark.unlink()
    env = _environment(tmp_path, frozenset({"https"}), {}, {})
    done = subprocess.run(["git", "status"], cwd=bare, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert "bareRepository" in done.stderr and not mark.exists()


@attack(
    AREA,
    "Hook in a repository's directory",
    guard="git/process.py: core.hooksPath=/dev/null",
    without="the fetch runs it",
)
def test_no_hook_runs_on_a_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    other = repository(tmp_path / "other", {"a": "b"})
    pool = Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"})))
    with pool.use(Remote(f"file://{other}")) as mirror:
        hook = mirror.path / "hooks" / "reference-transaction"
        hook.parent.mkdir()
        hook.write_bytes(evil.read_bytes())
        hook.chmod(0o755)
        mirror.fetch_ref("refs/heads/main")
        assert not mark.exists()
        monkeypatch.delitem(process._CONFIG, "core.hooksPath")
        (other / "a").write_text("c")
        plain("commit", "-qam", "y", cwd=other)
        mirror.fetch_ref("refs/heads/main")
        assert mark.exists()


@attack(
    AREA,
    "`.gitattributes` that names a filter (LFS) of the machine's configuration",
    guard="git/process.py: no configuration but ours; objects.py reads blobs, no checkout",
    without="a checkout runs the filter",
)
def test_no_filter_runs_on_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    (tmp_path / ".gitconfig").write_text(f'[filter "lfs"]\nsmudge={evil}\n')
    other = repository(tmp_path / "other", {".gitattributes": "* filter=lfs\n", "a.yaml": "oid sha256:0\n"})
    monkeypatch.setenv("HOME", str(tmp_path))
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        commit = mirror.fetch_ref("refs/heads/main")
        mirror.objects.export(commit, None, tmp_path / "out")
    assert (tmp_path / "out" / "a.yaml").read_text() == "oid sha256:0\n" and not mark.exists()
    plain("clone", "-q", f"file://{other}", str(tmp_path / "clone"), cwd=tmp_path)
    assert mark.exists()


@attack(
    AREA,
    "Symbolic link in a repository that leads out of an export",
    guard="git/objects.py: links are judged before they are written",
    without="the link is there, and the file outside can be read",
)
def test_a_link_out_of_the_tree_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(MARK)
    other = repository(tmp_path / "other", {"a": "b"})
    (other / "link").symlink_to(tmp_path / "secret")
    plain("add", "-A", cwd=other), plain("commit", "-qm", "y", cwd=other)
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        commit = mirror.fetch_ref("refs/heads/main")
        with pytest.raises(Refused, match="leads out"):
            mirror.objects.export(commit, None, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        monkeypatch.setattr(objects, "_check_link", lambda path, content: None)
        mirror.objects.export(commit, None, tmp_path / "out")
    assert (tmp_path / "out" / "link").read_text() == MARK


def tree_with(name: str, directory: Path) -> tuple[Path, str]:
    """A repository whose one commit has a directory of this name, which no `git add` would make: its path and id."""
    made = repository(directory, {"a": MARK})
    blob = plain("hash-object", "a", cwd=made).stdout.strip()

    def write(kind: str, content: bytes) -> str:
        argv = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
        done = subprocess.run(argv, input=content, cwd=made, capture_output=True, timeout=20, check=True)
        return done.stdout.decode().strip()

    inner = write("tree", b"100644 pwned.yaml\0" + bytes.fromhex(blob))
    outer = write("tree", b"40000 " + name.encode() + b"\0" + bytes.fromhex(inner))
    commit = plain("commit-tree", "-m", "x", outer, cwd=made).stdout.strip()
    plain("update-ref", "refs/heads/main", commit, cwd=made)
    return made, commit


@attack(
    AREA,
    "Tree that holds `..` as a name",
    guard="git/objects.py: names are checked before they are paths",
    without="the file lands outside the export",
)
@attack(
    AREA,
    "Tree that holds `.git` as a name: a repository's configuration",
    guard="git/objects.py: names are checked before they are paths",
    without="the export holds a .git directory",
)
@pytest.mark.parametrize("name", ["..", ".GIT"])
def test_a_name_that_is_a_way_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    other, commit = tree_with(name, tmp_path / "other")
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        mirror.fetch_ref("refs/heads/main")
        with pytest.raises(BrokenRepository, match="no checkout may have"):
            mirror.objects.list_tree(commit)
        monkeypatch.setattr(objects, "_entry", unchecked)
        (tmp_path / "deep").mkdir()
        mirror.objects.export(commit, None, tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out" / name / "pwned.yaml").exists()


def unchecked(record: bytes, below: str) -> objects.TreeEntry:
    head, _, raw = record.partition(b"\t")
    mode, _, name, size = head.decode().split()
    return objects.TreeEntry(mode, name, int(size), raw.decode())


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
        git = Git(limits=Limits(file_size=size))
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
    await host.server.commit("fleet", {"bomb": b"\0" * (36 << 20)})

    def read(limit: int) -> int:
        with host.mirrors.use(host.https()) as mirror:
            entries = mirror.objects.list_tree(mirror.fetch_ref("refs/heads/main"))
            chosen = [each.id for each in entries if each.path == "bomb"]
            return sum(len(content) for content in mirror.objects.read_blobs(chosen, limit=limit).values())

    with pytest.raises(TooLarge):
        await call(read, 32 << 20)
    assert await call(read, 64 << 20) == 36 << 20


@attack(
    AREA,
    "Host that answers and never ends",
    guard="git/process.py: a time limit, and the whole process group ends",
    without="a longer timeout: git is still waiting",
)
async def test_a_host_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-advertisement"})
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    async with Liar(hang).running() as liar:
        with pytest.raises(Timeout, match="not done within"):
            await call(refs_of, liar.remote(timeout=0.7), tmp_path / "a")
        waiting = asyncio.create_task(call(refs_of, liar.remote(timeout=2.5), tmp_path / "b"))
        await asyncio.wait({waiting}, timeout=1.4)
        assert not waiting.done()
        with pytest.raises(Timeout):
            await waiting


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


def test_loopback_is_where_these_tests_stand() -> None:
    """The names above mean what the tests take them for."""
    assert socket.gethostbyname("127.0.0.77") == "127.0.0.77"
