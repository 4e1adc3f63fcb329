"""Edge: what a GitRepository holds at a revision: its own files, its submodules' and those it includes, as one tree.

Reconciling a GitRepository makes the tree to find out whether it can be had; a Kustomization makes it to build from.
Each repository that takes part is asked in its own right: its URL against egress and policy, its login for its host.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from controllers.api.base import parse
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.source import GitInclude, GitRepositorySpec
from controllers.git.objects import clean_path
from controllers.git.process import Remote
from controllers.git.refs import HEADS, TAGS, target
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Stalled
from controllers.sources.tree import Reads, changed_directories

from . import submodules
from .listing import Listing, below, mounted, tree_of
from .repositories import GitSources
from .source import artifact_of
from .tree import Tree

TREES, MAX_INCLUDES = 16, 20
RECENT = 10.0
UNAVAILABLE = "IncludeUnavailable"


class Access(Protocol):
    """Where a repository is and how to log in, as egress and policy allow. Raises GitError, NotReady, Stalled."""

    async def identity(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote: ...
    async def remote(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote: ...
    async def submodule(self, namespace: str, parent: Remote, url: str) -> Remote: ...
    def only(self, namespace: str, url: str, ref: str) -> bool:
        """Are only some references granted? Raises NotReady where this one is not."""


class Contents:
    def __init__(
        self, sources: GitSources, access: Access, *, pools: Pools, find: Callable[[Key], Manifest | None],
        hosts: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """`find` gives a GitRepository as it is known; `hosts` may hold submodules beside a repository's own."""
        self._sources, self._access, self._pools, self._find = sources, access, pools, find
        self._hosts = frozenset(each.lower() for each in hosts)
        self._trees: OrderedDict[tuple[object, ...], Tree] = OrderedDict()
        self._busy: dict[tuple[object, ...], asyncio.Lock] = {}
        self._asked: dict[tuple[Key, str | None, str | None], tuple[float, Remote]] = {}

    async def tree(
        self, manifest: Manifest, spec: GitRepositorySpec, revision: str,
        included: Sequence[Mapping[str, Any]] = (), *, ref: str = "",
    ) -> Tree:  # fmt: skip
        """The tree of a revision; `included` are the artifacts of `spec.include`, `ref` the full reference where it is
        known. Raises GitError, NotReady, Stalled."""
        who = await self._who(manifest, spec, revision)
        key = self._key(who, manifest, spec, revision, included)
        async with self._busy.setdefault(key, asyncio.Lock()):
            if (known := self._trees.get(key)) is None:
                try:
                    known = await self._made(manifest, spec, revision, ref or ref_of(manifest, revision), included)
                except BaseException:
                    self._busy.pop(key, None)
                    raise
                self._trees[key] = known
        self._trees.move_to_end(key)
        while len(self._trees) > TREES:
            self._busy.pop(self._trees.popitem(last=False)[0], None)
        return known

    async def _who(self, manifest: Manifest, spec: GitRepositorySpec, revision: str) -> Remote:
        """Whose mirror it is. The login may be `RECENT` seconds old, for all Kustomizations that one commit wakes ask:
        it goes to no host. Policy is asked each time."""
        meta, now = manifest["metadata"], monotonic()
        key = key_of(manifest), meta.get("uid"), meta.get("resourceVersion")
        if (found := self._asked.get(key)) is not None and now - found[0] < RECENT:
            self._access.only(_namespace(manifest), found[1].url, ref_of(manifest, revision, recorded=False))
            return found[1]
        who = await self._access.identity(manifest, spec)
        self._asked = {each: kept for each, kept in self._asked.items() if now - kept[0] < RECENT}
        if meta.get("resourceVersion"):  # without one, an edited object could not be told from what it was
            self._asked[key] = now, who
        return who

    async def changed(self, before: Manifest, after: Manifest) -> Reads | None:
        """Directories in which two artifacts of a GitRepository differ; None where the older tree is not kept, or is
        another repository's. Raises as `tree` does."""
        spec, older = parse(GitRepositorySpec, after), parse(GitRepositorySpec, before)
        included, was = included_of(after), included_of(before)
        who = await self._who(after, spec, str(artifact_of(after)["revision"]))
        known = self._trees.get(self._key(who, before, older, str(artifact_of(before).get("revision")), was))
        if known is None:
            return None
        tree = await self.tree(after, spec, str(artifact_of(after)["revision"]), included)
        return await self._pools.run("git", changed_directories, known.nodes, tree.nodes)

    @staticmethod
    def _key(
        who: Remote, manifest: Manifest, spec: GitRepositorySpec, revision: str, included: Sequence[Mapping[str, Any]]
    ) -> tuple[object, ...]:
        marks = tuple((each.get("revision"), each.get("digest")) for each in included)
        return who.url, who.auth.fingerprint, revision, spec.model_dump_json(), marks, _namespace(manifest)

    async def _made(
        self, manifest: Manifest, spec: GitRepositorySpec, revision: str, ref: str,
        included: Sequence[Mapping[str, Any]],
    ) -> Tree:  # fmt: skip
        remote = await self._access.remote(manifest, spec)
        listing = await self._listing(manifest, spec, remote, revision, ref, included, ())
        return await self._pools.run("git", tree_of, listing, spec.ignore)

    def included(self, manifest: Manifest, spec: GitRepositorySpec) -> list[Mapping[str, Any]]:
        """The artifacts of what a GitRepository includes, in its order. Raises NotReady."""
        found: list[Mapping[str, Any]] = []
        for include in spec.include:
            key = Key(_namespace(manifest), include.repository.name)
            other = self._find(key)
            if other is None:
                raise NotReady(UNAVAILABLE, f"could not get resource for include '{key.name}': GitRepository not found")
            artifact: Mapping[str, Any] = artifact_of(other)
            if not artifact:
                raise NotReady(UNAVAILABLE, f"no artifact available for include '{key.name}'")
            found.append(artifact)
        return found

    async def _listing(
        self, manifest: Manifest, spec: GitRepositorySpec, remote: Remote, revision: str, ref: str,
        included: Sequence[Mapping[str, Any]], path: tuple[Key, ...],
    ) -> Listing:  # fmt: skip
        key = Key(_namespace(manifest), manifest["metadata"]["name"])
        if key in path:
            raise Stalled(UNAVAILABLE, f"circular spec.include: {' -> '.join(map(str, (*path, key)))}")
        if len(spec.include) > MAX_INCLUDES:
            raise Stalled(UNAVAILABLE, f"spec.include: found {len(spec.include)}, expected at most {MAX_INCLUDES}")
        named = ref_of(manifest, revision, recorded=False)
        if self._access.only(key.namespace, remote.url, named):
            await self._pools.run("git", self._sources.vouch, remote, revision, named)
        listing = await self._pools.run("git", self._sources.listing, remote, revision, ref)
        if spec.recurse_submodules:
            listing = await self._with_submodules(key.namespace, remote, listing, 0)
        listing = below(listing, spec.sparse_checkout)
        if len(included) != len(spec.include):
            raise NotReady(UNAVAILABLE, "spec.include was edited and is not reconciled yet")
        for include, artifact in zip(spec.include, included, strict=True):
            other = await self._other(key, include, artifact, (*path, key))
            to = clean_path(include.to_path or include.repository.name)
            if not to:
                raise Stalled(UNAVAILABLE, "spec.include.toPath: found the root, expected a directory")
            start, what = clean_path(include.from_path), f"spec.include '{include.repository.name}'"
            listing = await self._pools.run("git", _mounted, listing, to, other, start, what)
        return listing

    async def _other(
        self, key: Key, include: GitInclude, artifact: Mapping[str, Any], path: tuple[Key, ...]
    ) -> Listing:
        """What an included repository holds at the revision that was recorded, filtered as it is itself."""
        other = self._find(Key(key.namespace, include.repository.name))
        if other is None:
            raise NotReady(UNAVAILABLE, f"could not get resource for include '{include.repository.name}'")
        spec = parse(GitRepositorySpec, other)
        remote = await self._access.remote(other, spec)
        nested = included_of(other)
        if len(nested) != len(spec.include):
            raise NotReady(UNAVAILABLE, f"include '{include.repository.name}' is not reconciled yet")
        revision = str(artifact["revision"])
        listing = await self._listing(other, spec, remote, revision, ref_of(other, revision), nested, path)
        tree = await self._pools.run("git", tree_of, listing, spec.ignore)
        return Listing(tree.nodes, tree.read, known=listing.known)

    async def _with_submodules(self, namespace: str, remote: Remote, listing: Listing, depth: int) -> Listing:
        if not listing.links:
            return listing
        urls = submodules.urls_of(listing.modules)
        if nameless := submodules.missing(listing.links, urls):
            raise Stalled("GitOperationFailed", f"submodule {nameless[0]!r}: {submodules.FILE} has no url for it")
        if depth >= submodules.MAX_DEPTH or len(listing.links) > submodules.MAX_MODULES:
            text = f"{submodules.MAX_MODULES} submodules, {submodules.MAX_DEPTH} within one another"
            raise Stalled("GitOperationFailed", f"more than {text}")
        for path, commit in sorted(listing.links.items()):
            url = submodules.check(path, urls[path], remote.url, self._hosts)
            other = await self._access.submodule(namespace, remote, url)
            text = f"{'sha1' if len(commit) == 40 else 'sha256'}:{commit}"
            inner = await self._pools.run("git", self._sources.listing, other, text, "HEAD")
            inner = await self._with_submodules(namespace, other, inner, depth + 1)
            listing = await self._pools.run("git", _mounted, listing, path, inner, "", f"submodule {path!r}")
        return listing


