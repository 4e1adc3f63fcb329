"""What stands between a controller and its repositories in a company: GitHub's API for Apps, and a proxy."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from controllers.standin.cloud.git_server import GitServer, GitUser


class Github:
    """GitHub's two endpoints for Apps, over https; the tokens that it gives are the Git host's too."""

    def __init__(self, git: GitServer) -> None:
        self._git, self._key = git, rsa.generate_private_key(65537, 2048)
        self.asked: list[str] = []
        """Installations that a token was asked for."""
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Github]:
        app = web.Application()
        app.router.add_post("/api/v3/app/installations/{id}/access_tokens", self._token)
        app.router.add_get("/api/v3/orgs/{owner}/installation", self._installation)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._git.authority.server_context()).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def secret(self, base: str = "") -> dict[str, str]:
        """The data of the App's Secret; `base` is the URL by which it is reached."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        url = base or f"https://127.0.0.1:{self.port}"
        return {"githubAppID": "12345", "githubAppInstallationOwner": "acme", "githubAppPrivateKey": pem.decode(),
                "githubAppBaseURL": f"{url}/api/v3/", "ca.crt": self._git.ca_pem.decode()}  # fmt: skip

    def _check(self, request: web.Request) -> dict[str, Any]:
        """The claims of a request's JWT. Raises InvalidSignature."""
        head, body, signature = request.headers["Authorization"].removeprefix("Bearer ").split(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        self._key.public_key().verify(raw, f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
        return claims

    async def _installation(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response({"id": 77} if request.match_info["owner"] == "acme" else {}, status=200)

    async def _token(self, request: web.Request) -> web.Response:
        claims = self._check(request)
        assert claims["iss"] == "12345" and claims["exp"] - claims["iat"] <= 600
        if request.match_info["id"] != "77":
            return web.json_response({"message": "hidden-value of the host"}, status=404)
        self.asked.append(request.match_info["id"])
        tokens = tuple(
            GitUser("x-access-token", f"ghs_{number}", read=("*",), write=("*",))
            for number in range(1, len(self.asked) + 1)
        )
        self._git.set_users(tokens)
        until = datetime.now(UTC) + timedelta(hours=1)
        return web.json_response({"token": f"ghs_{len(self.asked)}", "expires_at": until.isoformat()}, status=201)


@dataclass
class ConnectProxy:
    """An HTTP proxy that knows CONNECT and one user. `hosts`: a name and port as clients ask → the port behind it, so
    that a test can give names that lead nowhere but through here. Others are connected to as they are.
    """

    hosts: Mapping[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """`host:port` of each CONNECT."""
    tunnels: list[str] = field(default_factory=list)
    """Those of them that were let through."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ConnectProxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    def secret(self, password: str = "p@ss") -> dict[str, str]:
        return {"address": self.url, "username": "u", "password": password}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        place = head.split(" ")[1]
        self.asked.append(place)
        if f"Basic {base64.b64encode(b'u:p@ss').decode()}" not in head:
            writer.write(
                b"HTTP/1.1 407 no\r\nContent-Length: 0\r\nConnection: close\r\n"
                b"Proxy-Authenticate: Basic realm=x\r\n\r\n"
            )
            writer.close()
            return
        self.tunnels.append(place)
        host, _, port = place.rpartition(":")
        if place in self.hosts:
            host, port = "127.0.0.1", str(self.hosts[place])
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 ok\r\n\r\n")

        async def move(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while chunk := await source.read(65536):
                sink.write(chunk)
            sink.close()

        await asyncio.gather(move(reader, back), move(there, writer), return_exceptions=True)
