"""Receiver: says where its hook is. The hook itself stands in `hooks.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controllers.api.base import parse
from controllers.api.core import SECRETS, secret_data
from controllers.api.duration import parse_duration
from controllers.api.notification import RECEIVERS, ReceiverSpec
from controllers.api.resource import Key, Manifest
from controllers.lang.cel import CelError, compile_cel
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient, NotFound, UnknownKindError
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT

from .receive import FILTER_VARIABLES, RequestRefusedError, filters_of, targets, webhook_path


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
        for field, expression in filters_of(manifest.get("spec") or {}):
            try:
                compile_cel(expression, FILTER_VARIABLES)
            except CelError as error:
                raise Stalled("InvalidCELExpression", f"{field}: {error}") from None
        if spec.secret_ref is None:
            raise Stalled("InvalidSpec", f"spec.secretRef: found nothing, expected a Secret for type {spec.type}")
        await self._may_request(manifest)
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

    async def _may_request(self, manifest: Manifest) -> None:
        """Raises NotReady for a kind that our account may not annotate: its author would not see that calls fail."""
        asked: set[tuple[str, str, str]] = set()
        try:
            wanted = targets(manifest)
        except RequestRefusedError:
            return  # the call is answered with it, as upstream does
        for target in wanted:
            if (identity := (target.api_version, target.kind, target.namespace)) in asked:
                continue
            asked.add(identity)
            try:
                resource = await self._kube.resource_for(target.api_version, target.kind)
            except UnknownKindError:
                continue  # its controller may come later
            if not await self._kube.can(verb="patch", resource=resource, namespace=target.namespace):
                rule = f"get, list and patch {resource.plural} of {resource.group}"
                raise NotReady(
                    "AccessDenied",
                    f"{target.field.removesuffix('.filter')}: the notification controller's account may not {rule} "
                    f"in {target.namespace}; bind a role that may to it",
                )


async def token_data(kube: KubeClient, receiver: Manifest) -> Mapping[str, bytes] | None:
    """The data of a Receiver's Secret; None where there is none."""
    name = str(((receiver.get("spec") or {}).get("secretRef") or {}).get("name") or "")
    try:
        found = await kube.get(SECRETS, name, receiver["metadata"]["namespace"]) if name else {}
        return secret_data(found)
    except (NotFound, ValueError):
        return None
