"""kopf as our informer: it lists and watches the custom resources and hands each event to a listener. Nothing else.

Only `@kopf.on.event` is used: change handlers, timers and daemons would patch annotations and finalizers onto every
object, and `@kopf.index` starts in quadratic time. One registry and one `kopf.operator` per process, on a thread and
loop of its own: at its end it cancels every task of its loop that began after it, ours among them, and it takes the
signal handlers of a main thread. What kopf leaves open is watched here:
- it has no sign of "the first list is through" and none of life: its session's middleware notes each watch and counts
  the bytes that come, so `age` tells a silent or ended watch and `listed` the end of the first list;
- it takes static credentials: the middleware adds the current token to each request;
- a 401 makes it log in again, which gives it a new session;
- an error other than 410 in a watch, and an answer of 403, 404 or 5xx to a list that outlasts its own retries, end it:
  the lines of a watch go through `watch_lines`, and such an answer is raised as a lost connection, which it bears.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf

from controllers.api.resource import Manifest, Resource

from ..kube.config import KubeConfig
from ..kube.connection import Observe
from ..kube.credentials import Credentials
from ..settings import Settings
from .watch_lines import CheckedLines, Pauses

log = logging.getLogger(__name__)

OnEvent = Callable[[str, Manifest], None]
_FATAL = frozenset({403, 404})
_QUIET = 0.25  # seconds without an event, once the watch is open, after which the first list counts as handled


@dataclass(slots=True)
class WatchedKind:
    """One kind that kopf watches for us; `on_event` gets ADDED, MODIFIED or DELETED with the object."""

    resource: Resource
    on_event: OnEvent
    label_selector: str = ""
    heard: float = field(default_factory=time.monotonic)
    watching: bool = False
    bytes_seen: int = 0
    response: weakref.ref[aiohttp.ClientResponse] | None = None
    pauses: Pauses = field(default_factory=Pauses)

    def listed(self) -> bool:
        """Whether the first list has been read and its events handled."""
        return self.watching and time.monotonic() - self.heard > _QUIET

    def age(self) -> float:
        """Seconds since an event, a bookmark, or a new watch."""
        response = self.response() if self.response is not None else None
        if response is not None and response.content.total_bytes != self.bytes_seen:
            self.bytes_seen, self.heard = response.content.total_bytes, time.monotonic()
        return time.monotonic() - self.heard


class _NoEssence(kopf.DiffBaseStorage):
    """kopf copies each object to tell what changed in it, for handlers of a kind that we do not have."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept, on an object least of all."""


