"""A call of a Receiver's hook reaches the objects it names, and no other call does."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

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


async def test_a_filter_of_one_resource_holds_beside_that_of_the_spec(tmp_path: Path) -> None:
    async with Cluster.standin(tmp_path) as cluster:
        await setup(cluster)
        async with cluster.managed(handlers) as manager, httpx.AsyncClient() as http:
            base = f"http://127.0.0.1:{manager.web_port}"
            both = [
                {"kind": "ImageRepository", "name": "*", "matchLabels": {"team": "a"}, "filter": "req.go"},
                {"kind": "ImageRepository", "name": "other", "filter": "res.metadata.name == req.project"},
            ]
            path = await receiver(cluster, "both", "generic", resources=both, resourceFilter="req.project != 'none'")
            for body, count, found in (
                ({"go": False, "project": "web"}, 0, set[str]()),
                ({"go": True, "project": "none"}, 0, set[str]()),
                ({"go": False, "project": "other"}, 1, {"other"}),
                ({"go": True, "project": "web"}, 2, {"other", "web", "api"}),
            ):
                answer = await http.post(base + path, json=body)
                assert (answer.status_code, answer.json()) == (200, {"requested": count})
                assert await requested(cluster) == found


@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        ({"resources": [{"kind": "ImageRepository", "name": "web", "filter": "res."}]}, "InvalidCELExpression",
         "spec.resources[0].filter"),
        ({"type": "generic-oidc", "secretRef": None, "resources": [{"kind": "ImageRepository", "name": "web"}],
          "oidcProviders": [{"issuerURL": "https://issuer.example", "validations": [
              {"expression": "true", "message": "no"}]}]}, "UnsupportedField", "spec.type=generic-oidc"),
    ],
)  # fmt: skip
async def test_what_a_receiver_cannot_do_is_said_on_it(
    spec: dict[str, Any], reason: str, text: str, tmp_path: Path
) -> None:
    async with Cluster.standin(tmp_path) as cluster:
        await setup(cluster)
        base = {"type": "generic", "secretRef": {"name": "hook"}, **spec}
        await cluster.apply(manifest("Receiver", "bad", "notification.toolkit.fluxcd.io/v1",
                                     **{key: value for key, value in base.items() if value is not None}))  # fmt: skip
        async with cluster.managed(handlers):

            async def said() -> bool:
                found = condition(await cluster.find(RECEIVERS, "bad", NS))
                return found[:2] == ("False", reason) and text in found[2]

            await until(said, what=f"Ready=False {reason} {text}")


async def test_a_kind_that_our_account_may_not_annotate_is_said_on_the_receiver(tmp_path: Path) -> None:
    async with Cluster.standin(tmp_path) as cluster:
        await setup(cluster)
        every = ["get", "list", "watch", "patch", "create"]
        rules = [
            {"apiGroups": ["", "apiextensions.k8s.io", "inhaul.dev"], "resources": ["*"], "verbs": every},
            {"apiGroups": ["notification.toolkit.fluxcd.io"], "resources": ["*"], "verbs": every},
            {"apiGroups": ["image.toolkit.fluxcd.io"], "resources": ["*"], "verbs": ["get", "list"]},
        ]
        name, rbac = "notifier", "rbac.authorization.k8s.io"
        await cluster.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NS}},
            {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
            {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
             "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
             "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NS}]},
            manifest("Receiver", "r", "notification.toolkit.fluxcd.io/v1", type="generic", secretRef={"name": "hook"},
                     resources=[{"kind": "ImageRepository", "name": "web"}]),
        )  # fmt: skip
        token = (await cluster.admin.token_request(NS, name, audiences=[])).token
        config = replace(cluster.config, token=token, certificate="", private_key=None, token_file="")
        async with cluster.managed_as(config, handlers):

            async def said() -> bool:
                found = condition(await cluster.find(RECEIVERS, "r", NS))
                return found[:2] == ("False", "AccessDenied") and "spec.resources[0]" in found[2]

            await until(said, what="Ready=False AccessDenied")
            allowed = {**rules[2], "verbs": every}
            role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}}
            await cluster.apply({**role, "rules": [*rules[:2], allowed]})

            async def ready() -> bool:
                return condition(await cluster.find(RECEIVERS, "r", NS))[0] == "True"

            await until(ready, patience=30, what="Ready=True once the right is there")
