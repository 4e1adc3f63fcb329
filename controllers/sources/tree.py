"""A commit's files as a build sees them: a listing, contents on demand, symbolic links resolved and never followed.

A link is text in a repository, chosen by a tenant. It is resolved segment by segment against the listing, so it can
only ever name another entry of the same tree; one that leads out, or in circles, is refused by name.
"""

from __future__ import annotations

import hashlib
import posixpath
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

MAX_LINKS = 40


class InvalidPathError(ValueError):
    """A path that leads nowhere or out of the tree. The message names it."""


@dataclass(frozen=True, slots=True)
class Node:
    """One entry: the id of its content, whether it is a symbolic link, its size in bytes where known."""

    id: str
    link: bool = False
    size: int = 0


@dataclass(frozen=True)
class Tree:
    """`nodes` by path from the root, without slashes at either end. `read` gives the contents of paths in one go."""

    nodes: Mapping[str, Node]
    reader: Callable[[list[str]], Mapping[str, bytes]]
    _contents: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def directories(self) -> frozenset[str]:
        """Every directory, the root as ""."""
        found = {""}
        for path in self.nodes:
            parent = posixpath.dirname(path)
            while parent and parent not in found:
                found.add(parent)
                parent = posixpath.dirname(parent)
        return frozenset(found)

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Contents of files, each read once. Raises InvalidPathError for what is no file."""
        wanted = list(paths)
        if missing := [path for path in wanted if path not in self._contents]:
            for path in missing:
                if path not in self.nodes:
                    raise InvalidPathError(f"{path}: no such file")
            self._contents.update(self.reader(missing))
        return {path: self._contents[path] for path in wanted}

    def resolve(self, path: str, *, base: str = "") -> str:
        """The real path of a file or directory; `path` is relative to the directory `base`. Raises InvalidPathError."""
        done: list[str] = [part for part in base.split("/") if part]
        todo = _parts(path)
        links = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                if not done:
                    raise InvalidPathError(f"{path}: leads out of the source")
                done.pop()
                continue
            at = "/".join([*done, part])
            node = self.nodes.get(at)
            if node is not None and node.link:
                links += 1
                if links > MAX_LINKS:
                    raise InvalidPathError(f"{path}: more than {MAX_LINKS} symbolic links")
                target = self.read([at])[at].decode("utf-8", "replace")
                if target.startswith("/"):
                    raise InvalidPathError(f"{path}: a symbolic link to an absolute path leads out of the source")
                todo = [*_parts(target), *todo]
                continue
            if at not in self.directories and (node is None or any(each != ".." for each in todo)):
                raise InvalidPathError(f"{path}: no such file or directory")
            done.append(part)
        return "/".join(done)

    def is_directory(self, path: str) -> bool:
        return path in self.directories

    def has(self, path: str) -> bool:
        """Is there a file, a link or a directory at this path?"""
        return path in self.nodes or path in self.directories

    def below(self, directory: str) -> list[str]:
        """All files below a directory, sorted; links are left out."""
        return [path for path in self.entries(directory) if not self.nodes[path].link]

    def entries(self, directory: str) -> list[str]:
        """All files and links below a directory, sorted. Costs what is there, not what the tree holds."""
        if not directory:
            return self._sorted
        first = bisect_left(self._sorted, f"{directory}/")
        return self._sorted[first : bisect_left(self._sorted, f"{directory}0", lo=first)]  # "0" is next after "/"

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.nodes)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def of_files(files: Mapping[str, bytes]) -> Tree:
    """A tree in memory: ids are the contents' hashes."""
    nodes = {path: Node(hashlib.sha256(content).hexdigest(), size=len(content)) for path, content in files.items()}
    return Tree(nodes, lambda paths: {path: files[path] for path in paths})


Reads = frozenset[str]
"""Directories, from the root of a tree, that a render reads something of; "" is the root."""


def changed_directories(before: Mapping[str, Node], after: Mapping[str, Node]) -> Reads:
    """Every directory with a difference somewhere below it: files that came, went, or have other content."""
    found: set[str] = set()
    for path in before.keys() | after.keys():
        if before.get(path) == after.get(path):
            continue
        parent = path.rpartition("/")[0]
        while parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(found)
