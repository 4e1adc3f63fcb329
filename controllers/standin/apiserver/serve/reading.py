"""Lists and single objects as answers: pages, selectors, and the shapes a client may ask for (Table, metadata only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.api.resource import Manifest

from ..seams import TableRenderer
from ..status_errors import StatusError, bad_request, field_forbidden, gone, invalid, not_supported
from ..storage import Item, dump
from ..write import convert
from ..write.rest import Rest
from ..write.target import RequestTarget
from .http import Accept, number
from .selectors import Selector


class Shaper:
    """Puts stored objects into the shape and version of one request."""

    def __init__(self, target: RequestTarget, accept: Accept, include: str, tables: TableRenderer | None) -> None:
        shape = accept.shape
        self.meta_version = accept.version
        self._target = target
        self._tables = tables
        self._include = include if include in ("None", "Metadata", "Object") else "Metadata"
        self.shape = shape if shape != "Table" or tables is not None else ""
        self._version = target.served.info.api_version
        self._plain = not self.shape and not target.type.shares

    def item(self, item: Item) -> bytes:
        """One object as JSON."""
        if self._plain and item.object["apiVersion"] == self._version:
            return item.raw
        return dump(self.object(item.object))

    def object(self, obj: Manifest) -> Manifest:
        """One stored object as the client is to see it."""
        shown = self.versioned(obj)
        if self.shape == "PartialObjectMetadata":
            return {"kind": self.shape, "apiVersion": self.meta_version, "metadata": shown["metadata"]}
        if self.shape == "Table":
            meta = {"resourceVersion": shown["metadata"].get("resourceVersion", "")}
            return self.table([shown], meta)
        return shown

    def versioned(self, obj: Manifest) -> Manifest:
        """A stored object in the version asked for."""
        if self._target.type.shares:
            return convert.to_events_v1(obj)
        return obj if obj["apiVersion"] == self._version else {**obj, "apiVersion": self._version}

    def table(self, objects: list[Manifest], list_meta: Manifest) -> Manifest:
        """A Table of objects in the version asked for."""
        if self._tables is None:
            raise RuntimeError("a Table was asked of a server without a renderer")
        info = self._target.served.info
        table = self._tables.table(info, objects, list_meta=list_meta, include_object=self._include)
        if self._include == "Metadata":
            for row in table["rows"]:
                row["object"]["apiVersion"] = self.meta_version
        return {**table, "apiVersion": self.meta_version}

    def list(self, items: list[Item], list_meta: Manifest) -> bytes:
        """A list as JSON."""
        info = self._target.served.info
        if self.shape:
            list_meta = {name: value for name, value in list_meta.items() if value}
        if self.shape == "Table":
            return dump(self.table([self.versioned(item.object) for item in items], list_meta))
        kind, version = info.list_kind, info.api_version
        if self.shape:
            kind, version = "PartialObjectMetadataList", self.meta_version
            if not items:
                return dump({"kind": kind, "apiVersion": version, "metadata": list_meta, "items": None})
        head = dump({"kind": kind, "apiVersion": version, "metadata": list_meta})
        one = self.item if self.shape or info.custom else self._bare
        return b"".join((head[:-1], b',"items":[', b",".join(one(item) for item in items), b"]}"))

    def _bare(self, item: Item) -> bytes:
        """An item of a list of a built-in type: its kind stands on the list alone."""
        shown = self.object(item.object)
        return dump({name: value for name, value in shown.items() if name not in ("kind", "apiVersion")})


def selector_of(target: RequestTarget, query: Mapping[str, str]) -> Selector:
    """The selectors of a request. A request for one object's path selects it by name."""
    fields = query.get("fieldSelector", "")
    return Selector(query.get("labelSelector", ""), fields, target.type.table)


def select(rest: Rest, target: RequestTarget, selector: Selector) -> list[Item]:
    """All selected objects, in the order of their keys."""
    table = rest.memory.table(target.type.table)
    if selector.name and (target.namespace or not target.served.info.namespaced):
        only = table.items.get(f"{target.namespace}/{selector.name}" if target.namespace else selector.name)
        return [only] if only is not None and selector.matches(only.object) else []
    items = [table.items[key] for key in table.range(target.namespace)]
    return items if selector.everything else [item for item in items if selector.matches(item.object)]


def list_page(rest: Rest, target: RequestTarget, query: Mapping[str, str]) -> tuple[list[Item], Manifest]:
    """One page and the list's metadata. Raises StatusError 400, 410, 504."""
    limit, token = max(0, number(query, "limit", signed=True)), query.get("continue", "")
    selector = selector_of(target, query)
    scope = "|".join(
        (*target.type.table, target.namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    )
    offset = 0
    if token:
        name, _, start = token.rpartition(".")
        if not start.isdigit():
            raise bad_request("continue key is not valid: encoded in a way that this server does not know")
        kept = rest.memory.resume(name, scope)
        items, version, offset = kept.items, kept.version, int(start)
    else:
        _check_version(rest, query)
        items, version, name = select(rest, target, selector), rest.memory.version, ""
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if target.type.custom:
        meta["continue"] = ""
    end = offset + limit if limit else len(items)
    page = items[offset:end]
    if end < len(items):
        name = name or rest.memory.keep(items, version, scope)
        meta["continue"] = f"{name}.{end}"
        if selector.everything:
            meta["remainingItemCount"] = len(items) - end
    return page, meta


def _check_version(rest: Rest, query: Mapping[str, str]) -> None:
    match, text = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    problem = None
    if match and not text:
        problem = field_forbidden(
            "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    elif match not in ("", "Exact", "NotOlderThan"):
        problem = not_supported("resourceVersionMatch", match, ("Exact", "NotOlderThan", ""))
    elif match == "Exact" and text == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        problem = field_forbidden("resourceVersionMatch", why)
    if problem:
        raise invalid("meta.k8s.io", "ListOptions", "", [problem])
    version = number(query, "resourceVersion")
    if version > rest.memory.version:
        message = f"Too large resource version: {version}, current: {rest.memory.version}"
        raise StatusError(504, "Timeout", message, retry_after=1)
    if match == "Exact" and version != rest.memory.version:
        raise gone(f"The resourceVersion for the provided list is too old: {version}")
