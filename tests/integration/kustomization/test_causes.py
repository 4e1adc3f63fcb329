"""What a health check waits for, it explains: by the Pod itself, a Job's Pods, a kind that is not served."""

from __future__ import annotations

from typing import Any

from controllers.api.core import PODS
from controllers.api.resource import Resource
from controllers.kustomization.health import check as wait
from controllers.kustomization.health.cel_evaluator import Evaluator
from controllers.kustomization.objects.inventory import Entry
from controllers.runtime.worker import HeavyWorker

from .conftest import World

JOBS = Resource("batch", "v1", "jobs", "Job")


async def test_pods_jobs_and_unknown_kinds_tell_their_cause(world: World) -> None:
    await world.tenant("team-a")
    template = {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]}
    labels = {"job-name": "migrate"}
    job = await world.make(JOBS, "migrate", "team-a", spec={"backoffLimit": 3, "template": {"spec": template}})
    selector = job["spec"]["selector"]["matchLabels"]
    pod = {"metadata": {"name": "migrate-1", "namespace": "team-a", "labels": {**labels, **selector}}, "spec": template}
    await world.kube.create(PODS, pod)
    ended = {"name": "app", "restartCount": 0, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    await _status(world, PODS, "migrate-1", phase="Failed", containerStatuses=[ended])
    await _status(world, JOBS, "migrate", startTime="2026-11-01T00:00:00Z", failed=1)
    waiting = {"name": "web", "image": "nope:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    await world.make(PODS, "alone", "team-a", spec={"containers": [{"name": "web", "image": "nope:1"}]})
    await _status(world, PODS, "alone", phase="Pending", containerStatuses=[waiting])

    wanted = [Entry("team-a", "migrate", "batch", "Job", "v1"), Entry("team-a", "alone", "", "Pod", "v1"),
              Entry("team-a", "x", "nobody.dev", "Thing", "v1")]  # fmt: skip
    tenant = world.kube.impersonate("system:serviceaccount:team-a:default")
    found = await wait.look(tenant, [(entry, None) for entry in wanted], {}, Evaluator(HeavyWorker()))
    messages = [each.status.message for each in found]
    assert "exit code 3 (Error)" in messages[0]
    assert "container web: image nope:1 cannot be pulled: ImagePullBackOff" in messages[1]
    assert "Thing" in messages[2] and "nobody.dev/v1" in messages[2]


async def _status(world: World, resource: Resource, name: str, **status: Any) -> None:
    await world.kube.patch(resource, name, "team-a", body={"status": status}, subresource="status")
