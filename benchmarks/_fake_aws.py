"""An AWS that is quick where moto is not: 20 ms an answer, and quotas that answer ThrottlingException.

Secrets Manager, Parameter Store, STS and SQS as far as External Secrets calls them, in a process of its own, so that a
benchmark measures the controllers and not moto (200 requests a second at best). Signatures are not looked at. Quotas
are token buckets per account, region and API, as AWS has them; what AWS does not publish is a guess on the low side.

    /_bench/secrets   POST {"prefix", "count"}: makes them, in both services
    /_bench/rotate    POST {"names", "service"}: new versions, an event each; answers when its message became visible
    /_bench/calls     GET: {"calls": …, "throttled": …}; DELETE starts over
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from controllers.api.timestamps import timestamp

ACCOUNT, REGION = "123456789012", "eu-west-1"
LATENCY = 0.02
# calls per second; a bucket holds a second's worth
QUOTAS = {
    "BatchGetSecretValue": 100.0,
    "GetSecretValue": 10_000.0,
    "ListSecrets": 100.0,
    "GetParameters": 40.0,  # shared with GetParameter
    "DescribeParameters": 10.0,
    "AssumeRole": 500.0,
}


class ThrottledError(Exception):
    pass


@dataclass
class Bucket:
    rate: float
    tokens: float
    at: float

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Item:
    """A secret, and the parameter of the same name."""

    version: int = 1
    changed: float = field(default_factory=time.time)

    def value(self, name: str) -> str:
        return f"{name}#{self.version}"


@dataclass
class Message:
    body: str
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent: float = field(default_factory=time.time)
    receives: int = 0


class Aws:
    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.queue: deque[Message] = deque()
        self.flying: dict[str, tuple[Message, float]] = {}
        self.arrived = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        if not target:
            return await self._assume(parse_qs(body.decode()))
        prefix, _, action = target.rpartition(".")
        given = json.loads(body or b"{}")
        if prefix == "AmazonSQS":
            return _answer(await self._sqs(action, given))
        try:
            await self._admit(action)
        except ThrottledError:
            return _answer({"__type": "ThrottlingException", "message": "Rate exceeded"}, 400)
        return _answer(getattr(self, f"_{action}")(given))

    async def _admit(self, action: str) -> None:
        self.calls[action] += 1
        pool = {"GetParameter": "GetParameters"}.get(action, action)
        rate = QUOTAS[pool]
        bucket = self.buckets.setdefault((ACCOUNT, pool), Bucket(rate, rate, time.monotonic()))
        allowed = bucket.take()
        await asyncio.sleep(LATENCY)
        if not allowed:
            self.throttled[action] += 1
            raise ThrottledError

    async def _assume(self, given: dict[str, list[str]]) -> web.Response:
        action = given["Action"][0]
        self.calls[action] += 1
        await asyncio.sleep(LATENCY)
        expires = timestamp(datetime.now(UTC) + timedelta(hours=1))
        xml = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
            f"<AccessKeyId>ASIABENCH</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            f"<Expiration>{expires}</Expiration></Credentials></{action}Result></{action}Response>"
        )
        return web.Response(text=xml, content_type="text/xml")

    # --- Secrets Manager

    def _secret(self, name: str) -> dict[str, Any]:
        item = self.items[name]
        return {
            "ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf",
            "Name": name,
            "VersionId": _version(name, item.version),
            "SecretString": item.value(name),
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": item.changed,
        }

    def _BatchGetSecretValue(self, given: dict[str, Any]) -> dict[str, Any]:
        ids = given["SecretIdList"]
        assert len(ids) <= 20
        missing = [
            {"SecretId": name, "ErrorCode": "ResourceNotFoundException"} for name in ids if name not in self.items
        ]
        return {"SecretValues": [self._secret(name) for name in ids if name in self.items], "Errors": missing}

    def _GetSecretValue(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._secret(given["SecretId"])

    def _ListSecrets(self, given: dict[str, Any]) -> dict[str, Any]:
        prefixes = [value for each in given.get("Filters", []) if each["Key"] == "name" for value in each["Values"]]
        page, following = self._page(given, tuple(prefixes), min(given.get("MaxResults", 100), 100))
        listed = []
        for name in page:
            item, secret = self.items[name], self._secret(name)
            stages = {secret["VersionId"]: ["AWSCURRENT"]}
            listed.append(
                {"ARN": secret["ARN"], "Name": name, "LastChangedDate": item.changed, "SecretVersionsToStages": stages}
            )
        return {"SecretList": listed, **following}

    def _page(self, given: dict[str, Any], prefixes: tuple[str, ...], size: int) -> tuple[list[str], dict[str, str]]:
        names = sorted(name for name in self.items if not prefixes or name.startswith(prefixes))
        at = int(given.get("NextToken") or 0)
        return names[at : at + size], {"NextToken": str(at + size)} if at + size < len(names) else {}

    # --- Parameter Store

    def _parameter(self, name: str) -> dict[str, Any]:
        item = self.items[name]
        arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name.lstrip('/')}"
        base = {"Name": name, "ARN": arn, "Type": "SecureString", "Version": item.version}
        return {**base, "LastModifiedDate": item.changed}

    def _GetParameters(self, given: dict[str, Any]) -> dict[str, Any]:
        names = given["Names"]
        assert len(names) <= 10
        found = [
            {**self._parameter(name), "Value": self.items[name].value(name)} for name in names if name in self.items
        ]
        return {"Parameters": found, "InvalidParameters": [name for name in names if name not in self.items]}

    def _DescribeParameters(self, given: dict[str, Any]) -> dict[str, Any]:
        filters = [each for each in given.get("ParameterFilters", []) if each["Key"] == "Name"]
        prefixes = tuple(value for each in filters for value in each["Values"])
        page, following = self._page(given, prefixes, min(given.get("MaxResults", 50), 50))
        return {"Parameters": [self._parameter(name) for name in page], **following}

    # --- SQS

    async def _sqs(self, action: str, given: dict[str, Any]) -> dict[str, Any]:
        self.calls[action] += 1
        if action == "ReceiveMessage":
            return await self._receive(given)
        await asyncio.sleep(LATENCY / 2)
        if action == "DeleteMessageBatch":
            for entry in given["Entries"]:
                self.flying.pop(entry["ReceiptHandle"], None)
            return {"Successful": [{"Id": entry["Id"]} for entry in given["Entries"]], "Failed": []}
        return {"Attributes": {}} if action == "GetQueueAttributes" else {}

    async def _receive(self, given: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(LATENCY / 2)
        ends = time.monotonic() + given.get("WaitTimeSeconds", 0)
        now = time.monotonic()
        for receipt in [receipt for receipt, (_, until) in self.flying.items() if until < now]:
            self.queue.append(self.flying.pop(receipt)[0])
        while not self.queue and (left := ends - time.monotonic()) > 0:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), left)
            except TimeoutError:
                break
        out: list[dict[str, Any]] = []
        while self.queue and len(out) < given.get("MaxNumberOfMessages", 1):
            message = self.queue.popleft()
            message.receives += 1
            receipt = str(uuid.uuid4())
            self.flying[receipt] = (message, time.monotonic() + given.get("VisibilityTimeout", 30))
            attributes = {
                "ApproximateReceiveCount": str(message.receives),
                "SentTimestamp": str(int(message.sent * 1000)),
            }
            out.append(
                {
                    "MessageId": message.identifier,
                    "ReceiptHandle": receipt,
                    "Body": message.body,
                    "Attributes": attributes,
                }
            )
        return {"Messages": out} if out else {}

    # --- steering

    async def make(self, request: web.Request) -> web.Response:
        given = await request.json()
        self.items |= {f"{given['prefix']}{number:05}": Item() for number in range(given["count"])}
        return web.json_response({})

    async def rotate(self, request: web.Request) -> web.Response:
        given = await request.json()
        visible = {}
        for name in given["names"]:
            item = self.items[name]
            item.version, item.changed = item.version + 1, time.time()
            if given.get("lost"):
                continue
            self.queue.append(Message(json.dumps(_event(given["service"], name, item))))
            visible[name] = time.time()
        self.arrived.set()
        return web.json_response(visible)

    async def report(self, request: web.Request) -> web.Response:
        found = {"calls": dict(self.calls), "throttled": dict(self.throttled), "queued": len(self.queue)}
        if request.method == "DELETE":
            self.calls.clear()
            self.throttled.clear()
        return web.json_response(found)


def _version(name: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}#{number}"))


def _event(service: str, name: str, item: Item) -> dict[str, Any]:
    moment = datetime.fromtimestamp(item.changed, UTC).isoformat()
    common = {"version": "0", "id": str(uuid.uuid4()), "account": ACCOUNT, "time": moment, "region": REGION}
    if service == "ParameterStore":
        arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name.lstrip('/')}"
        parameter = {"operation": "Update", "name": name, "type": "SecureString"}
        kind = {"source": "aws.ssm", "detail-type": "Parameter Store Change"}
        return {**common, **kind, "resources": [arn], "detail": parameter}
    detail: dict[str, Any] = {
        "eventName": "PutSecretValue",
        "awsRegion": REGION,
        "requestParameters": {"secretId": name, "clientRequestToken": _version(name, item.version)},
    }
    return {**common, "source": "aws.secretsmanager", "detail-type": "AWS API Call via CloudTrail", "detail": detail}


def _answer(value: dict[str, Any], status: int = 200) -> web.Response:
    kind = "application/x-amz-json-1.1"
    return web.Response(body=json.dumps(value).encode(), status=status, content_type=kind)


async def serve() -> None:
    aws = Aws()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/_bench/secrets", aws.make)
    app.router.add_post("/_bench/rotate", aws.rotate)
    app.router.add_route("*", "/_bench/calls", aws.report)
    app.router.add_post("/{rest:.*}", aws.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started us is gone


if __name__ == "__main__":
    asyncio.run(serve())
