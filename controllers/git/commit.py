"""Making a commit without a worktree: new blobs, the trees along their paths, one commit object.

Objects are written by us as loose files, in git's own format and never over an existing one, so a commit of n files in
d directories costs one git child (reading the d trees). Nothing points to a new commit before a push names it: a crash
leaves unreachable objects in a disposable mirror and nothing else. The same input gives the same commit id.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .errors import BrokenRepositoryError, NotFound, RefusedError
from .objects import GITLINK, SYMLINK, Objects, clean_path

_TREE, _FILE = "40000", "100644"
_TRAILER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_IDENTITY = re.compile(r"[\x00-\x1f\x7f<>]")

Signer = Callable[[bytes], str]
"""Takes a commit's bytes, returns an armoured signature."""


@dataclass(frozen=True, slots=True)
class Person:
    """Author or committer. `name` may be empty: then the address stands for it."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class NewCommit:
    """What to commit: `edits` maps paths to new content. A path keeps its mode; a new one becomes a plain file."""

    parent: str
    edits: Mapping[str, bytes]
    message: str
    author: Person
    time: datetime
    committer: Person | None = None
    """None: the author."""


def with_trailers(message: str, trailers: Sequence[tuple[str, str]]) -> str:
    """The message with trailers as its last paragraph, joined to trailers that stand there already. Pure.

    They stand alone where the message has trailers of the same names: only the last paragraph counts, so a message
    cannot say in our name what we do not.

    Raises ValueError for a token that is none; line breaks in a value become spaces.
    """
    if not trailers:
        return message
    lines = []
    for token, value in trailers:
        if not _TRAILER.fullmatch(token):
            raise ValueError(f"trailer {token!r}: expected letters, digits and dashes")
        lines.append(f"{token}: {' '.join(value.split())}")
    body = message.rstrip("\n")
    last = body.rsplit("\n\n", 1)[-1].splitlines() if "\n\n" in body else []
    joined = bool(last) and all(re.match(r"[A-Za-z0-9][A-Za-z0-9-]*: ", line) for line in last)
    ours = {token.lower() for token, _ in trailers}
    joined = joined and not any(line.partition(":")[0].lower() in ours for line in last)
    return f"{body}{chr(10) if joined else chr(10) * 2}" + "\n".join(lines) + "\n"


def trailers(message: str) -> list[tuple[str, str]]:
    """The trailers of a message's last paragraph, in order. Pure."""
    body = message.rstrip("\n")
    if "\n\n" not in body:
        return []
    found = []
    for line in body.rsplit("\n\n", 1)[-1].splitlines():
        token, colon, value = line.partition(": ")
        if not colon or not _TRAILER.fullmatch(token):
            return []
        found.append((token, value))
    return found


def commit_tree(objects: Objects, new: NewCommit, *, sign: Signer | None = None) -> str:
    """Writes the objects of a commit and returns its id. Raises RefusedError, NotFound, BrokenRepositoryError."""
    kind, _ = objects.read_objects([new.parent])[0]
    if kind != "commit":
        raise NotFound(f"commit {new.parent[:64]}: not in the mirror")
    store = _Store(objects.git_dir, "sha1" if len(new.parent) == 40 else "sha256")
    tree = _new_tree(objects, store, new)
    body = _commit_bytes(tree, new)
    if sign is not None:
        body = _signed(body, sign(body))
    return store.write("commit", body)


class _Store:
    """Loose objects of one repository."""

    def __init__(self, git_dir: Path, algorithm: str) -> None:
        self._directory, self._algorithm = git_dir / "objects", algorithm

    def write(self, kind: str, content: bytes) -> str:
        data = f"{kind} {len(content)}".encode() + b"\0" + content
        name = hashlib.new(self._algorithm, data, usedforsecurity=False).hexdigest()
        path = self._directory / name[:2] / name[2:]
        if path.exists():
            return name
        path.parent.mkdir(exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix="tmp_obj_", dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(zlib.compress(data, 1))
            Path(temporary).chmod(0o444)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        return name


def _new_tree(objects: Objects, store: _Store, new: NewCommit) -> str:
    """The root tree with all edits. Reads every tree on the way at once, writes from the leaves up."""
    edits: dict[str, bytes] = {}
    for path, content in new.edits.items():
        if not (cleaned := clean_path(path)):
            raise RefusedError("path: found the root of the repository, expected a file")
        edits[cleaned] = content
    folders = {""}
    for path in edits:
        parts = path.split("/")[:-1]
        folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    ordered = sorted(folders)
    names = [f"{new.parent}:{folder}" if folder else f"{new.parent}^{{tree}}" for folder in ordered]
    trees: dict[str, dict[bytes, tuple[str, str]]] = {}
    for folder, (kind, content) in zip(ordered, objects.read_objects(names), strict=True):
        if kind not in ("tree", "missing"):
            raise RefusedError(f"path {folder!r} is not a directory of the repository (symlinks are not followed)")
        trees[folder] = _parse_tree(content, 20 if len(new.parent) == 40 else 32)
    for path, content in edits.items():
        folder, _, name = path.rpartition("/")
        key = os.fsencode(name)
        mode = trees[folder].get(key, (_FILE, ""))[0]
        if mode in (SYMLINK, GITLINK, _TREE):
            raise RefusedError(f"path {path!r} is a symlink, directory or submodule, expected a file")
        trees[folder][key] = (mode, store.write("blob", content))
    for folder in sorted(folders - {""}, key=lambda one: -one.count("/")):
        parent, _, name = folder.rpartition("/")
        trees[parent][os.fsencode(name)] = (_TREE, store.write("tree", _tree_bytes(trees[folder])))
    return store.write("tree", _tree_bytes(trees[""]))


def _parse_tree(content: bytes, width: int) -> dict[bytes, tuple[str, str]]:
    entries, position = {}, 0
    try:
        while position < len(content):
            space = content.index(b" ", position)
            end = content.index(b"\0", space)
            mode, name = content[position:space].decode(), content[space + 1 : end]
            position = end + 1 + width
            entries[name] = (mode, content[end + 1 : position].hex())
    except ValueError:
        raise BrokenRepositoryError("invalid tree object") from None
    return entries


def _tree_bytes(entries: Mapping[bytes, tuple[str, str]]) -> bytes:
    """git's order: by name, directories as if their name ended in a slash."""
    ordered = sorted(entries.items(), key=lambda item: item[0] + (b"/" if item[1][0] == _TREE else b""))
    return b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(id_) for name, (mode, id_) in ordered)


def _commit_bytes(tree: str, new: NewCommit) -> bytes:
    committer = new.committer or new.author
    message = new.message.replace("\0", "").rstrip("\n") + "\n"
    head = [
        f"tree {tree}",
        f"parent {new.parent}",
        f"author {_person(new.author, new.time)}",
        f"committer {_person(committer, new.time)}",
    ]
    return ("\n".join(head) + "\n\n" + message).encode(errors="replace")


def _person(person: Person, moment: datetime) -> str:
    email = _IDENTITY.sub("", person.email).strip()
    if not email:
        raise RefusedError("spec.git.commit.author.email: found nothing, expected an address")
    name = _IDENTITY.sub("", person.name).strip()
    # Without a name a commit does not pass fsck, and hosts that check refuse it.
    return f"{name or email} <{email}> {int(moment.astimezone(UTC).timestamp())} +0000"


def _signed(body: bytes, signature: str) -> bytes:
    head, _, message = body.partition(b"\n\n")
    folded = signature.strip("\n").replace("\n", "\n ").encode()
    return head + b"\ngpgsig " + folded + b"\n\n" + message
