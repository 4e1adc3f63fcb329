"""Lists in pages, and watches: from a version, with selectors, bookmarks and an end to history."""

from __future__ import annotations

import asyncio
from typing import Any

from .conftest import Api

MAPS = "/api/v1/namespaces/default/configmaps"
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


async def make(api: Api, *names: str, **labels: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in names:
        _, made = await api.post(MAPS, {"metadata": {"name": name, "labels": labels}, "data": {"k": name}})
    return made


def names(listed: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def test_pages_are_of_one_moment(api: Api) -> None:
    await make(api, "a", "b", "c", "d", "e")
    _, first = await api.get(MAPS, limit="2")
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    await api.delete(f"{MAPS}/d")
    await make(api, "bb")
    _, second = await api.get(MAPS, limit="2", **{"continue": first["metadata"]["continue"]})
    _, third = await api.get(MAPS, limit="2", **{"continue": second["metadata"]["continue"]})
    assert (names(second), names(third)) == (["c", "d"], ["e"])
    assert "continue" not in third["metadata"]
    assert third["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_an_expired_page_is_410(api: Api) -> None:
    await make(api, "a", "b")
    _, first = await api.get(MAPS, limit="1")
    api.server.memory.compact()
    code, body = await api.get(MAPS, limit="1", **{"continue": first["metadata"]["continue"]})
    assert (code, body["reason"]) == (410, "Expired")


async def test_lists_select_by_labels_and_fields(api: Api) -> None:
    await make(api, "a", "b", team="x")
    await make(api, "c", team="y")
    _, by_label = await api.get(MAPS, labelSelector="team in (x)")
    _, by_name = await api.get("/api/v1/configmaps", fieldSelector="metadata.name=c")
    assert (names(by_label), names(by_name)) == (["a", "b"], ["c"])
    code, body = await api.get(MAPS, fieldSelector="data.k=a")
    assert (code, body["reason"]) == (400, "BadRequest")


async def test_metadata_only_lists_carry_no_data(api: Api) -> None:
    await make(api, "a")
    async with api.session.get(api.server.url + MAPS, headers={"Accept": PARTIAL}) as response:
        body = await response.json()
    assert body["kind"] == "PartialObjectMetadataList"
    assert body["items"][0]["kind"] == "PartialObjectMetadata"
    assert "data" not in body["items"][0]


async def test_a_watch_from_a_version_sees_all_that_came_after(api: Api) -> None:
    await make(api, "a")
    _, listed = await api.get(MAPS)
    await make(api, "b")
    await api.patch(f"{MAPS}/a", {"data": {"k": "2"}})
    await api.delete(f"{MAPS}/b")
    events = await api.watch(MAPS, 3, resourceVersion=listed["metadata"]["resourceVersion"])
    assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(versions)


async def test_a_live_watch_sees_objects_move_in_and_out_of_its_selection(api: Api) -> None:
    made = await make(api, "a", team="x")
    version = made["metadata"]["resourceVersion"]
    watching = asyncio.create_task(api.watch(MAPS, 3, resourceVersion=version, labelSelector="team=y"))
    for team in ("y", "y2", "y"):
        await api.patch(f"{MAPS}/a", {"metadata": {"labels": {"team": team}}})
    assert [kind for kind, _ in await watching] == ["ADDED", "DELETED", "ADDED"]


async def test_a_watch_from_forgotten_history_is_told_410(api: Api) -> None:
    made = await make(api, "a")
    await make(api, "b")
    api.server.memory.compact()
    ((kind, status),) = await api.watch(MAPS, 1, resourceVersion=made["metadata"]["resourceVersion"])
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")


async def test_initial_events_end_with_their_bookmark(api: Api) -> None:
    await make(api, "a", "b")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    events = await api.watch(MAPS, 3, **query)
    assert [kind for kind, _ in events] == ["ADDED", "ADDED", "BOOKMARK"]
    meta = events[2][1]["metadata"]
    assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(meta["resourceVersion"]) >= int(events[1][1]["metadata"]["resourceVersion"])
    code, body = await api.get(MAPS, watch="1", sendInitialEvents="true")
    assert (code, body["reason"]) == (422, "Invalid")


async def test_a_watch_ends_at_its_timeout_and_with_its_type(api: Api, widgets: str) -> None:
    query = {"watch": "true", "timeoutSeconds": "1"}
    async with api.session.get(api.server.url + MAPS, params=query) as response:
        assert await response.content.read() == b""
    async with api.session.get(api.server.url + widgets, params={"watch": "true"}) as response:
        await api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.org")
        assert await asyncio.wait_for(response.content.read(), 5) == b""


async def test_two_thousand_objects_are_read_in_pages_and_watched(api: Api) -> None:
    storage = api.server.storage
    kind = storage.kind("", "configmaps")
    assert kind is not None
    for number in range(2000):
        storage.create(kind, {"metadata": {"name": f"c{number:04d}"}}, "default")
    seen, token = 0, ""
    while True:
        _, page = await api.get(MAPS, limit="500", **{"continue": token})
        seen += len(page["items"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert seen == 2000
    assert len(await api.watch(MAPS, 2000)) == 2000


async def test_the_inside_watch_begins_with_what_is_there_and_ends_with_the_server(api: Api) -> None:
    storage = api.server.storage
    kind = storage.kind("", "configmaps")
    assert kind is not None
    await make(api, "a")
    found = []

    async def follow() -> None:
        async for change in storage.watch(kind):
            found.append((change.type, change.object["metadata"]["name"]))

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await make(api, "b")
    await api.delete(f"{MAPS}/a")
    await api.server.stop()
    await asyncio.wait_for(following, 5)
    assert found == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
