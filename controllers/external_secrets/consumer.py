"""SQS messages → `force-sync` on the ExternalSecrets they concern; then the message goes.

The annotation is the one door for every wish to look again: it survives a crash, reaches whichever replica or shard
serves the object, and the same message twice writes the same value. A change that concerns nobody is done with.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Key, Manifest
from controllers.aws import events as aws_events
from controllers.aws.sqs import Message, Poison
from controllers.runtime.kube import KubeClient, NotFound

from .coalescer import Coalescer
from .events import Interest, concerns, interested, mark
from .meters import Meters
from .target import FORCE_SYNC

log = logging.getLogger(__name__)


class EventHandler:
    """Handles one message at a time per call; safe to repeat."""

    def __init__(
        self,
        kube: KubeClient,
        interests: Callable[[], Iterable[tuple[Key, tuple[Interest, ...]]]],
        lookup: Callable[[Key], Manifest | None],
        coalescer: Coalescer,
        meters: Meters,
    ) -> None:
        self._kube, self._interests, self._lookup = kube, interests, lookup
        self._coalescer, self._meters = coalescer, meters

    async def __call__(self, message: Message) -> None:
        """Raises Poison for what is no event, ApiError where the API server does not take the annotation."""
        try:
            change = aws_events.parse(message.body)
        except aws_events.Malformed as error:
            self._meters.messages.labels("poison").inc()
            raise Poison(str(error)) from None
        if change is None or change.service == "ecr":
            self._meters.messages.labels("other").inc()
            return
        self._coalescer.invalidate(lambda source, key: concerns(change, key, region=source.region))
        keys = [key for key, wants in self._interests() if interested(change, wants)]
        await asyncio.gather(*(self._force(key, mark(change)) for key in keys))
        self._meters.messages.labels("matched" if keys else "unmatched").inc()
        log.info("%s %s: %d ExternalSecrets concerned", change.action, change.name, len(keys))

    async def _force(self, key: Key, value: str) -> None:
        manifest = self._lookup(key)
        if manifest is None:
            return
        meta = manifest["metadata"]
        if (meta.get("annotations") or {}).get(FORCE_SYNC) == value:
            return
        body = {"metadata": {"uid": meta["uid"], "annotations": {FORCE_SYNC: value}}}
        try:
            await self._kube.patch(EXTERNAL_SECRETS, key.name, key.namespace, body=body)
        except NotFound:
            return
