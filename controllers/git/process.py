"""The one way a git child process is started.

A repository is hostile input, and so is its host. Therefore: explicit argv and no shell; an environment built from
nothing, with an empty home and no configuration but ours; the repository named by `--git-dir` and never searched for;
hooks, credential helpers, aliases and automatic maintenance off; protocols by allow-list; no redirects; credentials in
the environment or in a 0700 directory that is gone afterwards, never in argv or URLs; a time limit, limits on output
and on file sizes; and the whole process group is killed when a limit is hit, so that no helper outlives its git.

Configuration goes in by GIT_CONFIG_COUNT: it has the rank of the command line (`safe.bareRepository` is honoured from
there and not from a repository) and cannot be seen in a process list.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from controllers.runtime.sandbox import LIBRARIES, NETWORK, popen
from controllers.runtime.sensitive import Sensitive

from .auth import ANONYMOUS, GitAuth
from .errors import GitError, RefusedError, Timeout, TooLarge, classify

MAX_URL = 2048
_STDERR_KEPT = 16 << 10
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "credential.helper": "",
    "safe.bareRepository": "explicit",
    "safe.directory": "*",  # the mirrors are ours, whatever user id a container gives us
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.unpackLimit": "1",  # always a pack: one file, which RLIMIT_FSIZE bounds
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
    "transfer.advertiseSID": "false",
    "protocol.version": "2",
    "pack.threads": "1",
    "core.bigFileThreshold": "32m",  # larger objects are streamed and never held in memory, whatever they unpack to
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "256m",
    "core.deltaBaseCacheLimit": "32m",
}


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Of one git child."""

    timeout: float = 60.0
    """Seconds."""
    output: int = 256 << 20
    """Bytes on standard output."""
    file_size: int = 1 << 30
    """Bytes of any file it writes, packs above all."""
    memory: int = 2 << 30
    """Bytes of address space; a repository of 1 GB takes 50 MB of memory."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on a host, and how to log in. `proxy` is a URL and may hold credentials."""

    url: str
    auth: GitAuth = ANONYMOUS
    proxy: Sensitive | None = None
    timeout: float = 60.0
    """Seconds for one operation on the network."""
    addresses: tuple[str, ...] = ()
    """Addresses of the host that were checked: git connects to these (ssh: the first) and asks no resolver anew.
    Empty: any."""


@dataclass(frozen=True, slots=True)
class Git:
    """Starts git. Thread-safe; blocking: call it on the git pool."""

    protocols: frozenset[str] = frozenset({"https", "ssh"})
    """Tests may add `file`."""
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    scratch: Path | None = None
    """Where private directories are made; default: the system's place for temporary files."""
    confined: bool = True
    """Under Landlock where the kernel has it: reads the system's programs and certificates, writes its own directory
    and the repository, and opens no connection unless there is a remote."""

    def run(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        remote: Remote | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
        what: str = "",
    ) -> bytes:
        """Standard output of `git --git-dir=… arguments`. Raises the GitError of what went wrong.

        `what` says in messages what was being done. With a `remote`, its credentials are at hand for the child, and the
        URL is checked; the URL itself stands in `arguments`.
        """
        what = what or f"git {arguments[0]}"
        done = self.start(
            *arguments,
            git_dir=git_dir,
            remote=remote,
            stdin=stdin,
            environment=environment,
            timeout=timeout,
            what=what,
        )
        if done.code:
            raise classify(done.stderr, what)
        return done.stdout

    def start(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        remote: Remote | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
        what: str,
    ) -> Done:
        """As `run`, but an exit code other than zero is the caller's to judge."""
        if remote is not None:
            check_url(remote.url, self.protocols)
        limit = timeout or (remote.timeout if remote else self.limits.timeout)
        with self._private(remote) as (home, config, variables):
            env = _environment(home, self.protocols, config, {**variables, **(environment or {})})
            argv = ["git", *([f"--git-dir={git_dir}"] if git_dir else []), "--no-replace-objects", *arguments]
            cage = _cage(home, git_dir, remote) if self.confined else None
            return _child(argv, env=env, cwd=home, stdin=stdin, timeout=limit, limits=self.limits, what=what, cage=cage)

    @contextlib.contextmanager
    def _private(self, remote: Remote | None) -> Iterator[tuple[Path, dict[str, str], dict[str, str]]]:
        """An empty home of mode 0700 that holds at most what this one child needs."""
        home = Path(tempfile.mkdtemp(prefix="inhaul-git-", dir=self.scratch))
        try:
            config: dict[str, str] = {}
            variables: dict[str, str] = {}
            if remote is not None:
                _credentials(home, remote, config, variables)
            yield home, config, variables
        finally:
            shutil.rmtree(home, ignore_errors=True)


