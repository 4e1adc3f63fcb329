"""What the kustomizations build is taken by an API server: CRDs first, then everything else, kept as it was written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from .test_build import INSTALLATIONS, ROOT, build, kubectl

apiserver = pytest.importorskip("controllers.standin.apiserver", reason="the embedded API server is not there yet")

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANIFESTS = ROOT / "tests" / "unit" / "api" / "manifests"


def _stream(items: Sequence[dict[str, Any]]) -> str:
    """For kubectl, in JSON: PyYAML writes the text `y` as it stands, which kubectl reads as true."""
    return "\n---\n".join(json.dumps(item) for item in items)


class Cluster:
    """kubectl against one server."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    async def kubectl(self, *words: str, stdin: str = "", ok: bool = True) -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            kubectl(),
            f"--kubeconfig={self._kubeconfig}",
            f"--cache-dir={self._kubeconfig.parent / 'cache'}",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert (process.returncode == 0) is ok, err.decode()
        return out.decode(), err.decode()

    async def apply(self, tree: str) -> None:
        await self.kubectl("apply", "--server-side", "-f", "-", stdin=_stream(build(tree)))

    async def live(self, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The objects as the server has them, in the same order."""
        out, _ = await self.kubectl("get", "-f", "-", "-o", "yaml", stdin=_stream(items))
        found = yaml.safe_load(out)
        return list(found["items"]) if found["kind"] == "List" else [found]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("apiserver")
    server = apiserver.ApiServer(directory)
    await server.start()
    try:
        (directory / "kubeconfig").write_text(server.admin_kubeconfig())
        cluster = Cluster(directory / "kubeconfig")
        await cluster.kubectl("create", "-k", str(ROOT / "kustomize" / "crds"))
        await cluster.kubectl("wait", "--for=condition=Established", "--timeout=20s", "crd", "--all")
        yield cluster
    finally:
        await server.stop()


def missing(wanted: Any, found: Any, where: str = "") -> list[str]:
    """Paths of `wanted` that `found` lacks or has otherwise."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [path for key, value in wanted.items() for path in missing(value, found.get(key), f"{where}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [path for index, (one, other) in pairs for path in missing(one, other, f"{where}[{index}]")]
    return [] if wanted == found else [f"{where}: {wanted!r} became {found!r}"]


async def test_an_installation_is_taken_as_it_is_and_applying_it_again_changes_nothing(cluster: Cluster) -> None:
    for tree in INSTALLATIONS:
        await cluster.apply(tree)
        first = await cluster.live(build(tree))
        assert missing(list(build(tree)), first) == [], tree
    await cluster.apply(tree)
    again = await cluster.live(build(tree))
    assert _versions(first) == _versions(again)


def _versions(items: Sequence[dict[str, Any]]) -> list[str]:
    """Versions; of Deployments, whose status moves by itself, the generation."""
    field = {"Deployment": "generation"}
    return [str(item["metadata"][field.get(item["kind"], "resourceVersion")]) for item in items]


async def test_the_example_tenant_is_taken(cluster: Cluster) -> None:
    await cluster.apply("tenants/payments")
    assert missing(list(build("tenants/payments")), await cluster.live(build("tenants/payments"))) == []


async def test_creating_the_crds_again_is_refused_and_leaves_them_alone(cluster: Cluster) -> None:
    await cluster.kubectl("label", "crd", "externalsecrets.external-secrets.io", "owner=upstream")
    _, err = await cluster.kubectl("create", "-k", str(ROOT / "kustomize" / "crds"), ok=False)
    assert "AlreadyExists" in err
    out, _ = await cluster.kubectl("get", "crd", "externalsecrets.external-secrets.io", "-o", "yaml")
    assert yaml.safe_load(out)["metadata"]["labels"]["owner"] == "upstream"


async def test_upstreams_manifests_are_admitted_and_no_field_is_lost(cluster: Cluster) -> None:
    items = [item for path in sorted(MANIFESTS.glob("*.yaml")) for item in yaml.safe_load_all(path.read_text())]
    await cluster.kubectl("create", "namespace", "upstream")
    without_status = [{key: value for key, value in item.items() if key != "status"} for item in items]
    for item in without_status:
        if "namespace" in item["metadata"]:
            item["metadata"]["namespace"] = "upstream"
    await cluster.kubectl("create", "--validate=strict", "-f", "-", stdin=_stream(without_status))
    assert missing(without_status, await cluster.live(without_status)) == []


async def test_what_upstreams_schemas_refuse_is_refused(cluster: Cluster) -> None:
    refused: dict[str, dict[str, Any]] = {
        "two providers": {"kind": "SecretStore", "spec": {"provider": {"fake": {}, "vault": {}}}},
        "no provider": {"kind": "SecretStore", "spec": {"provider": {}}},
        "bad key": {"kind": "ExternalSecret", "spec": {"data": [{"secretKey": "a b", "remoteRef": {"key": "x"}}]}},
    }
    for name, change in refused.items():
        item = {"apiVersion": "external-secrets.io/v1", "metadata": {"name": "x", "namespace": "default"}, **change}
        _, err = await cluster.kubectl("create", "-f", "-", stdin=_stream([item]), ok=False)
        assert "is invalid" in err, name
