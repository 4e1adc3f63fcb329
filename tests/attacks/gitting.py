"""What the attacks on git share: plain git, programs that leave a mark, repositories made by hand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from controllers.git import Git, Mirrors, Remote

MARK = "stolen-by-a-fetch"


def program(directory: Path, name: str = "evil") -> tuple[Path, Path]:
    """A program that leaves a mark when it runs, and the mark."""
    mark, path = directory / f"{name}-ran", directory / name
    path.write_text(f"#!/bin/sh\n: > {mark}\n")
    path.chmod(0o755)
    return path, mark


def plain(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """git as a user without our care would run it."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
           "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", **environment}  # fmt: skip
    return subprocess.run(["git", *argv], cwd=cwd, env=env, capture_output=True, text=True, timeout=20, check=False)


def repository(directory: Path, files: dict[str, str]) -> Path:
    """A repository with a worktree and one commit on main."""
    directory.mkdir()
    assert plain("init", "-q", "-b", "main", cwd=directory).returncode == 0
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    plain("add", "-A", "-f", cwd=directory)
    assert plain("commit", "-q", "-m", "x", cwd=directory).returncode == 0
    return directory


def refs_of(remote: Remote, directory: Path, git: Git | None = None) -> dict[str, str]:
    with Mirrors(directory, git=git).use(remote) as mirror:
        return mirror.ls_remote()
