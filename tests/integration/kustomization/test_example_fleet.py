"""The example fleet, applied as it is written: one file of a cluster makes sixty teams."""

from __future__ import annotations

from pathlib import Path

import yaml

from controllers.api.core import NAMESPACES, ROLE_BINDINGS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest
from controllers.api.source import GIT_REPOSITORIES
from controllers.runtime.conditions import find

from .conftest import World, running

EXAMPLES = Path(__file__).parents[3] / "kustomize" / "examples"


def fleet(world: World) -> list[Manifest]:
    """The dev cluster's file, with the test's Git host for the example's."""
    documents: list[Manifest] = list(yaml.safe_load_all((EXAMPLES / "clusters/dev/fleet.yaml").read_text()))
    for each in documents:
        if each["kind"] == "GitRepository":
            each["spec"] |= {"url": world.git.https_url("fleet"), "secretRef": {"name": "git"}}
    return documents


async def ready(world: World, name: str) -> bool:
    found = await world.kube.get(KUSTOMIZATIONS, name, "flux-system")
    return (find(found.get("status"), "Ready") or {}).get("status") == "True"


async def test_one_file_of_a_cluster_makes_sixty_teams_with_rights_of_their_own(world: World) -> None:
    files: dict[str, str | bytes | None] = {
        str(each.relative_to(EXAMPLES)): each.read_text() for each in EXAMPLES.rglob("*.yaml")
    }
    await world.git.create_repo("fleet", files)
    for document in fleet(world):
        resource = await world.kube.resource_for(document["apiVersion"], document["kind"])
        await world.kube.apply(resource, document, field_manager="platform")
    data = {"username": "reader", "password": "r-pass", "ca.crt": world.git.ca_pem.decode()}
    await world.secret("git", "flux-system", **data)
    async with running(world.manager()):
        await world.until(lambda: ready(world, "tenants"), 60)
    for team in ("team-01", "team-60"):
        assert (await world.kube.get(NAMESPACES, team))["metadata"]["labels"]["fleet.example.com/tenant"] == team
        role = (await world.kube.get(ROLE_BINDINGS, "reconciler", team))["roleRef"]
        assert role["name"] == "fleet-tenant"
    apps = [each for each in (await world.kube.list(KUSTOMIZATIONS)).items if each["metadata"]["name"] == "apps"]
    assert len(apps) == 60
    assert {each["metadata"]["annotations"]["drift.inhaul.dev/mode"] for each in apps} == {"Revert"}
    repositories = (await world.kube.list(GIT_REPOSITORIES)).items
    assert len([each for each in repositories if each["metadata"]["name"] == "apps"]) == 60
