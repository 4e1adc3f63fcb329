"""Receiver: says where its hook is. The hook itself stands in `hooks.py`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from controllers.api.base import parse
from controllers.api.core import SECRETS
from controllers.api.duration import parse_duration
from controllers.api.notification import RECEIVERS, ReceiverSpec
from controllers.api.resource import Key, Manifest
from controllers.lang.cel import CelError, compile_cel
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT

from .receive import webhook_path


class ReceiverReconciler:
    def __init__(self, kube: KubeClient, *, draft: Callable[[Key], Draft]) -> None:
        self._kube, self._draft = kube, draft

    async def __call__(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            await release(self._kube, RECEIVERS, manifest)
            draft.skip_status = True
            return Result()
        spec = parse(ReceiverSpec, manifest)
        if not draft.wanted(spec):
            return Result()
        if spec.resource_filter:
            try:
                compile_cel(spec.resource_filter, ("res", "req"))
            except CelError as error:
                raise Stalled("InvalidCELExpression", f"spec.resourceFilter: {error}") from None
        secret = await token_data(self._kube, manifest)
        where = f"spec.secretRef: Secret {key.namespace}/{spec.secret_ref.name}"
        if secret is None:
            raise NotReady("TokenNotFound", f"{where} not found")
        token = secret.get("token", b"").decode(errors="surrogateescape")
        if not token:
            raise NotReady("TokenNotFound", f"{where}: found no key token, expected one")
        path = webhook_path(token, key.name, key.namespace)
        draft.status["webhookPath"] = path
        if requested := (manifest["metadata"].get("annotations") or {}).get(REQUESTED_AT):
            draft.status["lastHandledReconcileAt"] = requested
        draft.ready("Succeeded", f"Receiver initialized for path: {path}")
        return Result(parse_duration(spec.interval))


async def token_data(kube: KubeClient, receiver: Manifest) -> Mapping[str, bytes] | None:
    """The data of a Receiver's Secret; None where there is none."""
    name = str(((receiver.get("spec") or {}).get("secretRef") or {}).get("name") or "")
    try:
        found = await kube.get(SECRETS, name, receiver["metadata"]["namespace"]) if name else {}
        return {key: base64.b64decode(text, validate=True) for key, text in (found.get("data") or {}).items()}
    except (NotFound, ValueError):
        return None
