"""Before anything is watched: nobody else serves these kinds, and the kinds are served.

Both are questions to the API server that may fail for want of rights; then we say so and go on, for a least-privilege
installation must not be stopped by a courtesy check, but kinds that are not served are waited for, visibly (readiness
says which), without end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from controllers.api.core import DEPLOYMENTS
from controllers.api.resource import Manifest, Resource

from ..kube import ApiError, Forbidden, KubeClient
from ..ownership import rivals, selectors_of_upstream
from ..settings import ClaimSettings

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE, _REMIND = 0.25, 5.0, 30.0


class UpstreamRunningError(Exception):
    """Upstream controllers run for the same kinds; the text says how to resolve it."""


async def refuse_rivals(kube: KubeClient, settings: ClaimSettings, resources: Sequence[Resource]) -> None:
    """Raises UpstreamRunningError under `--claim=all` where an upstream controller of these kinds runs."""
    if settings.mode != "all" or not resources:
        return
    deployments: list[Manifest] = []
    for selector in selectors_of_upstream():
        try:
            deployments += (await kube.list(DEPLOYMENTS, label_selector=selector)).items
        except Forbidden:
            log.warning("no permission to list Deployments; cannot check for a running upstream controller")
            return
        except ApiError as error:
            log.warning("cannot check for a running upstream controller: %s", error.message)
            return
    if found := rivals(settings, resources, deployments):
        raise UpstreamRunningError("; ".join(found))


async def wait_until_served(kube: KubeClient, resources: Sequence[Resource], waiting: set[str]) -> None:
    """Returns when each kind can be listed. `waiting` holds the names of those that cannot yet, for readiness."""
    names = {resource: f"{resource.plural}.{resource.group}/{resource.version}" for resource in resources}
    waiting.update(names.values())
    pause, said = _FIRST_PAUSE, float("-inf")
    while True:
        for resource, name in names.items():
            if name in waiting and await _served(kube, resource):
                waiting.discard(name)
        if not waiting:
            return
        now = asyncio.get_running_loop().time()
        if now - said >= _REMIND:
            said = now
            log.warning("waiting for the API server to serve: %s", ", ".join(sorted(waiting)))
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


async def _served(kube: KubeClient, resource: Resource) -> bool:
    try:
        return await kube.served(resource)
    except ApiError as error:
        log.warning("discovery of %s: %s", resource.api_version, error.message)
        return False
