"""An age identity of the run, and files that the real sops binary encrypted with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pyrage
import pytest

from controllers.sops.binary import find_sops
from controllers.sops.keys import SopsKeys, parse_key_secret


@dataclass(frozen=True)
class Age:
    identity: str
    recipient: str

    def keyring(self) -> SopsKeys:
        return SopsKeys(parse_key_secret({"test.agekey": self.identity.encode()}))


@pytest.fixture(scope="session")
def age() -> Age:
    identity = pyrage.x25519.Identity.generate()
    return Age(str(identity), str(identity.to_public()))


Encrypt = Callable[..., bytes]


@pytest.fixture(scope="session")
def encrypt(age: Age, tmp_path_factory: pytest.TempPathFactory) -> Encrypt:
    """(plaintext, format, *flags) → what `sops encrypt` makes of it."""
    home = tmp_path_factory.mktemp("sops")

    def run(plain: bytes, form: str, *flags: str) -> bytes:
        argv = [find_sops(), "encrypt", "--age", age.recipient, *flags]
        argv += ["--input-type", form, "--output-type", form, "--filename-override", f"file.{form}"]
        done = subprocess.run(
            argv, input=plain, capture_output=True, cwd=home, env={"PATH": os.defpath, "HOME": str(home)}, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run
