"""Creation and deletion policies: each row of who owns the Secret and what follows when the provider loses a value."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from controllers.api.core import SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry

SHORT = {"refreshInterval": "1s"}


async def existing(bench: Bench, name: str, **data: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    await bench.cluster.admin.create(SECRETS, body, NAMESPACE, field_manager="human")


def lose(bench: Bench, *names: str, recovery: bool = False) -> None:
    for name in names:
        how: dict[str, Any] = {"RecoveryWindowInDays": 7} if recovery else {"ForceDeleteWithoutRecovery": True}
        bench.aws.client("secretsmanager").delete_secret(SecretId=name, **how)


async def gone(bench: Bench, name: str) -> None:
    async def look() -> bool:
        return await bench.found(name) is None

    await until(look, what=f"Secret {name} to be deleted")


async def owner(bench: Bench, name: str) -> str:
    found = await bench.found(name)
    owners = (found or {}).get("metadata", {}).get("ownerReferences") or []
    return owners[0]["kind"] if owners else ""


async def test_owner_takes_over_a_secret_without_controller_and_orphan_leaves_it_unowned(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await existing(bench, "mine", old="x")
    await bench.secret("mine", data=[entry("v", "a")])
    await bench.secret("orphan", data=[entry("v", "a")], target={"creationPolicy": "Orphan"})
    async with bench.run():
        await bench.until_data("mine", v=b"1")
        await bench.until_data("orphan", v=b"1")
        assert (await owner(bench, "mine"), await owner(bench, "orphan")) == ("ExternalSecret", "")


async def test_merge_needs_a_secret_keeps_foreign_keys_and_removes_its_own_old_ones(bench: Bench) -> None:
    bench.create("a", "1")
    bench.create("b", "2")
    await bench.store()
    await existing(bench, "shared", theirs="x")
    merge = {"creationPolicy": "Merge", "name": "shared"}
    await bench.secret("merged", data=[entry("a", "a"), entry("b", "b")], target=merge)
    await bench.secret("nothing", data=[entry("a", "a")], target={"creationPolicy": "Merge"})
    await bench.secret("either", data=[entry("a", "a")], target={"creationPolicy": "CreateOrMerge"})
    async with bench.run():
        await bench.until_data("shared", theirs=b"x", a=b"1", b=b"2")
        await bench.until_data("either", a=b"1")
        await bench.until_ready("nothing", "True", "does not exist")
        await bench.secret("merged", data=[entry("a", "a")], target=merge)
        await bench.until_data("shared", theirs=b"x", a=b"1")
        assert await owner(bench, "shared") == ""
        assert await bench.found("nothing") is None


async def test_none_fetches_and_writes_nothing(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await bench.secret("quiet", data=[entry("v", "a")], target={"creationPolicy": "None"})
    async with bench.run():
        await bench.until_ready("quiet")
        assert await bench.found("quiet") is None


async def test_a_secret_of_another_external_secret_is_left_alone(bench: Bench) -> None:
    bench.create("a", "1")
    bench.create("b", "2")
    await bench.store()
    await bench.secret("first", data=[entry("v", "a")], target={"name": "one"})
    async with bench.run():
        await bench.until_data("one", v=b"1")
        await bench.secret("second", data=[entry("v", "b")], target={"name": "one"})
        await bench.until_ready("second", "False", "belongs to ExternalSecret first")
        assert await bench.data("one") == {"v": b"1"}


async def test_retain_keeps_everything_when_one_key_is_lost_and_says_which(bench: Bench) -> None:
    bench.create("a", "1")
    bench.create("b", "2")
    await bench.store()
    await bench.secret("kept", **SHORT, data=[entry("a", "a"), entry("b", "b")])
    async with bench.run():
        await bench.until_data("kept", a=b"1", b=b"2")
        lose(bench, "b")
        await bench.until_ready("kept", "False", "b: NotFound: key b")
        assert await bench.data("kept") == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("recovery", [False, True], ids=["purged", "in its recovery window"])
async def test_delete_drops_the_lost_key_and_with_the_last_one_the_secret(bench: Bench, recovery: bool) -> None:
    bench.create("a", "1")
    bench.create("b", "2")
    await bench.store()
    target = {"deletionPolicy": "Delete"}
    await bench.secret("fleeting", **SHORT, data=[entry("a", "a"), entry("b", "b")], target=target)
    async with bench.run():
        await bench.until_data("fleeting", a=b"1", b=b"2")
        lose(bench, "b", recovery=recovery)
        await bench.until_data("fleeting", a=b"1")
        lose(bench, "a", recovery=recovery)
        await gone(bench, "fleeting")

        async def told() -> bool:
            return (await bench.ready("fleeting"))[:2] == ("True", "SecretDeleted")

        await until(told, what="SecretDeleted")


async def test_merge_deletion_removes_its_keys_and_keeps_the_secret(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await existing(bench, "shared", theirs="x")
    target = {"name": "shared", "creationPolicy": "Merge", "deletionPolicy": "Merge"}
    await bench.secret("guest", **SHORT, data=[entry("a", "a")], target=target)
    async with bench.run():
        await bench.until_data("shared", theirs=b"x", a=b"1")
        lose(bench, "a")
        await bench.until_data("shared", theirs=b"x")


async def test_a_find_without_matches_keeps_what_is_there(bench: Bench) -> None:
    bench.create("team/a", "1")
    await bench.store()
    find = {"name": {"regexp": "^team/"}}
    await bench.secret("found", **SHORT, dataFrom=[{"find": find}])
    async with bench.run():
        await bench.until_data("found", team_a=b"1")
        lose(bench, "team/a")
        await bench.until_ready("found", "True", "secret retained due to DeletionPolicy=Retain")
        assert await bench.data("found") == {"team_a": b"1"}


async def test_a_renamed_target_leaves_no_old_secret_behind(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await bench.secret("es", data=[entry("v", "a")], target={"name": "before"})
    async with bench.run():
        await bench.until_data("before", v=b"1")
        await bench.secret("es", data=[entry("v", "a")], target={"name": "after"})
        await bench.until_data("after", v=b"1")
        await gone(bench, "before")


async def test_an_immutable_secret_keeps_its_data(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await bench.secret("fixed", **SHORT, data=[entry("v", "a")], target={"immutable": True})
    async with bench.run():
        await bench.until_data("fixed", v=b"1")
        bench.put("a", "2")

        async def refreshed() -> bool:
            calls = await bench.aws.standin.calls()
            return sum(count for (call, _), count in calls.items() if call.endswith(":GetSecretValue")) > 2

        await until(refreshed, what="another refresh")
        assert await bench.data("fixed") == {"v": b"1"}
        await bench.until_ready("fixed")


async def test_upstreams_finalizer_is_honoured_and_removed(bench: Bench) -> None:
    bench.create("a", "1")
    await bench.store()
    await bench.secret("es", data=[entry("v", "a")], target={"deletionPolicy": "Delete"})
    finalizer = ["externalsecrets.external-secrets.io/externalsecret-cleanup"]
    await bench.cluster.admin.patch(EXTERNAL_SECRETS, "es", NAMESPACE, body={"metadata": {"finalizers": finalizer}})
    async with bench.run():
        await bench.until_data("es", v=b"1")
        await bench.cluster.admin.delete(EXTERNAL_SECRETS, "es", NAMESPACE)
        await gone(bench, "es")

        async def no_object() -> bool:
            return await bench.cluster.find(EXTERNAL_SECRETS, "es", NAMESPACE) is None

        await until(no_object, what="the ExternalSecret to go")


async def test_a_canary_value_stands_nowhere_but_in_the_target(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    bench.create("a", json.dumps({"k": "c4n4ry"}))
    await bench.store()
    await bench.secret("good", data=[entry("v", "a", property="k")])
    await bench.secret("bad", data=[entry("v", "a", property="k", decodingStrategy="Base64")])
    await bench.secret(
        "worse", data=[entry("v", "a")], target={"template": {"data": {"x": "{{ .v | mustFromJson | upper }}"}}}
    )
    async with bench.run() as manager:
        await bench.until_data("good", v=b"c4n4ry")
        await bench.until_ready("bad", "False", "v: Decode")
        await bench.until_ready("worse", "False", "could not render")
        assert b"c4n4ry" not in manager.metrics.render()
    everything = json.dumps((await bench.cluster.admin.list(EXTERNAL_SECRETS, NAMESPACE)).items)
    assert "c4n4ry" not in everything
    assert "c4n4ry" not in "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith("controllers")
    )
