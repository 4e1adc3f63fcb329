"""Reading a repository's objects: commits, trees, files; and taking a chosen set of files out of it.

There is no worktree anywhere. Names in a tree are the repository's: they are checked (`.git`, `..`, slashes) before
they become paths, symlinks are data until `export` has seen that they stay inside the tree, and sizes are known from
the listing before content is read.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from .errors import BrokenRepositoryError, NotFound, RefusedError, TooLarge
from .process import Git

MAX_ENTRIES = 200_000
MAX_FILE = 32 << 20
MAX_TOTAL = 256 << 20
SYMLINK, GITLINK, EXECUTABLE = "120000", "160000", "100755"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree. `path` is relative to the repository; `size` in bytes (0 for a submodule)."""

    mode: str
    id: str
    size: int
    path: str

    @property
    def is_file(self) -> bool:
        return self.mode.startswith("100")

    @property
    def is_symlink(self) -> bool:
        return self.mode == SYMLINK


@dataclass(frozen=True, slots=True)
class Signature:
    """Who, and when (with the offset they wrote)."""

    name: str
    email: str
    time: datetime


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit's own words. `message` is not trimmed; `signature` is the armoured block or ""."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    signature: str

    @property
    def subject(self) -> str:
        return self.message.strip().split("\n", 1)[0]


def clean_path(path: str) -> str:
    """A path inside a repository without `./`, trailing slashes; "" is the root. Refused where it leads outside."""
    if "\0" in path or "\n" in path:
        raise RefusedError("path: found control characters, expected a path inside the repository")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if any(part == ".." or part.lower() == ".git" for part in parts):
        raise RefusedError(f"path {path[:200]!r}: expected a path inside the repository, without '..' and '.git'")
    return "/".join(parts)


class Objects:
    """The objects of one bare repository. Blocking; safe for concurrent reads."""

    def __init__(self, git: Git, git_dir: Path) -> None:
        self._git, self.git_dir = git, git_dir

    def has_commit(self, commit: str) -> bool:
        """Whether a commit is here (its files come with it)."""
        out = self._batch("--batch-check", [f"{commit}^{{commit}}"])
        return b" commit " in out

    def commit(self, commit: str) -> CommitInfo:
        """Raises NotFound, BrokenRepositoryError."""
        kind, content = self.read_objects([commit])[0]
        if kind != "commit":
            raise NotFound(f"commit {commit[:64]}: not in the mirror, or not a commit")
        return parse_commit(commit, content)

    def history(self, commit: str, *, limit: int = 50) -> list[str]:
        """First-parent commit ids from `commit` on, newest first, as far as they are here."""
        out = self._git.run(
            "rev-list", "--first-parent", f"--max-count={limit}", "--end-of-options", commit, git_dir=self.git_dir
        )
        return out.decode().split()

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `older` is part of `newer`'s history, as far as that is here."""
        out = self._git.run("rev-list", "--max-count=1", "--end-of-options", older, f"^{newer}", git_dir=self.git_dir)
        return not out.strip()

    def tree_hash(self, commit: str, path: str = "") -> str:
        """The id of the tree (or file) at a path: equal ids are equal content. Raises NotFound."""
        path = clean_path(path)
        name = f"{commit}:{path}" if path else f"{commit}^{{tree}}"
        head = self._batch("--batch-check", [name]).split()
        if len(head) != 3 or head[1] not in (b"tree", b"blob"):
            raise NotFound(f"path {path or '.'!r} is not in commit {commit[:12]}")
        return head[0].decode()

    def list_tree(self, commit: str, path: str = "", *, limit: int = MAX_ENTRIES) -> list[TreeEntry]:
        """All files below a directory, recursively. A path that is a file or a symlink is NotFound: never followed."""
        path = clean_path(path)
        tree = self.tree_hash(commit, path)
        if path and self._batch("--batch-check", [tree]).split()[1] != b"tree":
            raise NotFound(f"path {path!r} is not a directory in commit {commit[:12]}")
        out = self._git.run("ls-tree", "-r", "-z", "-l", "--full-tree", tree, git_dir=self.git_dir)
        records = out.split(b"\0")[:-1]
        if len(records) > limit:
            raise TooLarge(f"more than {limit} files below {path or '.'!r}")
        return [_entry(record, path) for record in records]

    def read_blobs(self, ids: Iterable[str], *, limit: int = MAX_TOTAL) -> dict[str, bytes]:
        """Content by id, through one child. Raises TooLarge when all together exceed `limit` bytes."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        sizes = self._batch("--batch-check", wanted).decode().splitlines()
        total = 0
        for line in sizes:
            fields = line.split()
            if len(fields) != 3:
                raise BrokenRepositoryError(f"object {fields[0][:64]} is missing")
            total += int(fields[2])
        if total > limit:
            raise TooLarge(f"{total} bytes of files, limit {limit}")
        return dict(zip(wanted, (content for _, content in self.read_objects(wanted)), strict=True))

    def read_known(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Content by id of files whose sizes a listing told, in one go. Raises NotFound where one is not here."""
        found = self.read_objects(ids) if ids else []
        if missing := [name for name, (kind, _) in zip(ids, found, strict=True) if kind != "blob"]:
            raise NotFound(f"object {missing[0][:64]} is missing")
        return {name: content for name, (_, content) in zip(ids, found, strict=True)}

    def read_objects(self, names: Sequence[str]) -> list[tuple[str, bytes]]:
        """(type, content) per name, in order; ("missing", b"") where there is none. Names are ids or `id:path`."""
        out, position, found = self._batch("--batch", names), 0, []
        for _ in names:
            end = out.index(b"\n", position)
            fields = out[position:end].rsplit(b" ", 2)
            position = end + 1
            if len(fields) != 3 or not fields[2].isdigit():
                found.append(("missing", b""))
                continue
            size = int(fields[2])
            found.append((fields[1].decode(), out[position : position + size]))
            position += size + 1
        return found

    def export(self, commit: str, paths: Iterable[str] | None, directory: Path) -> list[str]:
        """Writes files of a commit (all where `paths` is None) below `directory`; the paths written.

        Symlinks are written only where they lead to a place inside the tree; one that leads out is Refused, and so is a
        path that passes through a symlink. Submodules are left out. Paths that the commit does not have are NotFound.
        """
        entries = {entry.path: entry for entry in self.list_tree(commit)}
        chosen = list(entries) if paths is None else [clean_path(path) for path in paths]
        for path in chosen:
            if path not in entries:
                raise NotFound(f"path {path!r} is not a file in commit {commit[:12]}")
        picked = [entries[path] for path in chosen if entries[path].mode != GITLINK]
        if any(entry.size > MAX_FILE for entry in picked):
            raise TooLarge(f"a file is larger than {MAX_FILE} bytes")
        contents = self.read_blobs(entry.id for entry in picked)
        for entry in picked:
            content = contents[entry.id]
            if entry.is_symlink:
                _check_link(entry.path, content)
        for entry in sorted(picked, key=lambda one: one.is_symlink):  # links last: no write can pass through one
            _write(directory, entry, contents[entry.id])
        return [entry.path for entry in picked]

    def _batch(self, mode: str, names: Sequence[str]) -> bytes:
        stdin = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        return self._git.run("cat-file", mode, "--buffer", git_dir=self.git_dir, stdin=stdin)


