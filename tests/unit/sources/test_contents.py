"""The tree of a revision: who is asked for it, how often, and what two revisions differ in."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.base import parse
from controllers.api.resource import Manifest
from controllers.api.source import GitRepositorySpec
from controllers.git.process import Remote
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady
from controllers.sources.contents import Contents
from controllers.sources.listing import Listing
from controllers.sources.tree import Node, Reads

URL = "https://git.example.com/org/fleet"
REVISIONS: dict[str, dict[str, str]] = {
    "main@sha1:1": {"apps/a/x.yaml": "1", "apps/b/x.yaml": "1"},
    "main@sha1:2": {"apps/a/x.yaml": "2", "apps/b/x.yaml": "1"},
}


class Host:
    """The edge: files by revision, and a Secret and a policy that are asked for them."""

    def __init__(self) -> None:
        self.logins, self.denied = 0, False

    def listing(self, remote: Remote, text: str, ref: str) -> Listing:
        return Listing({path: Node(content) for path, content in REVISIONS[text].items()}, lambda paths: {})

    async def identity(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote:
        self.logins += 1
        return Remote(spec.url)

    remote = identity

    async def submodule(self, namespace: str, parent: Remote, url: str) -> Remote:
        raise AssertionError("there is none")

    def only(self, namespace: str, url: str, ref: str) -> bool:
        if self.denied:
            raise NotReady("AccessDenied", "no policy grants it")
        return False


def repository(revision: str, *, version: str = "1", **spec: Any) -> Manifest:
    meta = {"name": "fleet", "namespace": "team", "uid": "u", "resourceVersion": version}
    spec = {"url": URL, "interval": "1m", **spec}
    return {"kind": "GitRepository", "metadata": meta, "spec": spec, "status": {"artifact": {"revision": revision}}}


async def tree(contents: Contents, manifest: Manifest) -> set[str]:
    revision = manifest["status"]["artifact"]["revision"]
    return set((await contents.tree(manifest, parse(GitRepositorySpec, manifest), revision)).nodes)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def contents(host: Host) -> Contents:
    return Contents(host, host, pools=Pools(), find=lambda key: None)  # type: ignore[arg-type]


async def test_a_thousand_kustomizations_of_one_source_read_its_login_once(contents: Contents, host: Host) -> None:
    await tree(contents, repository("main@sha1:1"))
    first = host.logins
    for _ in range(1000):
        assert await tree(contents, repository("main@sha1:1")) == set(REVISIONS["main@sha1:1"])
    assert host.logins == first
    await tree(contents, repository("main@sha1:1", version="2"))
    assert host.logins == first + 1


async def test_a_policy_that_denies_holds_at_once_for_a_login_that_was_just_read(
    contents: Contents, host: Host
) -> None:
    await tree(contents, repository("main@sha1:1"))
    host.denied = True
    with pytest.raises(NotReady, match="no policy grants it"):
        await tree(contents, repository("main@sha1:1"))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (repository("main@sha1:1"), repository("main@sha1:2"), {"apps/a", "apps", ""}),
        (repository("main@sha1:2"), repository("main@sha1:2"), set()),
        (repository("main@sha1:1", ignore="/apps/a"), repository("main@sha1:2", ignore="/apps/a"), set()),
        (repository("main@sha1:1", url=f"{URL}-other"), repository("main@sha1:2", version="2"), None),
    ],
    ids=["another file", "the same", "a file that is ignored", "another repository before"],
)
async def test_what_two_artifacts_differ_in(
    contents: Contents, before: Manifest, after: Manifest, expected: Reads | None
) -> None:
    await tree(contents, before)
    assert await contents.changed(before, after) == expected


async def test_a_tree_that_is_no_longer_kept_has_unknown_differences(contents: Contents) -> None:
    assert await contents.changed(repository("main@sha1:1"), repository("main@sha1:2")) is None
