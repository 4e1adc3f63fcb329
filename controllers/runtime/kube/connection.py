"""One API server, as HTTP: sessions, token, retries. Every view of a client shares one Connection.

Watches get a session of their own: each holds a connection for minutes, and with a shared, bounded pool a dozen of them
would starve the calls. A call is repeated only where that is safe: after 429 and after a 5xx with Retry-After (the
server says it did nothing), after 401 with a newer token, and reads after a lost connection or a 5xx. Redirects are
never followed, for the token would go along.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from controllers.api.resource import Manifest

from .config import KubeConfig
from .credentials import Credentials
from .errors import ApiError, ServerError, TooManyRequests, Unauthorized, Unreachable, error_from

MAX_BODY = 256 * 1024 * 1024  # bytes of one answer: a page of 500 objects of 256 KiB each is half of it
MAX_EVENT = 32 * 1024 * 1024  # bytes of one watch event: an object is at most some 3 MiB
_PATIENCE = 60.0  # seconds over which one call is repeated
_ATTEMPTS = 6
_READ_ATTEMPTS = 3  # of a GET that got no answer

Observe = Callable[[str, str, int, float], None]
"""Called after each request with method, path, status (0: no answer) and seconds."""

Params = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `request` bounds one whole call, `silence` a watch on which nothing arrives."""

    connect: float = 5.0
    request: float = 30.0
    silence: float = 90.0  # bookmarks come about each 60 s, so 90 s of nothing is a dead stream


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it goes over the wire; `secret` strips values from its errors."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def secret(self) -> bool:
        return "/secrets" in self.path or "/sealedsecrets" in self.path


class Connection:
    """Open it by its first call; `close()` at the end. Not for use from two event loops."""

    def __init__(
        self, config: KubeConfig, *, limit: int = 32, timeouts: Timeouts | None = None, observe: Observe | None = None
    ) -> None:
        self.config = config
        self.timeouts = timeouts or Timeouts()
        self._limit = limit
        self._observe = observe
        self._credentials = Credentials(config)
        self._calls: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        for session in (self._calls, self._watches):
            if session is not None:
                await session.close()
        self._calls = self._watches = None

    def _session(self, *, watch: bool) -> aiohttp.ClientSession:
        session = self._watches if watch else self._calls
        if session is None:
            context = self.config.ssl_context()
            ssl: Any = context if context is not None else True
            connector = aiohttp.TCPConnector(limit=0 if watch else self._limit, ssl=ssl, ttl_dns_cache=60)
            session = aiohttp.ClientSession(connector=connector, auto_decompress=True, trust_env=False)
            if watch:
                self._watches = session
            else:
                self._calls = session
        return session

    async def call(self, call: Call) -> Manifest:
        """The answer's JSON object. Raises ApiError."""
        deadline = time.monotonic() + _PATIENCE
        attempt = 0
        refreshed = False
        while True:
            attempt += 1
            try:
                return await self._once(call)
            except Unauthorized:
                if refreshed or not await self._credentials.refresh():
                    raise
                refreshed = True
            except ApiError as error:
                delay = _retry_delay(call.method, error, attempt)
                if delay is None or time.monotonic() + delay > deadline:
                    raise
                await asyncio.sleep(delay)

    async def _once(self, call: Call) -> Manifest:
        async with self._open(call, watch=False) as response:
            body = await _read(response)
            if not 200 <= response.status < 300:
                raise error_from(
                    response.status, body, retry_after=response.headers.get("Retry-After", ""), secret=call.secret
                )
        try:
            document = json.loads(body) if body else {}
        except ValueError:
            raise ApiError(response.status, "BadAnswer", "the API server's response is not JSON") from None
        if not isinstance(document, dict):
            raise ApiError(response.status, "BadAnswer", "the API server's response is not a JSON object")
        return document

    async def lines(self, call: Call) -> AsyncIterator[bytes]:
        """The lines of a watch until the server ends it. Raises ApiError; Unreachable after `timeouts.silence`."""
        async with self._open(call, watch=True) as response:
            if response.status != 200:
                body = await _read(response)
                retry_after = response.headers.get("Retry-After", "")
                raise error_from(response.status, body, retry_after=retry_after, secret=call.secret)
            rest = bytearray()
            async for chunk in response.content.iter_any():
                rest += chunk
                while (end := rest.find(b"\n")) >= 0:
                    line = bytes(rest[:end])
                    del rest[: end + 1]
                    if line.strip():
                        yield line
                if len(rest) > MAX_EVENT:
                    raise Unreachable(f"watch event larger than {MAX_EVENT} bytes")

    @asynccontextmanager
    async def _open(self, call: Call, *, watch: bool) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = [("Accept", call.accept), ("User-Agent", "inhaul"), *call.headers]
        if (token := await self._credentials.token()) is not None:
            headers.append(("Authorization", f"Bearer {token.reveal_text()}"))
        data = None
        if call.body is not None:
            data = json.dumps(call.body, separators=(",", ":")).encode()
            headers.append(("Content-Type", call.content_type))
        started, status = time.monotonic(), 0
        try:
            async with self._session(watch=watch).request(
                call.method,
                URL(self.config.server + call.path, encoded=True),
                params=list(call.params),
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout(watch=watch),
                middlewares=(_once(),),
                server_hostname=self.config.server_name or None,
            ) as response:
                status = response.status
                yield response
        except TimeoutError:
            what = "no event or bookmark received" if watch else "timed out"
            raise Unreachable(f"{call.method} {call.path}: {what}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{call.method} {call.path}: {type(error).__name__}") from error
        finally:
            if self._observe is not None:
                self._observe("WATCH" if watch else call.method, call.path, status, time.monotonic() - started)

    def _timeout(self, *, watch: bool) -> aiohttp.ClientTimeout:
        limits = self.timeouts
        if watch:
            return aiohttp.ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.silence)
        return aiohttp.ClientTimeout(total=limits.request, sock_connect=limits.connect)


def _once() -> aiohttp.ClientMiddlewareType:
    """aiohttp repeats GET, PUT and DELETE by itself when a kept connection turns out to be closed. A write that had
    arrived all the same is then answered with Conflict or NotFound. Who repeats what is decided here alone."""
    tried = False

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        nonlocal tried
        if tried:
            raise aiohttp.ServerDisconnectedError
        tried = True
        return await handler(request)

    return send


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for chunk in response.content.iter_any():
        parts += chunk
        if len(parts) > MAX_BODY:
            raise Unreachable(f"response larger than {MAX_BODY} bytes")
    return bytes(parts)


def _retry_delay(method: str, error: ApiError, attempt: int) -> float | None:
    """Seconds until the same call may go again; None: it may not."""
    if attempt >= _ATTEMPTS:
        return None
    grown = 0.2 * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
    if isinstance(error, TooManyRequests):
        return max(error.retry_after or 0.0, grown)
    if isinstance(error, ServerError) and error.retry_after is not None:
        return max(error.retry_after, grown)
    if method == "GET" and isinstance(error, ServerError | Unreachable) and attempt < _READ_ATTEMPTS:
        return grown
    return None
