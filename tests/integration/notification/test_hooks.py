"""A call of a Receiver's hook reaches the objects it names, and no other call does."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import httpx

from controllers.api.image import IMAGE_REPOSITORIES
from controllers.api.notification import RECEIVERS
from controllers.notification import handlers
from tests.cluster import Cluster, condition, until

NS, TOKEN = "team-a", "s3cret-token"
REQUESTED = "reconcile.fluxcd.io/requestedAt"


def manifest(kind: str, name: str, group: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": NS, "labels": labels or {}}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


async def setup(cluster: Cluster) -> None:
    await cluster.namespace(NS)
    data = {"token": base64.b64encode(TOKEN.encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook", "namespace": NS}, "data": data}
    await cluster.apply(secret)
    for name, team in (("web", "a"), ("api", "a"), ("other", "b")):
        image = {"image": f"r.example.com/{name}", "interval": "1h"}
        await cluster.apply(manifest("ImageRepository", name, "image.toolkit.fluxcd.io/v1", {"team": team}, **image))


async def receiver(cluster: Cluster, name: str, kind: str, **spec: Any) -> str:
    group = "notification.toolkit.fluxcd.io/v1"
    await cluster.apply(manifest("Receiver", name, group, type=kind, secretRef={"name": "hook"}, **spec))
    found: dict[str, Any] = {}

    async def ready() -> bool:
        nonlocal found
        found = await cluster.find(RECEIVERS, name, NS) or {}
        return condition(found)[0] == "True"

    await until(ready, what=f"Receiver {name}")
    return str(found["status"]["webhookPath"])


async def requested(cluster: Cluster) -> set[str]:
    found = await cluster.admin.list(IMAGE_REPOSITORIES, NS)
    return {one["metadata"]["name"] for one in found.items if REQUESTED in (one["metadata"].get("annotations") or {})}


async def test_a_signed_call_marks_the_named_objects_and_a_forged_one_none(tmp_path: Path) -> None:
    async with Cluster.standin(tmp_path) as cluster:
        await setup(cluster)
        async with cluster.managed(handlers) as manager, httpx.AsyncClient() as http:
            base = f"http://127.0.0.1:{manager.web_port}"
            named = [{"kind": "ImageRepository", "name": "web"}]
            github = await receiver(cluster, "gh", "github", events=["push", "ping"], resources=named)
            assert github == f"/hook/{hashlib.sha256(f'{TOKEN}gh{NS}'.encode()).hexdigest()}"
            body = b'{"ref":"refs/heads/main"}'
            good = f"sha256={hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()}"
            for headers, status in (
                ({}, 400),
                ({"X-Hub-Signature-256": good.replace(good[-1], "0" if good[-1] != "0" else "1")}, 400),
                ({"X-Hub-Signature-256": good, "X-GitHub-Event": "star"}, 400),
                ({"X-Hub-Signature-256": "md5=1", "X-GitHub-Event": "push"}, 400),
            ):
                answer = await http.post(base + github, content=body, headers=headers)
                assert answer.status_code == status and TOKEN not in answer.text and good[7:] not in answer.text
            assert (await http.post(f"{base}/hook/{'0' * 64}", content=body)).status_code == 404
            assert await requested(cluster) == set()
            headers = {"X-Hub-Signature-256": good, "X-GitHub-Event": "push"}
            answer = await http.post(base + github, content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"requested": 1})
            assert await requested(cluster) == {"web"}


async def test_labels_and_a_filter_choose_among_many_and_an_exchanged_token_closes_the_old_path(tmp_path: Path) -> None:
    async with Cluster.standin(tmp_path) as cluster:
        await setup(cluster)
        async with cluster.managed(handlers) as manager, httpx.AsyncClient() as http:
            base = f"http://127.0.0.1:{manager.web_port}"
            many = [{"kind": "ImageRepository", "name": "*", "matchLabels": {"team": "a"}}]
            path = await receiver(
                cluster, "gl", "gitlab", resources=many, resourceFilter="res.metadata.name == req.project"
            )
            answer = await http.post(base + path, json={"project": "api"}, headers={"X-Gitlab-Token": TOKEN})
            assert (answer.status_code, answer.json()) == (200, {"requested": 1})
            assert await requested(cluster) == {"api"}
            everything = await receiver(cluster, "all", "generic", resources=[{**many[0], "matchLabels": {}}])
            assert (await http.post(base + everything)).status_code == 500
            data = {"token": base64.b64encode(b"another").decode()}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook", "namespace": NS}, "data": data}
            await cluster.apply(secret)
            answer = await http.post(base + path, json={"project": "web"}, headers={"X-Gitlab-Token": TOKEN})
            assert answer.status_code == 404 and await requested(cluster) == {"api"}
