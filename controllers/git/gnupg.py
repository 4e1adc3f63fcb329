"""gpg with public keys only: a fresh 0700 home that lives as long as one check, no agent, no network, no other file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from controllers.runtime.sandbox import LIBRARIES, command

from .errors import GitError, RefusedError, Timeout

_TIMEOUT = 20.0
_LIMITS = {"CPU": 20, "AS": 1 << 30, "FSIZE": 64 << 20, "CORE": 0}
MAX_KEY = 4 << 20


class GnupgKeys:
    """Public keys in a directory of their own. Raises RefusedError for one that gpg does not take. Blocking."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys
        self._home = Path()

    def __enter__(self) -> GnupgKeys:
        binary = shutil.which("gpg")
        if binary is None:
            raise GitError("gpg is not installed: OpenPGP signatures cannot be verified")
        self._binary = binary
        self._home = Path(tempfile.mkdtemp(prefix="inhaul-verify-"))
        try:
            for key in self._keys:
                if len(key) > MAX_KEY or b"PRIVATE KEY BLOCK" in key or self._run(["--import"], key).returncode != 0:
                    raise RefusedError("found a PGP key that cannot be read, expected public keys in armor")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def verify(self, payload: bytes, signature: bytes) -> list[str]:
        """gpg's status lines for a detached signature."""
        path = self._home / "signature"
        path.write_bytes(signature)
        done = self._run(["--status-fd", "1", "--verify", "--", str(path), "-"], payload)
        return done.stdout.decode("utf-8", "replace").splitlines()

    def _run(self, arguments: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        home = os.fspath(self._home)
        argv = command(
            self._binary, "--homedir", home, "--batch", "--no-tty", "--quiet", "--no-autostart", "--trust-model",
            "always", "--no-auto-key-retrieve", "--disable-dirmngr", *arguments,
            run=LIBRARIES, read=("/dev/urandom",), write=(home, "/dev/null"), limits=_LIMITS,
        )  # fmt: skip
        env = {"PATH": os.defpath, "HOME": home, "LC_ALL": "C"}
        try:
            return subprocess.run(
                argv, input=stdin, capture_output=True, timeout=_TIMEOUT, check=False, cwd=home, env=env
            )
        except subprocess.TimeoutExpired:
            raise Timeout(f"gpg did not finish within {_TIMEOUT:g} s") from None
