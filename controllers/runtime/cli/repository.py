"""The Git repository that a command runs in: the user's own, so it is read with GitPython and git's own configuration.

Repositories of tenants are never read this way; `controllers/git` starts confined children for those. Each Repo is
closed, for GitPython leaves `git cat-file` children behind otherwise. GitPython cannot be imported where there is no
git; commands that only list files go on without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git import Repo


@contextmanager
def opened(path: Path) -> Iterator[Repo | None]:
    """The repository with a working tree around a directory; None where there is none, or no git."""
    try:
        import git
    except ImportError:
        yield None
        return
    try:
        repo = git.Repo(path, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        yield None
        return
    with repo:
        yield None if repo.bare else repo


def files_in_git(directory: Path) -> list[Path] | None:
    """Files and links below a directory that are committed, or would be by `git add`: tracked ones, and new ones that
    no ignore rule leaves out. Submodules and repositories inside are listed by their own rules. In git's order.

    None where git has no say: outside a repository, and in a directory that is itself ignored.
    """
    directory = directory.resolve()
    with opened(directory) as repo:
        if repo is None or _is_ignored(repo, directory):
            return None
        options = ["--cached", "--others", "--exclude-standard", "--full-name", "-z", "--", str(directory)]
        text: str = repo.git.ls_files(*options)
        root = Path(str(repo.working_tree_dir)).resolve()
    found: dict[Path, None] = {}
    for name in text.split("\0"):
        if not name:
            continue
        path = root / name
        if path.is_symlink() or path.is_file():
            found[path] = None
        elif path.is_dir() and path != directory:  # a submodule, or a repository that was never added
            found |= dict.fromkeys(files_in_git(path) or ())
    return list(found)


def _is_ignored(repo: Repo, directory: Path) -> bool:
    root = Path(str(repo.working_tree_dir)).resolve()
    return directory != root and bool(repo.ignored(str(directory)))
