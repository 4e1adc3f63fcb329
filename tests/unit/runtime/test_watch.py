"""Watches: list, follow, resume, and tell of what vanished while nobody looked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from controllers.api.core import SECRETS
from controllers.runtime.informers.watch import Watch
from controllers.runtime.kube import WatchEvent

from .raw_server import RawServer, raw_server


def secret(name: str, version: str, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns", "uid": uid or f"u-{name}", "resourceVersion": version}}


def listing(server: RawServer, version: str, *items: dict[str, Any]) -> None:
    server.json(200, {"metadata": {"resourceVersion": version}, "items": list(items)})


def event(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


GONE = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


async def follow(
    script: Callable[[RawServer], None], expected: int, **kind: Any
) -> tuple[list[tuple[str, str]], RawServer]:
    told: list[tuple[str, str]] = []
    enough = asyncio.Event()

    def on_event(seen: WatchEvent) -> None:
        told.append((seen.type, seen.object["metadata"]["name"]))
        if len(told) >= expected:
            enough.set()

    async with raw_server() as (server, kube):
        script(server)
        task = asyncio.create_task(Watch(kube, SECRETS, on_event, **kind).run())
        await asyncio.wait_for(enough.wait(), 8)
        await _settle(lambda: len(server.answers) == 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return told, server


async def _settle(done: Callable[[], bool]) -> None:
    for _ in range(100):
        if done():
            return
        await asyncio.sleep(0.02)


async def test_it_lists_metadata_then_watches_from_there_and_resumes_after_each_end() -> None:
    def script(server: RawServer) -> None:
        listing(server, "5", secret("a", "3"))
        server.stream(event("MODIFIED", secret("a", "6")), event("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
        server.stream(event("DELETED", secret("a", "10")), hang=5)

    told, server = await follow(script, 3, label_selector="owner=us", namespace="ns")
    assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert [seen.query.get("resourceVersion") for seen in server.seen] == [None, "5", "9"]
    assert all(seen.query["labelSelector"] == "owner=us" for seen in server.seen)
    assert all("PartialObjectMetadata" in seen.headers["Accept"] for seen in server.seen)
    assert all(seen.path == "/api/v1/namespaces/ns/secrets" for seen in server.seen)


async def test_after_410_it_lists_again_and_tells_what_vanished_and_what_is_another_object() -> None:
    def script(server: RawServer) -> None:
        listing(server, "5", secret("a", "1"), secret("b", "2"), secret("c", "3"), secret("d", "4"))
        server.stream(GONE)
        listing(server, "50", secret("b", "2"), secret("c", "33"), secret("d", "44", uid="new"))
        server.stream(hang=5)

    told, _ = await follow(script, 8)
    assert told[:4] == [("ADDED", name) for name in "abcd"]
    assert told[4:] == [("DELETED", "a"), ("MODIFIED", "c"), ("DELETED", "d"), ("ADDED", "d")]


async def test_a_silent_stream_is_begun_anew_from_where_it_was() -> None:
    def script(server: RawServer) -> None:
        listing(server, "5")
        server.stream(hang=5)  # the client gives up after 0.3 s of nothing
        server.stream(event("ADDED", secret("a", "6")), hang=5)

    told, server = await follow(script, 1)
    assert told == [("ADDED", "a")]
    assert [seen.query.get("resourceVersion") for seen in server.seen] == [None, "5", "5"]


async def test_a_refusal_is_tried_again_and_a_listener_that_fails_stops_nothing() -> None:
    told: list[str] = []

    def on_event(seen: WatchEvent) -> None:
        told.append(seen.object["metadata"]["name"])
        raise RuntimeError("bug")

    async with raw_server() as (server, kube):
        server.status(403, "Forbidden", "no")
        listing(server, "5", secret("a", "1"), secret("b", "2"))
        server.stream(hang=5)
        watch = Watch(kube, SECRETS, on_event)
        task = asyncio.create_task(watch.run())
        await asyncio.wait_for(watch.synced.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert told == ["a", "b"]


async def test_a_kind_that_is_not_served_is_absent() -> None:
    async with raw_server() as (server, kube):
        server.status(404, "NotFound", "the server could not find the requested resource")
        watch = Watch(kube, SECRETS, lambda _: None)
        task = asyncio.create_task(watch.run())
        await _settle(lambda: watch.absent)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert watch.absent
    assert not watch.synced.is_set()
