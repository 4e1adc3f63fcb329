"""GitRepository as a source: its controller, and its tree for whoever builds from it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from controllers.api.base import parse
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.source import GIT_REPOSITORIES, GitRepositorySpec
from controllers.git.errors import GitError
from controllers.git.github_app import GithubApps
from controllers.git.mirrors import Mirrors
from controllers.git.process import Git, ProcessLimits
from controllers.runtime.controller import Controller
from controllers.runtime.manager import Manager
from controllers.runtime.result import NotReady
from controllers.runtime.store import Store

from .access import GitAccess
from .contents import Contents, included_of, includes_of
from .reconcile import GitReconciler
from .remotes import GitRemotes
from .repositories import GitSources
from .settings import SourceSettings
from .source import Listener, Source, SourceState, artifact_of, state_of
from .tree import Reads, Tree

_BY_INCLUDE = "include"


class GitRepositorySource:
    """Implements `Source`."""

    kind = GIT_REPOSITORIES.kind

    def __init__(self, store: Store, contents: Contents) -> None:
        self._store, self._contents = store, contents

    def find(self, key: Key) -> SourceState | None:
        manifest = self._store.get(key)
        return None if manifest is None else state_of(self.kind, manifest)

    async def tree(self, state: SourceState) -> Tree:
        spec = parse(GitRepositorySpec, state.manifest)
        try:
            return await self._contents.tree(state.manifest, spec, state.revision, included_of(state.manifest))
        except GitError as error:
            raise NotReady("ArtifactFailed", error.message) from None

    async def changed(self, before: Manifest, after: Manifest) -> Reads | None:
        try:
            return await self._contents.changed(before, after)
        except GitError as error:
            raise NotReady("ArtifactFailed", error.message) from None

    def subscribe(self, listener: Listener) -> None:
        self._store.subscribe(listener)


def register(manager: Manager, *, git: Git | None = None) -> Source:
    """Registers the controller of GitRepositories, or only watches them where another controller fetches them."""
    settings = manager.settings.group(SourceSettings)
    directory = Path(settings.mirrors) if settings.mirrors else Path(tempfile.mkdtemp(prefix="inhaul-mirrors-"))
    git = git or Git(limits=ProcessLimits(file_size=settings.repository_size << 20))
    reconciler = GitReconciler(
        manager.kube,
        GitSources(Mirrors(directory, git=git, max_bytes=settings.mirror_bytes << 20)),
        GitAccess(GitRemotes(manager.kube, egress=manager.egress, apps=GithubApps(manager.egress)), manager.policies),
        pools=manager.pools,
        draft=lambda key: repositories.draft(key),
        find=lambda key: store.get(key),
        submodule_hosts=settings.submodule_hosts.replace(",", " ").split(),
    )
    if manager.settings.claim.sources == "own":
        repositories = manager.controller(GIT_REPOSITORIES, reconciler.reconcile, max_concurrent=4)
        _requeue_including(repositories)
        store = repositories.store
    else:
        store = manager.store(GIT_REPOSITORIES)
    return GitRepositorySource(store, reconciler.contents)


def _requeue_including(repositories: Controller) -> None:
    """A new artifact requeues the GitRepositories that include it."""
    repositories.store.index(_BY_INCLUDE, includes_of)

    def changed(before: Manifest | None, after: Manifest | None) -> None:
        if after is not None and artifact_of(before) != artifact_of(after):
            for manifest in repositories.store.by_index(_BY_INCLUDE, str(key_of(after))):
                repositories.queue.changed(key_of(manifest))

    repositories.store.subscribe(changed)
