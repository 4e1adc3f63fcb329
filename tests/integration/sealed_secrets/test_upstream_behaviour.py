"""What clients of sealed-secrets look at: Events by upstream's reasons, and the order and times of conditions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import EVENTS, SECRETS
from tests.cluster import Cluster, condition, until

from .test_controller import NAMESPACE, public_key, run, sealed, value
from .test_endpoints import key_secret


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster.standin(tmp_path) as cluster:
        await cluster.namespace(NAMESPACE)
        yield cluster


async def events(cluster: Cluster, name: str) -> list[tuple[str, str, str]]:
    """(type, reason, note) of the Events about a SealedSecret."""
    listed = (await cluster.admin.list(EVENTS, NAMESPACE)).items
    return [
        (each["type"], each["reason"], each["note"])
        for each in listed
        if each["regarding"]["kind"] == "SealedSecret" and each["regarding"]["name"] == name
    ]


async def event(cluster: Cluster, name: str, reason: str) -> tuple[str, str, str]:
    async def look() -> Any:
        return next((each for each in await events(cluster, name) if each[1] == reason), None)

    found: tuple[str, str, str] = await until(look, what=f"the event {reason}")
    return found


async def test_unsealing_is_announced_once(cluster: Cluster) -> None:
    async with run(cluster) as manager:
        key = await public_key(manager)
        await cluster.apply(sealed(key, "webhook", {"token": b"t0ken"}))
        assert await event(cluster, "webhook", "Unsealed") == (
            "Normal", "Unsealed", "SealedSecret unsealed successfully",
        )  # fmt: skip
        await cluster.apply(sealed(key, "later", {"a": b"1"}))
        await event(cluster, "later", "Unsealed")
        assert [each[1] for each in await events(cluster, "webhook")] == ["Unsealed"]


async def test_an_object_that_does_not_open_has_the_event_errunsealfailed_with_our_reason_in_its_text(
    cluster: Cluster,
) -> None:
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    async with run(cluster) as manager:
        await public_key(manager)
        await cluster.apply(sealed(foreign, "foreign", {"a": b"1"}))
        kind, _, note = await event(cluster, "foreign", "ErrUnsealFailed")
        assert kind == "Warning" and note.startswith("NoKey: no key could decrypt secret (encryptedData.a")


async def test_a_secret_of_another_owner_gives_the_event_errupdatefailed(cluster: Cluster) -> None:
    taken = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "taken", "namespace": NAMESPACE}}
    await cluster.apply(taken)
    async with run(cluster) as manager:
        await cluster.apply(sealed(await public_key(manager), "taken", {"a": b"2"}))
        kind, _, note = await event(cluster, "taken", "ErrUpdateFailed")
        assert kind == "Warning" and "already exists and is not managed by SealedSecret" in note
        assert (await cluster.admin.get(SECRETS, "taken", NAMESPACE)).get("data") is None


async def test_synced_is_the_first_condition_beside_keyoutdated(cluster: Cluster) -> None:
    old = await key_secret(cluster, "ancient", 120)
    async with run(cluster) as manager:
        await public_key(manager)
        await cluster.apply(sealed(old, "webhook", {"token": b"t0ken"}))

        async def outdated() -> Any:
            found = await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE)
            return found if condition(found, "KeyOutdated")[0] == "True" else None

        found = await until(outdated, what="KeyOutdated")
        assert [each["type"] for each in found["status"]["conditions"]] == ["Synced", "KeyOutdated"]


async def test_lastupdatetime_moves_with_each_generation_and_lasttransitiontime_does_not(cluster: Cluster) -> None:
    async with run(cluster) as manager:
        key = await public_key(manager)
        await cluster.apply(sealed(key, "webhook", {"token": b"one"}))

        async def synced() -> Any:
            found = await cluster.find(SEALED_SECRETS, "webhook", NAMESPACE)
            current = (found or {}).get("status", {}).get("observedGeneration") == (found or {})["metadata"][
                "generation"
            ]
            return found["status"]["conditions"][0] if found and current else None

        before = await until(synced)

        async def next_second() -> bool:
            await cluster.apply(sealed(key, "webhook", {"token": b"two"}))
            after = await until(synced)
            return bool(after["lastUpdateTime"] > before["lastUpdateTime"])

        await until(next_second, what="lastUpdateTime to move")
        after = await until(synced)
        assert after["lastTransitionTime"] == before["lastTransitionTime"]
        assert await value(cluster, "webhook", "token") == b"two"
