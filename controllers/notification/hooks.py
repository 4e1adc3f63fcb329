"""The door that senders knock at: `POST /hook/<hash>` → `requestedAt` on the objects that the Receiver names.

Setting an annotation is all a hook does; each controller looks by itself and finds nothing new where nothing is. So a
call that comes twice, late or forged with a stolen path costs one look. A path that is nobody's costs no API call.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from controllers.api.resource import Manifest
from controllers.runtime.kube import ApiError, KubeClient, NotFound, UnknownKindError
from controllers.runtime.store import REQUESTED_AT, Store

from .receive import MAX_BODY, Call, ReceiverTarget, RequestRefusedError, check, filtered, webhook_path
from .reconcile import token_data

log = logging.getLogger(__name__)
BY_PATH = "path"


def paths_of(manifest: Manifest) -> list[str]:
    """Index: where a Receiver's hook is."""
    path = (manifest.get("status") or {}).get("webhookPath")
    return [str(path)] if path else []


class Hooks:
    def __init__(
        self,
        kube: KubeClient,
        receivers: Store,
        *,
        cross_namespace: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube, self._receivers, self._cross_namespace, self._clock = kube, receivers, cross_namespace, clock

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """200, 400, 404, 413, 500, 503: with a word, never with what was expected."""
        found = self._receivers.by_index(BY_PATH, request.path)
        if not found:
            return web.Response(status=404, text="no such hook\n")
        try:
            call = await _call(request)
            count = sum([await self._follow(receiver, request.path, call) for receiver in found])
        except RequestRefusedError as error:
            names = ", ".join(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in found)
            log.warning("receiver %s: HTTP %d: %s", names, error.status, error.message)
            text = (
                error.message if error.status < 500 else "the webhook could not be processed; see the controller's log"
            )
            return web.Response(status=error.status, text=f"{text}\n")
        except ApiError as error:
            log.warning("a webhook could not be processed: %s", error.reason)
            return web.Response(status=500, text="the API server rejected the request\n")
        return web.json_response({"requested": count})

    async def _follow(self, receiver: Manifest, path: str, call: Call) -> int:
        meta = receiver["metadata"]
        secret = await token_data(self._kube, receiver)
        token = (secret or {}).get("token", b"").decode(errors="surrogateescape")
        present = webhook_path(token, meta["name"], meta["namespace"])
        if not hmac.compare_digest(present, path):
            raise RequestRefusedError(404, "no such hook")  # the token was exchanged a moment ago
        wanted = check(receiver, secret, call, cross_namespace=self._cross_namespace)
        objects: list[Manifest] = []
        for target in wanted:
            objects += filtered(await self._objects(target), target.filter, call, field=target.field)
        expression = str((receiver.get("spec") or {}).get("resourceFilter") or "")
        chosen = filtered(objects, expression, call)
        moment = self._clock().isoformat().replace("+00:00", "Z")
        for one in chosen:
            await self._request(one, moment)
        return len(chosen)

    async def _objects(self, target: ReceiverTarget) -> list[Manifest]:
        """Metadata of the objects that a target names. Raises Refused where a named one is not there."""
        try:
            resource = await self._kube.resource_for(target.api_version, target.kind)
            if target.many:
                selector = ",".join(f"{key}={value}" for key, value in sorted(target.labels.items()))
                listed = await self._kube.list(resource, target.namespace, label_selector=selector, metadata_only=True)
                found = listed.items
            else:
                found = [await self._kube.get(resource, target.name, target.namespace, metadata_only=True)]
        except UnknownKindError:
            raise RequestRefusedError(
                500, f"{target.kind} of {target.api_version} is not served by this cluster"
            ) from None
        except NotFound:
            raise RequestRefusedError(500, f"{target.kind} {target.namespace}/{target.name} not found") from None
        return [{**one, "apiVersion": target.api_version, "kind": target.kind} for one in found]

    async def _request(self, manifest: Manifest, moment: str) -> None:
        meta = manifest["metadata"]
        resource = await self._kube.resource_for(manifest["apiVersion"], manifest["kind"])
        body = {"metadata": {"uid": meta["uid"], "annotations": {REQUESTED_AT: moment}}}
        try:
            await self._kube.patch(resource, meta["name"], meta.get("namespace") or "", body=body)
        except NotFound:
            return


async def _call(request: web.Request) -> Call:
    if (request.content_length or 0) > MAX_BODY:
        raise RequestRefusedError(413, "the body is too large")
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RequestRefusedError(413, "the body is too large") from None
    if len(body) > MAX_BODY:
        raise RequestRefusedError(413, "the body is too large")
    return Call({name.lower(): value for name, value in request.headers.items()}, body)


__all__ = ["BY_PATH", "Hooks", "paths_of"]