class Informer:
    """`add` before `run`; `run` until `stop` is set. One per process."""

    def __init__(self, settings: Settings, config: KubeConfig, observe: Observe | None = None) -> None:
        """`observe` hears of each of kopf's requests, as of the kube client's."""
        self._settings, self._config, self._observer = settings, config, observe
        self._wanted: dict[Resource, WatchedKind] = {}
        self._credentials = Credentials(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.started = asyncio.Event()
        """Set when kopf begins to list."""

    def add(self, resource: Resource, on_event: OnEvent, *, label_selector: str = "") -> None:
        """`on_event` is called on the loop of `run`, in order for each object."""
        self._wanted[resource] = WatchedKind(resource, on_event, label_selector)

    @property
    def wanted(self) -> Iterable[WatchedKind]:
        return self._wanted.values()

    async def run(self, stop: asyncio.Event) -> None:
        """Raises RuntimeError where kopf ends without having been told to."""
        if not self._wanted:
            self.started.set()
            await stop.wait()
            return
        self._loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = self._loop.create_future()
        inner = _Inner()
        thread = threading.Thread(target=self._main, args=(inner, ended), name="informer", daemon=True)
        thread.start()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {stopping, ended}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                ended.result()
                raise RuntimeError("kopf stopped unexpectedly")
        finally:
            stopping.cancel()
            inner.stop()
            with suppress(TimeoutError, Exception):
                await asyncio.wait_for(asyncio.shield(ended), 10)

    def _main(self, inner: _Inner, ended: asyncio.Future[None]) -> None:
        """On the thread: kopf with a loop of its own."""
        error: Exception | None = None
        try:
            asyncio.run(self._operate(inner))
        except Exception as failed:
            error = failed
        self._tell(_settle, ended, error)

    async def _operate(self, inner: _Inner) -> None:
        for wanted in self._wanted.values():
            wanted.heard = time.monotonic()
        watch = self._settings.watch
        await kopf.operator(
            registry=self._registry(),
            settings=self._kopf_settings(),
            standalone=True,
            clusterwide=not watch.namespace,
            namespaces=[watch.namespace] if watch.namespace else [],
            stop_flag=inner.begin(),
        )

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls on the main loop; a loop that is closed wants to hear nothing any more."""
        assert self._loop is not None  # noqa: S101 - run set it
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.startup(registry=registry)(self._on_startup)
        for wanted in self._wanted.values():
            resource = wanted.resource
            on_event = kopf.on.event(
                resource.group,
                resource.version,
                resource.plural,
                registry=registry,
                id=f"see-{resource.plural}",
            )
            on_event(self._handler(wanted))
        return registry

    def _kopf_settings(self) -> kopf.OperatorSettings:
        """As measured: nothing posted, no peering, no scanning; lists in pages; streams that end on silence."""
        settings, own = kopf.OperatorSettings(), self._settings
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.process.ultimate_exiting_timeout = None  # kopf would SIGKILL us after a signal of its own counting
        settings.persistence.diffbase_storage = _NoEssence()
        settings.queueing.idle_timeout = 0.5
        settings.watching.chunk_size = own.watch.page
        settings.watching.server_timeout = max(1, round(own.watch.timeout))  # the API takes whole seconds
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

    async def _on_startup(self, **_: Any) -> None:
        self._tell(self.started.set)

    def _handler(self, wanted: WatchedKind) -> Callable[..., Any]:
        async def see(type: str | None, event: Any, **_: Any) -> None:
            wanted.heard = time.monotonic()
            self._tell(wanted.on_event, type or "ADDED", event["object"])

        return see

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
        started = time.monotonic()
        response = await handler(request)
        if self._observer is not None:
            method = "WATCH" if "watch" in request.url.query else request.method
            self._observer(method, request.url.path, response.status, time.monotonic() - started)
        if response.status == 401:
            await self._credentials.refresh()
        if (kind := self._kind_of(request.url.path)) is not None:
            await self._note(kind, request, response)
        return response

    def _kind_of(self, path: str) -> WatchedKind | None:
        """The kind that a list or watch is of."""
        for kind in self._wanted.values():
            resource = kind.resource
            if path.endswith(f"/{resource.plural}") and f"/{resource.api_version}/" in path:
                return kind
        return None

    async def _note(self, kind: WatchedKind, request: aiohttp.ClientRequest, response: aiohttp.ClientResponse) -> None:
        """Raises ClientConnectionError for an answer that would end kopf's watcher."""
        status = response.status
        if status in _FATAL or status >= 500:
            response.release()
            log.warning("list or watch of %s: the API server returned HTTP %s", kind.resource.plural, status)
            raise aiohttp.ClientConnectionError(f"HTTP {status}")
        if "watch" in request.url.query and status == 200:
            kind.response, kind.bytes_seen = weakref.ref(response), 0
            kind.heard, kind.watching = time.monotonic(), True
            lines = CheckedLines(response.content, name=kind.resource.plural, pauses=kind.pauses)
            response.content = lines  # type: ignore[assignment]


class _Inner:
    """The stop flag of kopf's loop, which other threads may set before or after that loop has begun."""

    def __init__(self) -> None:
        self._lock, self._stopped = threading.Lock(), False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flag: asyncio.Event | None = None

    def begin(self) -> asyncio.Event:
        with self._lock:
            self._loop, self._flag = asyncio.get_running_loop(), asyncio.Event()
            if self._stopped:
                self._flag.set()
            return self._flag

    def stop(self) -> None:
        with self._lock, suppress(RuntimeError):
            self._stopped = True
            if self._loop is not None and self._flag is not None:
                self._loop.call_soon_threadsafe(self._flag.set)


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if not future.done():
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
