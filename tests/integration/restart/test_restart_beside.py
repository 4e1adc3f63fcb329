"""Restart on change beside the rest: least rights, GitOps, and a rotation at AWS that goes all the way to a rollout."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.api.core import DEPLOYMENTS, EVENTS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest
from controllers.restart import watch as restart_watch
from controllers.restart.decide import RESTARTED_AT, SEEN
from controllers.restart.watch import Restarter, RestartSettings
from controllers.runtime.kube import Forbidden, KubeClient, KubeConfig
from tests.cluster import Cluster, condition, until
from tests.integration.external_secrets.conftest import NAMESPACE as PAYMENTS
from tests.integration.external_secrets.conftest import Bench, bench, entry
from tests.integration.kustomization.conftest import World, running, world

from .restarts import NAMESPACE, QUICK, Shop, pod_of, restarted_for

ROOT = Path(__file__).parents[3]
__all__ = ["bench", "world"]


def built(directory: Path, *components: str) -> list[Manifest]:
    """What an installation with these components brings, of rights."""
    inside = os.path.relpath(ROOT / "kustomize", directory.resolve())
    text = {
        "resources": [f"{inside}/base"],
        "components": [f"{inside}/components/{component}" for component in components],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(text))
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl") or ""
    done = subprocess.run(
        [kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=True, timeout=60
    )
    kinds = ("Role", "ServiceAccount", "ValidatingAdmission")
    return [item for item in yaml.safe_load_all(done.stdout) if any(kind in item["kind"] for kind in kinds)]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    (tmp_path / "server").mkdir()
    async with Cluster.standin(tmp_path / "server") as made:
        await made.namespace(NAMESPACE)
        yield made


@pytest.fixture
async def shop(cluster: Cluster) -> AsyncIterator[Shop]:
    async with Shop(cluster.admin).watched() as made:
        yield made


@pytest.fixture
async def team(world: World) -> AsyncIterator[Shop]:
    async with Shop(world.kube, "team-a").watched() as made:
        yield made


@pytest.fixture
async def payments(bench: Bench) -> AsyncIterator[Shop]:
    async with Shop(bench.cluster.admin, PAYMENTS).watched() as made:
        yield made


async def account(cluster: Cluster) -> KubeConfig:
    token = await cluster.admin.token_request("inhaul-system", "external-secrets", audiences=[])
    return replace(cluster.config, token=token.token, certificate="", private_key=None, token_file="")


async def test_rights_come_with_the_component_and_reach_no_further(
    cluster: Cluster, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.secret("db", password="p")
    await shop.workload("web", pod_of("db"))
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()
    await cluster.apply(*built(tmp_path / "without"))
    config = await account(cluster)
    with caplog.at_level(logging.WARNING):
        async with cluster.managed_as(config, restart_watch, **QUICK):

            async def said() -> str:
                return next((line for line in caplog.messages if "restart on change is waiting" in line), "")

            message = await until(said, patience=30)
            assert "patch deployments" in message and "get secrets" not in message and "restart-on-change" in message
            await cluster.apply(*built(tmp_path / "with", "restart-on-change"))
            await shop.recorded("web")
            await shop.secret("db", password="q")
            await shop.until_rollouts("web", 1)
    async with KubeClient(config) as kube:
        template: dict[str, Any] = {"spec": {"containers": [{"name": "app", "image": "evil:1"}]}}
        for body in (
            {"spec": {"template": template}},
            {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
            {"spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "true"}}}}},
            {"spec": {"replicas": 9}},
        ):
            with pytest.raises(Forbidden):
                await kube.patch(DEPLOYMENTS, "web", NAMESPACE, body=body)


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {reloader.stakater.com/auto: "true"}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "app:1", envFrom: [{secretRef: {name: db}}]}
"""


async def test_gitops_sees_no_drift_in_a_restart_and_does_not_take_it_back(world: World, team: Shop) -> None:
    shop = team
    files: dict[str, str | bytes | None] = {
        "apps/web.yaml": DEPLOYMENT,
        "apps/kustomization.yaml": "resources: [web.yaml]\n",
    }
    await world.git.create_repo("fleet", files)
    await world.tenant("inhaul-system", rights=False)
    await world.tenant("team-a")
    await shop.secret("db", password="p")
    await world.repository("team-a")
    await world.kustomization("apps", "team-a", "./apps", targetNamespace="team-a")
    manager = world.manager()
    with manager.scope("external-secrets"):
        restarter = Restarter(manager, RestartSettings(enabled=True, window=0.3, pause=0, spacing=0))
        manager.task("restart on change", restarter.run)
    async with running(manager):
        await world.condition("apps", "team-a", "True")
        await shop.recorded("web")
        await shop.secret("db", password="q")
        restarted = await shop.until_rollouts("web", 1)
        assert restarted_for(restarted) == "db"

        # the same Deployment applied again, with the rest of a commit
        commit = await world.push({"apps/web.yaml": DEPLOYMENT.replace("app:1", "app:2")}, "team-a")
        found = await world.applied("apps", "team-a", commit)
        web = await shop.until_rollouts("web", 2)
        template = web["spec"]["template"]["metadata"]["annotations"]
        assert template[RESTARTED_AT] == restarted["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
        assert web["metadata"]["annotations"][SEEN] == restarted["metadata"]["annotations"][SEEN]
        in_sync = condition(found, "InSync")[0]
        assert in_sync in ("", "True")
        events = (await world.kube.list(EVENTS, "team-a")).items
        assert not [each["note"] for each in events if "drift" in each["reason"].lower() or "drift" in each["note"]]
        assert (await world.kube.get(KUSTOMIZATIONS, "apps", "team-a"))["status"]["lastAppliedRevision"].endswith(
            commit
        )


async def test_a_rotation_at_aws_restarts_the_deployment_once(bench: Bench, payments: Shop) -> None:
    shop = payments
    bench.create("shop/db", "first")
    await bench.store()
    await bench.secret("db", data=[entry("password", "shop/db")])
    async with bench.run(**QUICK):
        await bench.until_ready("db")
        await shop.workload("web", pod_of("db"))
        await shop.recorded("web")
        bench.put("shop/db", "second")
        stamp = {"metadata": {"annotations": {"force-sync": "1"}}}
        await bench.cluster.admin.patch(EXTERNAL_SECRETS, "db", PAYMENTS, body=stamp)
        assert restarted_for(await shop.until_rollouts("web", 1)) == "db"
        again = {"metadata": {"annotations": {"force-sync": "2"}}}  # a refresh that finds the same value
        await bench.cluster.admin.patch(EXTERNAL_SECRETS, "db", PAYMENTS, body=again)
        await shop.settled()
        assert await shop.rollouts("web") == 1
