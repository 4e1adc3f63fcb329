"""Bare mirrors of this process, one per repository and identity.

A mirror is a cache: it may be deleted at any moment between two uses, and is made again. Two tenants with different
credentials never share one, so that what one may read cannot leak to the other. Everything here blocks; call it on the
git pool. All use of one mirror goes through `Mirrors.use`, which holds its lock; different mirrors run side by side.

What can go wrong: a crash leaves lock files behind (a mirror found broken is made anew once), the disk fills (least
recently used mirrors go when the total exceeds `max_bytes`; one transfer is bounded by git's own file size limit).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BrokenRepositoryError, GitError, NotFound, TooLarge
from .objects import Objects
from .process import Git, Remote, check_url
from .refs import Found, RefTarget, check_commit, check_ref, select

MAX_REFS = 100_000
MAX_PACKS = 64
"""A mirror with more packs is made anew: a fetch of one commit is cheaper than a repack of many."""
_WANTED = "refs/inhaul/wanted"
_DEPTHS = (1, 50, 500, 5000, 2**31 - 1)
"""Commits of history to ask for, one after the other, until what is looked for is among them."""


@dataclass(slots=True)
class Mirror:
    """One bare repository. Get it from `Mirrors.use`; valid inside that block only."""

    path: Path
    remote: Remote
    git: Git
    objects: Objects = field(init=False)

    def __post_init__(self) -> None:
        self.objects = Objects(self.git, self.path)

    def ls_remote(self, patterns: Sequence[str] = ()) -> dict[str, str]:
        """Full reference name → id, with `^{}` entries for annotated tags; only those that match, if any are given."""
        out = self.git.run(
            "ls-remote",
            "--quiet",
            "--",
            self.remote.url,
            *patterns,
            git_dir=self.path,
            remote=self.remote,
            what=f"listing references of {self.remote.url}",
        )
        lines = out.decode(errors="replace").splitlines()
        if len(lines) > MAX_REFS:
            raise TooLarge(f"{self.remote.url} has more than {MAX_REFS} references")
        found: dict[str, str] = {}
        for line in lines:
            commit, _, ref = line.partition("\t")
            found[ref] = commit
        return found

    def resolve(self, target: RefTarget) -> Found:
        """What a target means on the host now. One round trip; none for a bare commit id. Raises NotFound."""
        if not target.patterns:
            return select(target, {})
        return select(target, self.ls_remote(target.patterns))

    def fetch(self, found: Found, *, depth: int = 1) -> str:
        """Makes a commit and its files present (`depth` commits of history) and returns its id.

        Nothing is asked of the host when it is here already. Where a host does not hand out a commit by id, the
        reference is fetched deeper until the commit is part of it.
        """
        commit = check_commit(found.commit)
        if depth == 1 and self.objects.has_commit(commit):
            return commit
        try:
            self._fetch(commit, depth)
        except NotFound:
            if not found.ref:
                raise
            self._deepen_until(commit, found.ref)
        if not self.objects.has_commit(commit):
            raise NotFound(f"commit {commit} is not part of {found.ref or 'the repository'}")
        return commit

    def fetch_on(self, found: Found) -> str:
        """As `fetch`, but the commit must be part of the reference's history, which is deepened until it shows.

        A host hands out any commit by its id, also one of an unreviewed pull request: a right to read a branch is not
        one to read what was never on it. Raises NotFound.
        """
        commit, ref = check_commit(found.commit), check_ref(found.ref)
        for depth in _DEPTHS:
            self._fetch(ref, depth)
            if self.objects.has_commit(commit) and self.objects.is_ancestor(commit, _WANTED):
                return commit
        raise NotFound(f"commit {commit} is not part of {ref}")

    def fetch_ref(self, ref: str, *, depth: int = 1) -> str:
        """Fetches one full reference as it is on the host now; its commit id. Raises NotFound."""
        self._fetch(ref, depth)
        return self.git.run("rev-parse", "--verify", f"{_WANTED}^{{commit}}", git_dir=self.path).decode().strip()

    def deepen(self, ref: str, depth: int) -> None:
        """Makes `depth` commits of a reference's history present."""
        self._fetch(ref, depth)

    def _fetch(self, what: str, depth: int) -> None:
        try:
            self.git.run(
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--no-recurse-submodules",
                "--update-shallow",
                f"--depth={depth}",
                "--",
                self.remote.url,
                f"+{what}:{_WANTED}",
                git_dir=self.path,
                remote=self.remote,
                what=f"fetching {what} of {self.remote.url}",
            )
        except GitError:
            limit = self.git.limits.file_size
            if self._broken_off() >= limit:  # git itself only says that a helper of its own died
                raise TooLarge(
                    f"fetching {what} of {self.remote.url}: more than {limit >> 20} MiB in one transfer"
                ) from None
            raise

    def _broken_off(self) -> int:
        """Removes what a transfer that broke off left behind; the bytes of its largest file."""
        largest = 0
        for path in (self.path / "objects" / "pack").glob("tmp_*"):
            with contextlib.suppress(OSError):
                largest = max(largest, path.stat().st_size)
                path.unlink()
        return largest

    def _deepen_until(self, commit: str, ref: str) -> None:
        for depth in _DEPTHS[1:]:
            self._fetch(ref, depth)
            if self.objects.has_commit(commit):
                return


