"""A status that a tenant wrote himself, for he may write to everything in his namespace: it is not believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controllers.api.base import parse
from controllers.api.resource import Manifest
from controllers.api.source import GitRepositorySpec
from controllers.api.tenancy import Decision, allowed, policy_of
from controllers.git import GitError, Remote
from controllers.runtime.result import NotReady
from controllers.sources.access import GitAccess
from controllers.sources.contents import Contents
from controllers.sources.remotes import GitRemotes
from controllers.sources.repositories import GitSources
from tests.attacks import attack
from tests.integration.git.conftest import Host, call, host

__all__ = ["host"]


def forged(ref: dict[str, str], what: str) -> Any:
    guard = "contents.py: vouched for where a policy grants only some references"
    mark = attack("kustomization", f"status.artifact forged: {what}", guard=guard, without="a grant of all branches")
    return pytest.param(ref, marks=mark)


@pytest.mark.parametrize(
    "ref",
    [
        forged({"branch": "main"}, "a commit that was never on the branch"),
        forged({"tag": "v1"}, "a commit that is not the tag's"),
    ],
)
async def test_a_forged_status_is_not_believed_where_a_policy_limits(host: Host, ref: dict[str, str]) -> None:
    main = await host.server.head("fleet")
    await host.server.git("fleet", "tag", "v1", "main")
    await host.server.git("fleet", "branch", "pull", "main")
    stray = await host.server.commit("fleet", {"evil": "1"}, branch="pull")
    login = host.https()
    name = ref.get("branch") or ref["tag"]

    class Granting:
        def __init__(self, *refs: str) -> None:
            spec = {"namespaceSelector": {}, "git": [{"url": login.url, "branches": list(refs)}]}
            self._policies = [policy_of({"metadata": {"name": "p"}, "spec": spec})]

        def allowed(self, namespace: str, request: Any) -> Decision:
            return allowed(self._policies, namespace=namespace, namespace_labels={}, request=request)

    async def built(policies: Any, commit: str) -> bool:
        sources = GitSources(host.mirrors)
        contents = Contents(sources, KnownLogin(login, policies), pools=Threads(), find=lambda key: None)  # type: ignore[arg-type]
        revision = f"{name}@sha1:{commit}"
        artifact = {"revision": revision, "metadata": {"ref": "refs/heads/pull"}}
        spec = {"url": login.url, "interval": "1m", "ref": ref}
        manifest = {"kind": "GitRepository", "metadata": {"name": "f", "namespace": "n"}, "spec": spec,
                    "status": {"artifact": artifact}}  # fmt: skip
        tree = await contents.tree(manifest, parse(GitRepositorySpec, manifest), revision)
        return "evil" in tree.nodes

    with pytest.raises(GitError, match=r"not part of refs/heads/main|not what refs/tags/v1 means"):
        await built(Granting("main", "refs/tags/v1"), stray)
    with pytest.raises(NotReady, match="does not grant"):
        await built(Granting("other"), main)
    assert not await built(Granting("main", "refs/tags/v1"), main)
    assert await built(Granting("**"), stray)


class KnownLogin(GitAccess):
    """A namespace whose login is known, without an API server to read its Secret from."""

    def __init__(self, login: Remote, policies: Any) -> None:
        super().__init__(GitRemotes(None), policies)  # type: ignore[arg-type]
        self._login = login

    async def identity(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote:
        return self._login

    remote = identity


class Threads:
    async def run(self, pool: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return await call(function, *arguments)
