"""The SealedSecret controller on the stand-in: keys, unsealing, healing, ownership, restarts."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import SECRETS
from controllers.sealed_secrets import handlers
from controllers.sealed_secrets.ciphertext import Scope, seal_item
from controllers.sealed_secrets.keys import KEY_LABEL
from tests.cluster import Cluster, condition, until

NAMESPACE = "payments"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster.standin(tmp_path) as cluster:
        await cluster.namespace(NAMESPACE)
        yield cluster


def run(cluster: Cluster) -> Any:
    return cluster.managed(handlers, decryption_key_bits="2048")


async def public_key(manager: Any) -> rsa.RSAPublicKey:
    async def fetch() -> bytes:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{manager.web_port}/v1/cert.pem") as answer,
        ):
            return await answer.read() if answer.status == 200 else b""

    pem = await until(fetch, what="a sealing certificate")
    key = x509.load_pem_x509_certificate(pem).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def sealed(key: rsa.RSAPublicKey, name: str, items: dict[str, bytes], **template: Any) -> dict[str, Any]:
    label = Scope.STRICT.label(NAMESPACE, name)
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "encryptedData": {item: seal_item(key, label, value) for item, value in items.items()},
            "template": template,
        },
    }


async def value(cluster: Cluster, name: str, item: str) -> bytes | None:
    secret = await cluster.find(SECRETS, name, NAMESPACE)
    found = ((secret or {}).get("data") or {}).get(item)
    return None if found is None else base64.b64decode(found)


async def test_a_sealed_secret_becomes_a_secret_and_a_hand_edit_is_healed(cluster: Cluster) -> None:
    async with run(cluster) as manager:
        key = await public_key(manager)
        await cluster.apply(sealed(key, "webhook", {"token": b"t0ken"}))

        async def has_token() -> bool:
            return await value(cluster, "webhook", "token") == b"t0ken"

        async def synced() -> bool:
            return condition(await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE), "Synced")[0] == "True"

        await until(has_token)
        await until(synced)
        secret = await cluster.admin.get(SECRETS, "webhook", NAMESPACE)
        assert secret["metadata"]["ownerReferences"][0]["kind"] == "SealedSecret"
        edited = base64.b64encode(b"by hand").decode()
        await cluster.admin.patch(SECRETS, "webhook", NAMESPACE, body={"data": {"token": edited, "extra": edited}})
        await until(has_token, what="the edit to be healed")
        assert await value(cluster, "webhook", "extra") is None


async def test_one_that_cannot_be_opened_says_why_while_others_go_on(cluster: Cluster) -> None:
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    async with run(cluster) as manager:
        key = await public_key(manager)
        await cluster.apply(sealed(foreign, "foreign", {"a": b"1"}), sealed(key, "good", {"a": b"2"}))

        async def told() -> str:
            status, _, message = condition(await cluster.find(SEALED_SECRETS, "foreign", NAMESPACE), "Synced")
            return message if status == "False" else ""

        assert "no key could decrypt secret (encryptedData.a" in await until(told)

        async def good() -> bool:
            return await value(cluster, "good", "a") == b"2"

        await until(good)
        assert await cluster.find(SECRETS, "foreign", NAMESPACE) is None


async def test_a_secret_of_somebody_else_is_left_alone(cluster: Cluster) -> None:
    taken = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "taken", "namespace": NAMESPACE},
        "data": {"a": "eA=="},
    }
    await cluster.apply(taken)
    async with run(cluster) as manager:
        await cluster.apply(sealed(await public_key(manager), "taken", {"a": b"2"}))

        async def told() -> str:
            return condition(await cluster.find(SEALED_SECRETS, "taken", NAMESPACE), "Synced")[2]

        assert "already exists and is not managed by SealedSecret" in await until(told)
        assert await value(cluster, "taken", "a") == b"x"


async def test_a_restart_over_settled_objects_writes_nothing(cluster: Cluster) -> None:
    async with run(cluster) as manager:
        await cluster.apply(sealed(await public_key(manager), "webhook", {"token": b"t0ken"}))

        async def synced() -> bool:
            return condition(await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE), "Synced")[0] == "True"

        await until(synced)
    before = [
        (await cluster.admin.get(resource, "webhook", NAMESPACE))["metadata"]["resourceVersion"]
        for resource in (SEALED_SECRETS, SECRETS)
    ]
    keys = await cluster.admin.list(SECRETS, "inhaul-system", label_selector=KEY_LABEL)
    async with run(cluster) as manager:
        await public_key(manager)
        marker = sealed(await public_key(manager), "later", {"a": b"1"})
        await cluster.apply(marker)

        async def later() -> bool:
            return await value(cluster, "later", "a") == b"1"

        await until(later, what="an object that comes after the restart")
    after = [
        (await cluster.admin.get(resource, "webhook", NAMESPACE))["metadata"]["resourceVersion"]
        for resource in (SEALED_SECRETS, SECRETS)
    ]
    assert before == after
    assert (
        len((await cluster.admin.list(SECRETS, "inhaul-system", label_selector=KEY_LABEL)).items)
        == len(keys.items)
        == 1
    )


async def test_a_key_secret_that_is_no_key_is_passed_over(cluster: Cluster) -> None:
    broken = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "broken", "namespace": "inhaul-system", "labels": {KEY_LABEL: "active"}},
        "data": {"tls.key": "eA==", "tls.crt": "eA=="},
    }
    await cluster.apply(broken)
    async with run(cluster) as manager:
        await cluster.apply(sealed(await public_key(manager), "webhook", {"token": b"t0ken"}))

        async def has_token() -> bool:
            return await value(cluster, "webhook", "token") == b"t0ken"

        await until(has_token)
