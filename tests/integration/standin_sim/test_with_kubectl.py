"""Simulated workloads, garbage collection and Tables as a user of kubectl meets them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from controllers.api.core import CRDS
from controllers.api.crdgen import crds
from controllers.runtime.kube import KubeClient
from controllers.standin.apiserver import ApiServer
from tests.cluster import until

CONFIGS = "/api/v1/namespaces/default/configmaps"


async def kubectl(directory: Path, *arguments: str) -> tuple[int, str]:
    argv = [str(Path(sys.executable).with_name("kubectl")), f"--kubeconfig={directory / 'kubeconfig'}", *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_deployment_rolls_out_scales_restarts_and_reports_a_bad_image(
    server: ApiServer, admin: KubeClient, tmp_path: Path
) -> None:
    images = {"images": "*:broken ImagePullBackOff"}
    settings: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "standin-images"}}
    await admin.request("POST", "/api/v1/namespaces/kube-system/configmaps", body={**settings, "data": images})
    for command in (
        ("create", "deployment", "web", "--image=a:1", "--replicas=2"),
        ("rollout", "status", "deployment/web", "--timeout=10s"),
        ("scale", "deployment/web", "--replicas=3"),
        ("set", "image", "deployment/web", "a=a:2"),
        ("rollout", "status", "deployment/web", "--timeout=10s"),
        ("rollout", "restart", "deployment/web"),
        ("wait", "--for=condition=Available", "deployment/web", "--timeout=10s"),
    ):
        code, output = await kubectl(tmp_path, *command)
        assert code == 0, output
    await kubectl(tmp_path, "set", "image", "deployment/web", "a=a:broken")
    code, _ = await kubectl(tmp_path, "rollout", "status", "deployment/web", "--timeout=1s")
    assert code != 0
    _, output = await kubectl(tmp_path, "get", "pods")
    assert "ImagePullBackOff" in output
    assert (await kubectl(tmp_path, "auth", "can-i", "create", "pods"))[1].strip() == "yes"
    assert (await kubectl(tmp_path, "auth", "can-i", "create", "pods", "--as=jane"))[1].strip() == "no"


async def test_our_kinds_show_their_columns(server: ApiServer, admin: KubeClient, tmp_path: Path) -> None:
    for crd in crds():
        await admin.apply(CRDS, crd, field_manager="test")
    spec = {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h", "data": []}
    body = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "db"}, "spec": spec}
    await admin.request("POST", "/apis/external-secrets.io/v1/namespaces/default/externalsecrets", body=body)
    code, output = await kubectl(tmp_path, "get", "externalsecrets,kustomizations,imagepolicies", "-A")
    assert code == 0, output
    assert output.split()[:4] == ["NAMESPACE", "NAME", "STORETYPE", "STORE"]
    assert "externalsecret.external-secrets.io/db" in output


async def test_children_go_with_their_owner_stay_as_orphans_or_hold_it(server: ApiServer, admin: KubeClient) -> None:
    async def make(name: str, owner: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        head: dict[str, Any] = {"name": name, **meta}
        if owner:
            about = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"]}
            head["ownerReferences"] = [{**about, "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}]
        return await admin.request("POST", CONFIGS, body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": head})

    async def present() -> set[str]:
        listed = await admin.request("GET", CONFIGS)
        return {item["metadata"]["name"] for item in listed["items"]} - {"kube-root-ca.crt"}

    async def gone(*names: str) -> bool:
        return not set(names) & await present()

    for policy in ("Background", "Orphan", "Foreground"):
        owner = await make(f"{policy.lower()}-owner")
        await make(f"{policy.lower()}-child", owner, finalizers=["example.org/hold"] if policy == "Foreground" else [])
        await admin.request("DELETE", f"{CONFIGS}/{policy.lower()}-owner", body={"propagationPolicy": policy})
    await until(lambda: gone("background-owner", "background-child", "orphan-owner"), what="collected garbage")
    assert await present() == {"orphan-child", "foreground-owner", "foreground-child"}
    await admin.request(
        "PATCH", f"{CONFIGS}/foreground-child", body={"metadata": {"finalizers": None}},
        content_type="application/merge-patch+json",
    )  # fmt: skip
    await until(lambda: gone("foreground-owner", "foreground-child"), what="the foreground deletion")
