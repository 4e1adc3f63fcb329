"""Which Git repositories a namespace may read, and the remotes of those it may.

Every way to a host goes through here, a Kustomization's too: its GitRepository may have been edited since it was last
reconciled, so TenantPolicies are asked each time a remote is built.
"""

from __future__ import annotations

from controllers.api.resource import Manifest
from controllers.api.source import GitRepositorySpec
from controllers.api.tenancy import ReadGit
from controllers.git.process import Remote, check_url
from controllers.git.refs import RefTarget, target
from controllers.runtime.policies import Policies
from controllers.runtime.result import NotReady

from . import submodules
from .listing import check_ignore
from .remotes import GitRemotes


class GitAccess:
    """Raises GitError, NotReady, Stalled."""

    def __init__(self, remotes: GitRemotes, policies: Policies) -> None:
        self.remotes, self._policies = remotes, policies

    async def identity(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote:
        """See `GitRemotes.identity`."""
        return await self.remotes.identity(self._allowed(manifest, spec), spec)

    async def remote(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote:
        """See `GitRemotes.remote`."""
        return await self.remotes.remote(self._allowed(manifest, spec), spec)

    async def submodule(self, namespace: str, parent: Remote, url: str) -> Remote:
        """A submodule's repository, allowed in its own right; the parent's login goes to the parent's host alone."""
        self._allow(namespace, url, "")
        return await self.remotes.submodule(parent, url, login=submodules.same_place(url, parent.url))

    def only(self, namespace: str, url: str, ref: str) -> bool:
        """Does policy grant only some references of a repository? Raises NotReady where this one is not among them."""
        if self._policies.allowed(namespace, ReadGit(url, "")):
            return False
        self._allow(namespace, url, ref)
        return True

    def _allowed(self, manifest: Manifest, spec: GitRepositorySpec) -> str:
        """The namespace of a GitRepository that is well formed and allowed."""
        namespace = manifest["metadata"].get("namespace") or ""
        self._allow(namespace, check_url(spec.url), requested_ref(target(spec.ref)))
        check_ignore(spec.ignore)
        return namespace

    def _allow(self, namespace: str, url: str, ref: str) -> None:
        decision = self._policies.allowed(namespace, ReadGit(url, ref))
        if not decision:
            raise NotReady("AccessDenied", decision.reason)


def requested_ref(wanted: RefTarget) -> str:
    """What a TenantPolicy is asked for: a branch by its name, all else by its full reference or tag."""
    match wanted.kind:
        case "commit":
            return wanted.branch
        case "branch" | "name":
            return wanted.value
        case _:
            return f"refs/tags/{wanted.value}"
