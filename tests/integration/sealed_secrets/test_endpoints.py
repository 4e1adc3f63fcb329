"""kubeseal's HTTP doors, and the life of sealing keys, on the stand-in."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import SECRETS
from controllers.sealed_secrets import handlers
from controllers.sealed_secrets.ciphertext import CLUSTER_WIDE, Scope, seal_item
from controllers.sealed_secrets.keys import KEY_LABEL, generate_key
from controllers.sealed_secrets.unseal import MANAGED, PATCH, SKIP_OWNER
from tests.cluster import Cluster, condition, until

from .test_controller import NAMESPACE, public_key, sealed, value


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster.standin(tmp_path) as cluster:
        await cluster.namespace(NAMESPACE)
        yield cluster


def run(cluster: Cluster, **settings: str) -> Any:
    return cluster.managed(handlers, decryption_key_bits="2048", **settings)


async def post(manager: Any, door: str, body: Any, caller: str = "a") -> tuple[int, str]:
    given = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://127.0.0.1:{manager.web_port}{door}", headers={"X-Forwarded-For": caller}, **given) as answer,
    ):
        return answer.status, await answer.text()


async def key_secret(cluster: Cluster, name: str, age_days: int, state: str = "active") -> Any:
    key_pem, cert_pem = generate_key(datetime.now(UTC) - timedelta(days=age_days), bits=2048)
    data = {"tls.key": base64.b64encode(key_pem).decode(), "tls.crt": base64.b64encode(cert_pem).decode()}
    meta = {"name": name, "namespace": "inhaul-system", "labels": {KEY_LABEL: state}}
    await cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta, "data": data}
    )
    return x509.load_pem_x509_certificate(cert_pem).public_key()


async def synced(cluster: Cluster, name: str, status: str) -> tuple[str, str, str]:
    async def look() -> Any:
        found = condition(await cluster.find(SEALED_SECRETS, name, NAMESPACE), "Synced")
        return found if found[0] == status else None

    found: tuple[str, str, str] = await until(look, what=f"{name} Synced={status}")
    return found


async def test_verify_says_whether_an_object_opens_and_rotate_seals_it_anew_in_its_own_scope(cluster: Cluster) -> None:
    old = await key_secret(cluster, "older", 5)
    await key_secret(cluster, "newest", 1)
    async with run(cluster, decryption_calls_per_second="100") as manager:
        await public_key(manager)
        template = {"metadata": {"annotations": {CLUSTER_WIDE: "true"}}, "data": {"dsn": "{{ .token }}@db"}}
        manifest = sealed(old, "webhook", {"token": b"t0ken"}, **template)
        assert await post(manager, "/v1/verify", manifest) == (200, "")
        status, text = await post(manager, "/v1/rotate", manifest)
        assert status == 200
        renewed = json.loads(text)
        assert renewed["metadata"] == manifest["metadata"]
        assert renewed["spec"]["template"] == manifest["spec"]["template"]
        assert renewed["spec"]["encryptedData"]["token"] != manifest["spec"]["encryptedData"]["token"]
        assert (await post(manager, "/v1/verify", renewed))[0] == 200
        moved = {**renewed, "metadata": {**renewed["metadata"], "name": "other"}}
        assert (await post(manager, "/v1/verify", moved))[0] == 409
        widened = {**manifest, "metadata": {**manifest["metadata"], "annotations": {CLUSTER_WIDE: "true"}}}
        status, text = await post(manager, "/v1/rotate", widened)
        assert status == 409 and "scope strict" in text
        for body in (b"", b"x: [", b"kind: Secret", b"a: &a b\nc: *a\n", b"---\nkind: SealedSecret\n---\na: b\n"):
            assert (await post(manager, "/v1/verify", body))[0] == 400
        assert (await post(manager, "/v1/verify", b" " * (2 << 20)))[0] == 413


async def test_each_caller_has_a_rate_on_each_door(cluster: Cluster) -> None:
    async with run(cluster) as manager:
        await public_key(manager)
        for door in ("/v1/verify", "/v1/rotate"):
            codes = [(await post(manager, door, b"", caller="busy"))[0] for _ in range(6)]
            assert codes[:2] == [400, 400] and 429 in codes
            assert (await post(manager, door, b"", caller="quiet"))[0] == 400


async def test_a_retired_key_opens_nothing_is_named_and_a_new_label_heals(cluster: Cluster) -> None:
    key = await key_secret(cluster, "leaked", 40, "compromised")
    async with run(cluster) as manager:
        await public_key(manager)
        await cluster.apply(sealed(key, "webhook", {"token": b"t0ken"}))
        _, reason, message = await synced(cluster, "webhook", "False")
        assert reason == "RetiredKey" and "key leaked, which is labelled 'compromised'" in message
        assert await value(cluster, "webhook", "token") is None
        await cluster.admin.patch(
            SECRETS, "leaked", "inhaul-system", body={"metadata": {"labels": {KEY_LABEL: "active"}}}
        )
        await synced(cluster, "webhook", "True")
        found = await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE)
        assert found is not None and found["status"]["observedGeneration"] == found["metadata"]["generation"]


async def test_an_object_on_an_overdue_key_is_told_until_it_is_sealed_anew(cluster: Cluster) -> None:
    old = await key_secret(cluster, "ancient", 120)
    async with run(cluster) as manager:

        async def renewed() -> Any:
            found = await public_key(manager)
            return found if found.public_numbers() != old.public_numbers() else None

        new = await until(renewed, what="a new key, for the present one is older than the period")
        await cluster.apply(sealed(old, "webhook", {"token": b"t0ken"}))

        async def told(wanted: str) -> bool:
            found = condition(await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE), "KeyOutdated")
            return found[0] == wanted and (not wanted or "ancient" in found[2])

        await until(lambda: told("True"), what="KeyOutdated")
        before = await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE)
    async with run(cluster) as manager:
        await public_key(manager)
        await cluster.apply(sealed(new, "marker", {"a": b"1"}))
        await synced(cluster, "marker", "True")
        after = await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE)
        assert before is not None and after is not None
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], "a restart writes nothing"
        page = manager.metrics.render().decode()
        assert 'inhaul_sealed_objects{key="overdue"} 1.0' in page and 'inhaul_sealed_objects{key="newest"} 1.0' in page
        assert 'inhaul_sealing_keys{state="active"} 2.0' in page
        await cluster.apply(sealed(new, "webhook", {"token": b"t1ken"}))
        await until(lambda: told(""), what="KeyOutdated to go")


async def test_a_cut_off_time_makes_a_new_key_early(cluster: Cluster) -> None:
    old = await key_secret(cluster, "young", 5)
    cutoff = (datetime.now(UTC) - timedelta(days=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    async with run(cluster, decryption_key_cutoff_time=cutoff) as manager:

        async def other() -> bool:
            return bool((await public_key(manager)).public_numbers() != old.public_numbers())

        await until(other)
        assert len((await cluster.admin.list(SECRETS, "inhaul-system", label_selector=KEY_LABEL)).items) == 2


async def test_a_key_of_the_first_releases_is_used_by_its_name(cluster: Cluster) -> None:
    key = await key_secret(cluster, "sealed-secrets-key", 5)
    await cluster.admin.patch(
        SECRETS, "sealed-secrets-key", "inhaul-system", body={"metadata": {"labels": {KEY_LABEL: None}}}
    )
    async with run(cluster) as manager:
        await public_key(manager)
        await cluster.apply(sealed(key, "webhook", {"token": b"t0ken"}))
        await synced(cluster, "webhook", "True")


@pytest.mark.parametrize("hand_over", [MANAGED, PATCH])
async def test_an_existing_secret_is_taken_over_whole_or_added_to(cluster: Cluster, hand_over: str) -> None:
    taken = {
        "apiVersion": "v1", "kind": "Secret", "data": {"own": "eA=="},
        "metadata": {"name": "taken", "namespace": NAMESPACE, "annotations": {hand_over: "true"}},
    }  # fmt: skip
    await cluster.apply(taken)
    async with run(cluster) as manager:
        await cluster.apply(sealed(await public_key(manager), "taken", {"a": b"2"}))
        await synced(cluster, "taken", "True")
        secret = await cluster.admin.get(SECRETS, "taken", NAMESPACE)
        assert base64.b64decode(secret["data"]["a"]) == b"2"
        assert ("own" in secret["data"]) is (hand_over == PATCH)
        assert bool(secret["metadata"].get("ownerReferences")) is (hand_over == MANAGED)


async def test_without_an_owner_reference_the_secret_is_still_ours_and_outlives_the_object(cluster: Cluster) -> None:
    async with run(cluster) as manager:
        key = await public_key(manager)
        template = {"metadata": {"annotations": {SKIP_OWNER: "true"}}}
        await cluster.apply(sealed(key, "kept", {"a": b"1"}, **template))
        await synced(cluster, "kept", "True")
        secret = await cluster.admin.get(SECRETS, "kept", NAMESPACE)
        assert not secret["metadata"].get("ownerReferences")
        await cluster.apply(sealed(key, "kept", {"a": b"2"}, **template))

        async def second() -> bool:
            return await value(cluster, "kept", "a") == b"2"

        await until(second, what="a change of what we wrote without owner")


async def test_a_namespace_wide_item_opens_in_its_namespace_alone(cluster: Cluster) -> None:
    await cluster.namespace("other")
    async with run(cluster) as manager:
        key = await public_key(manager)
        item = seal_item(key, Scope.NAMESPACE_WIDE.label(NAMESPACE, ""), b"x")
        for namespace in (NAMESPACE, "other"):
            manifest = sealed(key, "wide", {})
            manifest["metadata"] |= {"namespace": namespace, "annotations": Scope.NAMESPACE_WIDE.annotations()}
            manifest["spec"]["encryptedData"] = {"a": item}
            await cluster.apply(manifest)
        await synced(cluster, "wide", "True")

        async def refused() -> bool:
            return condition(await cluster.find(SEALED_SECRETS, "wide", "other"), "Synced")[0] == "False"

        await until(refused)
        assert await cluster.find(SECRETS, "wide", "other") is None
