"""ECR: read by its own API, hastened by its events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from tests.integration.conftest import Aws

from .conftest import Bench


def _push(aws: Aws, tag: str) -> None:
    media_type = "application/vnd.oci.image.manifest.v1+json"
    config = {"digest": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"}
    manifest = {"schemaVersion": 2, "mediaType": media_type, "layers": [], "config": config}
    aws.client("ecr").put_image(repositoryName="web", imageManifest=json.dumps(manifest), imageTag=tag)


async def test_an_image_event_leads_to_a_commit_long_before_the_interval(
    bench: Bench, aws: Aws, aws_environment: Callable[..., None]
) -> None:
    aws_environment(**aws.standin.env())
    aws.client("ecr").create_repository(repositoryName="web")
    sqs, events = aws.client("sqs"), aws.client("events")
    url = sqs.create_queue(QueueName="images")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="images", EventPattern=json.dumps({"source": ["aws.ecr"]}))
    events.put_targets(Rule="images", Targets=[{"Id": "queue", "Arn": arn}])
    account = arn.split(":")[4]
    host = f"{account}.dkr.ecr.{aws.standin.region}.amazonaws.com"
    await bench.setup(text=f'image: {host}/web:v1.0.0 # {{"$imagepolicy": "team-a:web"}}\n')
    _push(aws, "v1.0.0")
    await bench.image("ImageRepository", "web", image=f"{host}/web", interval="1h", provider="aws")
    await bench.policy(digestReflectionPolicy="IfNotPresent")
    await bench.automation()
    queue = f"{aws.standin.url}/{account}/images"
    async with bench.run(image_automation_queue_url=queue, image_automation_queue_region=aws.standin.region,
                         image_automation_queue_wait="1"):  # fmt: skip
        await bench.until_file("web:v1.0.0@sha256:")
        _push(aws, "v1.1.0")
        await bench.until_file("web:v1.1.0@sha256:")
        await bench.until_ready("ImageRepository", "web", holds="found 2 tags")
