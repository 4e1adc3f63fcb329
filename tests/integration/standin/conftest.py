"""A stand-in API server without plug-ins, and a plain HTTP client of it."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controllers.standin.apiserver import ApiServer
from controllers.standin.apiserver.server import allow_all

MERGE, JSON, STRATEGIC = (f"application/{kind}-patch+json" for kind in ("merge", "json", "strategic-merge"))
APPLY = "application/apply-patch+yaml"

WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
        "versions": [
            {
                "name": name,
                "served": True,
                "storage": name == "v1",
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "replicas": {"type": "integer", "default": 3},
                                    "text": {"type": "string"},
                                },
                                "x-kubernetes-validations": [
                                    {"rule": "self.size >= oldSelf.size", "message": "no shrinking"}
                                ],
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
            for name in ("v1", "v1beta1")
        ],
    },
}


class Api:
    """One method per HTTP method; each returns (code, body)."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.warnings: list[str] = []

    async def call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        headers = {"Content-Type": kind, "User-Agent": "tester/1.0"}
        data = body if isinstance(body, str | None) else json.dumps(body)
        async with self.session.request(
            method, self.server.url + path, data=data, params=query, headers=headers
        ) as response:
            self.warnings = response.headers.getall("Warning", [])
            if response.content_type != "application/json":  # a path that nothing serves
                return response.status, {"message": await response.text()}
            return response.status, await response.json()

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        return await self.call("GET", path, **query)

    async def post(self, path: str, body: Any, **query: str) -> tuple[int, Any]:
        return await self.call("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: str) -> tuple[int, Any]:
        return await self.call("PUT", path, body, **query)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: str) -> tuple[int, Any]:
        return await self.call("PATCH", path, body, kind, **query)

    async def apply(self, path: str, body: Any, manager: str = "m", **query: str) -> tuple[int, Any]:
        return await self.call("PATCH", path, body, APPLY, fieldManager=manager, **query)

    async def delete(self, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        return await self.call("DELETE", path, body, **query)

    async def watch(self, path: str, count: int, **query: str) -> list[tuple[str, Any]]:
        """The first `count` events."""
        found: list[tuple[str, Any]] = []
        params = {"watch": "1", "timeoutSeconds": "5", **query}
        async with self.session.get(self.server.url + path, params=params) as response:
            async for line in response.content:
                event = json.loads(line)
                found.append((event["type"], event["object"]))
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(tmp_path / "state", plugins=allow_all)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[Api]:
    context = ssl.create_default_context(cadata=server.ca_pem)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as session:
        yield Api(server, session)


@pytest.fixture
async def widgets(api: Api) -> str:
    """The path of widgets in namespace default, their CRD created."""
    code, _ = await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS)
    assert code == 201
    return "/apis/example.org/v1/namespaces/default/widgets"
