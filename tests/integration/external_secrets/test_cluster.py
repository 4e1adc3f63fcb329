"""ClusterExternalSecret: one ExternalSecret in each namespace selected, and none elsewhere. PushSecret: answered."""

from __future__ import annotations

from typing import Any

from controllers.api.core import NAMESPACES
from controllers.api.external_secrets import CLUSTER_EXTERNAL_SECRETS, EXTERNAL_SECRETS, PUSH_SECRETS
from controllers.api.push_secrets import CLUSTER_PUSH_SECRETS
from controllers.api.resource import Manifest
from controllers.external_secrets.cluster_reconcile import FINALIZER, NAMESPACE_FINALIZER
from tests.cluster import condition, until

from .conftest import Bench, entry, external_secret, store

NAMES = ("a", "b", "c", "d")


def fan_out(**spec: Any) -> Manifest:
    inner = {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h", "data": [entry("v", "db")]}
    spec = {"namespaceSelectors": [{"matchLabels": {"team": "x"}}, {"matchLabels": {"vip": "yes"}}], **spec}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "db"},
        "spec": {"externalSecretSpec": inner, **spec},
    }


async def status(bench: Bench) -> dict[str, Any]:
    found = await bench.cluster.find(CLUSTER_EXTERNAL_SECRETS, "db")
    return dict((found or {}).get("status") or {})


async def until_status(bench: Bench, ready: str, provisioned: list[str], **wanted: Any) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        found = await status(bench)
        right = condition({"status": found})[0] == ready and (found.get("provisionedNamespaces") or []) == provisioned
        return found if right and all(found.get(key) == value for key, value in wanted.items()) else {}

    try:
        return dict(await until(look, what=f"Ready={ready} in {provisioned}"))
    except AssertionError:
        raise AssertionError(f"status is {await status(bench)}, wanted Ready={ready} in {provisioned}") from None


async def absent(bench: Bench, resource: Any, name: str, namespace: str = "") -> None:
    async def look() -> bool:
        return await bench.cluster.find(resource, name, namespace) is None

    await until(look, what=f"{resource.kind} {namespace}/{name} to be gone")


async def label(bench: Bench, namespace: str, **labels: str | None) -> None:
    await bench.cluster.admin.patch(NAMESPACES, namespace, body={"metadata": {"labels": labels}})


async def namespaces_with_stores(bench: Bench) -> None:
    for name in NAMES:
        await bench.cluster.namespace(name, **({"team": "x"} if name in ("a", "b") else {}))
        meta = {"name": "aws", "namespace": name}
        await bench.cluster.apply(
            {
                **store("aws", {"aws": {"service": "SecretsManager", "region": bench.aws.standin.region}}),
                "metadata": meta,
            }
        )


async def children_are_mended(bench: Bench) -> None:
    """Returns once an ExternalSecret that is deleted is back, and one that is edited is as it was."""
    admin = bench.cluster.admin
    await admin.delete(EXTERNAL_SECRETS, "db", "c")
    body: dict[str, Any] = {"spec": {"refreshInterval": "5h"}, "metadata": {"labels": {"from": "me", "own": "1"}}}
    await admin.patch(EXTERNAL_SECRETS, "db", "d", body=body)

    async def mended() -> bool:
        edited = await bench.cluster.find(EXTERNAL_SECRETS, "db", "d") or {}
        right = edited["metadata"]["labels"] == {"from": "platform", "own": "1"}
        return right and edited["spec"]["refreshInterval"] == "1h" and bool(
            await bench.cluster.find(EXTERNAL_SECRETS, "db", "c"))  # fmt: skip

    await until(mended, what="children edited and deleted to be mended")


