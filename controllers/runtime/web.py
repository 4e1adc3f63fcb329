"""One HTTP server per process: health, readiness, metrics, and the routes that rooms add (hooks, /v1).

Liveness fails when a wanted kind has been silent for too long (`Health.alive`): a watch that died without a word is the
one fault that a restart cures. Readiness says in words what is still awaited. It carries no credentials and no object's
content; hooks authenticate themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from aiohttp import web

from .metrics import Metrics
from .settings import WebSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MAX_BODY = 4 * 1024 * 1024  # bytes; a registry's webhook is some kilobytes


class Health(Protocol):
    """What the probes ask. Each list names what is wrong, in words; empty is well."""

    def alive(self) -> list[str]: ...
    def ready(self) -> list[str]: ...


class WebServer:
    """Add routes before `start`; `port` is the real one after it."""

    def __init__(self, settings: WebSettings, health: Health, metrics: Metrics) -> None:
        self._settings, self._health, self._metrics = settings, health, metrics
        self._app = web.Application(client_max_size=_MAX_BODY)
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.route("GET", "/healthz", self._healthz)
        self.route("GET", "/readyz", self._readyz)
        self.route("GET", "/metrics", self._metrics_page)

    def route(self, method: str, path: str, handler: Handler) -> None:
        self._app.router.add_route(method, path, handler)

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        if self._settings.port < 0:
            return
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            with suppress(Exception):
                await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return _verdict(self._health.alive())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _verdict(self._health.ready())

    async def _metrics_page(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._metrics.render(), headers=headers)


def _verdict(troubles: list[str]) -> web.Response:
    return web.Response(status=503 if troubles else 200, text="\n".join(troubles or ["ok"]) + "\n")
