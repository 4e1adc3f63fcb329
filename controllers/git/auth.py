"""Credentials of a Git host, out of a Secret's data.

https: `username` with `password`, or `bearerToken`; `ca.crt` (older: `caFile`); `tls.crt` with `tls.key`. ssh:
`identity` and `known_hosts`, and `password` where the identity is encrypted. Which of them are read follows from the
URL's scheme, so that a key meant for one host is never offered to another protocol.

A GitAuth never prints its values. Its `fingerprint` keys mirrors: two tenants that name the same URL with different
credentials share no object.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization

from controllers.runtime.sensitive import Sensitive

from .errors import RefusedError

_GITHUB_APP = ("githubAppID", "githubAppInstallationID", "githubAppInstallationOwner", "githubAppPrivateKey")
MAX_KEY_BYTES = 64 << 10


def is_app(data: Mapping[str, bytes]) -> bool:
    """Does a Secret hold the credentials of a GitHub App?"""
    return any(data.get(key) for key in _GITHUB_APP)


@dataclass(frozen=True, slots=True, repr=False)
class GitAuth:
    """What to present to a host; everything empty is anonymous. Values are as they stand in the Secret."""

    username: str = ""
    password: Sensitive | None = None
    bearer: Sensitive | None = None
    ca: bytes = b""
    """PEM; replaces the system's authorities for this host."""
    tls_certificate: bytes = b""
    tls_key: Sensitive | None = None
    identity: Sensitive | None = None
    """A private key that ssh can read, not encrypted."""
    known_hosts: bytes = b""
    lasting: str = ""
    """Who it is, where the credentials change by the hour (a GitHub App): keys mirrors in their stead."""

    @classmethod
    def from_secret(cls, data: Mapping[str, bytes], url: str) -> GitAuth:
        """The credentials for `url` out of a Secret's (decoded) data. Raises RefusedError and names the key."""
        if is_app(data):
            raise RefusedError("the Secret has GitHub App credentials, which need spec.provider: github")
        if urlsplit(url).scheme == "ssh":
            return _ssh(data)
        return _https(data)

    @property
    def fingerprint(self) -> str:
        """Hexadecimal; equal where all credentials are equal. Not reversible, but keep it out of messages."""
        digest = hashlib.sha256()
        if self.lasting:
            return hashlib.sha256(f"lasting={self.lasting}".encode() + self.ca).hexdigest()
        for field in fields(self):
            value = getattr(self, field.name)
            raw = (
                value.reveal() if isinstance(value, Sensitive) else value.encode() if isinstance(value, str) else value
            )
            raw = raw or b""
            digest.update(f"{field.name}={len(raw)}:".encode() + raw)
        return digest.hexdigest()

    def header(self) -> str:
        """The value of the Authorization header; empty for none. Secret."""
        if self.bearer is not None:
            return f"Bearer {self.bearer.reveal_text()}"
        if self.password is not None:
            pair = f"{self.username}:".encode() + self.password.reveal()
            return f"Basic {base64.b64encode(pair).decode()}"
        return ""

    def __repr__(self) -> str:
        names = [field.name for field in fields(self) if getattr(self, field.name)]
        return f"GitAuth({', '.join(names) or 'anonymous'})"


ANONYMOUS = GitAuth()


def _https(data: Mapping[str, bytes]) -> GitAuth:
    username, password = data.get("username", b""), data.get("password", b"")
    bearer = data.get("bearerToken", b"")
    if bool(username) != bool(password):
        missing, given = ("password", "username") if username else ("username", "password")
        raise RefusedError(f"Secret key {missing}: found nothing, expected a value beside {given}")
    if bearer and password:
        raise RefusedError("Secret keys password and bearerToken: found both, expected one of them")
    for name, value in (("username", username), ("password", password), ("bearerToken", bearer)):
        _one_line(name, value)
    certificate, key = data.get("tls.crt", b""), data.get("tls.key", b"")
    if bool(certificate) != bool(key):
        missing, given = ("tls.key", "tls.crt") if certificate else ("tls.crt", "tls.key")
        raise RefusedError(f"Secret key {missing}: found nothing, expected PEM beside {given}")
    ca = data.get("ca.crt") or data.get("caFile") or b""
    for name, value in (("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key)):
        if value and b"-----BEGIN " not in value:
            raise RefusedError(f"Secret key {name}: found {len(value)} bytes that are not PEM, expected PEM")
    return GitAuth(
        username=username.decode(),
        password=Sensitive(password) if password else None,
        bearer=Sensitive(bearer) if bearer else None,
        ca=ca,
        tls_certificate=certificate,
        tls_key=Sensitive(key) if key else None,
    )


def _one_line(name: str, value: bytes) -> None:
    """A line break in a credential would add a header of its own to our requests."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise RefusedError(f"Secret key {name}: found bytes that are not UTF-8, expected text") from None
    if any(ord(character) < 0x20 or character == "\x7f" for character in text):
        raise RefusedError(f"Secret key {name}: found control characters (a line break at the end?), expected one line")


def _ssh(data: Mapping[str, bytes]) -> GitAuth:
    identity, known_hosts = data.get("identity", b""), data.get("known_hosts", b"")
    if not identity:
        raise RefusedError("Secret key identity: found nothing, expected a private key for the ssh URL")
    if not known_hosts.strip():
        raise RefusedError("Secret key known_hosts: found nothing, expected the host's public keys")
    return GitAuth(identity=Sensitive(plain_key(identity, data.get("password", b""))), known_hosts=known_hosts)


def plain_key(identity: bytes, password: bytes) -> bytes:
    """The key without its password, in a form that ssh reads. ssh must never ask."""
    if len(identity) > MAX_KEY_BYTES:
        raise RefusedError(f"Secret key identity: found {len(identity)} bytes, expected no more than {MAX_KEY_BYTES}")
    secret = password or None
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            key = load(identity, secret)
        except Exception:  # noqa: S112  whatever a parser makes of foreign bytes, it is not this format
            continue
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    if not password:
        for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
            try:
                load(identity, b"-")
            except ValueError as error:
                if "not encrypted" in str(error):
                    break
            except TypeError:
                break  # given a password, and the key is not encrypted
            except Exception:  # noqa: S112
                continue
    raise RefusedError("Secret key identity: found no private key that opens (is its password in the key `password`?)")
