"""Objects as Flux and External Secrets leave them, with their finalizers: deleted after a swap, they go.

Sources: Flux 2.9's `finalizers.fluxcd.io` on its image and notification kinds; External Secrets 2.9's
`secretstore.externalsecrets.io/finalizer` and `pushsecret.externalsecrets.io/finalizer`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from controllers.api.external_secrets import CLUSTER_SECRET_STORES, PUSH_SECRETS, SECRET_STORES
from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES, IMAGE_UPDATE_AUTOMATIONS
from controllers.api.notification import RECEIVERS
from controllers.api.resource import Manifest, Resource
from controllers.standin.demo.world import PAYMENTS, World
from tests.cluster import until
from tests.e2e.conftest import Stage, cluster


class WholeWorld(World):
    controllers = "all"


pytestmark = pytest.mark.asyncio(loop_scope="module")

FLUX = "finalizers.fluxcd.io"
STORE = {"provider": {"aws": {"service": "SecretsManager", "region": "eu-west-1"}}}
SWAPPED: list[tuple[Resource, str, Manifest]] = [
    (IMAGE_REPOSITORIES, FLUX, {"image": "registry.invalid/left", "interval": "1h"}),
    (IMAGE_POLICIES, FLUX, {"imageRepositoryRef": {"name": "left"}, "policy": {"semver": {"range": "1.x"}}}),
    (IMAGE_UPDATE_AUTOMATIONS, FLUX, {
        "interval": "1h", "sourceRef": {"kind": "GitRepository", "name": "left"},
        "git": {"commit": {"author": {"email": "bot@example.com"}}},
    }),
    (RECEIVERS, FLUX, {
        "type": "generic", "secretRef": {"name": "left"}, "resources": [{"kind": "GitRepository", "name": "left"}],
    }),
    (SECRET_STORES, "secretstore.externalsecrets.io/finalizer", STORE),
    (CLUSTER_SECRET_STORES, "secretstore.externalsecrets.io/finalizer", STORE),
    (PUSH_SECRETS, "pushsecret.externalsecrets.io/finalizer", {
        "deletionPolicy": "Delete", "secretStoreRefs": [{"name": "left"}], "selector": {"secret": {"name": "left"}},
        "data": [{"match": {"secretKey": "a", "remoteRef": {"remoteKey": "a"}}}],
    }),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("world")
    world = WholeWorld(directory, api=cluster(directory))
    try:
        await world.start()
        world.spawn()
        yield Stage(world)
    finally:
        await world.stop()


@pytest.mark.parametrize(("resource", "finalizer", "spec"), SWAPPED, ids=[resource.kind for resource, _, _ in SWAPPED])
async def test_an_object_with_upstreams_finalizer_is_deleted(
    stage: Stage, resource: Resource, finalizer: str, spec: Manifest
) -> None:
    namespace = PAYMENTS if resource.namespaced else ""
    meta = {"name": "left", "finalizers": [finalizer], **({"namespace": namespace} if namespace else {})}
    await stage.apply({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec})
    live = await stage.find(resource, "left", namespace)
    assert live is not None and live["metadata"]["finalizers"] == [finalizer]
    await stage.world.admin.delete(resource, "left", namespace)

    async def gone() -> bool:
        return await stage.find(resource, "left", namespace) is None

    await until(gone, patience=20, what=f"{resource.kind} without upstream's finalizer")
