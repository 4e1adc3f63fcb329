"""The command line that starts a program with as few rights as it needs: what it may read, write and run, and no more.

For the programs that handle a tenant's bytes. Landlock holds the files, a network namespace and Landlock's TCP rules
the network, limits the rest; where the kernel lacks one of them the program runs without it, and the log says so once.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import sandbox_child as confined

_log = logging.getLogger(__name__)
_SCRIPT = Path(__file__).with_name("sandbox_child.py")
LIBRARIES = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
"""What a program that is linked dynamically needs to start, for `run`."""
NETWORK = (
    "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/gnutls", "/etc/resolv.conf",
    "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
    "/etc/passwd", "/etc/group", "/etc/localtime", "/run/systemd/resolve", "/dev/urandom", "/dev/random",
)  # fmt: skip
"""What a program that talks to hosts reads: certificates, resolvers, its user's name. For `read`."""
_INTERPRETER = (sys.executable, "-I", "-S", os.fspath(_SCRIPT))


_STARTING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Powers:
    """What the kernel lets us take away from a child."""

    landlock: int
    """Version of Landlock; 0: none. From 4 on it also refuses TCP."""
    network: bool
    """Can a child be given a network namespace of its own?"""


@cache
def powers() -> Powers:
    """Asked once, by a child that tries; what is missing is logged then."""
    found = Powers(0, network=False)
    if sys.platform == "linux":
        tried = subprocess.run([*_INTERPRETER, "-p"], capture_output=True, timeout=20, check=False, env={})
        fields = tried.stdout.split()
        if tried.returncode == 0 and len(fields) == 2:
            found = Powers(int(fields[0]), network=fields[1] == b"1")
    if not found.landlock:
        _log.warning(
            "this kernel has no Landlock: file access of builds and decryption is not restricted by the kernel"
        )
    if not found.network and found.landlock < 4:
        _log.warning(
            "neither network namespaces nor Landlock 4 are available: only the environment keeps builds off the network"
        )
    return found


def command(
    program: str, *arguments: str, run: Iterable[str] = (), read: Iterable[str] = (), write: Iterable[str] = (),
    network: bool = False, limits: Mapping[str, int] | None = None,
) -> list[str]:  # fmt: skip
    """argv of `program` (an absolute path), confined. `run`, `read`, `write`: files, or directories with all beneath;
    one that does not exist is left out. `limits`: names of RLIMIT_ constants → values. Exit code 125: not started."""
    if sys.platform != "linux":
        return [program, *arguments]
    has = powers()
    argv = [*_INTERPRETER]
    if not network:
        argv.append("-N" if has.network else "-n")
    for option, paths in (("-x", (program, *run)), ("-r", read), ("-w", write)):
        for path in paths:
            argv += [option, os.path.realpath(path)]
    for name, value in (limits or {}).items():
        argv += ["-l", f"{name}={value}"]
    return [*argv, "--", os.path.realpath(program), *arguments]


def popen(
    argv: Sequence[str], *, run: Iterable[str] = (), read: Iterable[str] = (), write: Iterable[str] = (),
    network: bool = False, **options: Any,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Starts a program under Landlock without a launcher in between, for children that are many and short-lived.

    Landlock binds a thread and what it starts: a thread of its own takes its rights away, starts the child and ends.
    0.2 ms where the launcher of `command` costs 20; in return there are no limits here (set them with `prlimit`), and
    without `network` only TCP is refused (Landlock 4). Fails closed with OSError. `options` are Popen's.
    """
    version = powers().landlock if sys.platform == "linux" else 0
    if not version:
        return subprocess.Popen(list(argv), **options)
    paths = [
        (option, os.path.realpath(path)) for option, group in (("-x", run), ("-r", read), ("-w", write))
        for path in group
    ]  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    failed: list[BaseException] = []

    def start() -> None:
        try:
            confined.restrict(version, paths, network=network)
            started.append(subprocess.Popen(list(argv), **options))
        except BaseException as error:
            failed.append(error)

    # A collection that fell into that thread would run foreign finalizers without the right to open a file.
    with _STARTING:
        collecting = gc.isenabled()
        gc.disable()
        try:
            thread = threading.Thread(target=start, name="confined", daemon=True)
            thread.start()
            thread.join()
        finally:
            if collecting:
                gc.enable()
    if failed:
        raise failed[0]
    return started[0]


def no_core_dumps() -> None:
    """A core of this process would hold data keys. The limit is for good: no right brings it back."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
