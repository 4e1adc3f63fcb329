"""Signatures of commits and tags: OpenPGP through gpg, OpenSSH's format here.

What is signed is the object without its signature: of a commit all but the header `gpgsig`, of a tag all before the
armored block at its end. A signature counts only if one of the given keys made it, for git (ssh: namespace `git`), and
if the key is neither expired nor revoked (gpg). Everything in a signature was written by whoever pushed: it is parsed
within limits, and gpg runs without network and without any file but its own fresh home (`runtime/confine.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .errors import BrokenRepositoryError, GitError, RefusedError
from .gnupg import GnupgKeys

MAX_SIGNATURE, MAX_KEYS = 64 << 10, 100
_PGP, _SSH = "-----BEGIN PGP SIGNATURE-----", "-----BEGIN SSH SIGNATURE-----"
_BLOCK = re.compile(rb"^-----BEGIN (?:PGP|SSH) SIGNATURE-----$", re.M)
_HASHES: Mapping[bytes, Any] = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_CURVES: Mapping[bytes, Any] = {
    b"ecdsa-sha2-nistp256": hashes.SHA256, b"ecdsa-sha2-nistp384": hashes.SHA384, b"ecdsa-sha2-nistp521": hashes.SHA512,
}  # fmt: skip


class UnverifiedError(GitError):
    """A signature that is missing, is of nobody we know, or does not fit."""

    reason = "InvalidCommitSignature"


@dataclass(frozen=True, slots=True)
class Signed:
    """An object in two parts: what was signed, and the armored signature ("" where it has none)."""

    payload: bytes
    signature: str


def signed_commit(content: bytes) -> Signed:
    """A commit object's content, taken apart. Pure."""
    head, blank, message = content.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside: list[bytes] | None = None
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            (kept if inside is None else inside).append(line if inside is None else line[1:])
            continue
        inside = None
        if line.startswith((b"gpgsig ", b"gpgsig-sha256 ")):
            if line.startswith(b"gpgsig ") and signature:
                raise BrokenRepositoryError("the commit has two signatures")
            inside = signature if line.startswith(b"gpgsig ") else []
            inside.append(line.partition(b" ")[2])
            continue
        kept.append(line)
    return Signed(b"\n".join(kept) + blank + message, b"\n".join(signature).decode("ascii", "replace"))


def signed_tag(content: bytes) -> Signed:
    """A tag object's content, taken apart at its last armored block. Pure."""
    blocks = list(_BLOCK.finditer(content))
    if not blocks:
        return Signed(content, "")
    at = blocks[-1].start()
    return Signed(content[:at], content[at:].decode("ascii", "replace"))


class Verifier:
    """The public keys of one Secret: PGP in `*.asc`, SSH in `*.sshpub` (authorized_keys' format). Raises
    RefusedError.
    """

    def __init__(self, data: Mapping[str, bytes]) -> None:
        self._pgp = [value for name, value in sorted(data.items()) if not name.endswith(".sshpub")]
        self._ssh: dict[bytes, str] = {}
        for name, value in sorted(data.items()):
            if name.endswith(".sshpub"):
                self._ssh |= _public_keys(name, value)
        if not self._pgp and not self._ssh:
            raise RefusedError("found no public key, expected PGP keys in *.asc or SSH keys in *.sshpub")

    def verify(self, signed: Signed) -> str:
        """Which key made the signature: its id (PGP) or fingerprint (SSH). Raises UnverifiedError, GitError.
        Blocking.
        """
        text = signed.signature
        if not text:
            raise UnverifiedError("it is not signed")
        if len(text) > MAX_SIGNATURE:
            raise UnverifiedError(f"a signature of {len(text)} bytes, expected at most {MAX_SIGNATURE}")
        if text.startswith(_SSH):
            return _verify_ssh(signed, self._ssh)
        if not text.startswith(_PGP):
            raise UnverifiedError("its signature is neither OpenPGP nor SSH")
        if not self._pgp:
            raise UnverifiedError("it is signed with OpenPGP, but no PGP key was given to verify it")
        return _verify_pgp(signed, self._pgp)


def _verify_pgp(signed: Signed, keys: Sequence[bytes]) -> str:
    with GnupgKeys(keys) as ring:
        status = ring.verify(signed.payload, signed.signature.encode())
    words = [line.split() for line in status if line.startswith("[GNUPG:] ")]
    kinds = {line[1]: line[2:] for line in words if len(line) > 2}
    for bad, text in (("REVKEYSIG", "its key was revoked"), ("EXPKEYSIG", "its key has expired"),
                      ("EXPSIG", "the signature has expired"), ("BADSIG", "the signature is invalid"),
                      ("NO_PUBKEY", "its key is not one of the given keys")):  # fmt: skip
        if bad in kinds:
            raise UnverifiedError(text)
    valid = kinds.get("VALIDSIG")
    if "GOODSIG" not in kinds or not valid or sum(line[1] == "VALIDSIG" for line in words) != 1:
        raise UnverifiedError("the signature cannot be verified")
    return valid[-1][-16:]  # of the primary key


