"""Signing commits: OpenSSH's signature format with our own key handling, OpenPGP through gpg.

The ssh signature is made here (PROTOCOL.sshsig: a hash of the commit, signed under the namespace `git`), so that no key
touches a disk. gpg has no such way: each signature gets a home of mode 0700 that lives as long as the call, with its
agent ended before the home goes. A key that cannot sign is refused when it is read, before anything is committed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from controllers.runtime.sandbox import LIBRARIES, command
from controllers.runtime.sensitive import Sensitive

from .auth import MAX_KEY_BYTES, plain_key
from .errors import GitError, RefusedError, Timeout

_NAMESPACE = b"git"
_CURVES = {256: ("nistp256", hashes.SHA256), 384: ("nistp384", hashes.SHA384), 521: ("nistp521", hashes.SHA512)}
_TIMEOUT = 20.0
_LIMITS = {"AS": 2 << 30, "CPU": 20, "CORE": 0}
_READS = ("/etc/passwd", "/etc/nsswitch.conf", "/dev/urandom", "/dev/random")
Signer = Callable[[bytes], str]


def signer(kind: str, data: Mapping[str, bytes]) -> Signer:
    """A function that signs a commit's bytes. `kind`: "ssh" or "gpg"; `data`: a Secret's. Raises RefusedError,
    GitError.

    ssh: `identity` (ed25519, ECDSA, RSA of 2048 bits or more) and `password`; gpg: `git.asc` and `passphrase`.
    """
    if kind == "ssh":
        return _ssh(data)
    if kind == "gpg":
        return _gpg(data)
    raise RefusedError(f"spec.git.commit.signingKey.type: found {kind!r}, expected gpg or ssh")


def _ssh(data: Mapping[str, bytes]) -> Signer:
    identity = data.get("identity", b"")
    if not identity:
        raise RefusedError("Secret key identity: found nothing, expected a private key to sign with")
    key = serialization.load_ssh_private_key(plain_key(identity, data.get("password", b"")), None)
    public = base64.b64decode(
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).split(b" ")[1]
    )
    sign = _raw_ssh(key)

    def signed(message: bytes) -> str:
        fields = _string(_NAMESPACE) + _string(b"") + _string(b"sha512")
        signature = sign(b"SSHSIG" + fields + _string(hashlib.sha512(message).digest()))
        blob = b"SSHSIG" + struct.pack(">I", 1) + _string(public) + fields + _string(signature)
        text = base64.b64encode(blob).decode()
        lines = [text[at : at + 70] for at in range(0, len(text), 70)]
        return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----"]) + "\n"

    return signed


def _raw_ssh(key: Any) -> Callable[[bytes], bytes]:
    match key:
        case ed25519.Ed25519PrivateKey():
            return lambda data: _string(b"ssh-ed25519") + _string(key.sign(data))
        case rsa.RSAPrivateKey() if key.key_size >= 2048:
            return lambda data: _string(b"rsa-sha2-512") + _string(key.sign(data, padding.PKCS1v15(), hashes.SHA512()))
        case ec.EllipticCurvePrivateKey() if key.curve.key_size in _CURVES:
            name, hash_ = _CURVES[key.curve.key_size]

            def sign(data: bytes) -> bytes:
                first, second = decode_dss_signature(key.sign(data, ec.ECDSA(hash_())))
                return _string(f"ecdsa-sha2-{name}".encode()) + _string(_mpint(first) + _mpint(second))

            return sign
    raise RefusedError(
        "Secret key identity: expected a key of ed25519, ECDSA (256, 384, 521) or RSA of 2048 bits or more"
    )


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _mpint(number: int) -> bytes:
    return _string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _gpg(data: Mapping[str, bytes]) -> Signer:
    key, passphrase = data.get("git.asc", b""), Sensitive(data.get("passphrase", b""))
    if b"PRIVATE KEY BLOCK" not in key or len(key) > MAX_KEY_BYTES:
        raise RefusedError("Secret key git.asc: found no OpenPGP private key, expected one in armor")
    kept = Sensitive(key)

    def signed(message: bytes) -> str:
        return _gpg_sign(kept, passphrase, message)

    signed(b"may this key sign?")
    return signed


def _gpg_sign(key: Sensitive, passphrase: Sensitive, message: bytes) -> str:
    binary = shutil.which("gpg")
    if binary is None:
        raise GitError("gpg is not installed: commits cannot be signed with OpenPGP")
    home = Path(tempfile.mkdtemp(prefix="inhaul-sign-"))
    common = [binary, "--homedir", str(home), "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback"]
    read, write = os.pipe()
    try:
        os.write(write, passphrase.reveal()[:4096] + b"\n")
        os.close(write)
        if _run([*common, "--passphrase", "", "--import"], home, key.reveal()).returncode != 0:
            raise RefusedError("Secret key git.asc: gpg cannot import it, expected an OpenPGP private key")
        done = _run([*common, "--passphrase-fd", str(read), "--armor", "--detach-sign"], home, message, keep=(read,))
    finally:
        os.close(read)
        if ender := shutil.which("gpgconf"):
            _run([ender, "--homedir", str(home), "--kill", "all"], home, b"")
        shutil.rmtree(home, ignore_errors=True)
    if done.returncode != 0 or b"BEGIN PGP SIGNATURE" not in done.stdout:
        raise RefusedError(
            "Secret keys git.asc and passphrase: the key cannot sign (has it expired, or is the passphrase wrong?)"
        )
    return done.stdout.decode()


def _run(
    argv: list[str], home: Path, stdin: bytes, *, keep: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C"}
    confined = command(*argv, run=LIBRARIES, write=(str(home), "/dev/null"), read=_READS, limits=_LIMITS)
    try:
        return subprocess.run(
            confined, input=stdin, capture_output=True, timeout=_TIMEOUT, check=False, cwd=home, env=env, pass_fds=keep
        )
    except subprocess.TimeoutExpired:
        raise Timeout(f"gpg did not finish within {_TIMEOUT:g} s") from None
