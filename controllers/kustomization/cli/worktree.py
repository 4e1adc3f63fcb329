"""Edge: a directory, or a commit of the Git repository around it, as the tree a build reads.

The same rules as for a source in the cluster: `.sourceignore` counts, symbolic links are resolved inside the tree and
never followed out of it. A working tree is what would be committed: files that git ignores are left out.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from controllers.lang.gitignore import FILE, selected
from controllers.runtime.cli.command import CommandError
from controllers.runtime.cli.repository import files_in_git, opened
from controllers.sources.tree import Node, Tree

if TYPE_CHECKING:
    from git import Repo

MAX_FILES = 100_000
MAX_BYTES = 64 << 20
"""Of one file."""
_LINK = 0o120000


def root_of(path: Path) -> Path:
    """The Git working tree around a path; without one, the directory itself."""
    start = path.resolve()
    start = start if start.is_dir() else start.parent
    with opened(start) as repo:
        return start if repo is None else Path(str(repo.working_tree_dir)).resolve()


def of_directory(root: Path) -> Tree:
    """The files of a working tree, committed or not, or of any directory. Raises CommandError."""
    in_git = files_in_git(root)
    nodes: dict[str, Node] = {}
    for path in _walk(root) if in_git is None else in_git:
        state = path.lstat()
        node = Node(f"{state.st_size}:{state.st_mtime_ns}", link=path.is_symlink(), size=state.st_size)
        nodes[path.relative_to(root.resolve()).as_posix()] = node
        if len(nodes) > MAX_FILES:
            raise CommandError(f"{root}: found more than {MAX_FILES} files, expected a source directory (see --root)")
    ignores = {path: _content(root / path) for path in nodes if posixpath.basename(path) == FILE}
    kept = _kept(nodes, ignores)
    return Tree(kept, lambda paths: {path: _content(root / path) for path in paths})


def _walk(root: Path) -> Iterable[Path]:
    for parent, directories, files in os.walk(root.resolve()):
        directories[:] = sorted(each for each in directories if each != ".git")
        links = [each for each in directories if Path(parent, each).is_symlink()]
        yield from (Path(parent, name) for name in (*files, *links))


def of_revision(root: Path, revision: str) -> Tree:
    """The files of a commit, tag or branch of the repository at `root`. Raises CommandError."""
    with opened(root) as repo:
        if repo is None:
            raise CommandError(f"{root}: not a Git repository, and {revision!r} is not a directory")
        import git  # there is one, or nothing would be open

        try:
            name = repo.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            blobs = [item for item in repo.commit(name).tree.traverse() if isinstance(item, git.Blob)]
        except (git.GitCommandError, ValueError):
            raise CommandError(
                f"revision {revision!r}: not found in {root}, expected a commit, tag, branch or directory"
            ) from None
        nodes = {str(each.path): Node(each.hexsha, link=each.mode == _LINK) for each in blobs}
        ignores = {path: _blob(repo, node) for path, node in nodes.items() if posixpath.basename(path) == FILE}
    kept = _kept(nodes, ignores)

    def read(paths: list[str]) -> Mapping[str, bytes]:
        with opened(root) as again:
            if again is None:
                raise CommandError(f"{root}: the Git repository is gone")
            return {path: _blob(again, kept[path]) for path in paths}

    return Tree(kept, read)


def _blob(repo: Repo, node: Node) -> bytes:
    content: bytes = repo.odb.stream(bytes.fromhex(node.id)).read()
    return content


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
