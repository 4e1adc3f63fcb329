"""Watches over HTTP: what happened since a resourceVersion, then what happens.

One listener per watch puts events into its buffer; one writer sends all that has gathered in one go. A client that
does not read is cut off when its buffer is full (it lists again, as after any broken watch). Bookmarks carry the
newest resourceVersion, as every event up to it has been sent by then.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping

from aiohttp import web

from ..status_errors import Cause, StatusError, failed, invalid
from ..storage import Item, StoredEvent, dump
from ..write.crd import CRDS
from ..write.rest import Rest
from ..write.target import RequestTarget
from .http import JSON_TYPE, number, truth
from .reading import Shaper, select, selector_of
from .selectors import Selector

BUFFER = 20_000
BOOKMARK_SECONDS = 30.0
INITIAL_END = "k8s.io/initial-events-end"


class Watch:
    """One watch request."""

    def __init__(self, rest: Rest, target: RequestTarget, query: Mapping[str, str], shaper: Shaper) -> None:
        self._rest = rest
        self._target = target
        self._shaper = shaper
        self._selector: Selector = selector_of(target, query)
        self._prefix = f"{target.namespace}/" if target.namespace else ""
        try:
            self._version = number(query, "resourceVersion")
        except StatusError as error:
            raise failed(error.message) from None
        self._bookmarks = truth(query.get("allowWatchBookmarks"))
        self._initial = truth(query.get("sendInitialEvents"))
        self._timeout = float(number(query, "timeoutSeconds") or 1800 + secrets.randbelow(1800))
        self._pending: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._broken = False
        self._first_table = True
        if "sendInitialEvents" in query:
            self._check_initial(query)

    def _check_initial(self, query: Mapping[str, str]) -> None:
        if query.get("resourceVersionMatch") != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            cause = Cause("FieldValueForbidden", f"Forbidden: {why}", "resourceVersionMatch")
            raise invalid("meta.k8s.io", "ListOptions", "", [cause])

    # --- events ---

    def _line(self, kind: str, item: Item) -> bytes:
        if self._shaper.shape == "Table":
            table = self._shaper.object(item.object)
            if not self._first_table:
                table = {name: value for name, value in table.items() if name != "columnDefinitions"}
                table["columnDefinitions"] = None
            self._first_table = False
            return dump({"type": kind, "object": table}) + b"\n"
        return b"".join((b'{"type":"', kind.encode(), b'","object":', self._shaper.item(item), b"}\n"))

    def _event(self, event: StoredEvent) -> bytes:
        """An event as this watch sees it: moving into the selection is ADDED, out of it DELETED. Empty if unseen."""
        if self._prefix and event.item.object["metadata"].get("namespace") != self._target.namespace:
            return b""
        if self._selector.everything:
            return self._line(event.type, event.item)
        now = event.type != "DELETED" and self._selector.matches(event.item.object)
        before = event.old is not None and self._selector.matches(event.old.object)
        if now:
            return self._line("MODIFIED" if before else "ADDED", event.item)
        if not before or event.old is None:
            return b""
        last = event.item
        if event.type != "DELETED":
            head = {**event.old.object["metadata"], "resourceVersion": str(event.version)}
            last = Item({**event.old.object, "metadata": head}, event.version)
        return self._line("DELETED", last)

    def _bookmark(self, *, initial_end: bool = False) -> bytes:
        info = self._target.served.info
        head: dict[str, object] = {"resourceVersion": str(self._rest.memory.version)}
        if initial_end:
            head["annotations"] = {INITIAL_END: "true"}
        kind, version = info.kind, info.api_version
        if self._shaper.shape == "PartialObjectMetadata":
            kind, version = self._shaper.shape, self._shaper.meta_version
        obj = {"kind": kind, "apiVersion": version, "metadata": head}
        return dump({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _heard(self, event: StoredEvent) -> None:
        line = self._event(event)
        if line:
            self._pending.append(line)
            if len(self._pending) > BUFFER:
                self._broken = True
            self._wake.set()

    def _start(self) -> None:
        """What is sent first. Raises StatusError 410."""
        if self._initial or self._version == 0:
            for item in select(self._rest, self._target, self._selector):
                self._pending.append(self._line("ADDED", item))
            if self._initial and self._bookmarks:
                self._pending.append(self._bookmark(initial_end=True))
            return
        for event in self._rest.memory.table(self._target.type.table).since(self._version):
            line = self._event(event)
            if line:
                self._pending.append(line)

    # --- the stream ---

    async def serve(self, request: web.BaseRequest, closing: asyncio.Event) -> web.StreamResponse:
        """Sends until the time is over, the client is gone, the type is gone, or the server stops."""
        response = web.StreamResponse(headers={"Content-Type": JSON_TYPE, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        stop = self._rest.memory.listen(self._target.type.table, self._heard)
        stop_crds = self._rest.memory.listen(CRDS, lambda event: self._wake.set())
        waiter = asyncio.ensure_future(closing.wait())
        waiter.add_done_callback(lambda _: self._wake.set())
        try:
            try:
                self._start()
            except StatusError as error:
                self._pending.append(dump({"type": "ERROR", "object": error.body()}) + b"\n")
                self._broken = True
            await response.prepare(request)
            await self._send(request, response, closing)
            await response.write_eof()
        except ConnectionError:
            pass  # the client is gone: there is nobody to tell
        finally:
            stop()
            stop_crds()
            waiter.cancel()
        return response

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, closing: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        bookmark_at = loop.time() + BOOKMARK_SECONDS
        while True:
            if self._pending:
                data = b"".join(self._pending)
                self._pending.clear()
                await response.write(data)
                continue
            now = loop.time()
            client_gone = request.transport is None or request.transport.is_closing()
            if self._broken or closing.is_set() or now >= end or client_gone or self._type_gone():
                return
            if self._bookmarks and now >= bookmark_at:
                bookmark_at = now + BOOKMARK_SECONDS
                await response.write(self._bookmark())
                continue
            self._wake.clear()
            wait = min(end, bookmark_at if self._bookmarks else end, now + BOOKMARK_SECONDS) - now
            try:
                async with asyncio.timeout(max(wait, 0.001)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _type_gone(self) -> bool:
        return self._rest.registry.get(*self._target.type.key) is None
