"""kill -9 of a real image-automation process at the exact moments that matter, from the Git host's side.

A hook on the host kills the controller: `pre-receive` while the host has the commit and has not accepted it (and then
refuses it, or accepts it for a pusher that is dead), `post-receive` when the branch has moved and the pusher has not
heard. Nothing in the product knows of it. Started again, on the same mirrors: what was not accepted is committed, what
was is not committed again, and the status names the commit that is on the branch.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controllers.standin.cloud.git_server import GitServer, GitUser
from controllers.standin.cloud.registry import Authenticator, RegistryServer, RegistryUser
from controllers.standin.cloud.tls import Authority
from tests.cluster import QUIET, Cluster, until
from tests.integration.image_automation.conftest import FILE, NS, Bench

_HOOK = """#!/bin/sh
if [ -f "{armed}" ]; then
  code=$(cat "{armed}"); rm "{armed}"
  kill -9 "$(cat "{pid}")"
  exit "$code"
fi
"""


class Process:
    """`inhaul run --controllers=image-automation`, and a Git host that can kill it."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.bench, self.directory = bench, directory
        self._pid, self._process = directory / "pid", None
        hooks = bench.git.directory / "fleet.git" / "hooks"
        for name in ("pre-receive", "post-receive"):
            path = hooks / name
            rest = path.read_text().removeprefix("#!/bin/sh\n") if path.exists() else ""
            path.write_text(_HOOK.format(armed=directory / name, pid=self._pid) + rest)
            path.chmod(0o755)

    _process: subprocess.Popen[bytes] | None

    def arm(self, hook: str, *, then: int = 0) -> None:
        """Kill at the next push; the hook then ends with this code."""
        (self.directory / hook).write_text(f"{then}\n")

    def start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            **QUIET,
            "INHAUL_LEASE_ENABLED": "true",
            "INHAUL_LEASE_DURATION": "2",
            "INHAUL_LEASE_DEADLINE": "1.5",
            "INHAUL_LEASE_RETRY": "0.5",
            "INHAUL_IMAGE_AUTOMATION_MIRRORS": str(self.directory / "mirrors"),
        }
        argv = [sys.executable, "-m", "controllers.cli", "run", "--controllers=image-automation"]
        with (self.directory / "controllers.log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pid.write_text(str(self._process.pid))

    async def killed(self) -> None:
        """Waits until it is dead by SIGKILL, and takes its helpers along."""
        assert self._process is not None
        assert await asyncio.to_thread(self._process.wait, 120) == -signal.SIGKILL
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    async def bot_commits(self) -> list[str]:
        return (await self.bench.git.git("fleet", "log", "--author=bot@example.com", "--format=%H", "main")).split()


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    registry = RegistryServer(
        authority=Authority.create(), auth=Authenticator("bearer", {"ci": RegistryUser("pw", push=("*",))})
    )
    git = GitServer(tmp_path / "srv", users=[GitUser("bot", "bot-pw", write=("fleet",))], ssh=False)
    await registry.start()
    await git.start()
    async with Cluster.standin(tmp_path) as cluster:
        await cluster.namespace(NS)
        bench = Bench(cluster, git, registry)
        await bench.setup()
        process = Process(bench, tmp_path)
        await bench.push("v1.0.0")
        await bench.repository(interval="2s")
        await bench.policy()
        await bench.automation()
        try:
            yield process
        finally:
            process.stop()
    await git.stop()
    await registry.stop()


async def test_killed_around_the_push_a_commit_is_neither_lost_nor_repeated(process: Process) -> None:
    bench = process.bench
    process.start()
    await bench.until_ready("ImageUpdateAutomation", "bot")
    moments = [
        ("pre-receive", 1, False),  # committed, not pushed
        ("pre-receive", 0, True),  # pushed by git, whose parent is dead
        ("post-receive", 0, True),  # pushed, not noted
    ]
    for number, (hook, code, accepted) in enumerate(moments, start=1):
        tag, before = f"v1.{number}.0", await bench.git.head("fleet")
        process.arm(hook, then=code)
        await bench.push(tag)
        await process.killed()
        if accepted:

            async def moved(before: str = before) -> bool:
                return await bench.git.head("fleet") != before

            await until(moved, patience=60, what="the branch to move")
        else:
            assert await bench.git.head("fleet") == before
        noted = (await bench.get("ImageUpdateAutomation", "bot"))["status"].get("lastPushCommit", "")
        assert noted == (before if number > 1 else ""), "the crash came before the status"
        process.start()
        text = await bench.until_file(tag)
        head = await bench.git.head("fleet")
        await bench.until_noted(head)
        assert text == FILE.format(host=bench.registry.host).replace("v1.0.0", tag)
        assert len(await process.bot_commits()) == number, "lost or repeated"
        assert (await bench.git.git("fleet", "rev-parse", f"{head}^")).strip() == before
    await bench.request("ImageUpdateAutomation", "bot", "once more")

    async def looked() -> bool:
        status = (await bench.get("ImageUpdateAutomation", "bot")).get("status") or {}
        return status.get("lastHandledReconcileAt") == "once more"

    await until(looked, patience=60, what="another look")
    assert len(await process.bot_commits()) == 3 and await bench.commits() == 4
