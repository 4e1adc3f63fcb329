"""Requests for resources, each verb to the rules that carry it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from multidict import MultiDict

from controllers.api.resource import Manifest

from ..schema.prune import prune
from ..seams import Attributes, Call, Plugins, User
from ..status_errors import (
    Cause,
    NothingHereError,
    StatusError,
    field_forbidden,
    invalid,
    method_not_allowed,
    not_supported,
    page_not_found,
    required,
    unsupported_media_type,
)
from ..storage import copied, dump
from ..types.builtin import RETURNS_OBJECT
from ..types.registry import Registry
from ..write.applying import apply
from ..write.deletion import delete
from ..write.rest import Rest
from ..write.target import Options, RequestTarget
from . import http
from .http import answer, truth
from .reading import Shaper, list_page, select, selector_of
from .scale import read_scale, with_replicas
from .watch import Watch

Allow = Callable[[Attributes], None]
"""Raises StatusError 403."""
_SELECTING = ("labelSelector", "fieldSelector")
"""What a deletion with a body still reads out of the query."""


class Resources:
    """All resource paths of one server."""

    def __init__(self, rest: Rest, registry: Registry, plugins: Plugins, closing: asyncio.Event) -> None:
        self._rest = rest
        self._registry = registry
        self._plugins = plugins
        self._closing = closing

    async def handle(self, request: web.BaseRequest, path: http.Path, user: User, allow: Allow) -> web.StreamResponse:
        """Authorizes and answers. Raises StatusError."""
        query = request.query
        attributes = http.attributes(request.method, path, query, _named(query))
        allow(attributes)
        target = self._target(path)
        served = target.served
        if served.handler is not None or (path.subresource and self._plugin(request.method, target)):
            return await self._plugged(request, target, user, attributes)
        if path.subresource and path.subresource not in served.info.subresources:
            raise target.missing() if served.info.custom else page_not_found()
        if attributes.verb in ("get", "list", "watch"):
            return await self._read(request, target, attributes.verb)
        if attributes.verb not in ("create", "update", "patch", "delete", "deletecollection"):
            raise method_not_allowed(target.type.group, target.type.plural, attributes.verb)
        body = await http.read(request)
        return self._write(request, target, user, attributes, body, allow)

    def _target(self, path: http.Path) -> RequestTarget:
        entry = self._registry.get(path.group, path.resource)
        served = entry.versions.get(path.version) if entry else None
        if entry is None or served is None:
            raise page_not_found() if self._registry.built_in(path.group) else NothingHereError()
        if path.namespace and not served.info.namespaced:
            raise page_not_found()
        if served.info.namespaced and path.name and not path.namespace:
            raise page_not_found()
        return RequestTarget(entry, served, path.namespace, path.name, path.subresource)

    def _plugin(self, method: str, target: RequestTarget) -> bool:
        return (method, target.type.group, target.type.plural, target.subresource) in self._plugins.subresources

    async def _plugged(
        self, request: web.BaseRequest, target: RequestTarget, user: User, attributes: Attributes
    ) -> web.Response:
        handler = target.served.handler
        if handler is None:
            key = (request.method, target.type.group, target.type.plural, target.subresource)
            handler = self._plugins.subresources[key]
        elif request.method != "POST":
            raise method_not_allowed()
        body = await http.read(request)
        value = body.value if body.value is not None else {}
        if not isinstance(value, dict):
            raise StatusError(400, "BadRequest", "the body must be an object")
        dry_run = request.query.get("dryRun") == "All"
        info, schema = target.served.info, target.served.schema
        warnings = [f'unknown field "{path}"' for path in prune(schema, value)] if target.served.handler else []
        manager = self._options(request, user, {}, body).manager
        call = Call(user, attributes, info, value, dict(request.query), self._rest.storage, dry_run, manager)
        found = handler(call)
        return answer(dump(found.body), found.code, warnings)

    # --- reading ---

    async def _read(self, request: web.BaseRequest, target: RequestTarget, verb: str) -> web.StreamResponse:
        query = request.query
        accept = http.negotiate(request.headers.get("Accept", ""))
        shaper = Shaper(target, accept, query.get("includeObject", ""), self._plugins.tables)
        warnings = [target.served.deprecated] if target.served.deprecated else None
        if verb == "watch":
            wanted = dict(query)
            if target.name:
                wanted["fieldSelector"] = f"metadata.name={target.name}"
            return await Watch(self._rest, target, wanted, shaper).serve(request, self._closing)
        if verb == "list":
            items, meta = list_page(self._rest, target, query)
            return answer(shaper.list(items, meta), warnings=warnings)
        item = self._rest.item(target)
        if target.subresource == "scale":
            return answer(dump(read_scale(target, item.object)))
        return answer(shaper.item(item), warnings=warnings)

    # --- writing ---

    def _write(
        self,
        request: web.BaseRequest,
        target: RequestTarget,
        user: User,
        attributes: Attributes,
        body: http.Body,
        allow: Allow,
    ) -> web.Response:
        verb, query = attributes.verb, request.query
        wish = body.value if verb.startswith("delete") and isinstance(body.value, dict) else {}
        options = self._options(request, user, wish, body)
        if verb.startswith("delete") and wish:
            query = MultiDict({name: value for name, value in query.items() if name in _SELECTING})
        if target.served.deprecated:
            options.warnings.append(target.served.deprecated)
        code = 200
        if verb == "create":
            if target.name:
                raise _no_method(target, "create")
            if target.served.info.namespaced and not target.namespace:
                target = RequestTarget(target.type, target.served, _namespace_of(body.value))
            found, code = self._rest.create(target, body.value, options), 201
        elif target.subresource == "scale":
            found = self._scale(target, verb, body, options)
        elif not target.name and verb in ("update", "patch", "delete"):
            raise _no_method(target, verb)
        elif verb == "update":
            options.may_create = _creator(attributes, allow)
            found = self._rest.update(target, body.value, options)
            code = 201 if options.created else 200
        elif verb == "patch":
            found, code = self._patch(request, target, body, options, attributes, allow)
        elif verb == "delete":
            found = self._delete(target, {**_delete_query(query), **wish}, options)
        else:
            return self._delete_collection(target, query, {**_delete_query(query), **wish}, options)
        accept = http.negotiate(request.headers.get("Accept", ""))
        if accept.shape and found.get("kind") != "Status" and target.subresource != "scale":
            shaper = Shaper(target, accept, query.get("includeObject", ""), self._plugins.tables)
            if shaper.shape == "Table":
                meta = {"resourceVersion": found["metadata"].get("resourceVersion", "")}
                found = shaper.table([found], meta)
            elif shaper.shape == "PartialObjectMetadata":
                found = {"kind": shaper.shape, "apiVersion": shaper.meta_version, "metadata": found["metadata"]}
        return answer(dump(found), code, options.warnings)

    def _options(self, request: web.BaseRequest, user: User, wish: Manifest, body: http.Body) -> Options:
        query = request.query
        dry = list(wish.get("dryRun") or []) if wish else query.getall("dryRun", [])
        validation = query.get("fieldValidation") or "Warn"
        causes = []
        if any(value != "All" for value in dry):
            causes.append(not_supported("dryRun", dry, ("All",)))
        if validation not in ("Strict", "Warn", "Ignore"):
            causes.append(not_supported("fieldValidation", validation, ("Ignore", "Strict", "Warn")))
        manager = query.get("fieldManager", "")
        if len(manager) > 128 or not manager.isprintable():
            causes.append(Cause("FieldValueInvalid", "Invalid value: at most 128 printable characters", "fieldManager"))
        if causes:
            names = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
            raise invalid("meta.k8s.io", names.get(request.method, "DeleteOptions"), "", causes)
        agent = request.headers.get("User-Agent", "").partition("/")[0][:128]
        force = truth(query.get("force"))
        return Options(user, manager or agent or "unknown", bool(dry), validation, force, body.duplicates)

    def _patch(
        self,
        request: web.BaseRequest,
        target: RequestTarget,
        body: http.Body,
        options: Options,
        attributes: Attributes,
        allow: Allow,
    ) -> tuple[Manifest, int]:
        kind = http.patch_kind(body.media)
        causes = []
        if kind == "apply" and not request.query.get("fieldManager"):
            causes.append(required("fieldManager", "is required for apply patch"))
        if kind != "apply" and options.force:
            causes.append(field_forbidden("force", "may not be specified for non-apply patch"))
        if causes:
            raise invalid("meta.k8s.io", "PatchOptions", "", causes)
        if kind == "strategic" and target.served.info.custom:
            accepted = [media for media, name in http.PATCH_TYPES.items() if name != "strategic"]
            raise unsupported_media_type(accepted)
        if kind == "apply":
            options.may_create = _creator(attributes, allow)
            found, created = apply(self._rest, target, body.value, options)
            return found, 201 if created else 200
        return self._rest.patch(target, kind, body.value, options), 200

    def _scale(self, target: RequestTarget, verb: str, body: http.Body, options: Options) -> Manifest:
        old = self._rest.item(target).object
        if verb == "update":
            wanted = body.value
        elif verb == "patch":
            kind = http.patch_kind(body.media)
            current = read_scale(target, old)
            from ..write.patch import json_patch, merge_patch

            wanted = json_patch(current, body.value) if kind == "json" else merge_patch(current, body.value)
        else:
            raise _no_method(target, verb)
        changed = with_replicas(target, copied(self._rest.show(target, old)), wanted)
        return read_scale(target, self._rest.update(target, changed, options))

    def _delete(self, target: RequestTarget, wish: Manifest, options: Options) -> Manifest:
        if target.subresource:
            raise _no_method(target, "delete")
        last, gone = delete(self._rest, target, wish, options)
        if not gone or (not target.type.group and target.type.plural in RETURNS_OBJECT):
            return self._rest.show(target, last)
        details = {"name": target.name, "kind": target.type.plural, "uid": last["metadata"].get("uid", "")}
        if target.type.group:
            details["group"] = target.type.group
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _delete_collection(
        self, target: RequestTarget, query: Mapping[str, str], wish: Manifest, options: Options
    ) -> web.Response:
        if "deletecollection" not in target.served.info.verbs:
            raise method_not_allowed(target.type.group, target.type.plural, "deletecollection")
        items = select(self._rest, target, selector_of(target, query))
        shaper = Shaper(target, http.Accept(), "", None)
        meta = {"resourceVersion": str(self._rest.memory.version), **({"continue": ""} if target.type.custom else {})}
        for item in items:
            head = item.object["metadata"]
            own = RequestTarget(target.type, target.served, head.get("namespace") or "", head["name"])
            try:
                delete(self._rest, own, wish, options)
            except StatusError as error:
                if error.code != 404:
                    raise
        return answer(shaper.list(items, meta))


def _named(query: Mapping[str, str]) -> str:
    for part in query.get("fieldSelector", "").split(","):
        name, _, value = part.partition("=")
        if name == "metadata.name":
            return value.lstrip("=")
    return ""


def _creator(attributes: Attributes, allow: Allow) -> Callable[[], None]:
    """Asks whether the writer may create, too."""
    values = {name: getattr(attributes, name) for name in ("group", "version", "resource", "namespace", "name")}
    return lambda: allow(Attributes("create", **values))


def _no_method(target: RequestTarget, verb: str) -> StatusError:
    return method_not_allowed(target.type.group, target.type.plural, verb if target.type.custom else "")


def _namespace_of(body: Any) -> str:
    meta = body.get("metadata") if isinstance(body, dict) else None
    found = meta.get("namespace") if isinstance(meta, dict) else None
    if not found:
        raise StatusError(400, "BadRequest", "an empty namespace may not be set during creation")
    return str(found)


def _delete_query(query: Mapping[str, str]) -> Manifest:
    return {"propagationPolicy": query["propagationPolicy"]} if query.get("propagationPolicy") else {}
