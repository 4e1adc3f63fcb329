"""ECR's image events → `requestedAt` on the ImageRepositories they concern; then the message goes.

The same message twice writes the same value, which is answered once. A change that concerns nobody is done with.
"""

from __future__ import annotations

import asyncio
import logging

from controllers.api.image import IMAGE_REPOSITORIES
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp
from controllers.aws import events as aws_events
from controllers.aws.ecr import parse_host
from controllers.aws.sqs import Message, UnprocessableMessageError
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.store import REQUESTED_AT, Store

from .tags.reference import InvalidReferenceError, parse_repository

log = logging.getLogger(__name__)


def repository_names(manifest: Manifest) -> list[str]:
    """Index: `account/region/path` of an ImageRepository in ECR, nothing for any other."""
    try:
        repository = parse_repository(str((manifest.get("spec") or {}).get("image") or ""))
    except InvalidReferenceError:
        return []
    registry = parse_host(repository.host)
    return [f"{registry.account}/{registry.region}/{repository.path}"] if registry else []


def mark(change: aws_events.AwsChange) -> str:
    """The annotation's value: equal for equal events, another for every other."""
    moment = timestamp(change.time)
    return " ".join(part for part in (moment, change.action, change.tag, change.digest[:19]) if part)


class EventHandler:
    """Handles one message at a time per call; safe to repeat."""

    def __init__(self, kube: KubeClient, repositories: Store, index: str) -> None:
        self._kube, self._repositories, self._index = kube, repositories, index

    async def __call__(self, message: Message) -> None:
        """Raises UnprocessableMessageError for what is no event, ApiError where the API server does not take the
        annotation.
        """
        try:
            change = aws_events.parse(message.body)
        except aws_events.MalformedMessageError as error:
            raise UnprocessableMessageError(str(error)) from None
        if change is None or change.service != "ecr":
            return
        name = f"{change.account}/{change.region}/{change.name}"
        found = self._repositories.by_index(self._index, name)
        await asyncio.gather(*(self._request(manifest, mark(change)) for manifest in found))
        log.info("%s of image %s: %d ImageRepositories concerned", change.action, change.name, len(found))

    async def _request(self, manifest: Manifest, value: str) -> None:
        meta = manifest["metadata"]
        if (meta.get("annotations") or {}).get(REQUESTED_AT) == value:
            return
        body = {"metadata": {"uid": meta["uid"], "annotations": {REQUESTED_AT: value}}}
        try:
            await self._kube.patch(IMAGE_REPOSITORIES, meta["name"], meta["namespace"], body=body)
        except NotFound:
            return
