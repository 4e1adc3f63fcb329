"""Tenants, a Git host and the kustomization controller as a process of its own, with the rights an installation gives.

On the stand-in, or on a real API server (INHAUL_E2E_CLUSTER=envtest). The controller may be led through a `Cutter`: a
proxy that forwards everything to the API server and can kill the controller at a named request, before it is forwarded
or after it was carried out and before its answer is read.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from controllers.api.core import CRDS
from controllers.api.crdgen import crds
from controllers.runtime.kube import KubeClient, KubeConfig
from controllers.standin.apiserver.plugins import default_plugins
from controllers.standin.apiserver.server import ApiServer
from controllers.standin.cloud.git_server import GitServer, GitUser
from controllers.standin.demo import manifests, tools
from tests.integration.kustomization.conftest import World

from .conftest import cluster

SYSTEM = "inhaul-system"
PATIENCE = 60.0
Rule = Callable[[str, str, bytes], bool]
"""Is this the request? Method, path with query, body."""


class Fleet(World):
    """`await Fleet.open(directory)`; `spawn`, `kill`; `await close()`."""

    process: subprocess.Popen[bytes] | None = None

    @classmethod
    async def open(cls, directory: Path) -> Fleet:
        server = cluster(directory) or ApiServer(directory / "apiserver", plugins=default_plugins)
        git = GitServer(directory / "git", users=(GitUser("reader", "r-pass", read=("*",)),))
        await asyncio.gather(server.start(), git.start())
        tools.write_private(directory / "admin.kubeconfig", server.admin_kubeconfig())
        config = KubeConfig.from_file(str(directory / "admin.kubeconfig"))
        self = cls(server, config, KubeClient(config), git, directory)
        for crd in crds():
            await self.kube.apply(CRDS, crd, field_manager="test")
        for manifest in manifests.installation():
            resource = await self.kube.resource_for(manifest["apiVersion"], manifest["kind"])
            await self.kube.apply(resource, manifest, field_manager="test")
        await self.lead(server.url, server.ca_pem)
        return self

    async def lead(self, url: str, ca_pem: str = "") -> None:
        """The address under which the controller knows the API server."""
        token = await self.kube.token_request(SYSTEM, manifests.SERVICE_ACCOUNT, audiences=(), expiration=86400)
        text = manifests.kubeconfig(url, ca_pem, token.token.reveal_text(), SYSTEM)
        tools.write_private(self.directory / "controller.kubeconfig", text)

    def spawn(self) -> None:
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.directory / "controller.kubeconfig"),
            "INHAUL_EGRESS_ALLOW_LOOPBACK": "true",
            "INHAUL_WEB_HOST": "127.0.0.1",
            "INHAUL_WEB_PORT": "0",
            "INHAUL_LEASE_IDENTITY": "fleet",  # so that one that was killed is followed at once
            "INHAUL_LEASE_DURATION": "60",
            "INHAUL_LEASE_DEADLINE": "50",
            "INHAUL_KUSTOMIZATION_MIRRORS": str(self.directory / "mirrors"),
        }
        argv = [sys.executable, "-m", "controllers.cli", "run", "--controllers=kustomization", f"--namespace={SYSTEM}"]
        with (self.directory / "controller.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            await asyncio.to_thread(process.wait, 30)

    async def inhaul(self, *words: str) -> str:
        """What `inhaul …` prints for the cluster's admin."""
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.directory / "admin.kubeconfig"),
        }
        argv = [sys.executable, "-m", "controllers.cli", *words]
        done = await asyncio.to_thread(
            subprocess.run, argv, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def until(self, question: Callable[[], Awaitable[Any]], seconds: float = PATIENCE) -> Any:
        try:
            return await super().until(question, max(seconds, PATIENCE))
        except TimeoutError:
            log = (self.directory / "controller.log").read_text(errors="replace")
            raise AssertionError(f"waited {PATIENCE:g} s for {question.__qualname__}\n{log[-3000:]}") from None

    async def close(self) -> None:
        await self.kill()
        await self.kube.close()
        await asyncio.gather(self.server.stop(), self.git.stop(), return_exceptions=True)


class Cutter:
    """The proxy. `arm(rule, after=…)`, then `cut` is set when the controller was killed."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._port = fleet, tools.free_port()
        self._ssl = ssl.create_default_context(cadata=fleet.server.ca_pem)
        self._rule: Rule | None = None
        self._after = True
        self.cut = asyncio.Event()
        self.url = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def arm(self, rule: Rule, *, after: bool) -> None:
        self._rule, self._after = rule, after
        self.cut.clear()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        hit = self._rule is not None and self._rule(request.method, request.raw_path, body)
        if hit:
            self._rule = None
        if hit and not self._after:
            return await self._end()
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in ("host", "content-length")]
        url = f"{self._fleet.server.url}{request.raw_path}"
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.request(
            request.method, url, data=body or None, headers=headers, timeout=timeout
        ) as found:
            if hit:
                await found.read()
                return await self._end()
            dropped = ("transfer-encoding", "content-length", "connection")
            kept = [(k, v) for k, v in found.headers.items() if k.lower() not in dropped]
            answer = web.StreamResponse(status=found.status, reason=found.reason)
            for name, value in kept:
                answer.headers.add(name, value)
            with suppress(ConnectionError):  # a controller that was killed reads no more
                await answer.prepare(request)
                async for chunk in found.content.iter_any():
                    await answer.write(chunk)
                await answer.write_eof()
            return answer

    async def _end(self) -> web.Response:
        await self._fleet.kill()
        self.cut.set()
        return web.Response(status=500)  # nobody is there to read it