def _verify_ssh(signed: Signed, known: Mapping[bytes, str]) -> str:
    """OpenSSH's PROTOCOL.sshsig."""
    try:
        lines = signed.signature.strip().splitlines()
        if lines[-1] != "-----END SSH SIGNATURE-----":
            raise ValueError
        blob = _Reader(base64.b64decode("".join(lines[1:-1]), validate=True))
        if blob.take(6) != b"SSHSIG" or blob.number() != 1:
            raise ValueError
        public, namespace, reserved = blob.string(), blob.string(), blob.string()
        algorithm, raw = blob.string(), _Reader(blob.string())
        kind, value = raw.string(), raw.string()
        made = _HASHES[algorithm](signed.payload).digest()
    except (ValueError, IndexError, KeyError, binascii.Error, struct.error):
        raise UnverifiedError("its SSH signature is malformed") from None
    if namespace != b"git":
        raise UnverifiedError("its SSH signature was not made for git")
    if public not in known:
        raise UnverifiedError("its key is not one of the given keys")
    message = b"SSHSIG" + b"".join(map(_string, (namespace, reserved, algorithm, made)))
    try:
        _check(public, kind, value, message, rest=raw.rest())
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, struct.error, IndexError):
        raise UnverifiedError("the signature is invalid") from None
    return known[public]


def _check(public: bytes, kind: bytes, value: bytes, message: bytes, *, rest: bytes) -> None:
    reader = _Reader(public)
    key_kind = reader.string()
    if key_kind in (b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"):
        message, key_kind, public = _of_token(key_kind, reader, message, rest)
        kind = kind.removeprefix(b"sk-").removesuffix(b"@openssh.com")
    key = serialization.load_ssh_public_key(key_kind + b" " + base64.b64encode(public))
    match key:
        case ed25519.Ed25519PublicKey() if kind == b"ssh-ed25519":
            key.verify(value, message)
        case rsa.RSAPublicKey() if kind in (b"rsa-sha2-256", b"rsa-sha2-512") and key.key_size >= 2048:
            key.verify(value, message, padding.PKCS1v15(), hashes.SHA512() if kind[-3:] == b"512" else hashes.SHA256())
        case ec.EllipticCurvePublicKey() if kind in _CURVES and kind == key_kind:
            numbers = _Reader(value)
            first, second = (int.from_bytes(numbers.string(), "big") for _ in range(2))
            key.verify(encode_dss_signature(first, second), message, ec.ECDSA(_CURVES[kind]()))
        case _:
            raise InvalidSignature


def _of_token(kind: bytes, reader: _Reader, message: bytes, rest: bytes) -> tuple[bytes, bytes, bytes]:
    """A key on a hardware token signs (hash of application, flags, counter, hash of the message): the message of that,
    and the plain key. Raises InvalidSignature where nobody touched the token."""
    plain = kind.removeprefix(b"sk-").removesuffix(b"@openssh.com")
    parts = [reader.string() for _ in range(1 if plain == b"ssh-ed25519" else 2)]
    application = reader.string()
    if len(rest) != 5 or not rest[0] & 1:
        raise InvalidSignature
    signed = hashlib.sha256(application).digest() + rest + hashlib.sha256(message).digest()
    return signed, plain, b"".join(map(_string, (plain, *parts)))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise ValueError("too short")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        return int(struct.unpack(">I", self.take(4))[0])

    def string(self) -> bytes:
        return self.take(self.number())

    def rest(self) -> bytes:
        return self._data[self._at :]


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _public_keys(name: str, value: bytes) -> dict[bytes, str]:
    """Key → fingerprint, of lines as in authorized_keys. Raises RefusedError."""
    found: dict[bytes, str] = {}
    for line in value.decode("utf-8", "replace").splitlines():
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            raw = base64.b64decode(fields[1], validate=True)
            if _Reader(raw).string() != fields[0].encode():
                raise ValueError
        except (IndexError, ValueError, binascii.Error):
            raise RefusedError(f"Secret key {name}: found a line that is not an SSH public key") from None
        digest = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
        found[raw] = f"SHA256:{digest}"
    if len(found) > MAX_KEYS:
        raise RefusedError(f"Secret key {name}: found {len(found)} keys, expected at most {MAX_KEYS}")
    return found
