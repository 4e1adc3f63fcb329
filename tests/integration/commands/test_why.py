"""Questions about a workload whose image cannot be pulled, asked of a cluster by the command itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from controllers.api.core import DEPLOYMENTS, PODS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.cli import main
from controllers.kustomization.drift.annotations import HELD, RELEASE
from tests.cluster import Cluster, until


def deployment(image: str) -> dict[str, Any]:
    labels = {"app": "web"}
    owner = {"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": "team-a"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": image}]}}}  # fmt: skip
    meta = {"name": "web", "namespace": "team-a", "labels": owner}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


async def run(*words: str, capsys: pytest.CaptureFixture[str], config: Path) -> tuple[int, Any]:
    capsys.readouterr()
    code = await asyncio.to_thread(main, [*words, "-n", "team-a", "-o", "json", "--kubeconfig", str(config)])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


async def stuck_workload(cluster: Cluster) -> None:
    """Returns once a Deployment of a Kustomization with one drifted field waits for its image."""
    held = [{"object": "team-a_web_apps_Deployment", "path": "/spec/replicas", "wanted": "1", "live": "5",
             "manager": "kubectl-edit"}]  # fmt: skip
    await cluster.namespace("kube-system")
    await cluster.namespace("team-a")
    faults = {"images": "*bad* ImagePullBackOff"}
    await cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "data": faults,
                         "metadata": {"name": "standin-images", "namespace": "kube-system"}})  # fmt: skip
    source = {"kind": "GitRepository", "name": "fleet"}
    await cluster.apply(
        {"apiVersion": KUSTOMIZATIONS.api_version, "kind": "Kustomization",
         "metadata": {"name": "app", "namespace": "team-a", "annotations": {HELD: json.dumps(held)}},
         "spec": {"interval": "5m", "prune": True, "sourceRef": source}},
        deployment("registry.test/bad:1"),
    )  # fmt: skip

    async def waiting() -> bool:
        pods = (await cluster.admin.list(PODS, "team-a")).items
        states = [c["state"] for p in pods for c in (p.get("status") or {}).get("containerStatuses") or ()]
        return any("waiting" in state for state in states)

    await until(waiting)


async def test_the_commands_answer_for_a_workload_that_does_not_come_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Cluster.standin(tmp_path) as cluster:
        await stuck_workload(cluster)

        async def ask(*words: str) -> tuple[int, Any]:
            return await run(*words, capsys=capsys, config=tmp_path / "kubeconfig")

        code, told = await ask("why", "deploy/web")
        assert (code, told["kind"]) == (1, "image")
        assert "registry.test/bad:1" in told["cause"]
        assert told["held"] and told["drifted"] and told["next"]
        code, told = await ask("why", "ks/app")
        assert (told["drifted"], "inhaul drift release app -n team-a" in told["next"]) == (True, told["well"])

        code, told = await ask("trace", "deployment/web")
        assert (code, told["kustomization"], told["inInventory"]) == (0, "Kustomization/team-a/app", False)

        code, told = await ask("suspend", "ks/app", "--reason", "INC-1", "--owner", "ann", "--until", "2h")
        found = await cluster.admin.get(KUSTOMIZATIONS, "app", "team-a")
        assert (code, found["spec"]["suspend"]) == (0, True)
        code, rows = await ask("get", "ks")
        assert rows[0]["held"][0].startswith("suspended by ann: INC-1 (until ")
        assert (await ask("resume", "ks/app"))[0] == 0
        found = await cluster.admin.get(KUSTOMIZATIONS, "app", "team-a")
        assert found["spec"]["suspend"] is False
        assert not [name for name in found["metadata"]["annotations"] if name.startswith("suspend.")]
        for words in (("suspend", "deployment/web"), ("reconcile", "deployment/web"), ("resume", "deployment/web")):
            code, told = await ask(*words)
            assert (code, "found apps/v1, expected a kind of *.toolkit.fluxcd.io" in told) == (2, True), told

        assert (await ask("drift", "show", "app"))[0] == 1
        assert (await ask("drift", "release", "app"))[0] == 0
        found = await cluster.admin.get(KUSTOMIZATIONS, "app", "team-a")
        assert json.loads(found["metadata"]["annotations"][RELEASE]) == [{"object": "*"}]

        code, told = await ask("reconcile", "ks/app", "--no-wait")
        found = await cluster.admin.get(KUSTOMIZATIONS, "app", "team-a")
        assert found["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] == told["requestedAt"]

        live = await cluster.admin.get(DEPLOYMENTS, "web", "team-a")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "web.json.yaml").write_text(json.dumps(deployment("registry.test/good:1")))
        code, told = await ask("plan", str(tmp_path / "new"))
        assert (code, [each["action"] for each in told["changes"]]) == (1, ["update"])
        after = await cluster.admin.get(DEPLOYMENTS, "web", "team-a")
        assert after["spec"] == live["spec"]
