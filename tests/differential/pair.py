"""Two API servers that are asked the same: the stand-in and the real one.

They live on an event loop in a thread of their own, so that tests (and hypothesis) are plain functions.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from controllers.api.crdgen import crds
from controllers.standin.apiserver import ApiServer
from tests.envtest import Envtest

T = TypeVar("T")
MERGE, JSON, STRATEGIC = (f"application/{kind}-patch+json" for kind in ("merge", "json", "strategic-merge"))
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PATIENCE = 30.0


@dataclass(frozen=True)
class Call:
    """One request. Texts may hold `{ns}` and `{N.path.to.value}`: a value out of the answer to step N (from 0)."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    media: str = "application/json"
    accept: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    bearer: str = ""
    watch: int = 0
    """Events to read of a watch."""
    until: str = ""
    """Repeat the call until this text is in the answer; a watch ends with the event that holds it."""
    silent: bool = False
    """Make the call, compare nothing."""

    def by(self, user: str, *groups: str) -> Call:
        return replace(self, user=user, groups=groups)


@dataclass(frozen=True)
class Answer:
    code: int
    body: Any
    warnings: tuple[str, ...] = ()


class Server:
    """One of the two."""

    def __init__(self, url: str, ca_pem: str, token: str) -> None:
        self.url = url
        self._token = token
        self._ssl = ssl.create_default_context(cadata=ca_pem)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, call: Call) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._ssl), read_bufsize=2**20)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            answer = await self._once(self._session, call)
            if answer.code == 429:  # the real server is still starting the storage of a new type
                await asyncio.sleep(0.2)
                continue
            if not call.until or call.watch or call.until in json.dumps(answer.body):
                return answer
            if asyncio.get_running_loop().time() > deadline:
                return answer  # and the difference shows
            await asyncio.sleep(0.03)

    async def _once(self, session: aiohttp.ClientSession, call: Call) -> Answer:
        headers = [("Authorization", f"Bearer {call.bearer or self._token}"), ("User-Agent", "differential/1.0")]
        data = call.body if isinstance(call.body, str) else None if call.body is None else json.dumps(call.body)
        if data is not None:
            headers.append(("Content-Type", call.media))
        if call.accept:
            headers.append(("Accept", call.accept))
        if call.user:
            headers.append(("Impersonate-User", call.user))
            headers += [("Impersonate-Group", group) for group in call.groups]
        query = {**call.query, **({"watch": "1", "timeoutSeconds": "30"} if call.watch else {})}
        async with session.request(call.method, self.url + call.path, data=data, params=query, headers=headers) as got:
            warnings = tuple(sorted(got.headers.getall("Warning", [])))
            if call.watch and got.status == 200:
                events = []
                async for line in got.content:
                    events.append(json.loads(line))
                    if len(events) >= call.watch or (call.until and call.until.encode() in line):
                        break
                return Answer(got.status, events, warnings)
            text = await got.text()
            try:
                return Answer(got.status, json.loads(text), warnings)
            except ValueError:
                return Answer(got.status, text, warnings)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Pair:
    """Both servers, running. `stop()` ends them."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._real = Envtest(directory / "real")
        self._standin = ApiServer(directory / "standin")
        try:
            self.run(self._start())
        except BaseException:
            self.stop()
            raise

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 120) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    async def _start(self) -> None:
        await asyncio.gather(self._real.start(), self._standin.start())
        self.standin = self._server(self._standin)
        self.real = self._server(self._real)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for server in (self.standin, self.real):
            for crd in crds():
                await server.ask(Call("POST", path, crd))
            for crd in crds():
                name = crd["metadata"]["name"]
                await server.ask(Call("GET", f"{path}/{name}", until='"type": "Established"'))
            # The bootstrap roles come by a hook after the real server answers: what they grant would be chance.
            await server.ask(Call("GET", "/version", until="gitVersion").by("someone", "system:authenticated"))

    @staticmethod
    def _server(of: Any) -> Server:
        config = json.loads(of.admin_kubeconfig())
        return Server(of.url, of.ca_pem, config["users"][0]["user"]["token"])

    def both(self, left: Call, right: Call) -> tuple[Answer, Answer]:
        """The stand-in's answer to `left`, the real server's to `right`."""

        async def ask() -> tuple[Answer, Answer]:
            first, second = await asyncio.gather(self.standin.ask(left), self.real.ask(right))
            return first, second

        return self.run(ask())

    def stop(self) -> None:
        async def end() -> None:
            for name in ("standin", "real"):
                if hasattr(self, name):
                    await getattr(self, name).close()
            await self._standin.stop()
            await self._real.stop()

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
