"""Events: created once, repeated as a series, bounded per object."""

from __future__ import annotations

import asyncio
from typing import Any

from controllers.api.external_secrets import CLUSTER_SECRET_STORES, EXTERNAL_SECRETS
from controllers.runtime.events import EventRecorder

from .raw_server import raw_server

OBJECT = {"metadata": {"name": "a", "namespace": "ns", "uid": "u1", "resourceVersion": "5"}}


async def record(calls: list[tuple[float, dict[str, Any], str]], answers: int) -> list[Any]:
    now = 1_700_000_000.0
    async with raw_server() as (server, kube):
        for _ in range(answers):
            server.json(201, {"kind": "Event"})
        recorder = EventRecorder(kube, instance="pod-1", namespace="inhaul-system", clock=lambda: now)
        task = asyncio.create_task(recorder.run())
        for wait, manifest, message in calls:
            now += wait
            resource = EXTERNAL_SECRETS if "namespace" in manifest["metadata"] else CLUSTER_SECRET_STORES
            recorder.record(resource, manifest, reason="Failed", message=message, warning=True)
        await recorder.flush()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return server.seen


async def test_a_repetition_counts_on_in_the_event_at_most_once_a_minute() -> None:
    seen = await record([(0, OBJECT, "no"), (1, OBJECT, "no"), (1, OBJECT, "no"), (60, OBJECT, "no")], 2)
    assert (seen[0].method, seen[0].path) == ("POST", "/api/v1/namespaces/ns/events")
    first, second = seen
    assert second.method == "PATCH"
    assert second.body == {"count": 4, "lastTimestamp": "2023-11-14T22:14:22Z"}
    assert first.body["involvedObject"]["uid"] == "u1"
    assert (first.body["type"], first.body["reportingComponent"], first.body["count"]) == ("Warning", "inhaul", 1)
    assert first.body["firstTimestamp"] == first.body["lastTimestamp"] == "2023-11-14T22:13:20Z"
    assert "eventTime" not in first.body, "with it the API server refuses count and lastTimestamp"
    assert first.body["reportingInstance"] == "pod-1"


async def test_after_the_hour_that_events_are_kept_it_is_a_new_event() -> None:
    seen = await record([(0, OBJECT, "no"), (3601, OBJECT, "no")], 2)
    assert [item.method for item in seen] == ["POST", "POST"]


async def test_one_object_cannot_flood() -> None:
    other = {"metadata": {**OBJECT["metadata"], "uid": "u2"}}
    calls = [(0.0, OBJECT, f"message {number}") for number in range(50)] + [(0.0, other, "mine")]
    seen = await record(calls, 11)
    assert len(seen) == 11
    assert seen[-1].body["message"] == "mine"


async def test_a_cluster_scoped_object_has_its_events_in_our_namespace_and_a_long_note_is_cut() -> None:
    seen = await record([(0, {"metadata": {"name": "store", "uid": "u3"}}, "x" * 5000)], 1)
    assert seen[0].path == "/api/v1/namespaces/inhaul-system/events"
    assert len(seen[0].body["message"]) == 1024
