"""Committing without a worktree, pushing, losing races."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.git import (
    ABSENT,
    AuthFailed,
    LeaseLostError,
    Mirror,
    NewCommit,
    NonFastForwardError,
    Person,
    PushRef,
    RefusedError,
    Remote,
    commit_tree,
    push,
)

from .conftest import Host, call

BOT = Person("Bot", "bot@example.com")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(*arguments, **options)


def _commit(mirror: Mirror, parent: str, edits: dict[str, bytes], message: str = "Update") -> str:
    return commit_tree(mirror.objects, NewCommit(parent, edits, message, BOT, WHEN))


def _edit(
    host: Host,
    remote: Remote,
    edits: dict[str, bytes],
    *,
    ref: str = "refs/heads/main",
    lease: str | None = None,
    options: Mapping[str, str] | None = None,
    parent: str | None = None,
) -> str:
    with host.mirrors.use(remote) as mirror:
        base = mirror.fetch_ref("refs/heads/main")
        commit = _commit(mirror, parent or base, edits)
        push(mirror, [PushRef(commit, ref, lease)], options=options)
        return commit


@pytest.mark.parametrize("protocol", ["https", "ssh"])
async def test_an_edit_arrives_as_one_commit_that_changes_one_file(host: Host, protocol: str) -> None:
    remote = host.https() if protocol == "https" else host.ssh()
    commit = await call(_edit, host, remote, {"app/deploy.yaml": b"image: v2\n"})
    assert await host.server.head("fleet") == commit
    assert await host.server.git("fleet", "show", "--stat", "--format=%an|%ae|%cI|%s", commit) == (
        "Bot|bot@example.com|2026-01-02T03:04:05+00:00|Update\n\n app/deploy.yaml | 2 +-\n"
        " 1 file changed, 1 insertion(+), 1 deletion(-)\n"
    )
    await host.server.git("fleet", "fsck", "--strict")


async def test_modes_and_neighbours_stay_and_new_directories_are_made(host: Host) -> None:
    await host.server.git("fleet", "update-ref", "refs/heads/old", "main")
    tree = await _tree_with_executable(host)
    edits = {"run.sh": b"#!/bin/sh\n", "new/deep/file.yaml": b"x: 1\n", "app.yaml": b"y: 1\n"}
    commit = await call(_edit, host, host.https(), edits)
    listing = await host.server.git("fleet", "ls-tree", "-r", commit)
    assert "100755 blob" in next(line for line in listing.splitlines() if line.endswith("\trun.sh"))
    assert await host.server.read("fleet", "new/deep/file.yaml") == b"x: 1\n"
    assert (
        await host.server.git("fleet", "diff", "--name-only", tree, commit) == "app.yaml\nnew/deep/file.yaml\nrun.sh\n"
    )
    await host.server.git("fleet", "fsck", "--strict")


async def _tree_with_executable(host: Host) -> str:
    await host.server.commit("fleet", {"run.sh": "old\n"})
    blob = (await host.server.git("fleet", "rev-parse", "main:run.sh")).strip()
    directory = host.server.directory / "fleet.git"
    env = {"GIT_INDEX_FILE": str(host.server.directory / "index"), "PATH": "/usr/bin:/bin"}
    for arguments in (["read-tree", "main"], ["update-index", "--add", "--cacheinfo", f"100755,{blob},run.sh"]):
        _run(["git", f"--git-dir={directory}", *arguments], check=True, env=env)
    tree = _run(["git", f"--git-dir={directory}", "write-tree"], check=True, env=env, capture_output=True)
    made = await host.server.git(
        "fleet",
        *("-c", "user.name=a", "-c", "user.email=a@b"),
        *("commit-tree", "-p", "main", "-m", "x", tree.stdout.decode().strip()),
    )
    await host.server.git("fleet", "update-ref", "refs/heads/main", made.strip())
    return made.strip()


async def test_a_push_onto_a_branch_that_moved_is_refused_and_works_when_computed_again(host: Host) -> None:
    stale = await host.server.head("fleet")
    await host.server.commit("fleet", {"README.md": "human\n"})
    with pytest.raises(NonFastForwardError, match="refs/heads/main has moved"):
        await call(lambda: _edit(host, host.https(), {"app/deploy.yaml": b"v2"}, parent=_fetched(host, stale)))
    await call(_edit, host, host.https(), {"app/deploy.yaml": b"v2"})
    assert await host.server.read("fleet", "README.md") == b"human\n"
    assert await host.server.read("fleet", "app/deploy.yaml") == b"v2"


def _fetched(host: Host, commit: str) -> str:
    from controllers.git import Found

    with host.mirrors.use(host.https()) as mirror:
        return mirror.fetch(Found(commit, "refs/heads/main"))


async def test_force_needs_the_lease_and_a_lost_lease_changes_nothing(host: Host) -> None:
    first = await host.server.head("fleet")
    await call(lambda: _edit(host, host.https(), {"a": b"1"}, ref="refs/heads/bot", lease=ABSENT))
    bot = await host.server.head("fleet", "bot")
    with pytest.raises(LeaseLostError):
        await call(lambda: _edit(host, host.https(), {"a": b"2"}, ref="refs/heads/bot", lease=first))
    assert await host.server.head("fleet", "bot") == bot
    newer = await call(lambda: _edit(host, host.https(), {"a": b"3"}, ref="refs/heads/bot", lease=bot))
    assert await host.server.head("fleet", "bot") == newer


async def test_push_options_arrive(host: Host) -> None:
    await call(lambda: _edit(host, host.https(), {"a": b"1"}, options={"ci.skip": "", "topic": "x y"}))
    assert host.pushes[0].options == ("ci.skip", "topic=x y")


async def test_a_reader_is_refused_by_the_host(host: Host) -> None:
    with pytest.raises(AuthFailed):
        await call(lambda: _edit(host, host.https("reader", "r-pass"), {"a": b"1"}))


@pytest.mark.parametrize("path", ["../x", "a/../../x", ".git/config", "app/.GIT/hooks/x", "", "app"])
async def test_a_commit_never_touches_a_path_outside_the_tree_or_a_directory(host: Host, path: str) -> None:
    with pytest.raises(RefusedError, match="path"):
        await call(lambda: _edit(host, host.https(), {path: b"1"}))


async def test_a_symlink_is_never_written_through(host: Host) -> None:
    stream = (
        b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 1\nx\nfrom refs/heads/main^0\n"
        b"M 120000 inline link.yaml\ndata 11\n/etc/passwd\nM 120000 inline dir\ndata 3\napp\n"
    )
    _run(["git", f"--git-dir={host.server.directory}/fleet.git", "fast-import", "--quiet"], input=stream, check=True)
    for path in ("link.yaml", "dir/deploy.yaml"):
        with pytest.raises(RefusedError, match="symlink"):
            await call(lambda path=path: _edit(host, host.https(), {path: b"1"}))
