"""Ten writers on one branch, for as long as automations write to it: nothing is lost, forced or done twice.

The rate: each of the ten commits once a second, so the branch moves ten times a second (`RATE`) while a visit (fetch,
splice, commit, push) takes a few hundred milliseconds: most first tries lose their race. The writers commit on the
server itself, the automations push over https from mirrors of their own, as if each were another controller.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from controllers.api.resource import Key
from controllers.git import Mirrors, NonFastForwardError
from controllers.image_automation.commit.visit import update_branch
from controllers.standin.cloud.git_server import GitServer
from controllers.standin.cloud.git_store import GitError
from tests.cluster import until

from .conftest import Bench
from .test_work import CONFIG, _job, _now, _remote, server

__all__ = ["server"]
WRITERS, EACH = 10, 3
RATE = 10.0
"""Commits per second of all writers together, as far as the machine keeps up."""


async def writer(git: GitServer, number: int) -> None:
    """A colleague who tries again when another was faster."""
    for count in range(EACH):
        await asyncio.sleep(random.uniform(0, 2 * WRITERS / RATE))
        name = f"notes/{number}-{count}.txt"

        async def committed(name: str = name) -> bool:
            try:
                await git.commit("fleet", {name: "x"}, message=name)
            except GitError:
                return False
            return True

        await until(committed, patience=60, what=f"commit of {name}")


async def moves(git: GitServer) -> list[tuple[str, str]]:
    """How the branch moved: (old, new), of its log on the server."""
    log = (git.directory / "fleet.git" / "logs" / "refs" / "heads" / "main").read_text()
    return [(line.split()[0], line.split()[1]) for line in log.splitlines()]


async def check(git: GitServer, *, before: int, automations: int) -> None:
    """Every commit of every writer is there once, and the branch only ever went from a commit to a child of it."""
    chain = (await git.git("fleet", "rev-list", "--first-parent", "main")).split()
    assert len(chain) == before + WRITERS * EACH + automations
    subjects = (await git.git("fleet", "log", "--format=%s", "main")).splitlines()
    notes = [subject for subject in subjects if subject.startswith("notes/")]
    assert len(notes) == len(set(notes)) == WRITERS * EACH, "lost or doubled"
    files = (await git.git("fleet", "ls-tree", "-r", "--name-only", "main")).split()
    assert sum(name.startswith("notes/") for name in files) == WRITERS * EACH, "lost"
    steps = [pair for pair in await moves(git) if set(pair[0]) != {"0"}]
    for old, new in steps:
        assert chain.index(new) < chain.index(old), "a push was forced"
    assert [old for old, _ in steps[1:]] == [new for _, new in steps[:-1]]


async def test_ten_writers_and_three_automations_lose_double_and_force_nothing(
    server: GitServer, tmp_path: Path
) -> None:
    await server.git("fleet", "config", "core.logAllRefUpdates", "always")
    tags = ("1.0.0", "2.0.0")

    def automation(number: int) -> None:
        mirrors, key = Mirrors(tmp_path / f"m{number}"), Key("ns", f"w{number}")
        for tag in tags:
            outcome = update_branch(mirrors, _remote(server), CONFIG, [_job(f"w{number}", tag)], now=_now)[key]
            assert outcome.changes == 1 and outcome.error is None
            again = update_branch(mirrors, _remote(server), CONFIG, [_job(f"w{number}", tag)], now=_now)[key]
            assert not again.commit, "committed twice"

    await asyncio.gather(
        *(writer(server, number) for number in range(WRITERS)),
        *(asyncio.to_thread(automation, number) for number in range(3)),
    )
    for number in range(3):
        assert b":2.0.0 " in await server.read("fleet", f"apps/w{number}/a.yaml")
    await check(server, before=1, automations=3 * len(tags))


async def test_a_branch_that_never_rests_is_left_to_the_next_reconcile_after_its_time_and_untouched(
    server: GitServer, tmp_path: Path
) -> None:
    """The host says at each push that the branch has moved, as it would if somebody were always faster."""
    hook = server.directory / "fleet.git" / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH\nexport GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a"
        " GIT_COMMITTER_EMAIL=a@b\n"
        "git update-ref refs/heads/main $(git commit-tree -p main -m \"note $$\" 'main^{tree}')\n"
    )
    hook.chmod(0o755)
    job, begun = _job("w0", "1.0.0"), time.monotonic()

    def run() -> None:
        update_branch(Mirrors(tmp_path / "m"), _remote(server), CONFIG, [job], now=_now, patience=1.5)

    with pytest.raises(NonFastForwardError) as caught:
        await asyncio.to_thread(run)
    assert caught.value.retryable
    assert time.monotonic() - begun >= 1.5
    tries = int(await server.git("fleet", "rev-list", "--count", "main")) - 1
    assert tries >= 2, "tried once only"
    hook.unlink()
    await asyncio.to_thread(run)
    assert b":1.0.0 " in await server.read("fleet", "apps/w0/a.yaml")


async def test_the_whole_loop_keeps_up_with_ten_writers(bench: Bench) -> None:
    await bench.setup()
    await bench.git.git("fleet", "config", "core.logAllRefUpdates", "always")
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()
    before = await bench.commits()

    async def releases() -> None:
        for minor in (1, 2, 3):
            await bench.push(f"v1.{minor}.0")
            await bench.request("ImageRepository", "web", f"push {minor}")
            await bench.until_file(f"v1.{minor}.0")

    async with bench.run():
        await asyncio.gather(releases(), *(writer(bench.git, number) for number in range(WRITERS)))
        await bench.until_noted(await _last_of_bot(bench))
        await bench.request("ImageUpdateAutomation", "bot", "once more")
        await bench.until_ready("ImageUpdateAutomation", "bot")
        await check(bench.git, before=before, automations=3)


async def _last_of_bot(bench: Bench) -> str:
    return (await bench.git.git("fleet", "log", "-1", "--author=bot@example.com", "--format=%H", "main")).strip()
