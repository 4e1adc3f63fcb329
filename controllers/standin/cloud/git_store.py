"""Bare repositories on disk, as the Git server of the stand-in keeps them.

Each repository is made with a post-receive hook that writes what was pushed (old, new, ref; push options) to a file the
server names in the environment: what a push changed is known exactly, also when pushes overlap. Names come from URLs of
strangers: `repository_path` is the only way from a name to a path.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ZERO = "0" * 40
RECORD = "INHAUL_PUSH_RECORD"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,3}")
_HOOK = f"""#!/bin/sh
[ -n "${RECORD}" ] || exit 0
{{
  while read -r old new ref; do printf 'ref %s %s %s\\n' "$old" "$new" "$ref"; done
  i=0
  while [ "$i" -lt "${{GIT_PUSH_OPTION_COUNT:-0}}" ]; do
    eval "option=\\$GIT_PUSH_OPTION_$i"
    printf 'option %s\\n' "$option"
    i=$((i + 1))
  done
}} >"${RECORD}"
"""


class GitError(Exception):
    """git refused; the message is its standard error."""


@dataclass(frozen=True, slots=True)
class RefChange:
    ref: str
    old: str  # 40 zeros: created
    new: str  # 40 zeros: deleted


@dataclass(frozen=True, slots=True)
class Push:
    repository: str
    user: str  # empty: anonymous
    changes: tuple[RefChange, ...]
    options: tuple[str, ...] = ()


def repository_path(root: Path, name: str) -> Path | None:
    """Where the repository of this name lives, or None when the name is none or there is no such repository."""
    name = name.removeprefix("/").removesuffix("/").removesuffix(".git")
    if not _NAME.fullmatch(name) or ".." in name or any(part.endswith(".git") for part in name.split("/")):
        return None
    path = root / f"{name}.git"
    return path if (path / "HEAD").is_file() else None


def environment(root: Path) -> dict[str, str]:
    """What a git child process may see: nothing of ours."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(root / ".home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        # The repositories are made by this very process; git must not refuse them because of a container's user ids.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


def parse_record(text: str, *, repository: str, user: str) -> Push | None:
    """The push that the hook wrote down; None when nothing was accepted."""
    changes, options = [], []
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "ref":
            old, new, ref = rest.split(" ", 2)
            changes.append(RefChange(ref, old, new))
        elif kind == "option":
            options.append(rest)
    return Push(repository, user, tuple(changes), tuple(options)) if changes else None


async def git(root: Path, *arguments: str, stdin: bytes = b"", timeout: float = 30) -> bytes:
    """Standard output of one git command. Raises GitError on a non-zero exit or after `timeout` seconds."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(root),
        cwd=root,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin), timeout)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise GitError(err.decode(errors="replace").strip())
    return out


async def create(root: Path, name: str, *, branch: str = "main") -> Path:
    """A new bare repository. Raises ValueError for a name that is none, FileExistsError when it is there."""
    if not _NAME.fullmatch(name) or ".." in name or any(part.endswith(".git") for part in name.split("/")):
        raise ValueError(f"repository name {name!r}: expected up to four parts of letters, digits, '.', '_', '-'")
    path = root / f"{name}.git"
    if path.exists():
        raise FileExistsError(f"repository {name} is there already")
    (root / ".home").mkdir(parents=True, exist_ok=True)
    await git(root, "init", "--bare", "--quiet", f"--initial-branch={branch}", str(path))
    for key, value in {
        "http.receivepack": "true",
        "receive.advertisePushOptions": "true",
        "receive.fsckObjects": "true",
        "receive.denyDeleteCurrent": "ignore",
        "uploadpack.allowFilter": "true",
        "uploadpack.allowReachableSHA1InWant": "true",
        "gc.auto": "0",  # no background child outlives the stand-in
        "receive.autogc": "false",
    }.items():
        await git(root, f"--git-dir={path}", "config", key, value)
    shutil.rmtree(path / "hooks", ignore_errors=True)
    (path / "hooks").mkdir()
    hook = path / "hooks" / "post-receive"
    hook.write_text(_HOOK)
    hook.chmod(0o755)
    return path


async def commit(
    root: Path,
    path: Path,
    files: Mapping[str, bytes | str | None],
    *,
    branch: str,
    message: str,
    author: str = "Ada Demo <ada@example.com>",
) -> str:
    """Commits `files` (None deletes) on top of `branch` without a worktree; the new commit's id."""
    ref = f"refs/heads/{branch}"
    text = message.encode()
    out = [f"commit {ref}\ncommitter {author} now\ndata {len(text)}\n".encode(), text, b"\n"]
    if await head(root, path, branch):
        out.append(f"from {ref}^0\n".encode())
    for name, content in files.items():
        if content is None:
            out.append(f"D {name}\n".encode())
            continue
        data = content.encode() if isinstance(content, str) else content
        out += [f"M 100644 inline {name}\ndata {len(data)}\n".encode(), data, b"\n"]
    stream = b"".join(out)
    await git(root, f"--git-dir={path}", "fast-import", "--quiet", "--date-format=now", stdin=stream)
    return await head(root, path, branch)


async def head(root: Path, path: Path, branch: str) -> str:
    """The commit of a branch; empty when there is none."""
    out = await git(root, f"--git-dir={path}", "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
    return out.decode().strip()


async def read(root: Path, path: Path, revision: str, name: str) -> bytes:
    return await git(root, f"--git-dir={path}", "cat-file", "blob", f"{revision}:{name}")
