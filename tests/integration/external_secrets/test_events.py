"""A change at AWS reaches the Secret by way of EventBridge, SQS and force-sync, long before the next poll."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager

from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.external_secrets.target.hashing import synced_resource_version
from controllers.runtime.manager import Manager
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry


def queue(bench: Bench) -> str:
    sqs, events = bench.aws.client("sqs"), bench.aws.client("events")
    url = sqs.create_queue(QueueName="secrets")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="secrets", EventPattern=json.dumps({"source": ["aws.secretsmanager", "aws.ssm"]}))
    events.put_targets(Rule="secrets", Targets=[{"Id": "1", "Arn": arn}])
    return str(url)


def run(bench: Bench, url: str) -> AbstractAsyncContextManager[Manager]:
    return bench.run(
        external_secrets_queue_url=url,
        external_secrets_queue_region=bench.aws.standin.region,
        external_secrets_queue_wait="1",
    )


async def test_a_rotation_follows_at_once_for_both_services_by_name_arn_and_prefix(bench: Bench) -> None:
    arn = bench.create("team/db", "one")
    ssm = bench.aws.client("ssm")
    ssm.put_parameter(Name="/host", Value="a", Type="String")
    await bench.store()
    await bench.store("prefixed", prefix="team/")
    await bench.store("ssm", "ParameterStore")
    url = queue(bench)
    await bench.secret("name", data=[entry("v", "team/db")])
    await bench.secret("arn", data=[entry("v", arn)])
    await bench.secret("prefix", secretStoreRef={"name": "prefixed"}, data=[entry("v", "db")])
    await bench.secret("param", secretStoreRef={"name": "ssm"}, data=[entry("v", "/host")])
    await bench.secret("found", dataFrom=[{"find": {"name": {"regexp": "^team/"}}}])
    async with run(bench, url):
        for name in ("name", "arn", "prefix"):
            await bench.until_data(name, v=b"one")
        await bench.until_data("found", team_db=b"one")
        await bench.until_data("param", v=b"a")
        bench.put("team/db", "two")
        ssm.put_parameter(Name="/host", Value="b", Type="String", Overwrite=True)
        for name in ("name", "arn", "prefix"):
            await bench.until_data(name, v=b"two")
        await bench.until_data("found", team_db=b"two")
        await bench.until_data("param", v=b"b")

        async def drained() -> bool:
            found = bench.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            return bool(found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0")

        await until(drained, what="the queue to be empty")


async def test_an_event_about_another_secret_touches_nothing_and_poison_stops_nobody(bench: Bench) -> None:
    bench.create("mine", "one")
    bench.create("other", "x")
    await bench.store()
    url = queue(bench)
    await bench.secret("mine", data=[entry("v", "mine")])
    async with run(bench, url):
        await bench.until_data("mine", v=b"one")
        before = await bench.cluster.admin.get(EXTERNAL_SECRETS, "mine", NAMESPACE)
        bench.aws.client("sqs").send_message(QueueUrl=url, MessageBody="not JSON")
        bench.put("other", "y")
        bench.put("mine", "two")
        await bench.until_data("mine", v=b"two")
        after = await bench.cluster.admin.get(EXTERNAL_SECRETS, "mine", NAMESPACE)
        assert "force-sync" not in (before["metadata"].get("annotations") or {})
        assert "force-sync" in after["metadata"]["annotations"]


async def test_what_changed_while_no_controller_ran_is_found_in_the_queue(bench: Bench) -> None:
    bench.create("mine", "one")
    await bench.store()
    url = queue(bench)
    await bench.secret("mine", data=[entry("v", "mine")])
    async with run(bench, url):
        await bench.until_ready("mine")
    await asyncio.sleep(1.1)  # the long poll of the controller that was stopped ends; a killed process takes it along
    bench.put("mine", "two")
    async with run(bench, url):
        await bench.until_data("mine", v=b"two")


def announcement(name: str, action: str, moment: str, version: str = "") -> str:
    detail = {
        "eventName": action,
        "awsRegion": "eu-west-1",
        "requestParameters": {"secretId": name, **({"clientRequestToken": version} if version else {})},
    }
    return json.dumps(
        {
            "id": f"{action}-{version}",
            "account": "123456789012",
            "region": "eu-west-1",
            "time": moment,
            "source": "aws.secretsmanager",
            "detail-type": "AWS API Call via CloudTrail",
            "detail": detail,
        }
    )


async def test_messages_that_come_twice_late_and_out_of_order_change_nothing(bench: Bench) -> None:
    bench.create("mine", "one")
    await bench.store()
    url = queue(bench)
    await bench.secret("mine", data=[entry("v", "mine")], target={"deletionPolicy": "Delete"})
    async with run(bench, url) as manager:
        await bench.until_data("mine", v=b"one")
        for value in ("two", "three"):
            bench.put("mine", value)
        await bench.until_data("mine", v=b"three")
        before = await bench.found("mine")
        versions = bench.aws.client("secretsmanager").list_secret_version_ids(SecretId="mine")["Versions"]
        old = [announcement("mine", "PutSecretValue", "2026-01-01T00:00:00Z", item["VersionId"]) for item in versions]
        gone = announcement("mine", "DeleteSecret", "2026-01-02T00:00:00Z")
        for body in [gone, *old, *reversed(old), gone]:
            bench.aws.client("sqs").send_message(QueueUrl=url, MessageBody=body)

        async def handled() -> bool:
            text = manager.metrics.render().decode()
            found = [line for line in text.splitlines() if 'events_total{fate="matched"}' in line]
            return bool(found) and float(found[0].rsplit(" ", 1)[1]) >= 2 + 2 + 2 * len(old)

        await until(handled, patience=60, what="all messages handled")

        async def synced() -> bool:
            found = await bench.cluster.admin.get(EXTERNAL_SECRETS, "mine", NAMESPACE)
            meta = found["metadata"]
            wanted = synced_resource_version(meta["generation"], meta.get("labels") or {}, meta["annotations"])
            return bool(found["status"]["syncedResourceVersion"] == wanted)

        await until(synced, patience=60, what="the last look")
        after = await bench.found("mine")
        assert before is not None and after is not None
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert (await bench.ready("mine"))[0] == "True"
