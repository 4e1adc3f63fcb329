"""How to log in to a registry: out of a dockerconfigjson Secret, and the TLS part of one. Pure but for TLS contexts.

A credential belongs to the host it is written for: keys of `auths` may be a host, a host with path, or a URL; a label
of the host may hold `*`, `?` and `[…]` as the kubelet reads them. The longest path that covers the repository wins, and
of equal paths the host without wildcards.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from controllers.runtime.sensitive import Sensitive

from .errors import RefusedError

_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
MAX_CONFIG = 1 << 20


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A login. `identity_token`: a refresh token, no password. `pinned`: to no other host than the registry."""

    username: str = ""
    password: Sensitive | None = None
    identity_token: Sensitive | None = None
    pinned: bool = False

    @property
    def basic(self) -> str:
        """The Authorization header; "" without a password. Secret."""
        if self.password is None:
            return ""
        pair = f"{self.username}:".encode() + self.password.reveal()
        return f"Basic {base64.b64encode(pair).decode()}"

    def __repr__(self) -> str:
        return "Login(…)" if self.password or self.identity_token else "Login(anonymous)"


ANONYMOUS = Login()


def login_from_configs(configs: Iterable[bytes], host: str, path: str) -> Login:
    """The login for `host/path` out of `.dockerconfigjson` contents; anonymous where none covers it. Raises
    RefusedError.
    """
    best, login = (-1, False), ANONYMOUS
    for content in configs:
        for key, entry in _auths(content).items():
            rank = _covers(key, host, path)
            if rank > best:
                best, login = rank, _login(key, entry)
    return login


def _auths(content: bytes) -> Mapping[str, Any]:
    if len(content) > MAX_CONFIG:
        raise RefusedError(f"Secret key .dockerconfigjson: found {len(content)} bytes, expected at most {MAX_CONFIG}")
    try:
        document = json.loads(content)
        auths = document.get("auths") or {}
    except (ValueError, AttributeError, RecursionError):
        raise RefusedError("Secret key .dockerconfigjson: found no JSON object, expected one with `auths`") from None
    if not isinstance(auths, dict):
        raise RefusedError("Secret key .dockerconfigjson: auths: found no object, expected one")
    return auths


def _covers(key: str, host: str, path: str) -> tuple[int, bool]:
    """How much of the path a key covers, in characters, and whether it names the host exactly; -1: not its host."""
    name = key.partition("://")[2] or key
    key_host, _, key_path = name.strip("/").partition("/")
    if key_path in ("v1", "v2"):
        key_path = ""
    exact = key_host == host or (key_host in _DOCKER_HUB and host in _DOCKER_HUB)
    if not (exact or _matches(key_host, host)) or not (
        not key_path or path == key_path or path.startswith(f"{key_path}/")
    ):
        return -1, False
    return len(key_path), exact


def _matches(pattern: str, host: str) -> bool:
    """Label by label, as the kubelet does: `*.azurecr.io` covers one label, and the port must be the same."""
    pattern_name, _, pattern_port = pattern.partition(":")
    name, _, port = host.partition(":")
    pairs = (pattern_name.split("."), name.split("."))
    return (
        pattern_port == port
        and len(pairs[0]) == len(pairs[1])
        and all(fnmatchcase(label, glob) for glob, label in zip(*pairs, strict=True))
    )


def _login(key: str, entry: Any) -> Login:
    where = f"Secret key .dockerconfigjson: auths[{key[:100]}]"
    if not isinstance(entry, dict):
        raise RefusedError(f"{where}: found no object, expected one")
    username, password = entry.get("username") or "", entry.get("password") or ""
    if auth := entry.get("auth"):
        try:
            padded = auth.strip() + "=" * (-len(auth.strip()) % 4)  # some writers leave the padding out
            username, colon, password = base64.b64decode(padded, validate=True).decode().partition(":")
        except (TypeError, AttributeError, binascii.Error, UnicodeDecodeError, ValueError):
            colon = ""
        if not colon:
            raise RefusedError(f"{where}.auth: found text that is not base64 of user:password")
    token = entry.get("identitytoken") or ""
    if not all(isinstance(value, str) for value in (username, password, token)):
        raise RefusedError(f"{where}: expected a string")
    if any(ord(character) < 0x20 for character in f"{username}{password}{token}"):
        raise RefusedError(f"{where}: found control characters")
    return Login(username, Sensitive(password) if password else None, Sensitive(token) if token else None)


@dataclass(frozen=True, slots=True, repr=False)
class Tls:
    """PEM from a Secret: authorities on top of the system's, and a client certificate."""

    ca: bytes = b""
    certificate: bytes = b""
    key: Sensitive | None = None

    @classmethod
    def from_secret(cls, data: Mapping[str, bytes]) -> Tls:
        """From `ca.crt`, `tls.crt`, `tls.key` (older: caFile, certFile, keyFile). Raises RefusedError."""
        ca = data.get("ca.crt") or data.get("caFile") or b""
        certificate = data.get("tls.crt") or data.get("certFile") or b""
        key = data.get("tls.key") or data.get("keyFile") or b""
        if bool(certificate) != bool(key):
            raise RefusedError("Secret keys tls.crt and tls.key: found one of them, expected both or none")
        if not ca and not certificate:
            raise RefusedError("Secret of spec.certSecretRef: found neither ca.crt nor tls.crt")
        return cls(ca, certificate, Sensitive(key) if key else None)

    def context(self) -> ssl.SSLContext:
        """Raises RefusedError for what is no PEM."""
        context = ssl.create_default_context()
        try:
            if self.ca:
                context.load_verify_locations(cadata=self.ca.decode())
            if self.certificate and self.key is not None:
                _load_pair(context, self.certificate, self.key)
        except (ssl.SSLError, ValueError):
            raise RefusedError("Secret of spec.certSecretRef: found certificates that do not load") from None
        return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: Sensitive) -> None:
    """ssl reads pairs from files only: one, in a 0700 directory, for a moment."""
    with tempfile.TemporaryDirectory(prefix="inhaul-tls-") as folder:
        path = Path(folder, "pair.pem")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key.reveal())
        context.load_cert_chain(path)
