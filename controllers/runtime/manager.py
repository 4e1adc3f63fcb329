"""What a controller's `handlers.register(manager)` is given, and the life of the process.

Start, in this order: web server (the kubelet asks at once), watches and tasks of our own, leader election, then the
wait until every wanted kind is served (kopf would never see a CRD that comes later), then kopf. Workers start when
this process leads and the stores have seen their first list; a standby does all but work, so it is warm. Stop: workers
first (a reconcile in flight is cancelled and unwinds), then events, leases given back, kopf, connections.

A crash at any point leaves nothing to clean: every durable fact is in an object, and the next start reconciles all.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from controllers.api.core import NAMESPACES
from controllers.api.resource import Manifest, Resource, key_of

from . import ownership as claim
from .conditions import FLUX, Style
from .controller import Controller, Reconcile
from .egress import Egress
from .events import EventRecorder
from .health import RuntimeHealth
from .informers.informer import Informer
from .informers.resync import resync
from .informers.watch import OnEvent, Watch
from .kube import KubeClient, KubeConfig, Timeouts
from .leadership.elections import Elections, LeadershipLostError
from .leadership.startup import refuse_rivals, wait_until_served
from .metrics import Metrics
from .policies import PolicyBook
from .pools import Pools
from .queue import WorkQueue
from .settings import Settings, default_identity
from .status import StatusWriter
from .store import Store
from .web import Handler, WebServer
from .worker import HeavyWorker

log = logging.getLogger(__name__)

TaskFunction = Callable[[], Coroutine[Any, Any, None]]
_WARM_UP = 30.0  # seconds after which workers start though a store's first list was not seen to end


class Manager:
    """Register everything, then `await run()` once. `kube` and the rest may be used before `run`, on its loop."""

    def __init__(self, settings: Settings, *, config: KubeConfig | None = None) -> None:
        """`config` None: as the settings say. Raises kube.ConfigError."""
        kube = settings.kube
        self.settings = settings
        self.config = config or KubeConfig.load(kube.config, kube.context)
        self.namespace = settings.namespace or self.config.namespace
        self.identity = settings.lease.identity or default_identity()
        self.metrics = Metrics()
        timeouts = Timeouts(connect=kube.connect, request=kube.request, silence=kube.silence)
        self.kube = KubeClient(self.config, limit=kube.connections, timeouts=timeouts, observe=self.metrics.request)
        self.events = EventRecorder(self.kube, metrics=self.metrics, instance=self.identity)
        self.status = StatusWriter(self.kube, self._on_written)
        self.pools = Pools(settings.pool)
        self.heavy = HeavyWorker(settings.worker)
        self.egress = Egress(settings.egress)
        self.policies = PolicyBook(self.kube, timeout=settings.watch.timeout)
        self.started = asyncio.Event()
        """Set when the stores are warm; workers run from here on where this process leads."""
        self._informer = Informer(settings, self.config, self.metrics.request)
        self._health = RuntimeHealth(self._informer, settings.watch.stale)
        self._web = WebServer(settings.web, self._health, self.metrics)
        self._scope = "inhaul"
        self._controllers: dict[Resource, tuple[Controller, str]] = {}
        self._optional: set[Resource] = set()
        self._stores: dict[Resource, Store] = {NAMESPACES: self.policies.names}
        self._watches: list[Watch] = list(self.policies.watches)
        self._tasks: list[tuple[str, TaskFunction, bool, str]] = []
        self._elections = Elections(settings.lease, self.config, self.identity, self.namespace, self.metrics)
        self._running: set[asyncio.Task[None]] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._alive = False

    # Registration

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """What is registered inside belongs to this controller: it has a Lease of its own."""
        before, self._scope = self._scope, name
        try:
            yield
        finally:
            self._scope = before

    def controller(
        self,
        resource: Resource,
        reconcile: Reconcile,
        *,
        max_concurrent: int = 8,
        label_selector: str = "",
        style: Style = FLUX,
        optional: bool = False,
    ) -> Controller:
        """Reconciles a custom resource. Once per resource; before `run`. `optional`: the kind need not be served; its
        objects are seen when its CRD comes."""
        if resource in self._controllers or self._alive:
            raise ValueError(f"{resource.plural} already has a controller, or the manager is running")
        options, name = self.settings.queue, resource.plural
        queue = WorkQueue(
            name,
            max_concurrent=options.concurrent or max_concurrent,
            base=options.backoff,
            cap=options.backoff_cap,
            meter=self.metrics.meter(name),
        )
        self.metrics.queue(queue)
        claimed = claim.selector(self.settings.claim, resource)
        controller = Controller(
            resource,
            reconcile,
            queue=queue,
            store=self._stores.setdefault(resource, Store(resource)),
            writer=self.status,
            events=self.events,
            metrics=self.metrics,
            style=style,
            label_selector=",".join(part for part in (label_selector, claimed) if part),
        )
        self._controllers[resource] = (controller, self._scope)
        self.metrics.objects(resource, controller.store)
        if optional:
            self._optional.add(resource)
            self._watch_whole(resource, controller.on_event, controller.label_selector)
            return controller
        self._informer.add(resource, controller.on_event, label_selector=controller.label_selector)
        if not controller.label_selector:  # a store that was asked for before needs no watch of its own any more
            self._watches = [watch for watch in self._watches if watch.resource != resource]
        return controller

    def store(self, resource: Resource) -> Store:
        """A store for look-ups: a controller's own where the kind has one, else one that a watch of objects fills.

        `store.synced` is True before the first reconcile. A kind that is not served leaves its store empty.
        """
        if resource not in self._stores:
            store = self._stores[resource] = Store(resource)
            self._watch_whole(resource, partial(_fill, store))
        return self._stores[resource]

    def _watch_whole(self, resource: Resource, take: Callable[[str, Manifest], None], selector: str = "") -> None:
        """A watch of whole objects; of a kind that is not served, none."""
        self._watches.append(Watch(
            self.kube,
            resource,
            lambda event: take(event.type, event.object),
            label_selector=selector,
            metadata_only=False,
            timeout=self.settings.watch.timeout,
            metrics=self.metrics,
        ))  # fmt: skip

    def watch(
        self,
        resource: Resource,
        on_event: OnEvent,
        *,
        label_selector: str = "",
        namespace: str = "",
        kube: KubeClient | None = None,
    ) -> Watch:
        """A metadata-only watch, run with the manager or, while it runs, from now on. `stop_watch` ends it."""
        watch = Watch(
            kube or self.kube,
            resource,
            on_event,
            label_selector=label_selector,
            namespace=namespace or self.settings.watch.namespace,
            timeout=self.settings.watch.timeout,
            metrics=self.metrics,
        )
        self._watches.append(watch)
        if self._alive:
            self._start_watch(watch)
        return watch

    def stop_watch(self, watch: Watch) -> None:
        """Ends a watch that nobody needs any more."""
        if watch in self._watches:
            self._watches.remove(watch)
        for task in self._running:
            if task.get_name() == _watch_name(watch):
                task.cancel()

    def task(self, name: str, function: TaskFunction, *, leader_only: bool = True) -> None:
        """A task of a room's own, e.g. an SQS reader. Begun again with growing pauses when it raises."""
        self._tasks.append((name, function, leader_only, self._scope))

    def route(self, method: str, path: str, handler: Handler) -> None:
        """A route of the web server."""
        self._web.route(method, path, handler)

    @property
    def web_port(self) -> int:
        return self._web.port

    # Life

    def stop(self) -> None:
        """Ends `run`. Thread-safe from the loop only; use `loop.call_soon_threadsafe` elsewhere."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`, SIGTERM or SIGINT. Raises LeadershipLostError, startup.UpstreamRunningError, OSError (port
        taken).
        """
        self._alive = True
        kopf_stop = asyncio.Event()
        informer: asyncio.Task[None] | None = None
        try:
            await self._web.start()
            self._take_signals()
            resources = list(self._controllers)
            await refuse_rivals(self.kube, self.settings.claim, resources)
            self._start_own()
            scopes = {scope for _, scope in self._controllers.values()} | {scope for *_, scope in self._tasks}
            self._elections.start(scopes, on_lost=self._stop.set)
            self._spawn("served", self._bring_up())
            await self._until(self._health.served.wait())
            if not self._stop.is_set():
                informer = asyncio.create_task(self._informer.run(kopf_stop), name="informer")
                await self._until(self._informer.started.wait(), informer)
                await self._until(self._stop.wait(), informer)
        finally:
            await self._shut_down(informer, kopf_stop)
        if self._elections.lost:
            raise LeadershipLostError(f"the Lease {self._elections.lost} was not renewed in time")

    async def _until(self, wanted: Coroutine[Any, Any, Any], *others: asyncio.Task[None]) -> None:
        """Waits for what is wanted, a stop, or the end of a task that should not end (its exception is ours)."""
        first, stop = asyncio.ensure_future(wanted), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({first, stop, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            first.cancel()
            stop.cancel()
        for other in others:
            if other.done() and not self._stop.is_set():
                self._stop.set()
                other.result()
                log.error("the informer stopped unexpectedly; stopping")

    async def _bring_up(self) -> None:
        """Waits for the kinds and the stores, then lets the workers of each scope go when it leads."""
        needed = [resource for resource in self._controllers if resource not in self._optional]
        await wait_until_served(self.kube, needed, self._health.waiting)
        self._health.served.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_WARM_UP):
                await self._informer.started.wait()
                while not self._warm():  # noqa: ASYNC110 - a quiet moment is not an event
                    await asyncio.sleep(0.05)
        for store in self._stores.values():
            store.synced = True
        self._health.warm = True
        self.started.set()
        for controller, scope in self._controllers.values():
            if controller.resource not in self._optional:  # a Watch lists by itself
                self._spawn(f"resync {controller.resource.plural}", self._resync(controller))
            self._spawn(f"work {controller.resource.plural}", self._when_leading(scope, controller=controller))
        for name, function, leader_only, scope in self._tasks:
            if leader_only:
                self._spawn(name, self._when_leading(scope, task=(name, function)))

    def _warm(self) -> bool:
        listed = all(wanted.listed() for wanted in self._informer.wanted)
        watched = all(watch.synced.is_set() or watch.absent for watch in self._watches)
        return listed and watched

    async def _when_leading(
        self, scope: str, *, controller: Controller | None = None, task: tuple[str, TaskFunction] | None = None
    ) -> None:
        await self._elections.leads(scope)
        if controller is not None:
            controller.leading_since = datetime.now(UTC)
            self._workers.add(asyncio.current_task())  # type: ignore[arg-type]
            await controller.queue.run(controller.work)
        if task is not None:
            await _again(*task)

    async def _resync(self, controller: Controller) -> None:
        await resync(
            self.kube,
            controller.resource,
            controller.store,
            controller.on_event,
            label_selector=controller.label_selector,
            namespace=self.settings.watch.namespace,
            interval=self.settings.watch.resync,
            metrics=self.metrics,
        )

    def _start_own(self) -> None:
        self._spawn("events", self.events.run())
        for watch in self._watches:
            self._start_watch(watch)
        for name, function, leader_only, _ in self._tasks:
            if not leader_only:
                self._spawn(name, _again(name, function))

    def _start_watch(self, watch: Watch) -> None:
        self._spawn(_watch_name(watch), watch.run())

    def _spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._workers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed with an unexpected error; stopping", task.get_name(), exc_info=error)
            self._stop.set()

    # Stopping

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)

    async def _shut_down(self, informer: asyncio.Task[None] | None, kopf_stop: asyncio.Event) -> None:
        self._stop.set()
        self._health.stopping = True
        await _cancel(self._workers)
        self._alive = False
        self._elections.harmless = True  # nothing writes any more
        await self.events.flush()
        await self._elections.stop()
        await _cancel(self._running)
        kopf_stop.set()
        if informer is not None:
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(asyncio.gather(informer, return_exceptions=True), 10)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)
        await self._web.stop()
        self.pools.close()
        self.heavy.close()
        await self.kube.close()

    def _on_written(self, resource: Resource, manifest: Manifest) -> None:
        if found := self._controllers.get(resource):
            found[0].on_written(manifest)


def _watch_name(watch: Watch) -> str:
    return f"watch {watch.resource.plural} {id(watch):x}"


def _fill(store: Store, type_: str, manifest: Manifest) -> None:
    if type_ == "DELETED":
        store.drop(key_of(manifest))
    else:
        store.put(manifest)


async def _again(name: str, function: TaskFunction) -> None:
    """Runs a room's task; a bug in it is logged and it begins again after 1 s, doubling to 60 s."""
    pause = 1.0
    while True:
        try:
            await function()
            return
        except Exception:
            log.exception("task %s failed with an unexpected error; retrying in %.0f s", name, pause)
        await asyncio.sleep(pause)
        pause = min(60.0, pause * 2)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    waiting = [task for task in tasks if task is not asyncio.current_task()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
