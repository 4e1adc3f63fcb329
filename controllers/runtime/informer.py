"""kopf as our informer: it lists and watches the custom resources and hands each event to a listener. Nothing else.

Only `@kopf.on.event` is used: change handlers, timers and daemons would patch annotations and finalizers onto every
object, and `@kopf.index` starts in quadratic time. One registry and one `kopf.operator` per process: stopping one of two
would cancel the other. What kopf leaves open is watched here:
- it has no sign of "the first list is through" and none of life: its session's middleware notes each watch and counts
  the bytes that come, so `age` tells a silent or ended watch and `listed` the end of the first list;
- it takes static credentials: the middleware adds the current token to each request;
- a 401 makes it log in anew, which gives it a new session.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf

from controllers.api.resource import Manifest, Resource

from .kube.config import KubeConfig
from .kube.credentials import Credentials
from .settings import Settings

log = logging.getLogger(__name__)

OnEvent = Callable[[str, Manifest], None]
_QUIET = 0.25  # seconds without an event, once the watch is open, after which the first list counts as handled


@dataclass(slots=True)
class Wanted:
    """One kind that kopf watches for us; `on_event` gets ADDED, MODIFIED or DELETED with the object."""

    resource: Resource
    on_event: OnEvent
    label_selector: str = ""
    heard: float = field(default_factory=time.monotonic)
    watching: bool = False
    bytes_seen: int = 0
    response: weakref.ref[aiohttp.ClientResponse] | None = None

    def listed(self) -> bool:
        """Whether the first list has been read and its events handled."""
        return self.watching and time.monotonic() - self.heard > _QUIET

    def age(self) -> float:
        """Seconds since an event, a bookmark, or a new watch."""
        response = self.response() if self.response is not None else None
        if response is not None and response.content.total_bytes != self.bytes_seen:
            self.bytes_seen, self.heard = response.content.total_bytes, time.monotonic()
        return time.monotonic() - self.heard


class Informer:
    """`add` before `run`; `run` until `stop` is set. One per process."""

    def __init__(self, settings: Settings, config: KubeConfig) -> None:
        self._settings, self._config = settings, config
        self._wanted: dict[Resource, Wanted] = {}
        self._credentials = Credentials(config)
        self.started = asyncio.Event()
        """Set when kopf has installed what it installs (its signal handlers too) and begins to list."""

    def add(self, resource: Resource, on_event: OnEvent, *, label_selector: str = "") -> None:
        self._wanted[resource] = Wanted(resource, on_event, label_selector)

    @property
    def wanted(self) -> Iterable[Wanted]:
        return self._wanted.values()

    async def run(self, stop: asyncio.Event) -> None:
        """Raises where kopf ends without having been told to."""
        if not self._wanted:
            await stop.wait()
            return
        for wanted in self._wanted.values():
            wanted.heard = time.monotonic()
        watch = self._settings.watch
        await kopf.operator(
            registry=self._registry(),
            settings=self._kopf_settings(),
            standalone=True,
            clusterwide=not watch.namespace,
            namespaces=[watch.namespace] if watch.namespace else [],
            stop_flag=stop,
            ready_flag=self.started,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for wanted in self._wanted.values():
            resource = wanted.resource
            on_event = kopf.on.event(
                resource.group,
                resource.version,
                resource.plural,
                registry=registry,
                id=f"see-{resource.plural}",
            )
            on_event(_handler(wanted))
        return registry

    def _kopf_settings(self) -> kopf.OperatorSettings:
        """As measured: nothing posted, no peering, no scanning; lists in pages; streams that end on silence."""
        settings, own = kopf.OperatorSettings(), self._settings
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.process.ultimate_exiting_timeout = None  # kopf would SIGKILL us after a signal of its own counting
        settings.queueing.idle_timeout = 0.5
        settings.watching.chunk_size = own.watch.page
        settings.watching.server_timeout = own.watch.timeout
        settings.watching.client_timeout = own.watch.timeout + 10
        settings.watching.inactivity_timeout = own.kube.silence
        settings.networking.request_timeout = own.kube.request
        settings.networking.connect_timeout = own.kube.connect
        for wanted in self._wanted.values():
            if wanted.label_selector:
                resource = wanted.resource
                key = (resource.group, resource.version, resource.plural)
                settings.watching.label_selectors[key] = wanted.label_selector
        return settings

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        config = self._config
        context = config.ssl_context()
        connector = aiohttp.TCPConnector(limit=0, ssl=context if context is not None else True)
        session = aiohttp.ClientSession(connector=connector, middlewares=(self._observe,), trust_env=False)
        return kopf.AiohttpSession(server=config.server, default_namespace=config.namespace, aiohttp_session=session)

    async def _observe(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        token = await self._credentials.token()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token.reveal_text()}"
        response = await handler(request)
        if response.status == 401:
            await self._credentials.refresh()
        if "watch" in request.url.query and response.status == 200:
            for wanted in self._wanted.values():
                if request.url.path.endswith(f"/{wanted.resource.plural}"):
                    wanted.response, wanted.bytes_seen = weakref.ref(response), 0
                    wanted.heard, wanted.watching = time.monotonic(), True
        return response


def _handler(wanted: Wanted) -> Callable[..., Any]:
    async def see(type: str | None, event: Any, **_: Any) -> None:
        wanted.heard = time.monotonic()
        wanted.on_event(type or "ADDED", event["object"])

    return see
