"""Restarts the workloads that opted in when a Secret that they use has other data: reads, asks `restart`, patches.

Runs in the leader, when `--restart-enabled` says so and the rights are there (kustomize/components/restart-on-change);
without them it says which are missing, once, and asks again with growing pauses. Watches metadata alone; a workload is
read when its generation or one of its annotations changed, or a Secret that it uses.

Where stakater's Reloader runs in the cluster, its annotations are left to it, for two would restart twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar

from prometheus_client import Counter

from controllers.api.core import DAEMON_SETS, DEPLOYMENTS, SECRETS, STATEFUL_SETS
from controllers.api.resource import Key, Manifest, Resource, key_of
from controllers.runtime.kube import ApiError, Conflict, NotFound, WatchEvent
from controllers.runtime.manager import Manager
from controllers.runtime.queue import Verdict, WorkQueue
from controllers.runtime.settings import setting

from . import decide as restart
from .decide import Decision, Marks, Record
from .marks import InvalidMarkKeyError, Marker, load_key
from .secrets import SecretBook
from .uses import MAX_SECRETS, ON_CHANGE, OPTING_IN, Asked, Use, asked, choose, invalid_patterns, uses_of

log = logging.getLogger(__name__)

KINDS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)
COMPONENT = "kustomize/components/restart-on-change"
RELOADER_LABEL, RELOADER_IMAGE = ("group", "com.stakater.platform"), "stakater/reloader"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_CONFLICT = 0.2  # seconds until a workload that changed under our hands is read again


@dataclass(frozen=True, slots=True)
class RestartSettings:
    prefix: ClassVar[str] = "restart"
    enabled: bool = setting(False, f"restart workloads that opted in when their Secrets change; needs {COMPONENT}")
    window: float = setting(2.0, "seconds during which changes of a workload's Secrets are collected into one rollout")
    pause: float = setting(30.0, "minimum seconds between two rollouts of a workload; later changes share the next one")
    spacing: float = setting(
        0.2,
        "minimum seconds between two rollouts of any workloads, so that a shared Secret does not restart all at once",
    )
    reloader: bool = setting(True, "also honour the annotations of Stakater Reloader, unless it runs in the cluster")


@dataclass(frozen=True, slots=True)
class _Interest:
    """What of its namespace's Secrets a workload wants to hear of. `all`: of each, for a pattern may match it."""

    names: frozenset[str]
    all: bool