_IDENTITY = re.compile(r"(.*?) ?<([^>]*)> (-?\d{1,12}) ([+-])(\d{2})(\d{2})")


def parse_commit(name: str, content: bytes) -> CommitInfo:
    """A commit object's content, typed. Pure. Raises BrokenRepositoryError."""
    head, _, message = content.partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    last: list[str] = []
    for line in head.decode(errors="replace").split("\n"):
        if line.startswith(" ") and last:
            last[-1] += f"\n{line[1:]}"  # a header that spans lines, such as a signature
            continue
        key, _, value = line.partition(" ")
        last = fields.setdefault(key, [])
        last.append(value)
    encoding = fields.get("encoding", ["utf-8"])[0]
    try:
        text = message.decode(encoding, errors="replace")
    except LookupError:
        text = message.decode(errors="replace")
    try:
        return CommitInfo(
            id=name,
            tree=fields["tree"][0],
            parents=tuple(fields.get("parent", ())),
            author=_signature(fields["author"][0]),
            committer=_signature(fields["committer"][0]),
            message=text,
            signature=fields.get("gpgsig", [""])[0],
        )
    except (KeyError, ValueError, OverflowError, OSError):
        raise BrokenRepositoryError(f"commit {name[:64]}: invalid commit object") from None


def _signature(line: str) -> Signature:
    found = _IDENTITY.fullmatch(line)
    if found is None:
        raise ValueError("no identity")
    offset = timedelta(hours=int(found[5]), minutes=int(found[6])) * (-1 if found[4] == "-" else 1)
    zone = timezone(offset) if abs(offset) < timedelta(days=1) else UTC
    return Signature(found[1], found[2], datetime.fromtimestamp(int(found[3]), UTC).astimezone(zone))


def _entry(record: bytes, below: str) -> TreeEntry:
    head, _, raw = record.partition(b"\t")
    mode, _, name, size = head.split()
    path = raw.decode(errors="surrogateescape")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")):
        raise BrokenRepositoryError("the tree contains a forbidden file name ('..' or '.git')")
    return TreeEntry(
        mode.decode(), name.decode(), int(size) if size != b"-" else 0, f"{below}/{path}" if below else path
    )


def _check_link(path: str, content: bytes) -> None:
    target = content.decode(errors="surrogateescape")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith("/") or joined == ".." or joined.startswith("../") or "\0" in target:
        raise RefusedError(f"symlink {path!r} leads out of the repository")
    if any(part.lower() == ".git" for part in joined.split("/")):
        raise RefusedError(f"symlink {path!r} leads into .git")


def _write(directory: Path, entry: TreeEntry, content: bytes) -> None:
    target = directory / entry.path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if entry.is_symlink:
        target.symlink_to(os.fsdecode(content))
        return
    mode = 0o700 if entry.mode == EXECUTABLE else 0o600
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
