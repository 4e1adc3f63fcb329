"""PGP data keys, opened by the gpg binary in a private 0700 home that is gone afterwards.

gpg starts an agent per home that outlives it: `close` ends it and removes the home. Environment built from nothing,
explicit argv, a time limit, no network and under Landlock no file but its home; what gpg prints never enters a message.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from controllers.runtime.sandbox import LIBRARIES, command
from controllers.runtime.sensitive import Sensitive

from .decrypt import KeyUnavailableError
from .errors import SopsError

_TIMEOUT = 20.0
_LIMITS = {"AS": 2 << 30, "CPU": 20, "CORE": 0}
_READS = ("/etc/passwd", "/etc/nsswitch.conf", "/dev/urandom", "/dev/random")


class GpgHome:
    """A keyring in a fresh directory. Raises SopsError(KeyInvalid) where a key cannot be imported."""

    def __init__(self, keys: Sequence[Sensitive], *, directory: Path | None = None) -> None:
        binary = shutil.which("gpg")
        if binary is None:
            raise SopsError("ToolMissing", "gpg is not installed: PGP-encrypted files cannot be read")
        self._binary = binary
        self.home = Path(tempfile.mkdtemp(prefix="inhaul-gpg-", dir=directory))
        try:
            for key in keys:
                if self._run(["--import"], key.reveal()).returncode != 0:
                    raise SopsError("KeyInvalid", "decryption Secret: a PGP key cannot be imported")
        except BaseException:
            self.close()
            raise

    def decrypt(self, message: str) -> bytes:
        """The data key of an armored message. Raises KeyUnavailableError."""
        done = self._run(["--decrypt"], message.encode())
        if done.returncode != 0 or not done.stdout:
            raise KeyUnavailableError("none of the PGP keys at hand opens it")
        return done.stdout

    def close(self) -> None:
        """Ends the agent of this home and removes the home; safe to call twice."""
        if not self.home.exists():
            return
        ender = shutil.which("gpgconf")
        if ender:
            self._child([ender, "--homedir", os.fspath(self.home), "--kill", "all"], b"")
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, arguments: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        common = [
            self._binary,
            "--homedir",
            os.fspath(self.home),
            "--batch",
            "--no-tty",
            "--quiet",
            "--pinentry-mode",
            "error",
        ]
        return self._child([*common, *arguments], stdin)

    def _child(self, argv: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        home = os.fspath(self.home)
        confined = command(*argv, run=LIBRARIES, write=(home, "/dev/null"), read=_READS, limits=_LIMITS)
        try:
            return subprocess.run(
                confined, input=stdin, capture_output=True, timeout=_TIMEOUT, check=False, cwd=self.home,
                env={"PATH": os.defpath, "HOME": os.fspath(self.home), "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise SopsError("ToolTimeout", f"gpg gave no answer within {_TIMEOUT:g} s") from None
