"""Existing Secrets: what the spec leaves unset stays, what cannot be changed is an error, and uids are kept."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS, SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry

DATA = [entry("tls.crt", "cert"), entry("tls.key", "cert")]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def existing(bench: Bench, name: str, **fields: Any) -> str:
    """Its uid."""
    meta = {"name": name, "namespace": NAMESPACE, **fields.pop("metadata", {})}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, **fields}
    return str((await bench.cluster.admin.create(SECRETS, body, NAMESPACE))["metadata"]["uid"])


async def until_secret(bench: Bench, name: str, holds: Callable[[Manifest], bool], what: str) -> Manifest:
    async def look() -> Manifest | None:
        found = await bench.found(name)
        return found if found is not None and holds(found) else None

    found: Manifest = await until(look, patience=30, what=what)
    return found


async def change(bench: Bench, name: str, target: dict[str, Any]) -> None:
    await bench.cluster.admin.patch(EXTERNAL_SECRETS, name, NAMESPACE, body={"spec": {"target": target}})


async def refresh(bench: Bench, name: str, stamp: str) -> None:
    body = {"metadata": {"annotations": {"force-sync": stamp}}}
    await bench.cluster.admin.patch(EXTERNAL_SECRETS, name, NAMESPACE, body=body)


async def test_an_unset_type_leaves_an_existing_secret_its_type_and_uid(bench: Bench) -> None:
    bench.create("cert", "pem")
    uid = await existing(bench, "es", type="kubernetes.io/tls", data={"tls.crt": b64("a"), "tls.key": b64("b")})
    await bench.store()
    await bench.secret("es", data=DATA)
    async with bench.run():
        await bench.until_ready("es")
        await bench.until_data("es", **{"tls.crt": b"pem", "tls.key": b"pem"})
        found = await bench.found("es")
        assert found is not None and (found["type"], found["metadata"]["uid"]) == ("kubernetes.io/tls", uid)
        await change(bench, "es", {"template": {"type": "Opaque"}})
        message = await bench.until_ready("es", "False", holds="immutable")
        assert "kubernetes.io/tls" in message and "spec.target.template.type" in message
        found = await bench.found("es")
        assert found is not None and (found["type"], found["metadata"]["uid"]) == ("kubernetes.io/tls", uid)


@pytest.mark.parametrize("policy", ["Owner", "Merge"])
async def test_what_the_spec_adds_later_arrives_though_the_data_are_equal(bench: Bench, policy: str) -> None:
    bench.create("cert", "one")
    uid = await existing(bench, "es", data={"theirs": b64("x")})
    await bench.store()
    await bench.secret("es", data=[entry("v", "cert")], target={"creationPolicy": policy})
    async with bench.run():
        await until_secret(bench, "es", lambda found: "v" in found["data"], "the value")
        template = {"mergePolicy": "Merge", "metadata": {"finalizers": ["example.com/keep"]}}
        await change(bench, "es", {"template": template})
        await until_secret(
            bench, "es", lambda found: found["metadata"].get("finalizers") == ["example.com/keep"], "the finalizer"
        )
        await change(bench, "es", {"immutable": True})
        await until_secret(bench, "es", lambda found: found.get("immutable") is True, "immutability")
        bench.put("cert", "two")
        await refresh(bench, "es", "1")

        async def synced() -> bool:
            found = await bench.cluster.admin.get(EXTERNAL_SECRETS, "es", NAMESPACE)
            return bool(
                found["metadata"]["annotations"]["force-sync"] == "1" and (await bench.ready("es"))[0] == "True"
            )

        await until(synced, what="a refresh of the frozen Secret")
        found = await bench.found("es")
        assert found is not None and found["metadata"]["uid"] == uid
        assert found["data"]["v"] == b64("one"), "frozen by the user: a rotation does not go through"
        await bench.cluster.admin.patch(SECRETS, "es", NAMESPACE, body={"metadata": {"finalizers": None}})


@pytest.mark.parametrize("policy", ["Owner", "Merge"])
async def test_an_immutable_secret_that_differs_is_an_error_and_keeps_its_data(bench: Bench, policy: str) -> None:
    bench.create("cert", "new")
    uid = await existing(bench, "es", data={"v": b64("old")}, immutable=True)
    await bench.store()
    await bench.secret("es", data=[entry("v", "cert")], target={"creationPolicy": policy})
    async with bench.run():
        assert "target is immutable" in await bench.until_ready("es", "False", holds="immutable")
        found = await bench.found("es")
        assert found is not None and (found["data"], found["metadata"]["uid"]) == ({"v": b64("old")}, uid)


async def test_a_secret_of_another_kind_is_shared_and_never_owned(bench: Bench) -> None:
    bench.create("cert", "new")
    operator = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "operator", "namespace": NAMESPACE}}
    owner = await bench.cluster.admin.create(CONFIGMAPS, operator, NAMESPACE)
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "operator", "uid": owner["metadata"]["uid"]}
    other |= {"controller": True}
    for name in ("merge", "owner"):
        await existing(bench, name, data={"theirs": b64("x")}, metadata={"ownerReferences": [other]})
    await bench.store()
    await bench.secret("merge", data=[entry("v", "cert")], target={"creationPolicy": "Merge"})
    await bench.secret("owner", data=[entry("v", "cert")])
    async with bench.run():
        await bench.until_ready("merge")
        await bench.until_data("merge", theirs=b"x", v=b"new")
        await bench.until_ready("owner", "False", holds="ConfigMap operator")
        assert await bench.data("owner") == {"theirs": b"x"}


@pytest.mark.parametrize(("before", "after"), [*permutations(("Owner", "Orphan", "Merge", "CreateOrMerge"), 2)])
async def test_a_change_of_the_creation_policy_decides_whose_the_secret_is(
    bench: Bench, before: str, after: str
) -> None:
    bench.create("cert", "one")
    uid = await existing(bench, "es", data={})
    await bench.store()
    await bench.secret("es", data=[entry("v", "cert")], target={"creationPolicy": before})
    async with bench.run():
        await bench.until_data("es", v=b"one")

        def owned(found: Manifest) -> bool:
            return any(each["kind"] == "ExternalSecret" for each in found["metadata"].get("ownerReferences") or ())

        await until_secret(bench, "es", lambda found: owned(found) == (before == "Owner"), f"{before}: its owner")
        await change(bench, "es", {"creationPolicy": after})
        found = await until_secret(bench, "es", lambda found: owned(found) == (after == "Owner"), f"{after}: its owner")
        assert found["metadata"]["uid"] == uid and found["data"]["v"] == b64("one")
