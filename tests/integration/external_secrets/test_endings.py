"""What follows when a template fails, when part of the values is lost, and when an ExternalSecret is deleted."""

from __future__ import annotations

from typing import Any

from controllers.api.core import SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry
from .test_policies import SHORT, existing, gone, lose


async def test_a_template_that_fails_leaves_the_secret_as_it_was(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    good = {"template": {"data": {"x": "is {{ .v }}"}}}
    await bench.secret("es", data=[entry("v", "a")], target=good)
    async with bench.run():
        await bench.until_data("es", x=b"is 1")
        bench.put("a", "2")
        for text, says in (("{{ .nokey }}", "no entry for key"), ("{{ if }}", "unable to parse template at key x")):
            await bench.secret("es", data=[entry("v", "a")], target={"template": {"data": {"x": text}}})
            await bench.until_ready("es", "False", says)
            assert await bench.data("es") == {"x": b"is 1"}
        await bench.secret("es", data=[entry("v", "a")], target=good)
        await bench.until_data("es", x=b"is 2")


async def test_under_merge_deletion_the_lost_key_goes_and_is_told(bench: Bench) -> None:
    bench.create("a", "1")
    bench.create("b", "2")
    await bench.store()
    data = [entry("a", "a"), entry("b", "b")]
    await bench.secret("es", **SHORT, data=data, target={"deletionPolicy": "Merge"})
    async with bench.run():
        await bench.until_data("es", a=b"1", b=b"2")
        lose(bench, "a")
        await bench.until_data("es", b=b"2")
        await bench.until_ready("es", holds="secret synced")
        events = await bench.cluster.admin.resource_for("events.k8s.io/v1", "Event")

        async def told() -> bool:
            found = (await bench.cluster.admin.list(events, NAMESPACE)).items
            notes = [item["note"] for item in found if item["reason"] == "MissingProviderSecret"]
            return any(note.startswith("a: NotFound: key a") for note in notes)

        await until(told, what="an event that names the lost key")
        lose(bench, "b")
        await bench.until_data("es")
        assert await bench.found("es") is not None


async def test_a_deleted_external_secret_takes_along_what_it_owns_and_nothing_else(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await existing(bench, "merged", theirs="x")
    targets: dict[str, dict[str, Any]] = {
        "owned": {"deletionPolicy": "Retain"},
        "orphan": {"creationPolicy": "Orphan"},
        "merged": {"creationPolicy": "Merge"},
        "either": {"creationPolicy": "CreateOrMerge"},
    }
    for name, target in targets.items():
        await bench.secret(name, data=[entry("v", "a")], target=target)
    async with bench.run():
        for name in targets:
            await bench.until_ready(name)
        for name in targets:
            await bench.cluster.admin.delete(EXTERNAL_SECRETS, name, NAMESPACE)
        await gone(bench, "owned")
        for name in ("orphan", "either"):
            assert await bench.data(name) == {"v": b"1"}
        assert await bench.data("merged") == {"theirs": b"x", "v": b"1"}
        assert await bench.cluster.find(SECRETS, "owned", NAMESPACE) is None
