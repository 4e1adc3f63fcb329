"""SQS messages → `force-sync` on the ExternalSecrets they concern; then the message goes.

The annotation is the one door for every wish to look again: it survives a crash, reaches whichever replica or shard
serves the object, and the same message twice writes the same value. A change that concerns nobody is done with.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Key, Manifest
from controllers.aws import events as aws_events
from controllers.aws.sqs import Message, UnprocessableMessageError
from controllers.external_secrets.fetch.coalescer import Coalescer
from controllers.external_secrets.metrics import Meters
from controllers.external_secrets.providers.registry import provider_named
from controllers.external_secrets.target.desired import FORCE_SYNC
from controllers.runtime.kube import KubeClient, NotFound

from .match import Subscription, concerns, interested, mark, names_of

log = logging.getLogger(__name__)


Interests = Iterable[tuple[Key, tuple[Subscription, ...]]]


class InterestIndex:
    """Who may be concerned by a change, without a look at everybody: by each form of each key's name."""

    def __init__(self, interests: Callable[[], Interests], changes: Callable[[], int] | None = None) -> None:
        """`changes`: a number that is another one whenever `interests` may say something else."""
        self._interests, self._changes = interests, changes
        self._seen = -1
        self._known: dict[Key, tuple[Subscription, ...]] = {}
        self._by_form: dict[str, set[Key]] = defaultdict(set)
        self._finders: set[Key] = set()
        self._fresh = False

    def concerned(self, change: aws_events.AwsChange) -> list[Key]:
        """All whose interests the change is about."""
        self._refresh()
        near = self._finders.union(*(self._by_form.get(form, ()) for form in names_of(change)))
        return sorted(key for key in near if interested(change, self._known[key]))

    def _refresh(self) -> None:
        """Takes in what changed since; once for all messages that are begun together."""
        if self._fresh:
            return
        self._fresh = True
        asyncio.get_running_loop().call_soon(self._stale)
        if self._changes is not None and self._changes() == self._seen:
            return
        self._seen = self._changes() if self._changes is not None else -1
        present = dict(self._interests())
        for key in self._known.keys() - present.keys():
            self._drop(key)
        for key, wants in present.items():
            before = self._known.get(key)
            if before is not wants and before != wants:
                self._drop(key)
                self._put(key, wants)

    def _stale(self) -> None:
        self._fresh = False

    def _put(self, key: Key, wants: tuple[Subscription, ...]) -> None:
        self._known[key] = wants
        for form in _forms(wants):
            self._by_form[form].add(key)
        if any(interest.finds for interest in wants):
            self._finders.add(key)

    def _drop(self, key: Key) -> None:
        for form in _forms(self._known.pop(key, ())):
            self._by_form[form].discard(key)
            if not self._by_form[form]:
                del self._by_form[form]
        self._finders.discard(key)


def _forms(wants: Iterable[Subscription]) -> set[str]:
    keys = (key for interest in wants for key in interest.keys)
    return {form for key in keys for form in provider_named(key.service).spellings(key.name)}


class EventHandler:
    """Handles one message at a time per call; safe to repeat."""

    def __init__(
        self,
        kube: KubeClient,
        interests: Callable[[], Interests],
        lookup: Callable[[Key], Manifest | None],
        coalescer: Coalescer,
        meters: Meters,
        *,
        changes: Callable[[], int] | None = None,
    ) -> None:
        self._force, self._index = Forcer(kube, lookup), InterestIndex(interests, changes)
        self._coalescer, self._meters = coalescer, meters

    async def __call__(self, message: Message) -> None:
        """Raises UnprocessableMessageError for anything but an event, ApiError where the annotation is not accepted."""
        try:
            change = aws_events.parse(message.body)
        except aws_events.MalformedMessageError as error:
            if message.receives <= 1:  # it comes a few times more until it is dropped or redriven
                self._meters.messages.labels("poison").inc()
            raise UnprocessableMessageError(str(error)) from None
        if change is None or change.service == "ecr":
            self._meters.messages.labels("other").inc()
            return
        self._coalescer.invalidate(lambda source, key: concerns(change, key, region=source.region))
        keys = self._index.concerned(change)
        await asyncio.gather(*(self._force(key, mark(change)) for key in keys))
        self._meters.messages.labels("matched" if keys else "unmatched").inc()
        log.info("%s %s: %d ExternalSecrets concerned", change.action, change.name, len(keys))


class Forcer:
    """Sets `force-sync` on an ExternalSecret; the same value twice is one write."""

    def __init__(self, kube: KubeClient, lookup: Callable[[Key], Manifest | None]) -> None:
        self._kube, self._lookup = kube, lookup

    async def __call__(self, key: Key, value: str) -> None:
        """Raises ApiError; an ExternalSecret that is gone needs nothing."""
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
