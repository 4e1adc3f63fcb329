"""`inhaul demo` as a command: what it prints, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controllers.standin.demo.narrate import Narrator, StepFailedError, Told
from tests.cluster import until


def _left(directory: Path) -> list[int]:
    """Processes that know of the directory: the demo's, and all that it started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in environment:
            found.append(int(process.name))
    return found


@asynccontextmanager
async def _demo(directory: Path, *flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "controllers.cli", "demo", *flags]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 20,
        env={**os.environ, "TMPDIR": str(directory)}, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        for left in _left(directory):
            os.kill(left, signal.SIGKILL)
        await process.wait()


async def _nothing_stays(directory: Path) -> None:
    async def gone() -> bool:
        return not _left(directory)

    await until(gone, patience=30)
    assert list(directory.glob("inhaul-demo-*")) == [], "keys of the demo's world are still on disk"


async def test_ctrl_c_amid_the_story_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    async with _demo(tmp_path) as process:
        assert process.stdout is not None
        async with asyncio.timeout(90):
            while b"2. " not in (line := await process.stdout.readline()):
                assert line, "the demo ended by itself"
        assert len(_left(tmp_path)) >= 3, "the demo, its AWS and the controllers"
        for _ in range(2):  # a terminal tells the whole group, and people press it twice
            os.killpg(process.pid, signal.SIGINT)
            await asyncio.sleep(0.1)
        _, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 130
        assert errors == b""
        await _nothing_stays(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_json_is_one_object_and_keep_stays_until_ctrl_c(tmp_path: Path) -> None:
    async with _demo(tmp_path, "--json", "--keep") as process:
        assert process.stdout is not None
        async with asyncio.timeout(300):
            text = b""
            while line := await process.stdout.readline():
                text += line
                if line == b"}\n":
                    break
        said = json.loads(text)
        assert said["ok"] is True, [step for step in said["steps"] if not step["ok"]]
        assert said["seconds"] <= 150
        assert {"step", "ok", "seconds", "title", "happened", "measured"} == set(said["steps"][0])
        assert len(_left(tmp_path)) >= 3
        process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), 60)
        assert (await process.wait(), rest) == (0, b"")
        await _nothing_stays(tmp_path)


async def test_failed_step_is_told_in_the_json_and_the_next_one_still_runs(capsys: pytest.CaptureFixture[str]) -> None:
    async def fails(told: Told) -> str:
        raise StepFailedError("waited 40 s for nothing")

    async def goes_well(told: Told) -> str:
        told.measured["a_to_b"] = 1.5
        return "done"

    narrator = Narrator(quiet=True)
    await narrator.step("one", "The first", fails)
    await narrator.step("two", "The second", goes_well)
    narrator.json(seconds=3)
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["seconds"]) == (False, 3)
    assert [(step["step"], step["ok"], step["happened"]) for step in said["steps"]] == [
        ("one", False, "waited 40 s for nothing"),
        ("two", True, "done"),
    ]
    assert said["steps"][1]["measured"] == {"a_to_b": 1.5}
