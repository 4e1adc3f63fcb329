"""Objects that are read once until they change: one GET for all who ask, and news of every change."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controllers.api.core import CONFIGMAPS
from controllers.api.resource import Key
from controllers.external_secrets.fetch.object_cache import ObjectCache, changed_at
from controllers.runtime.informers.watch import Watch
from controllers.runtime.kube import KubeClient
from tests.cluster import Cluster, until

KEY = Key("default", "shape")


async def test_one_read_answers_all_until_the_object_changes_and_each_change_is_told(tmp_path: Path) -> None:
    requests: Counter[str] = Counter()
    news: list[tuple[Key, datetime | None]] = []

    def observe(*about: Any, **more: Any) -> None:
        requests["all"] += 1

    async with Cluster.standin(tmp_path) as cluster, asyncio.TaskGroup() as group:
        kube = KubeClient(cluster.config, observe=observe)
        watches: list[Watch] = []
        tasks: list[asyncio.Task[None]] = []

        def start(resource: Any, on_event: Any) -> Watch:
            watches.append(Watch(cluster.admin, resource, on_event))
            tasks.append(group.create_task(watches[-1].run()))
            return watches[-1]

        async def told(count: int) -> None:
            async def look() -> bool:
                return len(news) >= count

            await until(look, patience=30, what=f"{count} pieces of news, not {news}")

        def on_change(_: Any, key: Key, moment: datetime | None) -> None:
            if key == KEY:
                news.append((key, moment))

        reads = ObjectCache(kube, start, on_change)
        assert await reads.kept(CONFIGMAPS, KEY) is None
        await asyncio.wait_for(watches[0].synced.wait(), 30)
        body = {"metadata": {"name": KEY.name, "namespace": KEY.namespace}, "data": {"a": "1"}}
        await cluster.admin.create(CONFIGMAPS, body, KEY.namespace)
        await told(1)
        requests.clear()
        found = await asyncio.gather(*(reads.kept(CONFIGMAPS, KEY) for _ in range(20)))
        assert {(each or {})["data"]["a"] for each in found} == {"1"} and requests["all"] == 1
        await cluster.admin.patch(CONFIGMAPS, KEY.name, KEY.namespace, body={"data": {"a": "2"}})
        await told(2)
        assert (await reads.kept(CONFIGMAPS, KEY) or {})["data"]["a"] == "2"
        assert (await reads.read_tracked(CONFIGMAPS, KEY) or {})["data"]["a"] == "2"
        await cluster.admin.delete(CONFIGMAPS, KEY.name, KEY.namespace)
        await told(3)
        assert await reads.kept(CONFIGMAPS, KEY) is None
        assert len(watches) == 1 and {moment for _, moment in news} == {None}, "each differs from what was read"
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        await kube.close()


def test_when_an_object_was_changed_last_is_told_by_its_fields_managers() -> None:
    meta = {"creationTimestamp": "2026-06-01T12:00:00Z", "managedFields": [{"time": "2026-06-01T12:30:00Z"}, {}]}
    noon = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    assert changed_at({"metadata": meta}) == noon + timedelta(minutes=30)
    assert changed_at({"metadata": {}}) is None