async def test_namespaces_that_are_selected_get_the_secret_and_no_others(bench: Bench) -> None:
    bench.create("db", "one")
    await namespaces_with_stores(bench)
    foreign = external_secret("db", data=[entry("theirs", "db")])
    await bench.cluster.apply({**foreign, "metadata": {"name": "db", "namespace": "b"}})
    given = {"labels": {"from": "platform"}, "annotations": {"note": "n"}}
    await bench.cluster.apply(fan_out(namespaces=["d", "nowhere"], externalSecretMetadata=given))
    admin = bench.cluster.admin
    async with bench.run():
        found = await until_status(bench, "False", ["a", "d"], externalSecretName="db")
        assert found["failedNamespaces"] == [
            {"namespace": "b", "reason": "external secret already exists in namespace"}
        ]
        assert "b: external secret already exists" in condition({"status": found})[2]
        theirs = await admin.get(EXTERNAL_SECRETS, "db", "b")
        assert theirs["spec"]["data"][0]["secretKey"] == "theirs", "another's is left alone"
        child = await admin.get(EXTERNAL_SECRETS, "db", "a")
        assert child["metadata"]["ownerReferences"][0]["kind"] == "ClusterExternalSecret"
        assert child["metadata"]["labels"] == given["labels"] and child["metadata"]["annotations"]["note"] == "n"

        async def synced() -> bool:
            return condition(await bench.cluster.find(EXTERNAL_SECRETS, "db", "d"))[0] == "True"

        await until(synced, what="the child in d to be ready")
        await admin.delete(EXTERNAL_SECRETS, "db", "b")
        await until_status(bench, "True", ["a", "b", "d"])

        await label(bench, "c", vip="yes")
        await label(bench, "a", team=None)
        await until_status(bench, "True", ["b", "c", "d"])
        await absent(bench, EXTERNAL_SECRETS, "db", "a")

        await children_are_mended(bench)
        await bench.cluster.apply(
            fan_out(externalSecretName="other", namespaceSelectors=[{"matchLabels": {"vip": "yes"}}])
        )
        await until_status(bench, "True", ["c"], externalSecretName="other")
        for name in ("b", "c", "d"):
            await absent(bench, EXTERNAL_SECRETS, "db", name)
        fresh = await admin.get(EXTERNAL_SECRETS, "other", "c")
        assert "labels" not in fresh["metadata"]
        version = (await admin.get(CLUSTER_EXTERNAL_SECRETS, "db"))["metadata"]["resourceVersion"]
        await label(bench, "d", something="else")
        await until(synced_twice(bench), what="a namespace that does not matter to be seen")
        assert (await admin.get(CLUSTER_EXTERNAL_SECRETS, "db"))["metadata"]["resourceVersion"] == version


def synced_twice(bench: Bench) -> Any:
    async def look() -> bool:
        return bool((await bench.cluster.find(NAMESPACES, "d") or {})["metadata"]["labels"].get("something") == "else")

    return look


async def test_what_upstream_left_behind_hinders_no_deletion(bench: Bench) -> None:
    await bench.cluster.namespace("a", team="x")
    await bench.cluster.namespace("b", team="x")
    await bench.cluster.apply(fan_out())
    admin, mark = bench.cluster.admin, {"metadata": {"finalizers": [f"{NAMESPACE_FINALIZER}db"]}}
    await admin.patch(NAMESPACES, "a", body=mark)
    await admin.patch(NAMESPACES, "b", body={"metadata": {"finalizers": [f"{NAMESPACE_FINALIZER}gone", "else/where"]}})
    await admin.patch(CLUSTER_EXTERNAL_SECRETS, "db", body={"metadata": {"finalizers": [FINALIZER]}})
    async with bench.run():
        await until_status(bench, "True", ["a", "b"])
        await admin.delete(NAMESPACES, "b")

        async def released() -> bool:
            found = await bench.cluster.find(NAMESPACES, "b")
            return found is None or found["metadata"].get("finalizers") == ["else/where"]

        await until(released, what="the namespace to be let go")
        await admin.delete(CLUSTER_EXTERNAL_SECRETS, "db")
        await absent(bench, CLUSTER_EXTERNAL_SECRETS, "db")
        await absent(bench, EXTERNAL_SECRETS, "db", "a")
        assert not (await admin.get(NAMESPACES, "a"))["metadata"].get("finalizers")


async def test_push_secrets_are_accepted_and_told_that_nothing_is_done(bench: Bench) -> None:
    spec = {"secretStoreRefs": [{"name": "aws"}], "selector": {"secret": {"name": "s"}}}
    api = "external-secrets.io/v1alpha1"
    one = {"apiVersion": api, "kind": "PushSecret", "metadata": {"name": "p", "namespace": "payments"}, "spec": spec}
    many = {"apiVersion": api, "kind": "ClusterPushSecret", "metadata": {"name": "p"}, "spec": {"pushSecretSpec": spec}}
    await bench.cluster.apply(one, many)
    async with bench.run():
        for resource, namespace in ((PUSH_SECRETS, "payments"), (CLUSTER_PUSH_SECRETS, "")):

            async def told(resource: Any = resource, namespace: str = namespace) -> bool:
                found = condition(await bench.cluster.find(resource, "p", namespace))
                return found[:2] == ("False", "UnsupportedField") and "is not served" in found[2]

            await until(told, what=f"{resource.kind} to be answered")
        assert not [call for call in await bench.aws.standin.calls() if call[0].startswith("secretsmanager:")]
