"""A client of OCI registries: tags, digests, manifests. Nothing else.

A registry is somebody else's server and may lie: answers are bounded in bytes and number, digests are checked, pages
(`Link`) must stay on the same host and path, redirects are not followed, and every connection goes through a transport
that refuses metadata, link-local and loopback addresses. Credentials go to the registry itself, and to the token realm
it names unless the login is pinned (ECR's is: a token for all of an account's registries).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from controllers.runtime.egress import EgressDeniedError

from .credentials import ANONYMOUS, Login
from .errors import (
    InvalidResponseError,
    NotFound,
    RateLimited,
    RefusedError,
    RegistryError,
    TooLarge,
    Unauthorized,
    Unreachable,
)

PAGE = 1000
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'([A-Za-z_]+)="([^"]*)"')
_LINK = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """Of one client."""

    tags: int = 200_000
    pages: int = 5_000
    answer: int = 8 << 20
    """Bytes of one page or manifest."""
    attempts: int = 3
    pause: float = 1.0
    """Seconds before the first retry; then three times as long. Retry-After may ask for up to 10."""


@dataclass(frozen=True, slots=True)
class Manifest:
    media_type: str
    digest: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    content: bytes


class Registry:
    """One registry with one login: `async with Registry(…) as registry`. `timeout` is in seconds, of one call."""

    def __init__(
        self,
        host: str,
        *,
        transport: httpx.AsyncBaseTransport,
        login: Login = ANONYMOUS,
        insecure: bool = False,
        timeout: float = 60.0,
        limits: RegistryLimits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.host = host
        self._base = f"{'http' if insecure else 'https'}://{host}"
        self._login, self._insecure, self._timeout = login, insecure, timeout
        self._limits = limits or RegistryLimits()
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)
        self._authorization: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def tags(self, repository: str) -> list[str]:
        """All tags, in the registry's order. Raises RegistryError."""
        path = f"/v2/{repository}/tags/list"
        url, found, seen = f"{self._base}{path}?n={PAGE}", [], set()
        while url:
            if url in seen:
                raise InvalidResponseError(f"{self.host}/{repository}: the list of tags links to itself")
            seen.add(url)
            if len(seen) > self._limits.pages:
                raise TooLarge(f"{self.host}/{repository}: more than {self._limits.pages} pages of tags")
            answer = await self._get(url, repository)
            found += self._tags_of(answer, repository)
            if len(found) > self._limits.tags:
                raise TooLarge(f"{self.host}/{repository}: more than {self._limits.tags} tags")
            url = self._next(url, path, answer.headers.get("Link", ""), repository)
        return list(dict.fromkeys(found))

    async def digest(self, repository: str, tag: str) -> str:
        """The digest a tag has now (of the index, for images of several platforms). Raises NotFound, RegistryError."""
        url = f"{self._base}/v2/{repository}/manifests/{tag}"
        answer = await self._get(url, repository, method="HEAD", accept=MANIFESTS)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not digest:
            return (await self.manifest(repository, tag)).digest
        if not _DIGEST.fullmatch(digest):
            raise InvalidResponseError(f"{self.host}/{repository}:{tag}: the registry's digest is none")
        return str(digest)

    async def manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest; its digest is computed, and compared where one was asked for."""
        url = f"{self._base}/v2/{repository}/manifests/{reference}"
        answer = await self._get(url, repository, accept=MANIFESTS)
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        named = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", digest)
        if named != digest:
            raise InvalidResponseError(f"{self.host}/{repository}: a manifest is not what its digest says")
        return Manifest(answer.headers.get("Content-Type", ""), digest, answer.content)

    async def blob(self, repository: str, digest: str, *, limit: int) -> bytes:
        """A blob's content, which is what its digest says. Raises RegistryError.

        Registries keep blobs elsewhere (ECR in S3): one redirect to another https URL is followed, without credentials.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidResponseError(f"{self.host}/{repository}: a digest that is none")
        url = f"{self._base}/v2/{repository}/blobs/{digest}"
        answer = await self._ask(url, repository, accept="*/*")
        if answer.status in (301, 302, 303, 307, 308):
            there = urljoin(url, answer.headers.get("Location", ""))
            if urlsplit(there).scheme != "https" and not self._insecure:
                raise RefusedError(f"{self.host}/{repository}: a blob is said to be at a place that is not https")
            answer = await self._retried("GET", there, {"Accept": "*/*"})
        content = self._checked(answer, repository).content
        if len(content) > limit:
            raise TooLarge(f"{self.host}/{repository}: a blob of more than {limit} bytes")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise InvalidResponseError(f"{self.host}/{repository}: a blob is not what its digest says")
        return content

    # --- pages

    def _tags_of(self, answer: _Answer, repository: str) -> list[str]:
        try:
            document = json.loads(answer.content)
            tags = document["tags"] or []
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InvalidResponseError(
                f"{self.host}/{repository}: the list of tags is not the JSON it should be"
            ) from None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise InvalidResponseError(f"{self.host}/{repository}: the list of tags holds what is no text")
        return tags

    def _next(self, url: str, path: str, link: str, repository: str) -> str:
        found = _LINK.search(link)
        if found is None:
            return ""
        following = urljoin(url, found[1])
        old, new = urlsplit(url), urlsplit(following)
        if (new.scheme, new.netloc, new.path) != (old.scheme, old.netloc, path):
            raise RefusedError(
                f"{self.host}/{repository}: the list of tags goes on at another place; links stay on one host"
            )
        return str(following)

    # --- requests

    async def _get(
        self, url: str, repository: str, *, method: str = "GET", accept: str = "application/json"
    ) -> _Answer:
        """An answer of 200."""
        return self._checked(await self._ask(url, repository, method=method, accept=accept), repository)

    async def _ask(
        self, url: str, repository: str, *, method: str = "GET", accept: str = "application/json"
    ) -> _Answer:
        """An answer. Logs in when asked to, once."""
        scope = f"repository:{repository}:pull"
        for login in (False, True):
            headers = {"Accept": accept}
            if authorization := self._authorization.get(scope):
                headers["Authorization"] = authorization
            answer = await self._retried(method, url, headers)
            if answer.status != 401 or login:
                break
            self._authorization[scope] = await self._authorize(answer.headers.get_list("WWW-Authenticate"), scope)
        return answer

    def _checked(self, answer: _Answer, repository: str) -> _Answer:
        where = f"{self.host}/{repository}"
        match answer.status:
            case 200:
                return answer
            case 401 | 403:
                who = "anonymous access" if self._login == ANONYMOUS else "the credentials"
                raise Unauthorized(f"{where}: the registry refused {who}")
            case 404:
                raise NotFound(f"{where}: not found")
            case 429:
                raise RateLimited(f"{where}: too many requests")
            case status if 300 <= status < 400:
                raise RefusedError(f"{where}: the registry redirects; redirects are not followed")
            case status if status >= 500:
                raise Unreachable(f"{where}: the registry answers {status}")
        raise InvalidResponseError(f"{where}: the registry answers {answer.status}")

    async def _retried(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        pause = self._limits.pause
        for attempt in range(1, self._limits.attempts + 1):
            last = attempt == self._limits.attempts
            try:
                answer = await self._send(method, url, headers)
            except Unreachable:
                if last:
                    raise
            else:
                if answer.status not in _RETRIED or last:
                    return answer
                asked = answer.headers.get("Retry-After", "")
                if asked.isascii() and asked.isdigit() and len(asked) < 6:
                    pause = max(pause, min(float(asked), 10.0))
            await self._sleep(pause)
            pause *= 3
        raise Unreachable(f"{self.host}: no answer")  # attempts < 1

    async def _send(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        try:
            plain = {**headers, "Accept-Encoding": "identity"}  # a compressed answer may be a thousand times its size
            async with asyncio.timeout(self._timeout), self._http.stream(method, url, headers=plain) as response:
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise InvalidResponseError(f"{self.host}: a compressed answer, which was not asked for")
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > self._limits.answer:
                        raise TooLarge(f"{self.host}: an answer of more than {self._limits.answer} bytes")
                return _Answer(response.status_code, response.headers, bytes(content))
        except EgressDeniedError as error:
            raise RefusedError(f"{self.host}: {error}") from None
        except TimeoutError:
            raise Unreachable(f"{self.host}: no answer within {self._timeout:g} s") from None
        except httpx.InvalidURL:
            raise RefusedError(f"{self.host}: a URL that is none") from None
        except httpx.HTTPError as error:
            text = (
                "TLS: the certificate was not accepted" if "CERTIFICATE" in str(error).upper() else "cannot be reached"
            )
            raise Unreachable(f"{self.host}: {text}") from None

    # --- logging in

    async def _authorize(self, challenges: list[str], scope: str) -> str:
        """The Authorization header for a scope, by the registry's challenge. Raises RegistryError."""
        for challenge in challenges:
            scheme, _, rest = challenge.strip().partition(" ")
            if scheme.lower() == "basic":
                return self._basic()
            if scheme.lower() == "bearer":
                return await self._token(dict(_CHALLENGE.findall(rest)), scope)
        return self._basic()

    def _basic(self) -> str:
        if not self._login.basic:
            raise Unauthorized(f"{self.host}: the registry wants a login and there is none for it")
        return self._login.basic

    async def _token(self, challenge: Mapping[str, str], scope: str) -> str:
        realm = challenge.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (self._insecure and parts.scheme == "http"):
            raise RefusedError(f"{self.host}: the token realm is not https")
        if not parts.hostname or parts.username is not None:
            raise RefusedError(f"{self.host}: the token realm is no URL of a host")
        headers = {"Accept": "application/json"}
        own = parts.netloc == self.host
        if self._login.basic and (own or not self._login.pinned):
            headers["Authorization"] = self._login.basic
        parameters = {"scope": challenge.get("scope") or scope}
        if service := challenge.get("service"):
            parameters["service"] = service
        url = str(httpx.URL(realm).copy_merge_params(parameters))
        answer = await self._retried("GET", url, headers)
        if answer.status in (400, 401, 403):
            raise Unauthorized(f"{self.host}: the token service refused the credentials")
        if answer.status != 200:
            raise Unreachable(f"{self.host}: the token service answers {answer.status}")
        return f"Bearer {self._token_of(answer.content)}"

    def _token_of(self, content: bytes) -> str:
        try:
            document: Any = json.loads(content)
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token or any(ord(character) <= 0x20 for character in token):
            raise InvalidResponseError(f"{self.host}: the token service's answer holds no token")
        return token


__all__ = ["Manifest", "Registry", "RegistryError", "RegistryLimits"]
