"""Edge: a directory, or a commit of the Git repository around it, as the tree a build reads.

The same rules as for a source in the cluster: `.sourceignore` counts, symbolic links are resolved inside the tree and
never followed out of it.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path

from controllers.git.errors import GitError
from controllers.git.objects import Objects
from controllers.git.process import Git
from controllers.lang.gitignore import FILE, selected
from controllers.runtime.cli.command import CommandError
from controllers.sources.tree import Node, Tree

MAX_FILES = 100_000
MAX_BYTES = 64 << 20
"""Of one file."""


def root_of(path: Path) -> Path:
    """The Git work tree around a path; without one, the directory itself."""
    start = path.resolve()
    start = start if start.is_dir() else start.parent
    return next((each for each in (start, *start.parents) if (each / ".git").exists()), start)


def of_directory(root: Path) -> Tree:
    """The files of a work tree, committed or not. Raises CommandError."""
    found: dict[str, Node] = {}
    for parent, directories, files in os.walk(root):
        directories[:] = sorted(each for each in directories if each != ".git")
        links = [each for each in directories if Path(parent, each).is_symlink()]
        for name in (*files, *links):
            path = Path(parent, name)
            state = path.lstat()
            node = Node(f"{state.st_size}:{state.st_mtime_ns}", link=path.is_symlink(), size=state.st_size)
            found[path.relative_to(root).as_posix()] = node
        if len(found) > MAX_FILES:
            raise CommandError(f"{root}: more than {MAX_FILES} files")
    ignores = {path: _content(root / path) for path in found if posixpath.basename(path) == FILE}
    kept = _kept(found, ignores)
    return Tree(kept, lambda paths: {path: _content(root / path) for path in paths})


def of_revision(root: Path, revision: str) -> Tree:
    """The files of a commit, tag or branch of the repository at `root`. Raises CommandError."""
    git_dir = root / ".git"
    if git_dir.is_file():  # a linked work tree
        git_dir = (root / git_dir.read_text().removeprefix("gitdir:").strip()).resolve()
    if not git_dir.is_dir():
        raise CommandError(f"{root}: no Git repository, and {revision!r} is no directory")
    git = Git()
    try:
        spec = f"{revision}^{{commit}}"
        commit = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", spec, git_dir=git_dir).decode().strip()
        objects = Objects(git, git_dir)
        entries = [each for each in objects.list_tree(commit) if each.is_file or each.is_symlink]
        nodes = {each.path: Node(each.id, link=each.is_symlink, size=each.size) for each in entries}
        ids = {path: node.id for path, node in nodes.items() if posixpath.basename(path) == FILE}
        texts = objects.read_blobs(list(ids.values()))
    except GitError as error:
        raise CommandError(f"revision {revision!r}: {error.message}") from None
    kept = _kept(nodes, {path: texts[name] for path, name in ids.items()})

    def read(paths: list[str]) -> Mapping[str, bytes]:
        contents = objects.read_blobs([kept[path].id for path in paths])
        return {path: contents[kept[path].id] for path in paths}

    return Tree(kept, read)


def _kept(nodes: Mapping[str, Node], ignores: Mapping[str, bytes]) -> dict[str, Node]:
    matcher = selected({path: text.decode("utf-8", "replace") for path, text in ignores.items()}, None)
    return {path: node for path, node in nodes.items() if not matcher.ignores(path)}


def _content(path: Path) -> bytes:
    """A file's bytes; a link's target."""
    try:
        if path.is_symlink():
            return str(path.readlink()).encode()
        if path.stat().st_size > MAX_BYTES:
            raise CommandError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
