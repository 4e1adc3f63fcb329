"""One visit to a Git host: races with other writers, and what a crash leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controllers.api.resource import Key
from controllers.api.source import GitRef
from controllers.git import GitAuth, Mirrors, Person, Remote
from controllers.image_automation.commit.job import Job
from controllers.image_automation.commit.push_config import PushConfig
from controllers.image_automation.commit.visit import _planned, update_branch
from controllers.image_automation.tags.reference import Ref
from controllers.standin.cloud.git_server import GitServer, GitUser

CONFIG = PushConfig(GitRef(branch="main"), "main", False, None, {}, 20)


def _now() -> datetime:
    return datetime.now(UTC)


def _job(name: str, tag: str, refuse: Sequence[str] = ()) -> Job:
    return Job(
        key=Key("ns", name),
        path=f"apps/{name}",
        policies={"ns:app": Ref("r.io/app", tag)},
        previous={},
        author=Person("bot", "bot@example.com"),
        template="",
        values={},
        allow=lambda paths: {path: "not granted" for path in paths if path in refuse},
    )


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitServer]:
    git = GitServer(tmp_path / "srv", users=[GitUser("bot", "pw", write=("fleet",))], ssh=False)
    await git.start()
    files = {f"apps/w{n}/a.yaml": 'i: r.io/app:0.0.0 # {"$imagepolicy": "ns:app"}\n' for n in range(10)}
    await git.create_repo("fleet", files)
    yield git
    await git.stop()


def _remote(server: GitServer) -> Remote:
    url = server.https_url("fleet")
    data = {"username": b"bot", "password": b"pw", "ca.crt": server.ca_pem}
    return Remote(url, GitAuth.from_secret(data, url), timeout=20)


async def test_a_crash_between_commit_and_push_loses_and_doubles_nothing(server: GitServer, tmp_path: Path) -> None:
    mirrors, remote, job = Mirrors(tmp_path / "m"), _remote(server), _job("w0", "1.0.0")

    def crash() -> str:
        with mirrors.use(remote) as mirror:
            return _planned(mirror, mirror.fetch_ref("refs/heads/main"), [job], _now()).tip  # and here the process dies

    tip = await asyncio.to_thread(crash)
    assert await server.head("fleet") != tip
    again = Mirrors(tmp_path / "m")
    outcome = (await asyncio.to_thread(lambda: update_branch(again, remote, CONFIG, [job], now=_now)))[job.key]
    assert await server.head("fleet") == outcome.commit
    third = (await asyncio.to_thread(lambda: update_branch(again, remote, CONFIG, [job], now=_now)))[job.key]
    assert (third.commit, third.recovered) == ("", outcome.commit)
    assert int(await server.git("fleet", "rev-list", "--count", "main")) == 2


async def test_a_refused_file_is_left_out_and_the_others_are_written(server: GitServer, tmp_path: Path) -> None:
    await server.commit("fleet", {"apps/w0/b.yaml": 'i: x # {"$imagepolicy": "ns:app"}\n'})
    job = _job("w0", "1.0.0", refuse=["apps/w0/b.yaml"])
    mirrors = Mirrors(tmp_path / "m")
    outcome = (await asyncio.to_thread(lambda: update_branch(mirrors, _remote(server), CONFIG, [job], now=_now)))[
        job.key
    ]
    assert outcome.refused == (("apps/w0/b.yaml", "not granted"),) and outcome.changes == 1
    assert await server.read("fleet", "apps/w0/b.yaml") == b'i: x # {"$imagepolicy": "ns:app"}\n'


async def test_one_bad_template_does_not_hold_up_the_batch(server: GitServer, tmp_path: Path) -> None:
    from dataclasses import replace

    bad, good = replace(_job("w0", "1.0.0"), template="{{ .Nope }}"), _job("w1", "1.0.0")
    mirrors = Mirrors(tmp_path / "m")
    outcomes = await asyncio.to_thread(lambda: update_branch(mirrors, _remote(server), CONFIG, [bad, good], now=_now))
    assert "messageTemplate" in str(outcomes[bad.key].error) and outcomes[good.key].commit
    assert b":0.0.0 " in await server.read("fleet", "apps/w0/a.yaml")
