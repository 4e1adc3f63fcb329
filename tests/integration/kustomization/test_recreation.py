"""`force`: whatever only recreation gets past is recreated, and nothing is deleted that could not be created again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS, ROLE_BINDINGS
from controllers.cli import main
from controllers.kustomization.apply.apply import Applier, ApplyError
from controllers.kustomization.apply.recreate import asks_for_recreation, would_be_created
from controllers.runtime.cli.command import DIFFERENT, FAILED
from controllers.runtime.kube import ApiError
from controllers.runtime.kube.errors import error_from_status

from .conftest import World

RBAC = "rbac.authorization.k8s.io"


def binding(role: str, name: str = "readers") -> dict[str, Any]:
    return {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": "team-a"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role}, "subjects": []}  # fmt: skip


def frozen(text: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "frozen", "namespace": "team-a"},
            "immutable": True, "data": {"x": text}, **more}  # fmt: skip


async def test_a_role_binding_to_another_role_is_recreated_where_it_is_forced(world: World) -> None:
    await world.tenant("team-a")
    await Applier(world.kube).run([binding("one")])
    before = await world.kube.get(ROLE_BINDINGS, "readers", "team-a")
    with pytest.raises(ApplyError, match="RoleBinding/team-a/readers"):
        await Applier(world.kube).run([binding("two")])
    (done,) = await Applier(world.kube, force=True).run([binding("two")])
    after = await world.kube.get(ROLE_BINDINGS, "readers", "team-a")
    assert done.action == "recreated" and after["roleRef"]["name"] == "two"
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert {each["metadata"]["name"] for each in (await world.kube.list(ROLE_BINDINGS, "team-a")).items} >= {"readers"}


async def test_what_could_not_be_created_again_is_not_deleted(world: World) -> None:
    await world.tenant("team-a")
    await Applier(world.kube).run([frozen("1")])
    before = await world.kube.get(CONFIGMAPS, "frozen", "team-a")
    invalid = frozen("2", binaryData={"not a key!": "AA=="})
    with pytest.raises(ApplyError, match="ConfigMap/team-a/frozen"):
        await Applier(world.kube, force=True).run([invalid])
    assert (await world.kube.get(CONFIGMAPS, "frozen", "team-a"))["metadata"]["uid"] == before["metadata"]["uid"]
    (done,) = await Applier(world.kube, force=True).run([frozen("2")])
    assert done.action == "recreated" and await world.data("frozen", "team-a") == {"x": "2"}


def refusal(status: int, reason: str, message: str = "no") -> ApiError:
    return error_from_status({"reason": reason, "message": message}, status)


@pytest.mark.parametrize(
    ("error", "asks"),
    [
        (refusal(422, "Invalid"), True),
        (refusal(409, "Conflict"), True),
        (refusal(409, "AlreadyExists"), False),
        (refusal(403, "Forbidden"), False),
        (refusal(403, "Forbidden", "admission webhook denied: spec.x is immutable"), True),
        (refusal(400, "BadRequest", f"{'x' * 30_000} field is immutable"), True),
        (refusal(500, "InternalError", "field is immutable"), False),
    ],
)
def test_which_refusals_recreation_may_get_past(error: ApiError, asks: bool) -> None:
    assert asks_for_recreation(error) is asks


async def test_a_trial_leaves_nothing_behind(world: World) -> None:
    await world.tenant("team-a")
    names = [each["metadata"]["name"] for each in (await world.kube.list(CONFIGMAPS, "team-a")).items]
    ok = await would_be_created(world.kube.dry_run(), CONFIGMAPS, frozen("1"), refusal(422, "Invalid"), manager="m")
    assert ok and names == [each["metadata"]["name"] for each in (await world.kube.list(CONFIGMAPS, "team-a")).items]


async def test_a_plan_tells_what_would_be_recreated(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    await world.tenant("team-a")
    await Applier(world.kube).run([binding("one")])
    source = world.directory / "source"
    source.mkdir()
    (source / "rb.yaml").write_text(json.dumps(binding("two")))
    words = ["plan", str(source), "--kubeconfig", str(world.directory / "kubeconfig"), "-n", "team-a"]
    assert await asyncio.to_thread(main, words) == FAILED
    assert "RoleBinding/team-a/readers" in capsys.readouterr().out
    for name, force in (("gentle", False), ("forced", True)):
        await world.kustomization(name, "team-a", "./", force=force, prune=False)
    assert await asyncio.to_thread(main, [*words, "--kustomization", "gentle"]) == FAILED
    assert await asyncio.to_thread(main, [*words, "--kustomization", "forced"]) == DIFFERENT
    out = capsys.readouterr().out
    assert "~ RoleBinding/team-a/readers recreate (the update is refused for roleRef)" in out, out
    assert "1 to recreate" in out
