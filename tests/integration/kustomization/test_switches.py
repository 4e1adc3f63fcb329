"""Labels and annotations that switch off part of what happens to an object, in Git and on the live object."""

from __future__ import annotations

import pytest

from controllers.api.core import CONFIGMAPS
from controllers.api.kustomize import KUSTOMIZATIONS

from .conftest import World, running

GROUP = "kustomize.toolkit.fluxcd.io"


def configmap(name: str, field: str = "", switch: str = "", *, x: str = "1", immutable: bool = False) -> str:
    marks = f", {field}: {{{GROUP}/{switch}}}" if field else ""
    more = "immutable: true\n" if immutable else ""
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: team-a{marks}}}\n{more}"
        f"data: {{x: '{x}'}}\n"
    )


def files(field: str, x: str) -> dict[str, str | bytes | None]:
    return {
        "app/disabled.yaml": configmap("disabled", field, "reconcile: disabled", x=x),
        "app/once.yaml": configmap("once", field, "ssa: IfNotPresent", x=x),
        "app/forced.yaml": configmap("forced", field, "force: enabled", x=x, immutable=True),
        "app/later.yaml": configmap("later", x=x),
        "app/plain.yaml": configmap("plain", x=x),
    }


@pytest.mark.parametrize("field", ["labels", "annotations"])
async def test_switches_hold_in_git_and_on_the_live_object(world: World, field: str) -> None:
    await world.tenant("team-a")
    kept = {"app/kept.yaml": configmap("kept", field, "prune: disabled"), "app/gone.yaml": configmap("gone")}
    await world.git.create_repo("fleet", {**files(field, "1"), **kept})
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "./app")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        assert await world.data("disabled", "team-a") is None
        forced = await world.kube.get(CONFIGMAPS, "forced", "team-a")
        body = {"metadata": {field: {f"{GROUP}/reconcile": "disabled"}}}
        await world.kube.patch(CONFIGMAPS, "later", "team-a", body=body, field_manager="kubectl-label")

        commit = await world.push({**files(field, "2"), "app/kept.yaml": None, "app/gone.yaml": None}, "team-a")
        done = await world.applied("app", "team-a", commit)
        found = {
            name: await world.data(name, "team-a") for name in ("once", "forced", "later", "plain", "kept", "gone")
        }
        assert found == {"once": {"x": "1"}, "forced": {"x": "2"}, "later": {"x": "1"}, "plain": {"x": "2"},
                         "kept": {"x": "1"}, "gone": None}  # fmt: skip
        assert (await world.kube.get(CONFIGMAPS, "forced", "team-a"))["metadata"]["uid"] != forced["metadata"]["uid"]
        assert not any("kept" in entry["id"] for entry in done["status"]["inventory"]["entries"])

        await world.kube.delete(KUSTOMIZATIONS, "app", "team-a")

        async def finalized() -> bool:
            return await world.get(KUSTOMIZATIONS, "app", "team-a") is None

        await world.until(finalized)
        left = {name for name in ("once", "forced", "later", "plain", "kept") if await world.data(name, "team-a")}
        assert left == {"later", "kept"}
