"""Rotations in a burst, the controllers killed in its midst: every Secret ends at the newest version, by events alone.

The ExternalSecrets poll once an hour and no store is swept, so whatever arrives, arrives by the queue. A message that
was received by the killed process comes again when its visibility ends.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
import pytest_asyncio

from controllers.api.core import SECRETS
from controllers.api.resource import Manifest
from controllers.standin.demo.world import PAYMENTS, World
from tests.cluster import until
from tests.e2e.conftest import Stage, cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")
COUNT = 16
POISON = "not an event, and nothing for a log: 5f1c"


class EagerWorld(World):
    """What a killed consumer had received comes again after 3 s, not 12."""

    def controller_environment(self) -> dict[str, str]:
        return {**super().controller_environment(), "INHAUL_EXTERNAL_SECRETS_QUEUE_VISIBILITY": "3"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("world")
    world = EagerWorld(directory, api=cluster(directory))
    try:
        await world.start()
        world.spawn()
        yield Stage(world)
    finally:
        await world.stop()


def name(number: int) -> str:
    return f"payments/burst/{number:02}"


def pointer(number: int) -> Manifest:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": f"burst-{number:02}", "namespace": PAYMENTS},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"name": "secrets-manager"},
            "data": [{"secretKey": "value", "remoteRef": {"key": name(number)}}],
        },
    }


class Burst:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.manager: Any = boto3.client("secretsmanager", **stage.world.aws.client_arguments())
        self.newest: dict[int, str] = {}

    async def rotate(self, numbers: range, round_: int) -> None:
        for number in numbers:
            self.newest[number] = f"value {number} of round {round_}"
            value = self.newest[number]
            await asyncio.to_thread(self.manager.put_secret_value, SecretId=name(number), SecretString=value)

    async def arrived(self) -> int:
        """How many Secrets have the newest value."""
        found = await self.stage.world.admin.list(SECRETS, PAYMENTS)
        values = {item["metadata"]["name"]: (item.get("data") or {}).get("value", "") for item in found.items}
        return sum(
            base64.b64decode(values.get(f"burst-{number:02}", "")).decode() == value
            for number, value in self.newest.items()
        )

    async def until_arrived(self, count: int, patience: float = 90) -> None:
        async def reached() -> bool:
            return await self.arrived() >= count

        try:
            await until(reached, patience=patience, what=f"{count} newest values")
        except AssertionError:
            raise AssertionError(f"{await self.arrived()} of {count} arrived\n{self.stage.log()[-3000:]}") from None


@pytest.mark.timeout(300)
async def test_no_rotation_is_lost_when_the_controllers_are_killed_midway(stage: Stage) -> None:
    await stage.step("start")
    burst, world = Burst(stage), stage.world
    for number in range(COUNT):
        burst.newest[number] = f"value {number} of round 0"
        await asyncio.to_thread(
            burst.manager.create_secret, Name=name(number), SecretString=f"value {number} of round 0"
        )
    await stage.apply(*(pointer(number) for number in range(COUNT)))
    await burst.until_arrived(COUNT)

    await burst.rotate(range(COUNT), 1)
    await burst.until_arrived(1)
    await world.kill()  # some rotations are written, some are announced, some lie in the queue
    await burst.rotate(range(0, COUNT, 2), 2)  # and some happen while nobody listens
    sqs = boto3.client("sqs", **world.aws.client_arguments())
    queue = world.controller_environment()["INHAUL_EXTERNAL_SECRETS_QUEUE_URL"]
    await asyncio.to_thread(sqs.send_message, QueueUrl=queue, MessageBody=POISON)
    world.spawn()
    await burst.rotate(range(1, COUNT, 2), 3)
    await burst.until_arrived(1)
    await stage.restart()
    await burst.until_arrived(COUNT)


async def test_what_is_no_event_is_told_without_its_text(stage: Stage) -> None:
    async def told() -> bool:
        return "expected a JSON object" in stage.log()

    await until(told, patience=60, what="the warning")
    assert POISON not in stage.log()
