"""Would deleting an object and creating it again get past the API server's refusal? (`force`)

As in Flux a forced object is recreated on every 409 and 422, and on what webhooks and CEL rules say of immutable
fields. Unlike Flux it is first tried as a new object under another name, in a dry run: what is refused for the same
cause there would be refused after the deletion too, and the old object would be gone for nothing.
"""

from __future__ import annotations

import hashlib

from controllers.api.resource import Manifest, Resource
from controllers.runtime.kube import ApiError, KubeClient

from .immutable import is_immutable


def asks_for_recreation(refusal: ApiError) -> bool:
    """Is this a refusal of an update that recreation may get past?"""
    if refusal.status == 422 or (refusal.status == 409 and refusal.reason != "AlreadyExists"):
        return True
    return is_immutable(refusal.message, status=refusal.status)


async def would_be_created(
    dry: KubeClient, resource: Resource, wanted: Manifest, refusal: ApiError, *, manager: str
) -> bool:
    """Tries the object as a new one; `dry` only does dry runs. False where it is refused for the same cause.

    A refusal for another cause is due to the other name (a CRD's must match its plural) or to the old object, which
    still occupies a port or a quota.
    """
    name = str(wanted["metadata"]["name"])
    other = f"{name[:40].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    trial = {**wanted, "metadata": {**wanted["metadata"], "name": other}}
    try:
        await dry.apply(resource, trial, field_manager=manager)
    except ApiError as again:
        if again.status not in (400, 403, 422):
            raise refusal from None
        same_text = again.message.replace(other, name) == refusal.message
        return not same_text and not set(again.causes) & set(refusal.causes)
    return True
