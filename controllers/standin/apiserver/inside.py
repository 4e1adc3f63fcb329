"""The API server from inside: `seams.Storage` over the REST rules, for controllers, simulators and admission hooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

from controllers.api.resource import Manifest

from .seams import SYSTEM, KindInfo, StorageChange
from .serve.selectors import Selector
from .status_errors import StatusError, page_not_found
from .storage import StoredEvent
from .write import applying, deletion
from .write.rest import Rest
from .write.target import Options, RequestTarget


class Inside:
    """seams.Storage. Bodies are copied on their way in, so a caller may go on using its own."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Ends all watches."""
        self._closing.set()

    def kinds(self) -> Sequence[KindInfo]:
        """All types that hold objects, in their preferred version; events once."""
        return [entry.info for entry in self._rest.registry if entry.info.verbs and not entry.shares]

    def kind(self, group: str, plural: str, version: str = "") -> KindInfo | None:
        """One type by its plural."""
        entry = self._rest.registry.get(group, plural)
        if entry is None:
            return None
        served = entry.versions.get(version) if version else entry.preferred
        return served.info if served else None

    def kind_for(self, api_version: str, kind: str) -> KindInfo | None:
        """One type by apiVersion and kind."""
        served = self._rest.registry.for_kind(api_version, kind)
        return served.info if served else None

    def _target(self, kind: KindInfo, name: str = "", namespace: str = "", subresource: str = "") -> RequestTarget:
        entry = self._rest.registry.get(kind.group, kind.plural)
        served = entry.versions.get(kind.version) if entry else None
        if entry is None or served is None:
            raise page_not_found()
        return RequestTarget(entry, served, namespace if kind.namespaced else "", name, subresource)

    def get(self, kind: KindInfo, name: str, namespace: str = "") -> Manifest:
        """One object. Raises 404."""
        target = self._target(kind, name, namespace)
        return self._rest.show(target, self._rest.item(target).object)

    def find(self, kind: KindInfo, name: str, namespace: str = "") -> Manifest | None:
        """One object, or None."""
        try:
            return self.get(kind, name, namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: KindInfo, namespace: str = "", *, label_selector: str = "") -> list[Manifest]:
        """All objects of a namespace, or of all."""
        target = self._target(kind, "", namespace)
        selector = Selector(label_selector, "", target.type.table)
        table = self._rest.memory.table(target.type.table)
        found = (table.items[key].object for key in table.range(target.namespace))
        return [self._rest.show(target, obj) for obj in found if selector.matches(obj)]

    def create(self, kind: KindInfo, body: Manifest, namespace: str = "", *, field_manager: str = "") -> Manifest:
        """Stores a new object."""
        return self._rest.create(self._target(kind, "", namespace), _copy(body), _options(field_manager))

    def update(self, kind: KindInfo, body: Manifest, *, subresource: str = "", field_manager: str = "") -> Manifest:
        """Like PUT."""
        head = body["metadata"]
        target = self._target(kind, head["name"], head.get("namespace") or "", subresource)
        return self._rest.update(target, _copy(body), _options(field_manager))

    def delete(
        self,
        kind: KindInfo,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Literal["Background", "Foreground", "Orphan", ""] = "",
    ) -> Manifest:
        """Deletes or marks."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        wish: Manifest = {"preconditions": {name: value for name, value in preconditions.items() if value}}
        if propagation:
            wish["propagationPolicy"] = propagation
        return deletion.delete(self._rest, self._target(kind, name, namespace), wish, Options(user=SYSTEM))[0]

    def apply(self, kind: KindInfo, body: Manifest, namespace: str = "", *, field_manager: str) -> Manifest:
        """Server-side apply, forced."""
        target = self._target(kind, body["metadata"]["name"], namespace)
        options = Options(user=SYSTEM, manager=field_manager, validation="Ignore", force=True)
        return applying.apply(self._rest, target, _copy(body), options)[0]

    def listen(self, listener: Callable[[StorageChange], None], *kinds: KindInfo) -> Callable[[], None]:
        """Calls `listener` within each write of these kinds."""
        ends = [self._listen(listener, kind) for kind in kinds]

        def end() -> None:
            for stop in ends:
                stop()

        return end

    def _listen(self, listener: Callable[[StorageChange], None], kind: KindInfo) -> Callable[[], None]:
        def heard(event: StoredEvent) -> None:
            old = event.old.object if event.old else None
            listener(StorageChange(event.type, kind, event.item.object, old))

        return self._rest.memory.listen(self._target(kind).type.table, heard)

    async def watch(self, *kinds: KindInfo) -> AsyncIterator[StorageChange]:
        """Everything that is there, then every change."""
        queue: asyncio.Queue[tuple[tuple[str, str], StoredEvent]] = asyncio.Queue()
        wanted = {self._target(kind).type.table: kind for kind in kinds}

        def listen(key: tuple[str, str], event: StoredEvent) -> None:
            if not wanted or key in wanted:
                queue.put_nowait((key, event))

        stop = self._rest.memory.listen_all(listen)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            for change in self._present(wanted):
                yield change
            while not closing.done():
                getter = asyncio.ensure_future(queue.get())
                try:
                    await asyncio.wait({getter, closing}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not getter.done():
                        getter.cancel()
                if not getter.done() or getter.cancelled():
                    return
                key, event = getter.result()
                kind = wanted.get(key) or self.kind(*key)
                if kind is not None:
                    old = event.old.object if event.old else None
                    yield StorageChange(event.type, kind, event.item.object, old)
        finally:
            closing.cancel()
            stop()

    def _present(self, wanted: dict[tuple[str, str], KindInfo]) -> Sequence[StorageChange]:
        tables = wanted or {(kind.group, kind.plural): kind for kind in self.kinds()}
        items = [(item, kind) for key, kind in tables.items() for item in self._rest.memory.table(key).items.values()]
        items.sort(key=lambda pair: pair[0].version)
        return [StorageChange("ADDED", kind, item.object, None) for item, kind in items]


def _copy(body: Manifest) -> Any:
    return json.loads(json.dumps(body))


def _options(field_manager: str) -> Options:
    return Options(user=SYSTEM, manager=field_manager or "kube-controller-manager", validation="Ignore")
