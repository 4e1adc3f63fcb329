"""Logging in to a registry by the challenge it sends: Basic, a token of its realm, or a token for an identity token.

A login goes to the registry itself, and to the token realm it names unless it is pinned. A place that a registry
redirects to gets no login: what it asks for is asked of its realm anonymously.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import httpx

from .credentials import ANONYMOUS, Login
from .errors import InvalidResponseError, RefusedError, Unauthorized, Unreachable
from .headers import Challenge, HeaderError, parse_challenges

_CLIENT = "inhaul"


@dataclass(frozen=True, slots=True)
class Answer:
    """`url`: who answered, after redirects."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str = ""


class Send(Protocol):
    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], *, content: bytes | None = None
    ) -> Answer: ...


class Authorizer:
    """The Authorization header by origin (scheme and host) and scope, learnt from challenges."""

    def __init__(self, host: str, login: Login, *, origin: str, insecure: bool, send: Send) -> None:
        self._host, self._login, self._origin, self._insecure, self._send = host, login, origin, insecure, send
        self._known: dict[tuple[str, str], str] = {}

    def header(self, url: str, scope: str) -> str:
        """ "" where none is known for this origin and scope. Secret."""
        return self._known.get((origin_of(url), scope), "")

    async def learn(self, url: str, challenges: list[str], scope: str) -> None:
        """Answers a 401. Raises RegistryError."""
        origin = origin_of(url)
        login = self._login if origin == self._origin else ANONYMOUS
        try:
            parsed = parse_challenges(challenges)
        except HeaderError as error:
            raise InvalidResponseError(f"{self._host}: WWW-Authenticate: {error}") from None
        self._known[origin, scope] = await self._authorization(parsed, login, scope)

    async def _authorization(self, challenges: list[Challenge], login: Login, scope: str) -> str:
        for challenge in challenges:
            if challenge.scheme == "basic" and (login.basic or len(challenges) == 1):
                return self._basic(login)
            if challenge.scheme == "bearer":
                return await self._token(challenge.parameters, login, scope)
        return self._basic(login)

    def _basic(self, login: Login) -> str:
        if not login.basic:
            raise Unauthorized(
                f"{self._host}: the registry requires authentication; no credentials are configured for it"
            )
        return login.basic

    async def _token(self, challenge: Mapping[str, str], login: Login, scope: str) -> str:
        realm = challenge.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (self._insecure and parts.scheme == "http"):
            raise RefusedError(f"{self._host}: the token realm is not https")
        if not parts.hostname or parts.username is not None:
            raise RefusedError(f"{self._host}: the token realm is not a URL with a host")
        known = login if parts.netloc == self._host or not login.pinned else ANONYMOUS
        parameters = {"scope": challenge.get("scope") or scope}
        if service := challenge.get("service"):
            parameters["service"] = service
        headers = {"Accept": "application/json"}
        if known.identity_token is not None:
            answer = await self._exchange(realm, parameters, known.identity_token.reveal_text())
        else:
            if known.basic:
                headers["Authorization"] = known.basic
            answer = await self._send("GET", str(httpx.URL(realm).copy_merge_params(parameters)), headers)
        if answer.status in (400, 401, 403):
            raise Unauthorized(f"{self._host}: the token service refused the credentials")
        if answer.status != 200:
            raise Unreachable(f"{self._host}: the token service returned HTTP {answer.status}")
        return f"Bearer {self._token_of(answer.content)}"

    async def _exchange(self, realm: str, parameters: Mapping[str, str], identity_token: str) -> Answer:
        """OAuth 2.0 refresh, as the distribution project's token specification has it for identity tokens."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": identity_token,
            "client_id": _CLIENT,
            "service": parameters.get("service") or self._host,
            "scope": parameters["scope"],
        }
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        return await self._send("POST", realm, headers, content=urlencode(form).encode())

    def _token_of(self, content: bytes) -> str:
        try:
            document: Any = json.loads(content)
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token or any(ord(character) <= 0x20 for character in token):
            raise InvalidResponseError(f"{self._host}: the token service's response contains no token")
        return token


def origin_of(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
