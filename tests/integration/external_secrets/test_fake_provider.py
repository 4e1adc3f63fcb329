"""A fake store in a cluster: Ready, synced, edited, lost, refused; and no AWS anywhere."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.external_secrets import CLUSTER_SECRET_STORES, EXTERNAL_SECRETS, SECRET_STORES
from controllers.api.resource import Manifest
from tests.cluster import condition, until

from .conftest import NAMESPACE, Bench, entry, store

VERSIONED = [
    {"key": "/db", "value": '{"user": "app", "password": "one"}', "version": "v1"},
    {"key": "/db", "value": '{"user": "app", "password": "two"}', "version": "v2"},
]


def fake(*data: dict[str, str], name: str = "aws", **more: Any) -> Manifest:
    return store(name, {"fake": {"data": list(data), **more}})


async def force(bench: Bench, name: str, moment: str) -> None:
    """A refresh now, as `kubectl annotate … force-sync` asks for one."""
    body = {"metadata": {"annotations": {"external-secrets.io/force-sync": moment}}}
    await bench.cluster.admin.patch(EXTERNAL_SECRETS, name, NAMESPACE, body=body)


async def until_store(bench: Bench, name: str, status: str) -> tuple[str, str, str]:
    async def reached() -> tuple[str, str, str] | None:
        found = condition(await bench.cluster.find(SECRET_STORES, name, NAMESPACE))
        return found if found[0] == status else None

    found: tuple[str, str, str] = await until(reached, what=f"store {name} Ready={status}")
    return found


async def test_versions_properties_and_finds_are_synced_and_an_edit_comes_with_the_next_refresh(bench: Bench) -> None:
    await bench.cluster.apply(fake(*VERSIONED))
    remote = {"version": "v2", "property": "password"}
    await bench.secret("one", data=[entry("password", "/db", **remote)])
    await bench.secret("all", dataFrom=[{"extract": {"key": "/db", "version": "v1"}}])
    await bench.secret("found", dataFrom=[{"find": {"name": {"regexp": "db$"}}}])
    async with bench.run():
        assert (await until_store(bench, "aws", "True"))[1] == "Valid"
        await bench.until_data("one", password=b"two")
        await bench.until_data("all", user=b"app", password=b"one")
        await bench.until_data("found", _db=VERSIONED[1]["value"].encode())
        await bench.cluster.apply(fake({**VERSIONED[1], "value": '{"password": "three"}'}))
        await force(bench, "one", "2")
        await bench.until_data("one", password=b"three")
        await force(bench, "all", "2")  # its version is gone
        assert "NotFound" in await bench.until_ready("all", "False")
        assert await bench.data("all") == {"user": b"app", "password": b"one"}


async def test_a_value_that_the_store_loses_follows_the_deletion_policy(bench: Bench) -> None:
    await bench.cluster.apply(fake({"key": "k", "value": "v"}, {"key": "other", "value": "o"}))
    short: dict[str, Any] = {"refreshInterval": "1s", "data": [entry("v", "k")]}
    await bench.secret("goes", target={"deletionPolicy": "Delete"}, **short)
    await bench.secret("stays", target={"deletionPolicy": "Retain"}, **short)
    async with bench.run():
        await bench.until_data("goes", v=b"v")
        await bench.until_data("stays", v=b"v")
        await bench.cluster.apply(fake({"key": "other", "value": "o"}))

        async def gone() -> bool:
            return await bench.found("goes") is None

        await until(gone, what="the Secret to be deleted")
        await bench.until_ready("stays", "False", "NotFound")
        assert await bench.data("stays") == {"v": b"v"}


@pytest.mark.parametrize(("result", "ready", "reason"), [(1, "True", "ValidationUnknown"),
                                                         (2, "False", "InvalidProviderConfig")])  # fmt: skip
async def test_the_store_answers_validation_as_its_spec_says(
    bench: Bench, result: int, ready: str, reason: str
) -> None:
    await bench.cluster.apply(fake({"key": "k", "value": "v"}, validationResult=result))
    await bench.secret("one", data=[entry("v", "k")])
    async with bench.run():
        assert (await until_store(bench, "aws", ready))[1] == reason
        await bench.until_ready("one", ready)
        assert (await bench.data("one") is not None) is (ready == "True")


async def test_a_policy_grants_keys_of_a_fake_store_and_is_asked_for_no_role(bench: Bench) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    spec = {"namespaceSelector": selector, "secretTypes": ["Opaque"], "secretKeys": ["Fake:team/**"]}
    meta = {"name": "payments"}
    policy = {"apiVersion": "inhaul.dev/v1alpha1", "kind": "TenantPolicy", "metadata": meta, "spec": spec}
    await bench.cluster.apply(policy, fake({"key": "team/a", "value": "v"}, {"key": "other/b", "value": "w"}))
    await bench.secret("granted", data=[entry("v", "team/a")])
    await bench.secret("found", dataFrom=[{"find": {"name": {"regexp": "."}}}])
    await bench.secret("refused", data=[entry("v", "other/b")])
    async with bench.run():
        await bench.until_data("granted", v=b"v")
        await bench.until_data("found", team_a=b"v")
        await bench.until_ready("refused", "False", "does not grant key other/b of Fake")


async def test_a_cluster_store_serves_every_namespace_and_aws_is_never_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    body = fake({"key": "k", "value": "v"}, name="shared")
    meta = {"name": "shared"}
    await bench.cluster.apply({**body, "kind": "ClusterSecretStore", "metadata": meta})
    ref = {"name": "shared", "kind": "ClusterSecretStore"}
    await bench.secret("one", data=[entry("v", "k")], secretStoreRef=ref)
    async with bench.run():
        await bench.until_data("one", v=b"v")
        assert condition(await bench.cluster.find(CLUSTER_SECRET_STORES, "shared"))[0] == "True"
