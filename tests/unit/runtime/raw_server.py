"""A real HTTP server that speaks the API server's protocol from a script: each test says what a path answers.

It records what arrived (method, path, query, headers, JSON body), so that tests check what goes over the wire.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from controllers.runtime.kube import KubeClient, KubeConfig, Timeouts
from controllers.runtime.sensitive import Sensitive

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: Any


@dataclass
class RawServer:
    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def json(self, status: int, body: Any, **headers: str) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

        self.answers.append(answer)

    def status(self, code: int, reason: str, message: str, details: Any = None, **headers: str) -> None:
        body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details or {}}
        self.json(code, body, **headers)

    def drop(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        self.answers.append(answer)

    def stream(self, *chunks: bytes, hang: float = 0) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            import asyncio

            response = web.StreamResponse()
            await response.prepare(request)
            for chunk in chunks:
                await response.write(chunk)
                await asyncio.sleep(0)
            await asyncio.sleep(hang)
            return response

        self.answers.append(answer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.seen.append(
            Seen(request.method, request.raw_path.split("?")[0], dict(request.query), request.headers, body)
        )
        assert self.answers, f"unexpected {request.method} {request.path}"
        return await self.answers.pop(0)(request)


@asynccontextmanager
async def raw_server(**client: Any) -> AsyncIterator[tuple[RawServer, KubeClient]]:
    script = RawServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    server = TestServer(app, shutdown_timeout=0.1)
    await server.start_server()
    script.url = str(server.make_url("")).rstrip("/")
    config = client.pop("config", None) or KubeConfig(script.url, token=Sensitive("t0ken"))
    config = config if config.server else _with_server(config, script.url)
    try:
        async with KubeClient(config, timeouts=Timeouts(connect=1, request=2, silence=0.3), **client) as kube:
            yield script, kube
    finally:
        await server.close()


def _with_server(config: KubeConfig, url: str) -> KubeConfig:
    from dataclasses import replace

    return replace(config, server=url)