def _mounted(base: Listing, at: str, other: Listing, start: str, what: str) -> Listing:
    return mounted(base, at, other, start=start, what=what)


def included_of(manifest: Manifest) -> Sequence[Mapping[str, Any]]:
    """The artifacts that a GitRepository's own was made with."""
    return (manifest.get("status") or {}).get("includedArtifacts") or ()


def _namespace(manifest: Manifest) -> str:
    return manifest["metadata"].get("namespace") or ""


def includes_of(manifest: Manifest) -> list[str]:
    """The keys of what a GitRepository includes, as texts; of any manifest, also one that is not valid."""
    entries = (manifest.get("spec") or {}).get("include")
    found = []
    for entry in entries if isinstance(entries, list) else ():
        repository = entry.get("repository") if isinstance(entry, dict) else None
        if isinstance(repository, dict) and repository.get("name"):
            found.append(str(Key(_namespace(manifest), str(repository["name"]))))
    return found


def ref_of(manifest: Manifest, revision: str, *, recorded: bool = True) -> str:
    """The full reference of a revision: as recorded, or worked out for an artifact that another controller wrote.

    Not `recorded`: what `spec.ref` stands for, whatever a status says ("" for a bare commit).
    """
    metadata: Any = artifact_of(manifest).get("metadata")
    if recorded and isinstance(metadata, dict) and metadata.get("ref"):
        return str(metadata["ref"])
    wanted = target(parse(GitRepositorySpec, manifest).ref)
    match wanted.kind:
        case "commit":
            return HEADS + wanted.branch if wanted.branch else ""
        case "semver":
            return TAGS + revision.rpartition("@")[0]
        case "name":
            return wanted.value
        case kind:
            return (TAGS if kind == "tag" else HEADS) + wanted.value