@dataclass(slots=True)
class _Slot:
    lock: threading.RLock = field(default_factory=threading.RLock)
    used: float = 0.0
    size: int = 0
    waiting: int = 0


class Mirrors:
    """All mirrors of this process under one directory. `check` may refuse a URL (egress); it gets each URL in use."""

    def __init__(
        self,
        directory: Path,
        *,
        git: Git | None = None,
        max_bytes: int = 4 << 30,
        check: Callable[[str], None] | None = None,
    ) -> None:
        self.directory = directory
        self.git = git or Git()
        self._max_bytes, self._check = max_bytes, check
        self._slots: dict[str, _Slot] = {}
        self._guard = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def use(self, remote: Remote) -> Iterator[Mirror]:
        """The mirror of a repository, locked for the caller; made where it is missing. Raises GitError."""
        check_url(remote.url, self.git.protocols)
        if self._check is not None:
            self._check(remote.url)
        key = hashlib.sha256(f"{remote.url}\0{remote.auth.fingerprint}".encode()).hexdigest()[:40]
        slot = self._slot(key)
        path = self.directory / f"{key}.git"
        try:
            with slot.lock:
                self._prepare(path)
                try:
                    yield Mirror(path, remote, self.git)
                except BrokenRepositoryError:
                    shutil.rmtree(path, ignore_errors=True)  # the next use starts afresh
                    raise
                finally:
                    slot.used, slot.size = time.monotonic(), _size(path)
        finally:
            with self._guard:
                slot.waiting -= 1
        self._evict()

    def _slot(self, key: str) -> _Slot:
        with self._guard:
            slot = self._slots.setdefault(key, _Slot())
            slot.waiting += 1
            return slot

    def _prepare(self, path: Path) -> None:
        packs = path / "objects" / "pack"
        if packs.is_dir() and len(list(packs.glob("*.pack"))) > MAX_PACKS:
            shutil.rmtree(path, ignore_errors=True)
        for stale in ("shallow.lock", "packed-refs.lock", "HEAD.lock", f"{_WANTED}.lock"):
            (path / stale).unlink(missing_ok=True)  # we hold the lock; a file left behind is of a child that was killed
        if not (path / "HEAD").is_file():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o700)
            self.git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=none", git_dir=path)

    def _evict(self) -> None:
        """Drops the least recently used mirrors that nobody waits for until the rest fits."""
        with self._guard:
            total = sum(slot.size for slot in self._slots.values())
            for key, slot in sorted(self._slots.items(), key=lambda item: item[1].used):
                if total <= self._max_bytes:
                    return
                if slot.waiting == 0 and slot.lock.acquire(blocking=False):
                    try:
                        shutil.rmtree(self.directory / f"{key}.git", ignore_errors=True)
                        total -= slot.size
                        del self._slots[key]
                    finally:
                        slot.lock.release()


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total