class Restarter:
    """One per process; `run` is a task of the manager."""

    def __init__(
        self,
        manager: Manager,
        options: RestartSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._manager, self._kube, self._options = manager, manager.kube, options
        self._clock, self._random = clock, random
        self._queues = {kind: _queue(manager, kind) for kind in KINDS}
        self._prints: dict[tuple[Resource, Key], tuple[object, ...]] = {}
        self._interests: dict[tuple[Resource, Key], _Interest] = {}
        self._users: dict[str, set[tuple[Resource, Key]]] = defaultdict(set)  # by namespace
        self._reloaders: set[Key] = set()
        self._turn, self._next = asyncio.Lock(), 0.0
        self._marker: Marker
        self._book: SecretBook
        registry = manager.metrics.registry
        self.restarts = Counter(
            "inhaul_workload_restarts", "Rollouts started because a Secret changed", ["kind"], registry=registry
        )
        manager.metrics.gauge("inhaul_workload_restart_watched", "Workloads that opted in", self._watched)

    async def run(self) -> None:
        """Until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._rights()
                self._marker = Marker(await load_key(self._kube, self._manager.namespace, self._random))
                for deployment in await self._labelled_reloaders():
                    self._note_reloader(deployment)
                break
            except (ApiError, InvalidMarkKeyError) as error:
                log.warning("restart on change cannot start: %s; retrying in %.0f s", error, pause)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
        log.info("restart on change is enabled")
        await self._watch_and_work()

    async def _watch_and_work(self) -> None:
        self._book = SecretBook(self._kube, self._marker, self._secret_changed)
        watches = [self._manager.watch(SECRETS, self._book.on_event)]
        watches += [self._manager.watch(kind, partial(self._workload_seen, kind)) for kind in KINDS]
        try:
            for watch in watches:
                await watch.synced.wait()
            async with asyncio.TaskGroup() as group:
                for kind, queue in self._queues.items():
                    group.create_task(queue.run(partial(self._work, kind)))
        finally:
            for watch in watches:
                self._manager.stop_watch(watch)
            self._prints.clear()

    # --- rights and rivals

    async def _rights(self) -> None:
        """Returns when all rights are there."""
        pause, said = _FIRST_PAUSE, ""
        while missing := await self._missing():
            text = ", ".join(missing)
            if text != said:
                log.warning(
                    "restart on change is waiting: no permission to %s; install %s or disable it", text, COMPONENT
                )
                said = text
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _missing(self) -> list[str]:
        wanted = [(verb, kind) for kind in KINDS for verb in ("get", "list", "watch", "patch")]
        wanted += [(verb, SECRETS) for verb in ("get", "list", "watch")]
        place = self._manager.settings.watch.namespace
        answers = [await self._kube.can(verb=verb, resource=kind, namespace=place) for verb, kind in wanted]
        return [f"{verb} {kind.plural}" for (verb, kind), yes in zip(wanted, answers, strict=True) if not yes]

    async def _labelled_reloaders(self) -> list[Manifest]:
        return (await self._kube.list(DEPLOYMENTS, label_selector="=".join(RELOADER_LABEL))).items

    def _note_reloader(self, deployment: Manifest) -> None:
        """Keeps the book of running Reloaders; where the first came or the last went, all workloads are looked at."""
        before, key = bool(self._reloaders), key_of(deployment)
        (self._reloaders.add if runs_reloader(deployment) else self._reloaders.discard)(key)
        self._reloader_moved(before)

    def _reloader_moved(self, before: bool) -> None:
        if before is bool(self._reloaders):
            return
        if self._reloaders:
            log.warning("Reloader runs as %s; its annotations are ignored here", ", ".join(map(str, self._reloaders)))
        for kind, key in list(self._prints):
            self._queues[kind].add(key)

    def _watched(self) -> float:
        return float(len(self._interests))

    # --- what woke us

    def _workload_seen(self, kind: Resource, event: WatchEvent) -> None:
        key, meta = key_of(event.object), event.object["metadata"]
        if event.type == "DELETED":
            self._forget(kind, key)
            self._prints.pop((kind, key), None)
            if kind is DEPLOYMENTS and key in self._reloaders:
                self._reloaders.discard(key)
                self._reloader_moved(True)
            return
        annotations = meta.get("annotations") or {}
        if not self._options.reloader and ON_CHANGE not in annotations and restart.SEEN not in annotations:
            self._forget(kind, key)  # where a template's annotations count, the workload must be read to know
            self._prints.pop((kind, key), None)
            return
        mine = tuple(annotations.get(name) for name in (*OPTING_IN, restart.SEEN))
        print_ = (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"), *mine)
        if self._prints.get((kind, key)) != print_:
            self._prints[kind, key] = print_
            self._queues[kind].changed(key)

    def _secret_changed(self, secret: Key) -> None:
        used = False
        for kind, key in self._users.get(secret.namespace, ()):
            interest = self._interests[kind, key]
            if interest.all or secret.name in interest.names:
                self._queues[kind].add_after(key, self._options.window)
                used = True
        if not used:
            self._book.forget(secret)

    def _remember(self, kind: Resource, key: Key, interest: _Interest) -> None:
        self._interests[kind, key] = interest
        self._users[key.namespace].add((kind, key))

    def _forget(self, kind: Resource, key: Key) -> None:
        self._interests.pop((kind, key), None)
        self._users[key.namespace].discard((kind, key))

    # --- one look at one workload

    async def _work(self, kind: Resource, key: Key) -> Verdict:
        try:
            return await self._look(kind, key)
        except NotFound:
            self._forget(kind, key)
            return Verdict()
        except Conflict:
            return Verdict(after=_CONFLICT)
        except ApiError as error:
            log.warning("restart on change of %s %s: %s", kind.kind, key, error.message)
            return Verdict(failed=True)

    async def _look(self, kind: Resource, key: Key, *, fresh: bool = False) -> Verdict:
        """Restarts only when `fresh`: what made us come may be old news (a watch that lags, a process that slept)."""
        workload = await self._kube.get(kind, key.name, key.namespace)
        if kind is DEPLOYMENTS:
            self._note_reloader(workload)
        if workload["metadata"].get("deletionTimestamp"):
            self._forget(kind, key)
            return Verdict()
        wish = asked(workload, reloader=self._options.reloader)
        if wish is None:
            return await self._opted_out(kind, key, workload)
        if wish.reloader and self._reloaders:
            self._forget(kind, key)  # not a word on it; what is recorded is kept for Reloader's going
            return Verdict()
        chosen = self._chosen(kind, key, workload, wish)
        if chosen is None:
            return Verdict()
        record = restart.read_record(workload, self._marker.tag(kind.kind, key))
        decision = await self._decide(kind, key, record, chosen, fresh=fresh)
        if decision.action == "restart" and not fresh:
            wait = restart.wait_left(workload, record, pause=self._options.pause, now=self._clock())
            if wait > 0:
                return Verdict(after=wait)
            await self._my_turn()
            return await self._look(kind, key, fresh=True)
        await self._write(kind, workload, record, decision)
        return Verdict()

    def _chosen(self, kind: Resource, key: Key, workload: Manifest, wish: Asked) -> dict[str, Use] | None:
        """The Secrets to look at; None, with an event that says why, where the annotations cannot be followed."""
        uses = uses_of(workload)
        self._remember(kind, key, _Interest(frozenset((*uses, *wish.names)), wish.by_pattern))
        for problem in invalid_patterns(wish.names):
            self._warn(kind, workload, f"ignoring an invalid entry of the annotation with Secret names: {problem}")
        chosen = choose(wish, uses, self._book.known(key.namespace))
        if len(chosen) > MAX_SECRETS:
            self._warn(kind, workload, f"found {len(chosen)} Secrets to watch, expected at most {MAX_SECRETS}")
            return None
        return chosen

    async def _decide(
        self, kind: Resource, key: Key, record: Record | None, chosen: Mapping[str, Use], *, fresh: bool
    ) -> Decision:
        present: dict[str, Marks] = {}
        for name, use in chosen.items():
            digests = await self._book.digests(Key(key.namespace, name), fresh=fresh)
            present[name] = self._marker.marks(kind.kind, key, name, use, digests)
        optional = frozenset(name for name, use in chosen.items() if use.optional)
        return restart.decide(record, present, optional)

    async def _my_turn(self) -> None:
        """Waits until another rollout may begin."""
        async with self._turn:
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, self._next - now))
            self._next = max(now, self._next) + self._options.spacing

    async def _write(self, kind: Resource, workload: Manifest, record: Record | None, decision: Decision) -> None:
        key = key_of(workload)
        tag = self._marker.tag(kind.kind, key)
        after = Record(tag, decision.secrets, record.at if record is not None else None)
        if decision.action == "record":
            await self._patch(kind, key, restart.patch_record(workload, after))
        elif decision.action == "restart":
            after = replace(after, at=self._clock())
            await self._patch(kind, key, restart.patch_restart(workload, after, decision.changed))
            self.restarts.labels(kind.kind).inc()
            names, held = ", ".join(decision.changed), restart.held_back(workload)
            message = f"rollout started: data of Secret {names} changed" + (f"; {held}" if held else "")
            self._manager.events.record(kind, workload, reason="SecretChanged", message=message)
            log.info("%s %s: %s", kind.kind, key, message)

    async def _opted_out(self, kind: Resource, key: Key, workload: Manifest) -> Verdict:
        """Who opts in again later begins afresh: what was recorded goes."""
        self._forget(kind, key)
        if restart.SEEN in (workload["metadata"].get("annotations") or {}):
            await self._patch(kind, key, restart.patch_record(workload, None))
        return Verdict()

    async def _patch(self, kind: Resource, key: Key, body: Manifest) -> None:
        await self._kube.patch(kind, key.name, key.namespace, body=body, field_manager=restart.FIELD_MANAGER)

    def _warn(self, kind: Resource, workload: Manifest, message: str) -> None:
        self._manager.events.record(kind, workload, reason="RestartOnChangeFailed", message=message, warning=True)


def runs_reloader(deployment: Manifest) -> bool:
    """Is this stakater's Reloader, and not scaled to 0?"""
    spec = deployment.get("spec") or {}
    if spec.get("replicas", 1) == 0:
        return False
    label, value = RELOADER_LABEL
    pod = (spec.get("template") or {}).get("spec") or {}
    images = [str(container.get("image") or "") for container in pod.get("containers") or ()]
    labelled = (deployment["metadata"].get("labels") or {}).get(label) == value
    return any(RELOADER_IMAGE in image for image in images) or (labelled and any("reloader" in i for i in images))


def _queue(manager: Manager, kind: Resource) -> WorkQueue:
    name = f"restart-{kind.plural}"
    queue = WorkQueue(name, max_concurrent=4, meter=manager.metrics.meter(name))
    manager.metrics.queue(queue)
    return queue


def register(manager: Manager) -> None:
    """Inside the scope of External Secrets, whose leader does the work."""
    options = manager.settings.group(RestartSettings)
    if options.enabled:
        manager.task("restart on change", Restarter(manager, options).run)
