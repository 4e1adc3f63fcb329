"""The command line that starts a program with as few rights as it needs: what it may read, write and run, and no more.

For the programs that handle a tenant's bytes. Landlock holds the files, a network namespace and Landlock's TCP rules
the network, limits the rest; where the kernel lacks one of them the program runs without it, and the log says so once.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_log = logging.getLogger(__name__)
_SCRIPT = Path(__file__).with_name("confined.py")
LIBRARIES = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
"""What a program that is linked dynamically needs to start, for `run`."""
_INTERPRETER = (sys.executable, "-I", "-S", os.fspath(_SCRIPT))


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
        _log.warning("this kernel has no Landlock: builds and decryption run without a second guard of their files")
    if not found.network and found.landlock < 4:
        _log.warning("no network namespace and no Landlock 4: a build's network is closed by its environment alone")
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
