"""A Kustomization builds from whatever implements `Source`, and says what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controllers.api.base import parse
from controllers.api.kustomize import KustomizationSpec
from controllers.api.resource import Key, Manifest
from controllers.kustomization.builder import Builder
from controllers.kustomization.settings import KustomizationSettings
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Stalled
from controllers.sources.source import Listener, Source, SourceState, state_of
from controllers.sources.tree import Reads, Tree, changed_directories, of_files

KEY = Key("team", "app")
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app, namespace: team}}\ndata: {{x: '{}'}}\n"


class Archives:
    """A second kind of source, with nothing of Git in it: archives by revision, in memory."""

    kind = "Archive"

    def __init__(self, objects: Mapping[str, Manifest], archives: Mapping[str, Mapping[str, bytes]]) -> None:
        self._objects, self._archives = objects, archives

    def find(self, key: Key) -> SourceState | None:
        found = self._objects.get(str(key))
        return None if found is None else state_of(self.kind, found)

    async def tree(self, state: SourceState) -> Tree:
        if state.revision not in self._archives:
            raise NotReady("ArtifactFailed", "the archive is gone")
        return of_files(self._archives[state.revision])

    async def changed(self, before: Manifest, after: Manifest) -> Reads | None:
        old = await self.tree(state_of(self.kind, before))
        new = await self.tree(state_of(self.kind, after))
        return changed_directories(old.nodes, new.nodes)

    def subscribe(self, listener: Listener) -> None:
        for manifest in self._objects.values():
            listener(None, manifest)


def archive(name: str, revision: str = "", *, ready: str = "True", message: str = "", interval: str = "1m") -> Manifest:
    artifact = {"revision": revision, "digest": "sha256:1", "metadata": {"author": "ada", "commitTime": "t"}}
    condition = {"type": "Ready", "status": ready, "reason": "R", "message": message}
    status: Manifest = {"conditions": [condition]} | ({"artifact": artifact} if revision else {})
    meta = {"name": name, "namespace": "team"}
    return {"kind": "Archive", "metadata": meta, "spec": {"interval": interval}, "status": status}


def kustomization(name: str, kind: str = "Archive", **spec: Any) -> Manifest:
    ref = {"kind": kind, "name": name}
    return {"kind": "Kustomization", "metadata": {"name": "app", "namespace": "team"},
            "spec": {"interval": "1m", "prune": True, "path": "./app", "sourceRef": ref, **spec}}  # fmt: skip


@pytest.fixture
def builder() -> Builder:
    objects = {
        "team/good": archive("good", "v1@sha256:1"),
        "team/gone": archive("gone", "v9@sha256:9"),
        "team/failing": archive("failing", ready="False", message="the bucket is denied", interval="5s"),
        "team/young": archive("young", ready="Unknown"),
    }
    files = {"v1@sha256:1": {"app/cm.yaml": CONFIG.format(1).encode()}}
    archives: Source = Archives(objects, files)
    return Builder({"Archive": archives}, pools=Pools(), settings=KustomizationSettings())


async def objects_of(builder: Builder, manifest: Manifest) -> Sequence[Manifest]:
    admitted = {**manifest["spec"], "sourceRef": {"kind": "Bucket", "name": "x"}}  # the CRD knows no Archive
    spec = parse(KustomizationSpec, {**manifest, "spec": admitted})
    built = await builder.build(None, KEY, manifest, spec, builder.source(KEY, manifest))  # type: ignore[arg-type]
    try:
        assert built.metadata == {"revision": built.revision, "author": "ada", "commitTime": "t"}
        return (await builder.render(built)).objects
    finally:
        built.close()


async def test_a_second_kind_of_source_is_built_from_like_a_git_repository(builder: Builder) -> None:
    (found,) = await objects_of(builder, kustomization("good"))
    assert found["data"] == {"x": "1"}


async def test_a_revision_that_cannot_be_had_is_an_artifact_that_failed(builder: Builder) -> None:
    with pytest.raises(NotReady, match="the archive is gone") as caught:
        await objects_of(builder, kustomization("gone"))
    assert caught.value.reason == "ArtifactFailed"


@pytest.mark.parametrize(
    ("name", "text", "seconds"),
    [
        ("none", "source 'Archive/team/none' not found", 30.0),
        ("young", "source 'Archive/team/young' has no artifact yet", 30.0),
        ("failing", "source 'Archive/team/failing' has no artifact yet: the bucket is denied", 5.0),
    ],
)
def test_a_source_without_artifact_says_why_and_is_looked_for_again_by_its_interval(
    builder: Builder, name: str, text: str, seconds: float
) -> None:
    with pytest.raises(NotReady) as caught:
        builder.source(KEY, kustomization(name))
    assert (caught.value.message, caught.value.retry_after) == (text, seconds)


def test_a_kind_that_is_not_served_is_named_with_those_that_are(builder: Builder) -> None:
    with pytest.raises(Stalled, match=r"spec\.sourceRef\.kind: found 'GitRepository', expected one of Archive"):
        builder.source(KEY, kustomization("x", "GitRepository"))
