"""The HTTP doors of the SealedSecret controller, as kubeseal uses them: the certificate, verify, rotate.

Anyone whom the API server's service proxy lets through may call, so nothing here may be worth calling: verify says yes
or no, rotate seals anew under the same label that opened the item (the scope cannot widen, for only the object's own
annotations are read), and each caller has a rate on each of the three. Private-key operations run on the crypto pool.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import yaml
from aiohttp import web

from controllers.api.resource import Manifest
from controllers.runtime.pools import Pools
from controllers.sops.errors import SealedError

from .key_manager import SealingKeyManager
from .metrics import SealedMeters
from .unseal import check, reseal

MAX_BODY = 1 << 20  # bytes; an object of the API server has at most 1.5 MB, sealed items included
MAX_ITEMS = 1_000
_CALLERS = 10_000
_BURST = 2.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rates:
    """Token buckets by door and caller: `per_second` each, bursts of two, and twenty callers' worth for all."""

    def __init__(self, per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = per_second, clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, door: str, caller: str) -> bool:
        """Whether the call may pass. A caller that names itself anew each time meets the door's own bucket."""
        return self._take((door, ""), 20.0) and self._take((door, caller), 1.0)

    def _take(self, name: tuple[str, str], share: float) -> bool:
        now, burst = self._clock(), max(_BURST, self._rate) * share
        left, at = self._buckets.pop(name, (burst, now))
        left = min(burst, left + (now - at) * self._rate * share)
        passed = left >= 1.0
        self._buckets[name] = (left - 1.0 if passed else left, now)
        while len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return passed


class SealedDoors:
    """Three handlers; `add` puts them on a server."""

    def __init__(self, keys: SealingKeyManager, pools: Pools, rates: Rates, meters: SealedMeters) -> None:
        self._keys, self._pools, self._rates, self._meters = keys, pools, rates, meters

    def add(self, route: Callable[[str, str, Handler], None]) -> None:
        for method, path, handler in (
            ("GET", "/v1/cert.pem", self._certificate),
            ("POST", "/v1/verify", self._verify),
            ("POST", "/v1/rotate", self._rotate),
        ):
            route(method, path, self._guarded(path, handler))

    def _guarded(self, path: str, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            caller = request.headers.get("X-Forwarded-For", request.remote or "")[:200]
            start = time.monotonic()
            if self._rates.take(path, caller):
                try:
                    answer = await handler(request)
                except web.HTTPRequestEntityTooLarge:
                    answer = _text(413, f"the body is larger than {MAX_BODY} bytes")
            else:
                answer = _text(429, "too many calls", {"Retry-After": "1"})
            self._meters.request(path, request.method, answer.status, time.monotonic() - start)
            return answer

        return guarded

    async def _certificate(self, request: web.Request) -> web.StreamResponse:
        key = self._keys.newest
        if key is None:
            return _text(503, "there is no sealing key yet")
        return web.Response(body=key.certificate_pem(), content_type="application/x-pem-file")

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        try:
            sealed = await _body(request)
        except ValueError as error:
            return _text(400, str(error))
        try:
            await self._pools.run("crypto", check, sealed, self._keys.ring)
        except SealedError as error:
            return _text(409, error.message)
        return _text(200, "")

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        key = self._keys.newest
        if key is None:
            return _text(503, "there is no sealing key yet")
        try:
            sealed = await _body(request)
        except ValueError as error:
            return _text(400, str(error))
        try:
            renewed = await self._pools.run("crypto", reseal, sealed, self._keys.ring, key)
        except SealedError as error:
            return _text(409, error.message)
        return web.json_response({name: value for name, value in renewed.items() if name != "status"})


async def _body(request: web.Request) -> Manifest:
    """The SealedSecret of a request. Raises ValueError with what was found and expected."""
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    data = b""
    async for chunk in request.content.iter_chunked(64 << 10):
        data += chunk
        if len(data) > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, len(data))
    return parse_sealed(data)


def parse_sealed(data: bytes) -> Manifest:
    """One SealedSecret as JSON or YAML. Raises ValueError; never more nodes than a SealedSecret can have."""
    try:
        text = data.decode()
        value = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, json.JSONDecodeError):
        raise ValueError("expected one SealedSecret as JSON or YAML") from None
    if not isinstance(value, dict) or value.get("kind") != "SealedSecret":
        raise ValueError("expected one SealedSecret, found another kind")
    meta, spec = value.get("metadata"), value.get("spec")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not isinstance(spec, dict):
        raise ValueError("expected metadata.name and spec")
    for name, part in (("metadata.annotations", meta.get("annotations")), ("spec.template", spec.get("template"))):
        if not isinstance(part or {}, dict):
            raise ValueError(f"{name}: expected a mapping")
    items = spec.get("encryptedData") or {}
    if not isinstance(items, dict) or len(items) > MAX_ITEMS or not all(isinstance(key, str) for key in items):
        raise ValueError(f"spec.encryptedData: expected a mapping of at most {MAX_ITEMS} items")
    return value


def _yaml(text: str) -> Any:
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("expected YAML without aliases")
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n" if text else "", headers=headers)
