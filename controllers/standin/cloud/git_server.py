"""A Git host in process: smart HTTP over TLS (`git http-backend`) and ssh, so that real clients do real pushes.

Only the three smart-HTTP paths and the two pack commands are served; everything else is 404 or refused, whatever its
shape. Bodies, times and the number of git children are bounded. `git http-backend` decides the protocol, we decide who
may: Basic or Bearer over https, public keys over ssh, rights per user and repository.

What can go wrong: a client that hangs up mid-pack (the child is killed), a push refused by git itself (no callback), a
callback that fails (logged; the push stands).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import asyncssh
from aiohttp import web

from . import git_protocol, git_store
from .git_access import Access, GitUser
from .git_store import Push
from .tls import Authority

OnPush = Callable[[Push], Awaitable[None]]
__all__ = ["GitServer", "GitUser", "OnPush", "Push"]

log = logging.getLogger(__name__)
_CHUNK = 64 * 1024
_Stream = TypeVar("_Stream", asyncio.StreamReader, asyncio.StreamWriter)


class GitServer:
    """Repositories under `directory`, served on loopback. `await start()`, then `https_url(name)`, `ssh_url(name)`."""

    def __init__(
        self,
        directory: Path,
        *,
        users: Iterable[GitUser] = (),
        anonymous_read: bool = False,
        authority: Authority | None = None,
        on_push: OnPush | None = None,
        host: str = "127.0.0.1",
        https_port: int = 0,
        ssh_port: int = 0,
        ssh: bool = True,
        max_body: int = 256 << 20,
        timeout: float = 120,
        max_children: int = 16,
    ) -> None:
        self.directory = directory
        self.authority = authority or Authority.create()
        self.access = Access(tuple(users), anonymous_read)
        self.on_push = on_push
        self._host, self._https_port, self._ssh_port, self._with_ssh = host, https_port, ssh_port, ssh
        self._max_body, self._timeout = max_body, timeout
        self._children = asyncio.Semaphore(max_children)
        self._running: set[asyncio.subprocess.Process] = set()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._runner: web.AppRunner | None = None
        self._ssh: asyncssh.SSHAcceptor | None = None

    # --- life

    async def start(self) -> None:
        (self.directory / ".home").mkdir(parents=True, exist_ok=True)
        app = web.Application(client_max_size=self._max_body)
        app.router.add_route("*", "/{tail:.*}", self._http)
        # Bodies go to git as they come; it inflates them itself.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1, auto_decompress=False
        )
        await self._runner.setup()
        context = self.authority.server_context(tuple(dict.fromkeys((self._host, "localhost", "127.0.0.1"))))
        site = web.TCPSite(self._runner, self._host, self._https_port, ssl_context=context)
        await site.start()
        self._https_port = self._runner.addresses[0][1]
        if self._with_ssh:
            self._ssh = await asyncssh.create_server(
                lambda: _Login(self.access),
                self._host,
                self._ssh_port,
                server_host_keys=[self._host_key],
                process_factory=self._ssh_process,
                encoding=None,
                allow_scp=False,
                agent_forwarding=False,
                x11_forwarding=False,
                login_timeout=20,
            )
            self._ssh_port = self._ssh.get_port()

    async def stop(self) -> None:
        """Ends both servers and every git child. May be called twice."""
        for process in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if self._ssh is not None:
            self._ssh.close()
            self._ssh = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # --- what a client needs

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self._https_port}"

    def https_url(self, repository: str) -> str:
        return f"{self.url}/{quote(repository)}.git"

    def ssh_url(self, repository: str) -> str:
        return f"ssh://git@{self._host}:{self._ssh_port}/{quote(repository)}.git"

    @property
    def ca_pem(self) -> bytes:
        return self.authority.pem

    @property
    def known_hosts(self) -> str:
        """The known_hosts line of the ssh server."""
        key = self._host_key.export_public_key().decode().strip()
        return f"[{self._host}]:{self._ssh_port} {key}\n"

    def set_users(self, users: Iterable[GitUser], *, anonymous_read: bool | None = None) -> None:
        """Replaces all users: revoked rights hold from the next request on."""
        keep = self.access.anonymous_read if anonymous_read is None else anonymous_read
        self.access = Access(tuple(users), keep)

    # --- repositories, for tests and the demo

    async def create_repo(
        self, name: str, files: Mapping[str, bytes | str | None] | None = None, *, branch: str = "main"
    ) -> Path:
        path = await git_store.create(self.directory, name, branch=branch)
        if files:
            await self.commit(name, files, branch=branch, message="Initial commit")
        return path

    async def commit(
        self, name: str, files: Mapping[str, bytes | str | None], *, branch: str = "main", message: str = "Change"
    ) -> str:
        """A commit as if a colleague had pushed it (None deletes a file): its id. The push callback is called."""
        path = self._path(name)
        old = await git_store.head(self.directory, path, branch)
        new = await git_store.commit(self.directory, path, files, branch=branch, message=message)
        change = git_store.RefChange(f"refs/heads/{branch}", old or git_store.ZERO, new)
        await self._announce(Push(name, "", (change,)))
        return new

    async def head(self, name: str, branch: str = "main") -> str:
        return await git_store.head(self.directory, self._path(name), branch)

    async def read(self, name: str, path: str, *, revision: str = "main") -> bytes:
        return await git_store.read(self.directory, self._path(name), revision, path)

    async def git(self, name: str, *arguments: str) -> str:
        """Any git command in a repository (`log`, `diff` …): its output."""
        return (await git_store.git(self.directory, f"--git-dir={self._path(name)}", *arguments)).decode()

    def _path(self, name: str) -> Path:
        path = git_store.repository_path(self.directory, name)
        if path is None:
            raise KeyError(f"no repository {name}")
        return path

    async def _announce(self, push: Push) -> None:
        if self.on_push is None:
            return
        try:
            await self.on_push(push)
        except Exception:
            log.exception("push callback failed for %s", push.repository)

    # --- https

    async def _http(self, request: web.Request) -> web.StreamResponse:
        found = git_protocol.smart_http(request)
        if found is None:
            return web.Response(status=404, text="not found\n")
        name, service, tail = found
        user = None
        if header := request.headers.get("Authorization", ""):
            user = self.access.login(header)
            if user is None:
                return _unauthorized()
        write = service == "git-receive-pack"
        if not self.access.may(user, name, write=write):
            return _unauthorized() if user is None else web.Response(status=403, text="forbidden\n")
        if git_store.repository_path(self.directory, name) is None:
            return web.Response(status=404, text="repository not found\n")
        variables = {
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{name}.git/{tail}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": f"service={service}" if tail == "info/refs" else "",
            "CONTENT_TYPE": f"application/x-{service}-request" if request.method == "POST" else "",
            "REMOTE_USER": user.name if user else "",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_CONTENT_ENCODING": "gzip" if "gzip" in request.headers.get("Content-Encoding", "") else "",
            "GIT_PROTOCOL": git_protocol.protocol(request.headers.get("Git-Protocol", "")),
        }
        async with self._recorded(name, user, write=write) as record:
            return await self._backend(request, {**variables, git_store.RECORD: record})

    async def _backend(self, request: web.Request, variables: dict[str, str]) -> web.StreamResponse:
        async with self._child("git", "http-backend", variables=variables) as process:
            feed = asyncio.create_task(self._feed(request, process))
            try:
                return await asyncio.wait_for(self._answer(request, process, feed), self._timeout)
            except TimeoutError:
                return web.Response(status=504, text="git took too long\n")
            finally:
                feed.cancel()
                await asyncio.gather(feed, return_exceptions=True)

    async def _feed(self, request: web.Request, process: asyncio.subprocess.Process) -> None:
        stdin, total = _pipe(process.stdin), 0
        try:
            async for chunk in request.content.iter_chunked(_CHUNK):
                total += len(chunk)
                if total > self._max_body:
                    process.kill()
                    return
                stdin.write(chunk)
                await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return  # git has read enough
        except (web.HTTPException, web.RequestPayloadError, ValueError, OSError):
            process.kill()  # a body that breaks off or cannot be decompressed
        finally:
            with contextlib.suppress(OSError):
                stdin.close()

    async def _answer(
        self, request: web.Request, process: asyncio.subprocess.Process, feed: asyncio.Task[None]
    ) -> web.StreamResponse:
        stdout = _pipe(process.stdout)
        try:
            head = await stdout.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return web.Response(status=400, text="git did not understand the request\n")
        status, headers = git_protocol.cgi_head(head)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        while chunk := await stdout.read(_CHUNK):
            await response.write(chunk)
        await process.wait()  # the hook has written its record by now
        await asyncio.wait({feed}, timeout=1)
        await response.write_eof()
        return response

    # --- ssh

    async def _ssh_process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        user = process.get_extra_info("inhaul_user")
        service, name = git_protocol.ssh_command(process.command or "")
        if user is None or not service:
            process.stderr.write(b"only git-upload-pack and git-receive-pack are served here\n")
            process.exit(128)
            return
        write = service == "git-receive-pack"
        path = git_store.repository_path(self.directory, name)
        if path is None or not self.access.may(user, name, write=write):
            process.stderr.write(b"repository not found, or no access to it\n")
            process.exit(128)
            return
        variables = {"GIT_PROTOCOL": git_protocol.protocol(str(process.env.get("GIT_PROTOCOL", "")))}
        async with self._recorded(name, user, write=write) as record:
            variables[git_store.RECORD] = record
            async with self._child(service, str(path), variables=variables) as child:
                try:
                    code = await asyncio.wait_for(_pump_ssh(process, child), self._timeout)
                except (TimeoutError, OSError, asyncssh.Error):
                    code = 128
        process.exit(code)

    # --- children

    @contextlib.asynccontextmanager
    async def _recorded(self, name: str, user: GitUser | None, *, write: bool) -> AsyncIterator[str]:
        """A file for the hook; whatever it holds afterwards is announced, also when the client has hung up by then."""
        if not write:
            yield ""
            return
        with tempfile.TemporaryDirectory(prefix="inhaul-push-") as folder:
            record = Path(folder, "record")
            try:
                yield str(record)
            finally:
                text = record.read_text(errors="replace") if record.exists() else ""
                push = git_store.parse_record(text, repository=name, user=user.name if user else "")
                if push is not None:
                    await self._announce(push)

    @contextlib.asynccontextmanager
    async def _child(self, *argv: str, variables: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
        async with self._children:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL if argv[0] == "git" else asyncio.subprocess.PIPE,
                env={**git_store.environment(self.directory), **variables},
                cwd=self.directory,
            )
            self._running.add(process)
            try:
                yield process
            finally:
                self._running.discard(process)
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()


class _Login(asyncssh.SSHServer):
    """Public keys only; the user is whose key it is, as on the big hosts (the login name is `git` for all)."""

    def __init__(self, access: Access) -> None:
        self._keys: dict[bytes, GitUser] = {}
        for user in access.users:
            for line in user.keys:
                self._keys[asyncssh.import_public_key(line).public_data] = user
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        user = self._keys.get(key.public_data)
        if user is not None and self._connection is not None:
            self._connection.set_extra_info(inhaul_user=user)
        return user is not None


async def _pump_ssh(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> int:
    """Moves bytes both ways until git is done; its exit code."""
    stdin, stdout, stderr = _pipe(child.stdin), _pipe(child.stdout), _pipe(child.stderr)

    async def inward() -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while chunk := await process.stdin.read(_CHUNK):
                stdin.write(chunk)
                await stdin.drain()
        with contextlib.suppress(OSError):
            stdin.close()

    async def outward(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()

    feed = asyncio.create_task(inward())
    try:
        await asyncio.gather(outward(stdout, process.stdout), outward(stderr, process.stderr))
        return await child.wait()
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)


def _unauthorized() -> web.Response:
    return web.Response(status=401, text="unauthorized\n", headers={"WWW-Authenticate": 'Basic realm="git"'})


def _pipe(stream: _Stream | None) -> _Stream:
    if stream is None:
        raise RuntimeError("a git child without a pipe")  # every child is started with all its pipes
    return stream
