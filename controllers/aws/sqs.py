"""A queue of events, consumed so that none is lost: received, handled, then deleted, in that order.

What the handler does must bear repetition: a crash between handling and deleting brings a message again. A message
whose handling fails comes back later and later (its visibility is stretched); one that can never be handled
(`UnprocessableMessageError`)
is left to the queue's own redrive policy, or deleted after a few tries where there is none, for events only hasten what
polling finds anyway. While SQS itself fails, tries are spaced out, and the log says so once, not at each.

While messages are handled the next are received, a few batches deep: a burst is not served ten at a time.

A message is ours for a few seconds only, stretched while its handling lasts: what a killed process had received comes
again that soon, and not minutes later.

Long polls have a daemon thread each, not one of a pool: they would take the threads of short calls, and would hold up
the end of the process for as long as a poll lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .errors import AwsError, CredentialsRefused, NotFound, translate
from .identity import Identities, Identity

log = logging.getLogger(__name__)
WAIT = 20  # seconds of a long poll; SQS's maximum
_RECEIVE = "sqs:ReceiveMessage"
_BATCH = 10
_FIRST, _LONGEST = 1.0, 60.0  # seconds between tries while SQS fails
_HOLD, _HOLD_LONGEST = 5, 900  # seconds until a failed message comes again
_REGION = re.compile(r"(?:sqs[.-])?([a-z]{2,4}(?:-[a-z]+)+-\d)\.")


class UnprocessableMessageError(Exception):
    """This message can never be handled. The text is logged: no content in it."""


@dataclass(frozen=True, slots=True)
class Message:
    identifier: str
    body: str
    receipt: str = field(repr=False)
    receives: int  # how often it was received, this time included
    sent: float  # seconds since 1970


@dataclass(slots=True)
class Counts:
    """What became of messages; for metrics. `poison` counts messages given up, deleted or left to redrive."""

    received: int = 0
    handled: int = 0
    failed: int = 0
    poison: int = 0
    errors: int = 0  # calls of SQS that failed


Handler = Callable[[Message], Awaitable[None]]


@dataclass(slots=True)
class Consumer:
    """Reads one queue until cancelled: `await Consumer(…).run()`.

    `handle` is called for up to ten messages at once and has `limit` seconds. `tries`: receives after which a poison
    message is deleted where the queue has no redrive policy.
    """

    identities: Identities
    identity: Identity
    queue_url: str
    handle: Handler
    region: str = ""
    wait: int = WAIT
    tries: int = 5
    visibility: int = 12  # seconds a message is ours before it comes again, unless its handling still lasts
    limit: float = 120.0
    batches: int = 8  # batches of ten that are handled at once
    counts: Counts = field(default_factory=Counts)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _redrive: bool | None = None

    def __post_init__(self) -> None:
        self.region = self.region or region_of(self.queue_url)

    async def run(self) -> None:
        failures = 0
        working: set[asyncio.Task[None]] = set()
        try:
            while True:
                while len(working) >= self.batches:
                    await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                try:
                    messages = await self._receive()
                except AwsError as error:
                    failures += 1
                    self._failed(error, failures)
                    await self.sleep(backoff(failures, random.random()))  # noqa: S311 jitter
                    continue
                if failures:
                    log.info("queue %s is reachable again", self.queue_url)
                failures = 0
                if messages:
                    task = asyncio.create_task(self._batch(messages))
                    working.add(task)
                    task.add_done_callback(working.discard)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    def _failed(self, error: AwsError, failures: int) -> None:
        self.counts.errors += 1
        if failures == 1:
            log.warning("queue %s: %s", self.queue_url, error)

    async def _batch(self, messages: list[Message]) -> None:
        """Handled and deleted; what could not be deleted comes again."""
        try:
            await self._work(messages)
        except AwsError as error:
            self._failed(error, 1)

    async def _receive(self) -> list[Message]:
        client = await self.identities.client(self.identity, self.region, "sqs")
        poll = partial(
            client.receive_message,
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=self.wait,
            VisibilityTimeout=self.visibility,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        try:
            answer = await _in_daemon_thread(poll)
        except Exception as error:
            found = translate(error, operation=_RECEIVE)
            self.identities.observe(self.identity, _RECEIVE, type(found).__name__)
            if isinstance(found, CredentialsRefused):
                self.identities.forget(self.identity)
            raise found from None
        self.identities.observe(self.identity, _RECEIVE, "ok")
        return [_message(item) for item in answer.get("Messages", [])]

    async def _work(self, messages: list[Message]) -> None:
        self.counts.received += len(messages)
        keeper = asyncio.create_task(self._keep(messages))
        try:
            done = await asyncio.gather(*(self._one(message) for message in messages))
        finally:
            keeper.cancel()
        finished = [message for message, good in zip(messages, done, strict=True) if good]
        if finished:
            await self._delete(finished)

    async def _keep(self, messages: list[Message]) -> None:
        """Keeps the messages of a batch ours for as long as it is handled."""
        entries = [
            {"Id": str(n), "ReceiptHandle": message.receipt, "VisibilityTimeout": self.visibility}
            for n, message in enumerate(messages)
        ]
        while entries:
            await asyncio.sleep(self.visibility / 2)
            with contextlib.suppress(AwsError):  # then it may come twice, which handlers bear
                await self._call("change_message_visibility_batch", Entries=entries)

    async def _one(self, message: Message) -> bool:
        """Whether the message may be deleted."""
        try:
            async with asyncio.timeout(self.limit):
                await self.handle(message)
        except UnprocessableMessageError as error:
            return await self._poison(message, error)
        except Exception:
            self.counts.failed += 1
            log.exception("message %s of %s: handling failed", message.identifier, self.queue_url)
            with contextlib.suppress(AwsError):  # it comes back when its visibility ends
                seconds = hold(message.receives)
                await self._call("change_message_visibility", ReceiptHandle=message.receipt, VisibilityTimeout=seconds)
            return False
        self.counts.handled += 1
        return True

    async def _poison(self, message: Message, error: UnprocessableMessageError) -> bool:
        redrive = await self._has_redrive()
        if message.receives == 1 or (not redrive and message.receives >= self.tries):
            log.warning("message %s of %s: %s", message.identifier, self.queue_url, error)
        if redrive or message.receives < self.tries:
            self.counts.poison += redrive and message.receives == 1
            return False
        self.counts.poison += 1
        return True

    async def _has_redrive(self) -> bool:
        if self._redrive is None:
            try:
                answer = await self._call("get_queue_attributes", AttributeNames=["RedrivePolicy"])
                self._redrive = has_redrive(answer.get("Attributes", {}))
            except AwsError as error:
                log.info(
                    "queue %s: redrive policy unknown (%s); unprocessable messages are deleted", self.queue_url, error
                )
                self._redrive = False
        return self._redrive

    async def _delete(self, messages: list[Message]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": message.receipt} for n, message in enumerate(messages)]
        answer = await self._call("delete_message_batch", Entries=entries)
        for failed in answer.get("Failed", []):
            self.counts.errors += 1
            log.warning("queue %s: a handled message was not deleted (%s)", self.queue_url, failed.get("Code"))

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.identities.call(
            self.identity, self.region, "sqs", operation, QueueUrl=self.queue_url, **parameters
        )


async def queue_url(identities: Identities, identity: Identity, *, name: str, region: str, account: str = "") -> str:
    """The URL of a queue by name. Raises NotFound."""
    owner = {"QueueOwnerAWSAccountId": account} if account else {}
    answer = await identities.call(identity, region, "sqs", "get_queue_url", QueueName=name, **owner)
    if not answer.get("QueueUrl"):
        raise NotFound(f"sqs:GetQueueUrl: no URL for queue {name}", operation="sqs:GetQueueUrl")
    return str(answer["QueueUrl"])


def region_of(url: str) -> str:
    """The region in a queue's URL; empty where it has none (then the SDK's own applies)."""
    found = _REGION.match(url.partition("://")[2])
    return found[1] if found else ""


def backoff(failures: int, jitter: float) -> float:
    """Seconds before the next try after so many failures; `jitter` from 0 to 1 spreads over its upper half."""
    full = min(_FIRST * 2.0 ** min(failures - 1, 20), _LONGEST)
    return full / 2 + full / 2 * jitter


def hold(receives: int) -> int:
    """Seconds until a message whose handling failed comes again."""
    return int(min(_HOLD * 2 ** min(receives - 1, 20), _HOLD_LONGEST))


def has_redrive(attributes: Mapping[str, str]) -> bool:
    try:
        policy = json.loads(attributes.get("RedrivePolicy", "") or "{}")
    except ValueError:
        return False
    return isinstance(policy, dict) and bool(policy.get("deadLetterTargetArn"))


async def _in_daemon_thread(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The function's result, or its exception. A cancelled caller leaves the thread to end by itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[dict[str, Any]] = loop.create_future()

    def settle(result: dict[str, Any] | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or {})

    def work() -> None:
        result, failure = None, None
        try:
            result = function()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name="sqs-poll", daemon=True).start()
    return await future


def _message(item: Mapping[str, Any]) -> Message:
    attributes = item.get("Attributes", {})
    return Message(
        identifier=str(item["MessageId"]),
        body=str(item.get("Body", "")),
        receipt=str(item["ReceiptHandle"]),
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
        sent=int(attributes.get("SentTimestamp", 0)) / 1000,
    )
