"""Edge: Git repositories of this process's mirrors, as trees for a build.

Everything that touches git blocks and runs on the pool "git".
"""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock

from controllers.api.kustomize import NAMES
from controllers.git.errors import NotFound, TooLarge
from controllers.git.mirrors import Mirrors
from controllers.git.objects import GITLINK, MAX_TOTAL, CommitInfo, TreeEntry
from controllers.git.process import Remote
from controllers.git.refs import HEADS, Found, RefTarget
from controllers.git.verify import Verifier
from controllers.lang.gitignore import FILE

from . import revision, submodules
from .listing import Listing
from .tree import Node
from .verification import verified

_MANIFESTS = (".yaml", ".yml")
LISTINGS, VOUCHED = 16, 4096
"""Listings that are kept: Kustomizations of one source share one, with the contents that were read."""


_SMALL, _ALL_BUILDS, _ALL_MANIFESTS = 64 << 10, 16 << 20, 4 << 20
"""Bytes of one file, of all build files and of all manifests together, that are read with the listing."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a repository has now; `commit` is None where it was not fetched because nothing is new."""

    found: Found
    commit: CommitInfo | None


class GitSources:
    """Blocking; raises GitError."""

    def __init__(self, mirrors: Mirrors) -> None:
        self._mirrors = mirrors
        self._listings: OrderedDict[tuple[str, ...], Listing] = OrderedDict()
        self._vouched: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._busy: dict[tuple[str, ...], Lock] = {}
        self._guard = Lock()

    def look(self, remote: Remote, target: RefTarget, known: str) -> Looked:
        """Asks the host what `target` is; fetches only where that is not the revision `known`."""
        with self._mirrors.use(remote) as mirror:
            found = mirror.resolve(target)
            if target.kind != "commit":
                self._vouch(remote, found.revision, found.ref)
            if found.revision == known:
                return Looked(found, None)
            if target.kind == "commit" and found.ref:
                mirror.fetch_on(found)
                self._vouch(remote, found.revision, found.ref)
            else:
                mirror.fetch(found)
            return Looked(found, mirror.objects.commit(found.commit))

    def vouch(self, remote: Remote, text: str, ref: str) -> None:
        """Sees to it that a revision is of a reference: on the branch, or what the tag or name means now.

        A status can be written by whoever has the right to, so it is not believed where only some references are
        granted. What this process has seen itself is not asked for again. Raises NotFound.
        """
        if (remote.url, remote.auth.fingerprint, text, ref) in self._vouched:
            return
        commit = revision.parse(text).hash
        with self._mirrors.use(remote) as mirror:
            if ref.startswith(HEADS):
                mirror.fetch_on(Found(commit, ref))
            elif mirror.resolve(RefTarget("name", ref)).commit != commit:
                raise NotFound(f"commit {commit} is not what {ref} means")
        self._vouch(remote, text, ref)

    def _vouch(self, remote: Remote, text: str, ref: str) -> None:
        with self._guard:
            self._vouched[remote.url, remote.auth.fingerprint, text, ref] = None
            while len(self._vouched) > VOUCHED:
                self._vouched.popitem(last=False)

    def commit(self, remote: Remote, found: Found) -> CommitInfo:
        with self._mirrors.use(remote) as mirror:
            mirror.fetch(found)
            return mirror.objects.commit(found.commit)

    def verify(self, remote: Remote, found: Found, verifier: Verifier, mode: str) -> str:
        """Checks the signatures that a mode asks for; which keys made them, in words. Raises UnverifiedError,
        NotFound.
        """
        with self._mirrors.use(remote) as mirror:
            if found.tag_object:
                mirror.fetch_ref(found.ref)
            mirror.fetch(found)
            names = [found.commit, *([found.tag_object] if found.tag_object else [])]
            objects = mirror.objects.read_objects(names)
        return verified([content for _, content in objects], found, verifier, mode)

    def listing(self, remote: Remote, text: str, ref: str) -> Listing:
        """All files of a revision; fetched again where the mirror lost it."""
        key = (remote.url, remote.auth.fingerprint, text, ref)
        with self._guard:
            lock = self._busy.setdefault(key, Lock())
        with lock:  # of this revision alone: a host that is slow holds up nobody else
            with self._guard:
                found = self._listings.get(key)
            if found is None:
                found = self._listed(remote, text, ref)
        with self._guard:
            self._listings[key] = found
            self._listings.move_to_end(key)
            while len(self._listings) > LISTINGS:
                self._listings.popitem(last=False)
            if not lock.locked():
                self._busy.pop(key, None)
        return found

    def _listed(self, remote: Remote, text: str, ref: str) -> Listing:
        wanted = revision.parse(text)
        with self._mirrors.use(remote) as mirror:
            mirror.fetch(Found(wanted.hash, ref))
            entries = mirror.objects.list_tree(wanted.hash)
            special = [each for each in entries if _is_special(each)]
            early = _early(entries)
            contents = self._before(remote)
            wanted_ids = {each.id for each in (*special, *early)} - contents.keys()
            contents |= mirror.objects.read_blobs(sorted(wanted_ids))
        nodes = {each.path: _node(each) for each in entries if each.is_file or each.is_symlink}
        return Listing(
            nodes,
            lambda paths: self._read(remote, text, ref, nodes, paths),
            ignores={
                each.path: contents[each.id].decode("utf-8", "replace")
                for each in special
                if posixpath.basename(each.path) == FILE
            },
            links={each.path: each.id for each in entries if each.mode == GITLINK},
            modules=b"".join(contents[each.id] for each in special if each.path == submodules.FILE),
            known={each.path: contents[each.id] for each in early},
        )

    def _before(self, remote: Remote) -> dict[str, bytes]:
        """Contents by id out of what is kept of a repository's other revisions: of a commit only the new is read."""
        with self._guard:
            kept = [each for key, each in self._listings.items() if key[:2] == (remote.url, remote.auth.fingerprint)]
        return {each.nodes[path].id: content for each in kept for path, content in each.known.items()}

    def _read(
        self, remote: Remote, text: str, ref: str, nodes: Mapping[str, Node], paths: list[str]
    ) -> dict[str, bytes]:
        if (total := sum(nodes[path].size for path in paths)) > MAX_TOTAL:
            raise TooLarge(f"{total} bytes of files, limit {MAX_TOTAL}")
        ids = list(dict.fromkeys(nodes[path].id for path in paths))
        with self._mirrors.use(remote) as mirror:
            try:
                contents = mirror.objects.read_known(ids)
            except NotFound:  # the mirror was dropped since
                mirror.fetch(Found(revision.parse(text).hash, ref))
                contents = mirror.objects.read_known(ids)
        return {path: contents[nodes[path].id] for path in paths}


def _early(entries: Sequence[TreeEntry]) -> list[TreeEntry]:
    """Build files and manifests, as far as they are small: one look at the mirror for a thousand paths takes less than
    a thousand looks. What each render reads is found out from the build files, so they come first."""
    files = [each for each in entries if each.is_file and each.size <= _SMALL]
    builds = [each for each in files if posixpath.basename(each.path) in NAMES]
    manifests = [
        each for each in files if each.path.endswith(_MANIFESTS) and posixpath.basename(each.path) not in NAMES
    ]
    return [*_up_to(_ALL_BUILDS, builds), *_up_to(_ALL_MANIFESTS, manifests)]


def _up_to(limit: int, entries: Sequence[TreeEntry]) -> list[TreeEntry]:
    totals = accumulate(each.size for each in entries)
    return [each for each, total in zip(entries, totals, strict=True) if total <= limit]


def _node(entry: TreeEntry) -> Node:
    return Node(entry.id, link=entry.is_symlink, size=entry.size)


def _is_special(entry: TreeEntry) -> bool:
    return entry.is_file and (posixpath.basename(entry.path) == FILE or entry.path == submodules.FILE)
