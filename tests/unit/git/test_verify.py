"""Signatures as git and OpenSSH make them, taken apart and judged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from controllers.git.errors import BrokenRepositoryError, RefusedError
from controllers.git.verify import Signed, UnverifiedError, Verifier, signed_commit, signed_tag

PAYLOAD = b"tree x\n\nwhat was signed\n"


def made(directory: Path, kind: str, *, bits: int = 0, namespace: str = "git") -> tuple[bytes, str]:
    """A public key and a signature of PAYLOAD by ssh-keygen."""
    key = directory / f"{kind}{bits}{namespace}"
    size = ["-b", str(bits)] if bits else []
    for argv in (
        ["-q", "-t", kind, *size, "-N", "", "-f", str(key)],
        ["-Y", "sign", "-q", "-n", namespace, "-f", str(key)],
    ):
        done = subprocess.run(["ssh-keygen", *argv], input=PAYLOAD, capture_output=True, timeout=20, check=True)
    return key.with_name(f"{key.name}.pub").read_bytes(), done.stdout.decode()


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", 0), ("ecdsa", 256), ("ecdsa", 521), ("rsa", 2048)])
def test_signatures_of_every_kind_of_key_are_verified(tmp_path: Path, kind: str, bits: int) -> None:
    public, signature = made(tmp_path, kind, bits=bits)
    other, _ = made(tmp_path, "ed25519", namespace="other")
    verifier = Verifier({"a.sshpub": b"# people\n" + other + public})
    argv = ["ssh-keygen", "-l", "-f", "-"]
    said = subprocess.run(argv, input=public, capture_output=True, timeout=20, check=True).stdout.decode()
    assert verifier.verify(Signed(PAYLOAD, signature)) == said.split()[1]
    with pytest.raises(UnverifiedError, match="the signature is invalid"):
        verifier.verify(Signed(PAYLOAD + b"!", signature))
    with pytest.raises(UnverifiedError, match="not one of the given"):
        Verifier({"a.sshpub": other}).verify(Signed(PAYLOAD, signature))


def test_a_signature_for_another_purpose_is_none(tmp_path: Path) -> None:
    public, signature = made(tmp_path, "ed25519", namespace="file")
    with pytest.raises(UnverifiedError, match="not made for git"):
        Verifier({"a.sshpub": public}).verify(Signed(PAYLOAD, signature))


def test_damage_anywhere_in_a_signature_is_refused(tmp_path: Path) -> None:
    public, signature = made(tmp_path, "ed25519")
    verifier = Verifier({"a.sshpub": public})
    for at in range(0, len(signature), 7):
        for changed in (signature[:at], signature[:at] + "A" + signature[at + 1 :]):
            if changed != signature:
                with pytest.raises(UnverifiedError):
                    verifier.verify(Signed(PAYLOAD, changed))


def test_a_commit_and_a_tag_are_what_git_signs() -> None:
    head = b"tree 1\nauthor a <a@b> 1 +0000\n"
    armored = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n"
    found = signed_commit(head + armored + b"encoding x\n folded\n\nbody\n\ngpgsig no header\n")
    assert found.payload == head + b"encoding x\n folded\n\nbody\n\ngpgsig no header\n"
    assert found.signature == "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----"
    with pytest.raises(BrokenRepositoryError, match="two signatures"):
        signed_commit(head + armored + armored + b"\nbody")
    tag = signed_tag(b"object 1\n\nmessage\n-----BEGIN SSH SIGNATURE-----\nx\n")
    assert tag.payload == b"object 1\n\nmessage\n" and tag.signature.startswith("-----BEGIN SSH")
    assert signed_tag(b"object 1\n\nmessage\n").signature == ""


@pytest.mark.parametrize("data", [{}, {"a.sshpub": b"ssh-ed25519 AAAA"}, {"a.sshpub": b"nothing"}, {"a.sshpub": b""}])
def test_keys_that_are_none_are_refused(data: dict[str, bytes]) -> None:
    with pytest.raises(RefusedError):
        Verifier(data)


def test_a_pgp_key_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(RefusedError, match="cannot be read") as caught:
        Verifier({"a.asc": b"hidden-value"}).verify(Signed(b"x", "-----BEGIN PGP SIGNATURE-----\n"))
    assert "hidden-value" not in str(caught.value)
