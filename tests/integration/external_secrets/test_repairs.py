"""What people do to a target is put right, what is theirs is left alone; optional keys; retries as a store asks."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from controllers.api.core import SECRETS
from controllers.api.resource import Manifest
from controllers.external_secrets.refresh import OPTIONAL
from controllers.runtime.kube import AlreadyExists
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry, external_secret, store
from .test_policies import existing


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def until_secret(bench: Bench, name: str, right: Callable[[Manifest], bool], what: str) -> None:
    async def look() -> bool:
        found = await bench.found(name)
        return found is not None and right(found)

    await until(look, patience=30, what=what)


def patcher(bench: Bench, name: str) -> Callable[..., Awaitable[Manifest]]:
    async def patch(**body: Any) -> Manifest:
        return await bench.cluster.admin.patch(SECRETS, name, NAMESPACE, body=body)

    return patch


async def test_each_kind_of_drift_is_repaired_without_asking_aws(bench: Bench) -> None:
    bench.create("db", "one")
    await bench.store()
    meta = {"name": "es", "namespace": NAMESPACE, "labels": {"team": "payments"}, "annotations": {"note": "ours"}}
    await bench.cluster.apply({**external_secret("es", data=[entry("v", "db")]), "metadata": meta})
    patch = patcher(bench, "es")
    async with bench.run():
        await bench.until_data("es", v=b"one")
        await bench.until_ready("es")
        await bench.aws.standin.calls(reset=True)
        await patch(data={"v": b64("by hand")})
        await bench.until_data("es", v=b"one")
        await patch(data={"v": None, "more": b64("x")})
        await bench.until_data("es", v=b"one")
        await patch(metadata={"labels": {"team": "other", "theirs": "1"}, "annotations": {"note": None, "theirs": "1"}})

        def metadata(found: Manifest) -> bool:
            labels, annotations = found["metadata"]["labels"], found["metadata"]["annotations"]
            ours = (labels.get("team"), annotations.get("note")) == ("payments", "ours")
            return ours and (labels.get("theirs"), annotations.get("theirs")) == ("1", "1")

        await until_secret(bench, "es", metadata, "our label and annotation repaired, theirs left")
        managed = "reconcile.external-secrets.io/managed"
        await patch(metadata={"labels": {managed: None}})
        await until_secret(bench, "es", lambda found: managed in found["metadata"]["labels"], "the managed label back")
        await patch(metadata={"ownerReferences": None})
        await until_secret(bench, "es", lambda found: bool(found["metadata"].get("ownerReferences")), "the owner back")
        await bench.cluster.admin.delete(SECRETS, "es", NAMESPACE)
        other = {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "es", "namespace": NAMESPACE},
            "type": "example.com/other", "data": {"username": b64("x")},
        }  # fmt: skip
        with contextlib.suppress(AlreadyExists):  # the controller may be first
            await bench.cluster.admin.create(SECRETS, other, NAMESPACE)
        await bench.until_data("es", v=b"one")
        await bench.until_data("es", v=b"one")
        assert not [call for call in await bench.aws.standin.calls() if call[0].startswith("secretsmanager:")]


async def test_under_merge_our_keys_are_repaired_and_foreign_keys_are_whoevers_they_are(bench: Bench) -> None:
    bench.create("db", "one")
    await bench.store()
    await existing(bench, "shared", theirs="x")
    await bench.secret("es", data=[entry("v", "db")], target={"name": "shared", "creationPolicy": "Merge"})
    patch = patcher(bench, "shared")
    async with bench.run() as manager:
        await bench.until_data("shared", theirs=b"x", v=b"one")
        await bench.until_ready("es")
        before = (await bench.found("shared") or {})["metadata"]["resourceVersion"]
        changed = await patch(data={"theirs": b64("y"), "new": b64("z")}, metadata={"labels": {"theirs": "1"}})
        assert changed["metadata"]["resourceVersion"] != before
        drift = manager.metrics.registry.get_sample_value
        repairs = drift("inhaul_external_secret_drift_repairs_total")
        await patch(data={"v": b64("by hand")})
        await bench.until_data("shared", theirs=b"y", new=b"z", v=b"one")
        await patch(data={"v": None})
        await bench.until_data("shared", theirs=b"y", new=b"z", v=b"one")
        assert (drift("inhaul_external_secret_drift_repairs_total") or 0) > (repairs or 0)
        found = await bench.found("shared") or {}
        assert found["metadata"]["labels"]["theirs"] == "1" and not found["metadata"].get("ownerReferences")


async def test_a_key_that_may_be_absent_is_left_out_and_comes_when_it_is_there(bench: Bench) -> None:
    bench.create("db", '{"user": "app"}')
    await bench.store()
    spec: dict[str, Any] = {
        "refreshInterval": "1s",
        "data": [
            entry("user", "db", property="user"), entry("gone", "nothere"), entry("pass", "db", property="pass"),
        ],
    }  # fmt: skip
    for name, annotation in (("lenient", "gone, pass"), ("partly", "gone")):
        meta = {"name": name, "namespace": NAMESPACE, "annotations": {OPTIONAL: annotation}}
        await bench.cluster.apply({**external_secret(name, **spec), "metadata": meta})
    async with bench.run():
        await bench.until_data("lenient", user=b"app")
        await bench.until_ready("lenient", holds="secret synced")
        await bench.until_ready("partly", "False", "pass: PropertyMissing")
        assert OPTIONAL not in (await bench.found("lenient") or {})["metadata"]["annotations"]
        bench.create("nothere", "here")
        bench.put("db", '{"user": "app", "pass": "p"}')
        await bench.until_data("lenient", user=b"app", gone=b"here", **{"pass": b"p"})


async def test_a_store_retries_as_often_as_its_settings_say(bench: Bench) -> None:
    bench.create("db", "one")
    aws = {"aws": {"service": "SecretsManager", "region": bench.aws.standin.region}}
    for name, settings in (("twice", {"maxRetries": 2, "retryInterval": "10ms"}), ("wrong", {"retryInterval": "soon"})):
        made = store(name, aws)
        made["spec"]["retrySettings"] = settings
        await bench.cluster.apply(made)
    await bench.aws.standin.throttle("secretsmanager:GetSecretValue", rate=0.0001, burst=0.0001)
    for name in ("twice", "wrong"):
        await bench.secret(name, secretStoreRef={"name": name}, data=[entry("v", "db")])
    async with bench.run():
        await bench.until_ready("twice", "False", "v: Throttled")
        calls = await bench.aws.standin.calls()
        assert sum(count for (call, _), count in calls.items() if call == "secretsmanager:GetSecretValue") == 2
        await bench.until_ready("wrong", "False", "spec.retrySettings.retryInterval")
