"""Signatures of commits, verified by those who define the formats: ssh-keygen and gpg."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from controllers.git import RefusedError
from controllers.git.sign import signer

MESSAGE = b"tree 0\n\nUpdate\n"


def _keys() -> list[tuple[str, object]]:
    return [
        ("ed25519", ed25519.Ed25519PrivateKey.generate()),
        ("p256", ec.generate_private_key(ec.SECP256R1())),
        ("p521", ec.generate_private_key(ec.SECP521R1())),
        ("rsa", rsa.generate_private_key(65537, 2048)),
    ]


@pytest.mark.parametrize(("name", "key"), _keys(), ids=lambda one: one if isinstance(one, str) else "")
def test_ssh_keygen_takes_our_ssh_signatures_and_no_other_text_under_them(
    name: str, key: PrivateKeyTypes, tmp_path: Path
) -> None:
    encryption = serialization.BestAvailableEncryption(b"pw") if name == "ed25519" else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, encryption)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (tmp_path / "allowed").write_bytes(b"bot@example.com " + public + b"\n")
    sign = signer("ssh", {"identity": private, "password": b"pw" if name == "ed25519" else b""})
    (tmp_path / "sig").write_text(sign(MESSAGE))

    def verify(message: bytes) -> int:
        command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "bot@example.com", "-n", "git", "-s", "sig"]
        return subprocess.run(command, input=message, cwd=tmp_path, capture_output=True, check=False).returncode

    assert verify(MESSAGE) == 0
    assert verify(MESSAGE + b"x") != 0


@pytest.mark.parametrize("passphrase", ["", "quiet"])
def test_gpg_takes_our_openpgp_signatures(passphrase: str, tmp_path: Path) -> None:
    home = tmp_path / "h"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        common = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        common += ["--passphrase", passphrase]
        env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        return subprocess.run([*common, *arguments], input=stdin, env=env, capture_output=True, check=False)

    try:
        assert gpg("--quick-generate-key", "bot <bot@example.com>", "ed25519", "sign", "never").returncode == 0
        key = gpg("--armor", "--export-secret-keys").stdout
        signature = signer("gpg", {"git.asc": key, "passphrase": passphrase.encode()})(MESSAGE)
        (tmp_path / "sig").write_text(signature)
        (tmp_path / "msg").write_bytes(MESSAGE)
        assert gpg("--verify", str(tmp_path / "sig"), str(tmp_path / "msg")).returncode == 0
        if passphrase:
            with pytest.raises(RefusedError, match="passphrase"):
                signer("gpg", {"git.asc": key, "passphrase": b"wrong"})
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("ssh", {}, "identity"),
        ("ssh", {"identity": b"x"}, "identity"),
        ("gpg", {"git.asc": b"x"}, "git.asc"),
        ("x509", {}, "signingKey.type"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_before_anything_is_committed(
    kind: str, data: dict[str, bytes], field: str
) -> None:
    with pytest.raises(RefusedError, match=field):
        signer(kind, data)
