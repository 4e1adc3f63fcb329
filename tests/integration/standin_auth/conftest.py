"""A stand-in with all plug-ins, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controllers.runtime.kube import KubeClient, KubeConfig
from controllers.standin.apiserver import ApiServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(tmp_path)
    await running.start()
    (tmp_path / "kubeconfig").write_text(running.admin_kubeconfig())
    yield running
    await running.stop()


@pytest.fixture
async def admin(server: ApiServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient(KubeConfig.from_file(str(tmp_path / "kubeconfig"))) as client:
        yield client
