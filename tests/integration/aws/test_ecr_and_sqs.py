"""ECR and the queue consumer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from controllers.aws.ecr import Ecr, EcrLogins, EcrRegistry, parse_host, tags_of
from controllers.aws.errors import AccessDenied, NotFound
from controllers.aws.events import parse
from controllers.aws.identity import Identities, Identity
from controllers.aws.sqs import Consumer, Message, UnprocessableMessageError, queue_url
from tests.integration.aws.conftest import REGION, service_account
from tests.integration.conftest import Aws

HERE = EcrRegistry("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012", REGION)


async def test_images_are_read_page_by_page(aws: Aws, identities: Identities, ops: Identity) -> None:
    client = aws.client("ecr")
    client.create_repository(repositoryName="shop/pay")
    for number in range(120):  # more than ECR's page when none is asked for
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "n": number}
        )
        client.put_image(repositoryName="shop/pay", imageManifest=manifest, imageTag=f"v{number}")
    ecr = Ecr(identities, ops, REGION)
    images = tags_of(await ecr.images("shop/pay"))
    assert set(images) == {f"v{n}" for n in range(120)}
    assert images["v3"].digest.startswith("sha256:") and images["v3"].pushed is not None
    assert (await ecr.image("shop/pay", tag="v7")).digest == images["v7"].digest
    with pytest.raises(NotFound):
        await ecr.image("shop/pay", tag="none")
    with pytest.raises(NotFound):
        await ecr.images("no/such")


async def test_a_login_is_shared_until_it_ages(aws: Aws, identities: Identities, ops: Identity) -> None:
    logins = EcrLogins(identities)
    await aws.standin.calls(reset=True)
    first, second = await asyncio.gather(logins.login(ops, HERE), logins.login(ops, HERE))
    assert first is second and first.username == "AWS" and aws.standin.ecr_login(first.password.reveal_text())
    assert (await aws.standin.calls())["ecr:GetAuthorizationToken", "ops"] == 1
    assert first.password.reveal_text() not in repr(first)
    logins.forget(ops, HERE)
    assert await logins.login(ops, HERE) is not first


async def test_the_public_registry_has_a_login_of_its_own(aws: Aws, identities: Identities, ops: Identity) -> None:
    registry = parse_host("public.ecr.aws")
    assert registry is not None
    found = await EcrLogins(identities).login(ops, registry)
    assert found.username == "AWS" and found.expires > dt.datetime.now(dt.UTC)


async def test_a_tenant_without_the_right_gets_no_login(aws: Aws, identities: Identities) -> None:
    tenant = service_account(aws.irsa_role("a", subject="team-a:eso", allow=[("ecr:DescribeImages", "*")]))
    with pytest.raises(AccessDenied, match="ecr:GetAuthorizationToken"):
        await EcrLogins(identities).login(tenant, HERE)


@contextlib.asynccontextmanager
async def consuming(
    identities: Identities, identity: Identity, url: str, handle: Callable[[Message], Awaitable[None]], **options: Any
) -> AsyncIterator[Consumer]:
    consumer = Consumer(identities, identity, url, handle, region=REGION, wait=1, **options)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def left(aws: Aws, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 the queue tells nobody
            await asyncio.sleep(0.02)


async def test_a_rotation_comes_through_the_queue_as_a_change(aws: Aws, identities: Identities, ops: Identity) -> None:
    sqs, events = aws.client("sqs"), aws.client("events")
    url = sqs.create_queue(QueueName="changes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.secretsmanager"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
    secret = aws.client("secretsmanager").create_secret(Name="team-a/db", SecretString="1")["ARN"]
    seen = []

    async def handle(message: Message) -> None:
        seen.append(parse(message.body))

    async with consuming(identities, ops, await queue_url(identities, ops, name="changes", region=REGION), handle):
        version = aws.client("secretsmanager").put_secret_value(SecretId="team-a/db", SecretString="2")["VersionId"]
        await until(lambda: len(seen) == 2 and not left(aws, url))
    change = seen[1]
    assert change is not None
    assert (change.service, change.action, change.name) == ("secretsmanager", "PutSecretValue", "team-a/db")
    assert (change.arn, change.version_id, change.region) == (secret, version, REGION)


async def test_a_message_is_deleted_only_after_it_was_handled(aws: Aws, identities: Identities, ops: Identity) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="m")
    started, go = asyncio.Event(), asyncio.Event()

    async def handle(message: Message) -> None:
        started.set()
        await go.wait()

    async with consuming(identities, ops, url, handle) as consumer:
        await started.wait()
        assert left(aws, url) == 1
        go.set()
        await until(lambda: left(aws, url) == 0)
        assert consumer.counts.handled == 1


async def test_a_failing_message_stays_and_the_others_go_on(aws: Aws, identities: Identities, ops: Identity) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    for body in ("bad", "good"):
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=body)

    async def handle(message: Message) -> None:
        if message.body == "bad":
            raise RuntimeError("boom")

    async with consuming(identities, ops, url, handle) as consumer:
        await until(lambda: consumer.counts.handled == 1 and consumer.counts.failed == 1)
        await until(lambda: left(aws, url) == 1)


async def test_poison_is_deleted_after_its_tries_where_nothing_redrives(
    aws: Aws, identities: Identities, ops: Identity
) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="poison")

    async def handle(message: Message) -> None:
        raise UnprocessableMessageError("not JSON")

    async with consuming(identities, ops, url, handle, tries=2, visibility=1) as consumer:
        await until(lambda: consumer.counts.poison == 1 and left(aws, url) == 0)


async def test_poison_is_left_to_a_redrive_policy(aws: Aws, identities: Identities, ops: Identity) -> None:
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = sqs.create_queue(QueueName="q", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="poison")

    async def handle(message: Message) -> None:
        raise UnprocessableMessageError("not JSON")

    async with consuming(identities, ops, url, handle, tries=1, visibility=1):
        await until(lambda: left(aws, dead) == 1)


async def test_while_the_queue_fails_tries_are_spaced_and_then_it_goes_on(
    aws: Aws, identities: Identities, ops: Identity
) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="m")
    await aws.standin.fail("sqs:ReceiveMessage", code="ServiceUnavailable", count=3)
    slept, seen = [], asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def handle(message: Message) -> None:
        seen.set()

    async with consuming(identities, ops, url, handle, sleep=sleep) as consumer:
        await asyncio.wait_for(seen.wait(), 10)
        assert consumer.counts.errors == 3
    assert slept[0] <= 1 <= slept[1] <= 2 <= slept[2] <= 4


async def test_a_queue_that_may_not_be_read_says_so_and_waits(
    aws: Aws, identities: Identities, caplog: pytest.LogCaptureFixture
) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    identity = service_account(aws.irsa_role("a", subject="team-a:eso"))
    asked, gate = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        asked.set()
        await gate.wait()

    async def handle(message: Message) -> None:
        raise AssertionError("nothing to handle")

    async with consuming(identities, identity, url, handle, sleep=sleep):
        await asyncio.wait_for(asked.wait(), 10)
    assert "AccessDenied" in caplog.text


async def test_a_slow_message_does_not_hold_up_those_behind_it(aws: Aws, identities: Identities, ops: Identity) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    seen, go = set(), asyncio.Event()

    async def handle(message: Message) -> None:
        seen.add(message.body)
        if message.body == "slow":
            await go.wait()

    aws.client("sqs").send_message(QueueUrl=url, MessageBody="slow")
    async with consuming(identities, ops, url, handle):
        await until(lambda: "slow" in seen, seconds=30)
        aws.client("sqs").send_message(QueueUrl=url, MessageBody="next")
        await until(lambda: "next" in seen, seconds=30)
        assert left(aws, url) >= 1
        go.set()
        await until(lambda: left(aws, url) == 0, seconds=30)


async def test_no_more_batches_are_handled_at_once_than_asked_for(
    aws: Aws, identities: Identities, ops: Identity
) -> None:
    url = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    go = asyncio.Event()

    async def handle(message: Message) -> None:
        await go.wait()

    for number in range(35):
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=str(number))
    async with consuming(identities, ops, url, handle, batches=2) as consumer:
        await until(lambda: consumer.counts.received >= 11, seconds=30)
        await asyncio.sleep(0.3)  # time in which a third batch could come
        assert consumer.counts.received <= 20
        go.set()
        await until(lambda: left(aws, url) == 0, seconds=30)
