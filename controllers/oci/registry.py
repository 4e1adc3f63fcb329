"""A client of OCI registries: tags, digests, manifests. Nothing else.

A registry is somebody else's server and may lie: answers are bounded in bytes and number, digests are checked, pages
(`Link`) must stay on the host and path that answered, redirects are few and to https only, and every connection goes
through a transport that refuses metadata, link-local and loopback addresses, so also that of a redirect. Credentials go
to the registry itself, never along a redirect to another host, and to the token realm the registry names unless the
login is pinned (ECR's is: a token for all of an account's registries).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx

from controllers.runtime.egress import EgressDeniedError

from .authorization import Answer, Authorizer
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
from .headers import HeaderError, parse_links

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
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """Of one client."""

    tags: int = 200_000
    pages: int = 5_000
    answer: int = 8 << 20
    """Bytes of one page or manifest."""
    redirects: int = 5
    attempts: int = 3
    pause: float = 1.0
    """Seconds before the first retry; then three times as long. Retry-After may ask for up to 10."""


@dataclass(frozen=True, slots=True)
class Manifest:
    media_type: str
    digest: str
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
        self._authorizer = Authorizer(host, login, origin=self._base, insecure=insecure, send=self._retried)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def tags(self, repository: str) -> list[str]:
        """All tags, in the registry's order. Raises RegistryError."""
        url, found, seen = f"{self._base}/v2/{repository}/tags/list?n={PAGE}", [], set()
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
            url = self._next(answer, repository)
        return list(dict.fromkeys(found))

    async def digest(self, repository: str, tag: str) -> str:
        """The digest a tag has now (of the index, for images of several platforms). Raises NotFound, RegistryError."""
        url = f"{self._base}/v2/{repository}/manifests/{tag}"
        answer = await self._get(url, repository, method="HEAD", accept=MANIFESTS)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not digest:
            return (await self.manifest(repository, tag)).digest
        if not _DIGEST.fullmatch(digest):
            raise InvalidResponseError(f"{self.host}/{repository}:{tag}: the registry's digest is invalid")
        return str(digest)

    async def manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest; its digest is computed, and compared where one was asked for."""
        url = f"{self._base}/v2/{repository}/manifests/{reference}"
        answer = await self._get(url, repository, accept=MANIFESTS)
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        named = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", digest)
        if named != digest:
            raise InvalidResponseError(f"{self.host}/{repository}: manifest does not match its digest")
        return Manifest(answer.headers.get("Content-Type", ""), digest, answer.content)

    async def blob(self, repository: str, digest: str, *, limit: int) -> bytes:
        """A blob's content, which is what its digest says. Raises RegistryError.

        Registries keep blobs elsewhere (ECR in S3); the redirect is followed without credentials.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidResponseError(f"{self.host}/{repository}: invalid digest")
        answer = await self._get(f"{self._base}/v2/{repository}/blobs/{digest}", repository, accept="*/*")
        content = answer.content
        if len(content) > limit:
            raise TooLarge(f"{self.host}/{repository}: blob larger than {limit} bytes")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise InvalidResponseError(f"{self.host}/{repository}: blob does not match its digest")
        return content

    # --- pages

    def _tags_of(self, answer: Answer, repository: str) -> list[str]:
        """No `tags`, or null, is an empty list: registries answer so for a repository without tags."""
        try:
            document = json.loads(answer.content)
            tags = document.get("tags") or []
        except (ValueError, AttributeError, RecursionError):
            raise InvalidResponseError(
                f"{self.host}/{repository}: invalid tag list: expected a JSON object with tags"
            ) from None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise InvalidResponseError(f"{self.host}/{repository}: invalid tag list: expected strings")
        return tags

    def _next(self, answer: Answer, repository: str) -> str:
        """The URL of the page after this; "" after the last. A page that cannot be told of is an error, not the end."""
        where = f"{self.host}/{repository}"
        try:
            links = parse_links(answer.headers.get_list("Link"))
        except HeaderError as error:
            raise InvalidResponseError(f"{where}: the Link header of a page of tags cannot be read: {error}") from None
        old = urlsplit(answer.url)
        found = {urljoin(answer.url, link.target) for link in links if "next" in link.relations}
        if any(urljoin(answer.url, link.anchor) != answer.url for link in links if "next" in link.relations):
            raise InvalidResponseError(f"{where}: the Link header of a page of tags has an anchor that is another page")
        if len(found) > 1:
            raise InvalidResponseError(f"{where}: the Link header of a page of tags names {len(found)} next pages")
        for following in found:
            new = urlsplit(following)
            if (new.scheme, new.netloc, new.path) != (old.scheme, old.netloc, old.path):
                raise RefusedError(
                    f"{where}: the link to the next page of tags leads to another URL, which is not followed"
                )
            return str(following)
        return ""

    # --- requests

    async def _get(self, url: str, repository: str, *, method: str = "GET", accept: str = "application/json") -> Answer:
        """An answer of 200."""
        return self._checked(await self._ask(url, repository, method=method, accept=accept), repository)

    async def _ask(self, url: str, repository: str, *, method: str = "GET", accept: str = "application/json") -> Answer:
        """An answer that is no redirect. Logs in when asked to, once for each host."""
        scope = f"repository:{repository}:pull"
        learnt: set[str] = set()
        for _ in range(2 * self._limits.redirects + 2):
            headers = {"Accept": accept}
            if authorization := self._authorizer.header(url, scope):
                headers["Authorization"] = authorization
            answer = await self._retried(method, url, headers)
            origin = urlsplit(url).netloc
            if answer.status in _REDIRECTS:
                url = self._redirected(url, answer, repository)
            elif answer.status == 401 and origin not in learnt:
                learnt.add(origin)
                await self._authorizer.learn(url, answer.headers.get_list("WWW-Authenticate"), scope)
            else:
                return answer
        raise RefusedError(f"{self.host}/{repository}: more than {self._limits.redirects} redirects")

    def _redirected(self, url: str, answer: Answer, repository: str) -> str:
        """Where a redirect leads. The transport judges the address, as it does every one."""
        there = urljoin(url, answer.headers.get("Location", ""))
        parts = urlsplit(there)
        if parts.scheme != "https" and not (self._insecure and parts.scheme == "http"):
            raise RefusedError(f"{self.host}/{repository}: redirect to a URL that is not https")
        if not parts.hostname or parts.username is not None:
            raise RefusedError(f"{self.host}/{repository}: redirect to a URL without a host or with credentials")
        return str(there)

    def _checked(self, answer: Answer, repository: str) -> Answer:
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
            case status if status >= 500:
                raise Unreachable(f"{where}: registry returned HTTP {status}")
        raise InvalidResponseError(f"{where}: registry returned HTTP {answer.status}")

    async def _retried(
        self, method: str, url: str, headers: Mapping[str, str], *, content: bytes | None = None
    ) -> Answer:
        pause = self._limits.pause
        for attempt in range(1, self._limits.attempts + 1):
            last = attempt == self._limits.attempts
            try:
                answer = await self._send(method, url, headers, content)
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
        raise Unreachable(f"{self.host}: no response")  # attempts < 1

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        try:
            plain = {**headers, "Accept-Encoding": "identity"}  # a compressed answer may be a thousand times its size
            stream = self._http.stream(method, url, headers=plain, content=body)
            async with asyncio.timeout(self._timeout), stream as response:
                content = bytearray()
                unpack = self._unpacker(response.headers.get("Content-Encoding", "identity"))
                async for chunk in response.aiter_raw():
                    content += unpack(chunk, self._limits.answer + 1 - len(content))
                    if len(content) > self._limits.answer:
                        raise TooLarge(f"{self.host}: response larger than {self._limits.answer} bytes")
                return Answer(response.status_code, response.headers, bytes(content), url)
        except EgressDeniedError as error:
            raise RefusedError(f"{self.host}: {error}") from None
        except TimeoutError:
            raise Unreachable(f"{self.host}: no response within {self._timeout:g} s") from None
        except httpx.InvalidURL:
            raise RefusedError(f"{self.host}: an invalid URL") from None
        except zlib.error:
            raise InvalidResponseError(f"{self.host}: response is not valid gzip") from None
        except httpx.HTTPError as error:
            text = (
                "TLS: certificate verification failed" if "CERTIFICATE" in str(error).upper() else "cannot be reached"
            )
            raise Unreachable(f"{self.host}: {text}") from None

    def _unpacker(self, encoding: str) -> Callable[[bytes, int], bytes]:
        """(chunk, most bytes to give back) → content. Some proxies compress what was asked for as it is."""
        match encoding.strip().lower():
            case "" | "identity":
                return lambda chunk, most: chunk[: max(most, 0)]
            case "gzip" | "x-gzip":
                inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
                return lambda chunk, most: inflate.decompress(chunk, max(most, 1))
        raise InvalidResponseError(f"{self.host}: response in an encoding that was not requested")


__all__ = ["Manifest", "Registry", "RegistryError", "RegistryLimits"]
