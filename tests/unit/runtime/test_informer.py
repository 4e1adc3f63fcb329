"""kopf as informer, against an API server whose lists and watches fail: it lists and watches again, and never ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controllers.api.image import IMAGE_POLICIES
from controllers.api.resource import Manifest
from controllers.runtime.informers.informer import Informer
from controllers.runtime.informers.watch_lines import GONE, problem_of
from controllers.runtime.kube import KubeConfig
from controllers.runtime.settings import Settings
from tests.cluster import until

DISCOVERY: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {
        "resources": [
            {"name": "namespaces", "kind": "Namespace", "singularName": "", "namespaced": False, "verbs": ["list"]}
        ]
    },
}
GROUPS = {
    "apiextensions.k8s.io": ("v1", "customresourcedefinitions", "CustomResourceDefinition"),
    IMAGE_POLICIES.group: (IMAGE_POLICIES.version, IMAGE_POLICIES.plural, IMAGE_POLICIES.kind),
}


class ApiServer:
    """Answers discovery; lists and watches of ImagePolicy come from a script, each once, and then stay quiet."""

    def __init__(self) -> None:
        self.lists: list[tuple[int, Any]] = []
        self.watches: list[tuple[int, bytes]] = []
        self.listed = self.watched = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/apis":
            versions = {group: {"groupVersion": f"{group}/{v}", "version": v} for group, (v, _, _) in GROUPS.items()}
            groups = [{"name": g, "versions": [v], "preferredVersion": v} for g, v in versions.items()]
            return web.json_response({"groups": groups})
        for group, (version, plural, kind) in GROUPS.items():
            if path == f"/apis/{group}/{version}":
                verbs = ["list", "watch", "patch"]
                found = {"name": plural, "kind": kind, "namespaced": True, "verbs": verbs, "singularName": ""}
                return web.json_response({"resources": [found]})
        if path.endswith(f"/{IMAGE_POLICIES.plural}"):
            return await (self._watch(request) if "watch" in request.query else self._list())
        return web.json_response(DISCOVERY[path])

    async def _list(self) -> web.StreamResponse:
        self.listed += 1
        status, items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        body = {"metadata": {"resourceVersion": "5"}, "items": items} if status == 200 else {"code": status}
        return web.json_response(body, status=status)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watched += 1
        status, content = self.watches.pop(0) if self.watches else (200, b"")
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(content)
        if not content:
            await asyncio.sleep(30)
        return response


def policy(name: str) -> Manifest:
    return {
        "apiVersion": IMAGE_POLICIES.api_version, "kind": IMAGE_POLICIES.kind,
        "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "7"},
    }  # fmt: skip


def event(type_: str, body: Any) -> bytes:
    return json.dumps({"type": type_, "object": body}, separators=(",", ":")).encode() + b"\n"


@asynccontextmanager
async def informed(script: ApiServer) -> AsyncIterator[list[str]]:
    """The names of the objects whose events arrived."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    server = TestServer(app, shutdown_timeout=0.1)
    await server.start_server()
    seen: list[str] = []
    informer = Informer(Settings.from_args([], {}), KubeConfig(str(server.make_url("")).rstrip("/")))
    informer.add(IMAGE_POLICIES, lambda _, manifest: seen.append(manifest["metadata"]["name"]))
    stop = asyncio.Event()
    task = asyncio.create_task(informer.run(stop))
    try:
        yield seen
        assert not task.done(), "the informer ended"
    finally:
        stop.set()
        with suppress(RuntimeError):
            await task
        await server.close()


@pytest.mark.parametrize(
    "line",
    [
        event("ERROR", {"kind": "Status", "code": 500, "message": "etcdserver: request timed out"}),
        event("ERROR", {"kind": "Status", "code": 504}),
        event("ERROR", {"kind": "Status"}),
        b"upstream connect error\n",
        b'{"type":"ADDED","object":{"metadata":{"name":"half"}\n',
        event("ADDED", policy("before")) + b"<html>\n",
    ],
)
async def test_a_line_that_is_an_error_or_no_json_is_followed_by_another_list(line: bytes) -> None:
    script = ApiServer()
    script.lists = [(200, [policy("one")]), (200, [policy("one"), policy("two")])]
    script.watches = [(200, line), (200, event("ADDED", policy("three")))]
    async with informed(script) as seen:

        async def all_seen() -> bool:
            return {"one", "two", "three"} <= set(seen)

        await until(all_seen, patience=20, what="events after the error")
        assert script.listed >= 2
    assert ("before" in seen) == (b"before" in line)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
async def test_a_list_or_watch_that_is_refused_for_a_while_is_asked_again(status: int) -> None:
    script = ApiServer()
    script.lists = [(200, [policy("one")])]
    script.watches = [(status, b"{}"), (200, event("ADDED", policy("two")))]
    async with informed(script) as seen:

        async def all_seen() -> bool:
            return {"one", "two"} <= set(seen)

        await until(all_seen, patience=20, what="events after the refusal")


def test_whole_events_pass_and_the_end_that_kopf_bears_too() -> None:
    assert problem_of(GONE) == problem_of(b"") == problem_of(event("BOOKMARK", policy("a"))) == ""
    unmatched = {"metadata": {"name": "a"}, "text": 'a { [ " and \\ more {'}
    assert problem_of(event("MODIFIED", unmatched)) == ""
    assert problem_of(event("ADDED", {"text": "}"})[:-3] + b"\n")