def check_url(url: str, protocols: frozenset[str] = frozenset({"https", "ssh"})) -> str:
    """The URL if git may be given it, else Refused. Credentials belong in a Secret, not in a URL."""
    shown = url[:200]
    if len(url) > MAX_URL or any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise RefusedError("spec.url: found spaces, control characters or too long a URL, expected a URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise RefusedError("spec.url: invalid URL, expected https://… or ssh://…") from None
    if parts.password is not None:
        raise RefusedError("spec.url: found a password in the URL, expected it in the Secret of spec.secretRef")
    if parts.scheme not in protocols:
        allowed = " or ".join(f"{name}://" for name in sorted(protocols))
        raise RefusedError(f"spec.url {shown!r}: found protocol {parts.scheme!r}, expected {allowed}")
    if parts.scheme != "file" and (not host or host.startswith("-") or (parts.username or "").startswith("-")):
        raise RefusedError(f"spec.url {shown!r}: found no host, expected one")
    if parts.query or parts.fragment:
        raise RefusedError("spec.url: found a query or fragment, expected a plain URL")
    return url


def _credentials(home: Path, remote: Remote, config: dict[str, str], variables: dict[str, str]) -> None:
    auth, parts = remote.auth, urlsplit(remote.url)
    if parts.scheme == "ssh":
        variables["GIT_SSH_COMMAND"] = _ssh_command(home, remote)
        variables["GIT_SSH_VARIANT"] = "ssh"
        return
    if parts.scheme != "https":
        return
    origin = f"https://{parts.hostname}{f':{parts.port}' if parts.port else ''}/"
    if remote.addresses and remote.proxy is None:
        where = ",".join(f"[{one}]" if ":" in one else one for one in remote.addresses)
        config["http.curloptResolve"] = f"{parts.hostname}:{parts.port or 443}:{where}"
    if header := auth.header():
        config[f"http.{origin}.extraHeader"] = f"Authorization: {header}"  # for this host only
    if auth.ca:
        config["http.sslCAInfo"] = _file(home, "ca.pem", auth.ca)
    if auth.tls_certificate and auth.tls_key is not None:
        config["http.sslCert"] = _file(home, "tls.crt", auth.tls_certificate)
        config["http.sslKey"] = _file(home, "tls.key", auth.tls_key.reveal())
    if remote.proxy is not None:
        config["http.proxy"] = remote.proxy.reveal_text()
        config["http.proxyAuthMethod"] = "basic"  # offered at once, and no other method tried at a proxy's wish


def _ssh_command(home: Path, remote: Remote) -> str:
    auth, known = remote.auth, _file(home, "known_hosts", remote.auth.known_hosts)
    options: dict[str, str | None] = {
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "PermitLocalCommand": "no",
        "ControlPath": "none",
        "ConnectTimeout": "20",
    }
    if remote.addresses:  # go to the address that was checked, and look the key up under the name
        parts = urlsplit(remote.url)
        options["HostName"] = remote.addresses[0]
        options["HostKeyAlias"] = f"[{parts.hostname}]:{parts.port}" if parts.port not in (None, 22) else parts.hostname
        options["CheckHostIP"] = "no"
    words = ["ssh", "-F", "/dev/null", "-T"]
    if auth.identity is not None:
        words += ["-i", _file(home, "identity", auth.identity.reveal())]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return " ".join(shlex.quote(word) for word in words)


def _file(home: Path, name: str, content: bytes) -> str:
    path = home / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return str(path)


def _environment(
    home: Path, protocols: frozenset[str], config: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "LC_ALL": "C",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS": "false",
        "GIT_ALLOW_PROTOCOL": ":".join(sorted(protocols)),
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        **variables,
    }
    settings = {**_CONFIG, **config}
    env["GIT_CONFIG_COUNT"] = str(len(settings))
    for index, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{index}"], env[f"GIT_CONFIG_VALUE_{index}"] = key, value
    return env


@dataclass(frozen=True, slots=True)
class Done:
    """What a child left behind. `stderr` is for classifying only."""

    code: int
    stdout: bytes
    stderr: str


def _cage(home: Path, git_dir: Path | None, remote: Remote | None) -> dict[str, Any]:
    """What a child may reach, for `confine.popen`."""
    program = os.path.realpath(shutil.which("git") or "git")
    prefix = Path(program).parent.parent  # git's own helpers, where it is not installed below /usr
    parts = urlsplit(remote.url) if remote else None
    local = (parts.path,) if parts and parts.scheme == "file" else ()
    return {
        "run": (*LIBRARIES, *([str(prefix)] if prefix != Path("/") else [])),
        "read": (*NETWORK, *local),
        "write": (str(home), "/dev/null", *([str(git_dir)] if git_dir else ())),
        "network": remote is not None,
    }


def _child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdin: bytes,
    timeout: float,
    limits: ProcessLimits,
    what: str,
    cage: dict[str, Any] | None,
) -> Done:
    """Runs to the end within the limits; kills the whole process group otherwise."""
    options: dict[str, Any] = {
        "env": dict(env), "cwd": cwd, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
        "start_new_session": True,
    }  # fmt: skip
    try:
        process: subprocess.Popen[bytes] = (
            subprocess.Popen(list(argv), **options) if cage is None else popen(argv, **cage, **options)
        )
    except FileNotFoundError:
        raise GitError(f"{what}: git is not installed") from None
    except OSError as error:
        raise GitError(f"{what}: git cannot be started ({error.strerror})") from None
    with contextlib.suppress(OSError, ValueError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limits.file_size, limits.file_size))
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limits.memory, limits.memory))
    reader = _Pump(process, stdin, limits.output)
    try:
        process.wait(timeout)
        reader.join(5)
    except subprocess.TimeoutExpired:
        raise Timeout(f"{what}: timed out after {timeout:g} s") from None
    finally:
        _kill(process)
        reader.join(1)
    if reader.overflow:
        raise TooLarge(f"{what}: more than {limits.output} bytes of output")
    return Done(process.returncode, bytes(reader.stdout), bytes(reader.stderr).decode(errors="replace"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The group, also after git itself has ended: a helper may have stayed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        process.wait()


class _Pump:
    """Moves the three pipes of a child on threads, within a limit."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, limit: int) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.overflow = False
        self._process, self._limit = process, limit
        work = [
            threading.Thread(target=self._feed, args=(process.stdin, stdin), daemon=True),
            threading.Thread(target=self._drain, args=(process.stdout, self.stdout, limit, True), daemon=True),
            threading.Thread(target=self._drain, args=(process.stderr, self.stderr, _STDERR_KEPT, False), daemon=True),
        ]
        self._threads = work
        for thread in work:
            thread.start()

    def join(self, timeout: float) -> None:
        for thread in self._threads:
            thread.join(timeout)

    def _feed(self, pipe: IO[bytes], data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            pipe.write(data)
        with contextlib.suppress(OSError, ValueError):
            pipe.close()

    def _drain(self, pipe: IO[bytes], into: bytearray, limit: int, strict: bool) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                room = limit - len(into)
                into += chunk[: max(room, 0)]
                if strict and len(chunk) > room:
                    self.overflow = True
                    _kill_group(self._process)
                    return


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
