"""Logging in as a GitHub App: a token for an hour, asked for with the App's key.

The Secret's keys are `githubAppID`, `githubAppInstallationID` or `githubAppInstallationOwner`, `githubAppPrivateKey`,
and for GitHub Enterprise `githubAppBaseURL` and `ca.crt`. Its base URL is a tenant's word, so each request goes through
the egress check at the socket, redirects are not followed, and nothing an answer says enters a message. A token is kept
until five minutes before it expires, by what it was asked with.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from controllers.api.timestamps import parse_timestamp
from controllers.runtime.egress import Egress, EgressDeniedError
from controllers.runtime.sensitive import Sensitive

from .auth import GitAuth, is_app
from .errors import AuthFailed, RefusedError, Unreachable

__all__ = ["GithubApps", "is_app"]

API = "https://api.github.com"
_TIMEOUT, _KEPT, _EARLY = 20.0, 1024, 300
_MAX_ANSWER = 1 << 20
_NUMBER = re.compile(r"[0-9]{1,20}")
_APP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class _App:
    """What a Secret says, checked."""

    id: str
    installation: str
    owner: str
    key: rsa.RSAPrivateKey = field(repr=False)
    base: str
    ca: bytes = field(repr=False)
    digest: str
    """Equal where all of it is equal."""


class GithubApps:
    """Tokens of GitHub Apps. One per process; safe on one loop."""

    def __init__(self, egress: Egress | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._egress, self._clock = egress or Egress(), clock
        self._tokens: OrderedDict[str, tuple[Sensitive, float]] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    @staticmethod
    def identity(data: Mapping[str, bytes]) -> GitAuth:
        """Who logs in, without a token: nobody is asked. Raises RefusedError."""
        app = _parsed(data)
        return GitAuth(username="x-access-token", ca=app.ca, lasting=app.digest)

    async def auth(self, data: Mapping[str, bytes], url: str, *, proxy: Sensitive | None = None) -> GitAuth:
        """The login for `url`; `proxy` is the URL of the proxy to ask GitHub through. Raises RefusedError for a Secret
        that is not well formed, AuthFailed, Unreachable.
        """
        if urlsplit(url).scheme != "https":
            raise RefusedError("spec.url: a GitHub App authenticates over https; expected an https URL")
        app = _parsed(data)
        lock = self._locks.setdefault(app.digest, asyncio.Lock())
        async with lock:
            token, until = self._tokens.get(app.digest, (None, 0.0))
            if token is None or until - _EARLY <= self._clock():
                token, until = await self._ask(app, proxy)
                self._tokens[app.digest] = token, until
                while len(self._tokens) > _KEPT:
                    self._locks.pop(self._tokens.popitem(last=False)[0], None)
        return replace(self.identity(data), password=token)

    async def _ask(self, app: _App, proxy: Sensitive | None) -> tuple[Sensitive, float]:
        headers = {
            "Authorization": f"Bearer {_assertion(app, self._clock())}", "Accept": "application/vnd.github+json",
            "Accept-Encoding": "identity",
        }  # fmt: skip
        try:
            transport = self._egress.transport(verify=_context(app.ca), proxy=proxy)
            async with httpx.AsyncClient(
                transport=transport, timeout=_TIMEOUT, headers=headers, follow_redirects=False
            ) as client:
                installation = app.installation or await self._installation(client, app)
                path = f"{app.base}/app/installations/{installation}/access_tokens"
                answer = await _read(client, "POST", path)
        except EgressDeniedError as error:
            raise RefusedError(f"githubAppBaseURL: {error}") from None
        except (httpx.HTTPError, OSError):
            raise Unreachable("GitHub is unreachable: cannot get a token for the GitHub App") from None
        token, expires = answer.get("token"), answer.get("expires_at")
        try:
            until = parse_timestamp(str(expires)).timestamp()
        except ValueError:
            until = 0.0
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise AuthFailed("GitHub returned no token for the App's installation")
        return Sensitive(token.encode()), min(until, self._clock() + 3600)

    async def _installation(self, client: httpx.AsyncClient, app: _App) -> str:
        for kind in ("orgs", "users"):
            answer = await _read(client, "GET", f"{app.base}/{kind}/{app.owner}/installation", missing=True)
            if isinstance(answer.get("id"), int):
                return str(answer["id"])
        raise AuthFailed(f"the GitHub App has no installation for {app.owner}")


async def _read(client: httpx.AsyncClient, method: str, url: str, *, missing: bool = False) -> dict[str, Any]:
    """The JSON object of an answer; {} for a 404 where `missing`. Raises AuthFailed, Unreachable."""
    async with client.stream(method, url) as answer:
        content = b""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Unreachable("GitHub's response is compressed, which was not requested")
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > _MAX_ANSWER:
                raise Unreachable("GitHub's response is too large")
    if missing and answer.status_code == 404:
        return {}
    if answer.status_code >= 500 or answer.status_code == 429:
        raise Unreachable(f"GitHub returned HTTP {answer.status_code} for the App's request")
    if answer.status_code not in (200, 201):
        raise AuthFailed(f"GitHub returned HTTP {answer.status_code}; check the App's ID, installation and private key")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise Unreachable("GitHub's response is not JSON") from None
    return found if isinstance(found, dict) else {}


def _parsed(data: Mapping[str, bytes]) -> _App:
    """Raises RefusedError and names the Secret's key."""

    def text(name: str) -> str:
        return data.get(name, b"").decode("utf-8", "replace").strip()

    app, installation, owner = text("githubAppID"), text("githubAppInstallationID"), text("githubAppInstallationOwner")
    base = text("githubAppBaseURL").rstrip("/") or API
    if not _APP_ID.fullmatch(app):
        raise RefusedError("Secret key githubAppID: expected the App's id")
    if bool(installation) == bool(owner):
        raise RefusedError(
            "Secret keys githubAppInstallationID, githubAppInstallationOwner: expected exactly one of them"
        )
    if installation and not _NUMBER.fullmatch(installation):
        raise RefusedError("Secret key githubAppInstallationID: expected a number")
    if owner and not _OWNER.fullmatch(owner):
        raise RefusedError("Secret key githubAppInstallationOwner: expected the name of an organisation or user")
    parts = urlsplit(base)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise RefusedError("Secret key githubAppBaseURL: expected an https URL")
    pem = data.get("githubAppPrivateKey", b"")
    try:
        key = serialization.load_pem_private_key(pem, None)
    except Exception:
        raise RefusedError("Secret key githubAppPrivateKey: expected an RSA private key in PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise RefusedError("Secret key githubAppPrivateKey: expected an RSA key")
    ca = data.get("ca.crt", b"")
    parts_of = (app, installation, owner, base, pem.decode("utf-8", "replace"), ca.decode("utf-8", "replace"))
    return _App(app, installation, owner, key, base, ca, hashlib.sha256(repr(parts_of).encode()).hexdigest())


def _context(ca: bytes) -> ssl.SSLContext:
    if not ca:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise RefusedError("Secret key ca.crt: expected certificates in PEM") from None


def _assertion(app: _App, now: float) -> str:
    """A JWT of the App, good for nine minutes (GitHub takes ten), from a minute ago for clocks that differ."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"iat": int(now) - 60, "exp": int(now) + 540, "iss": app.id}).encode())
    signature = app.key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{head}.{body}.{part(signature)}"
