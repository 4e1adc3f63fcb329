"""Edge: Git repositories of this process's mirrors, as trees for a build.

Everything that touches git blocks and runs on the pool "git".
"""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from controllers.api.duration import parse_duration
from controllers.api.resource import Manifest
from controllers.api.source import GitRepositorySpec
from controllers.git.auth import ANONYMOUS, GitAuth
from controllers.git.errors import Refused, TooLarge
from controllers.git.mirrors import Mirrors
from controllers.git.objects import CommitInfo, TreeEntry
from controllers.git.process import Remote
from controllers.git.refs import Found, Target

from . import revision
from .generate import NAMES
from .sourceignore import FILE, Matcher, TooManyPatterns, parse_file, selected
from .tree import Node, Tree

TREES = 8
"""Listings that are kept: Kustomizations of one source share one, with the contents that were read."""


_SMALL, _ALL_BUILDS = 64 << 10, 16 << 20
"""Bytes of one build file, and of all together, that are read with the listing."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a repository has now; `commit` is None where it was not fetched because nothing is new."""

    found: Found
    commit: CommitInfo | None


class GitSources:
    """Blocking; raises GitError."""

    def __init__(self, mirrors: Mirrors) -> None:
        self._mirrors = mirrors
        self._trees: OrderedDict[tuple[str, ...], Tree] = OrderedDict()
        self._guard = Lock()

    def look(self, remote: Remote, target: Target, known: str) -> Looked:
        """Asks the host what `target` is; fetches only where that is not the revision `known`."""
        with self._mirrors.use(remote) as mirror:
            found = mirror.resolve(target)
            if found.revision == known:
                return Looked(found, None)
            if target.kind == "commit" and found.ref:
                mirror.fetch_on(found)
            else:
                mirror.fetch(found)
            return Looked(found, mirror.objects.commit(found.commit))

    def commit(self, remote: Remote, found: Found) -> CommitInfo:
        with self._mirrors.use(remote) as mirror:
            mirror.fetch(found)
            return mirror.objects.commit(found.commit)

    def tree(self, remote: Remote, text: str, ref: str, ignore: str | None, sparse: tuple[str, ...] = ()) -> Tree:
        """The files of a revision that belong to the source; fetched again where the mirror lost it."""
        key = (remote.url, remote.auth.fingerprint, text, ref, repr(ignore), *sparse)
        with self._guard:
            if key not in self._trees:
                self._trees[key] = self._listed(remote, text, ref, ignore, sparse)
            self._trees.move_to_end(key)
            while len(self._trees) > TREES:
                self._trees.popitem(last=False)
            return self._trees[key]

    def _listed(self, remote: Remote, text: str, ref: str, ignore: str | None, sparse: tuple[str, ...]) -> Tree:
        wanted = revision.parse(text)
        with self._mirrors.use(remote) as mirror:
            mirror.fetch(Found(wanted.hash, ref))
            entries = mirror.objects.list_tree(wanted.hash)
            ignores = [each for each in entries if posixpath.basename(each.path) == FILE and each.is_file]
            texts = mirror.objects.read_blobs([each.id for each in ignores])
            builds = _builds(entries)
            contents = mirror.objects.read_blobs([each.id for each in builds]) if builds else {}
        files = {each.path: texts[each.id].decode("utf-8", "replace") for each in ignores}
        try:
            matcher = selected(files, ignore)
        except TooManyPatterns as error:
            raise TooLarge(str(error)) from None
        nodes = {each.path: _node(each) for each in entries if _belongs(each, matcher, sparse)}
        known = {each.path: contents[each.id] for each in builds if each.path in nodes}
        return Tree(nodes, lambda paths: self._read(remote, text, ref, nodes, paths), known)

    def _read(
        self, remote: Remote, text: str, ref: str, nodes: Mapping[str, Node], paths: list[str]
    ) -> dict[str, bytes]:
        with self._mirrors.use(remote) as mirror:
            commit = revision.parse(text).hash
            mirror.fetch(Found(commit, ref))  # the mirror may have been dropped since
            contents = mirror.objects.read_blobs([nodes[path].id for path in paths])
        return {path: contents[nodes[path].id] for path in paths}


def _builds(entries: Sequence[TreeEntry]) -> list[TreeEntry]:
    """The build files, as far as they are small: what each render reads is found out from them, and one look at the
    mirror for a thousand paths takes less than a thousand looks."""
    found, total = [], 0
    for each in entries:
        size = each.size or 0
        if each.is_file and posixpath.basename(each.path) in NAMES and size <= _SMALL:
            total += size
            if total > _ALL_BUILDS:
                break
            found.append(each)
    return found


def _node(entry: TreeEntry) -> Node:
    return Node(entry.id, link=entry.is_symlink, size=entry.size)


def _belongs(entry: TreeEntry, matcher: Matcher, sparse: tuple[str, ...]) -> bool:
    if not (entry.is_file or entry.is_symlink) or matcher.ignores(entry.path):
        return False
    roots = [posixpath.normpath(each).lstrip("/") for each in sparse]
    return not roots or any(root == "." or entry.path.startswith(f"{root}/") for root in roots)


def remote_of(spec: GitRepositorySpec, secret: Mapping[str, bytes] | None) -> Remote:
    """Where a GitRepository is and how to log in; its own patterns are looked at too. Raises Refused."""
    try:
        parse_file(spec.ignore or "")
    except TooManyPatterns as error:
        raise Refused(f"spec.ignore: {error}") from None
    auth = GitAuth.from_secret(secret, spec.url) if secret is not None else ANONYMOUS
    return Remote(spec.url, auth, timeout=parse_duration(spec.timeout))


def artifact_of(manifest: Manifest | None) -> Mapping[str, str]:
    """`status.artifact` of a source; empty where it has none."""
    artifact = ((manifest or {}).get("status") or {}).get("artifact")
    return artifact if isinstance(artifact, dict) and artifact.get("revision") else {}
