"""The files that a command is pointed at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .repository import files_in_git


def files_below(paths: Sequence[str]) -> Iterator[str]:
    """Files named, and those below directories named, each once, in order. Raises OSError for a path that is none.

    A file that git ignores is taken where it is named itself, and left out below a directory: it is never committed.
    """
    seen: set[str] = set()
    for path in paths:
        if Path(path).is_file():
            found: Iterator[str] = iter([path])
        elif Path(path).is_dir():
            found = _walk(path)
        else:
            raise FileNotFoundError(2, "no such file or directory", path)
        for name in found:
            if name not in seen:
                seen.add(name)
                yield name


def _walk(top: str) -> Iterator[str]:
    """What git would commit; all files where git has no say."""
    in_git = files_in_git(Path(top))
    if in_git is not None:
        root = Path(top).resolve()
        files = (path.relative_to(root) for path in in_git if not path.is_symlink())
        yield from sorted(os.path.join(top, path) for path in files)  # noqa: PTH118 - printed as they were given
        return
    for directory, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name not in (".git", ".venv", "node_modules"))
        for name in sorted(names):
            path = os.path.join(directory, name)  # noqa: PTH118 - paths are printed as they were given
            if not Path(path).is_symlink():
                yield path
