"""A commit becomes objects, a deleted file deletes them, an edit is undone; each fault stands on its own object."""

from __future__ import annotations

from controllers.api.core import CONFIGMAPS, EVENTS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.source import GIT_REPOSITORIES
from controllers.runtime.conditions import find

from .conftest import World, configmap, running


async def test_a_commit_becomes_objects_and_a_deleted_file_deletes_them(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/a.yaml": configmap("a", "team-a", x="1"),
                                          "app/b.yaml": configmap("b", "team-a", y="1")})  # fmt: skip
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "./app")
    manager = world.manager()
    async with running(manager):
        done = await world.condition("app", "team-a", "True", "ReconciliationSucceeded")
        status = done["status"]
        assert {entry["id"] for entry in status["inventory"]["entries"]} == {
            "team-a_a__ConfigMap",
            "team-a_b__ConfigMap",
        }
        assert done["metadata"]["finalizers"] == ["finalizers.fluxcd.io"]
        assert status["lastAppliedRevision"] == f"main@sha1:{await world.git.head('fleet')}"
        assert status["history"][0]["lastReconciledStatus"] == "ReconciliationSucceeded"
        live = await world.kube.get(CONFIGMAPS, "a", "team-a")
        assert live["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "app"
        assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {"kustomize-controller"}
        source = await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
        assert source["status"]["artifact"]["metadata"]["subject"] == "Initial commit"

        commit = await world.push({"app/b.yaml": None, "app/a.yaml": configmap("a", "team-a", x="2")}, "team-a")
        done = await world.applied("app", "team-a", commit)
        assert await world.data("a", "team-a") == {"x": "2"}
        assert await world.data("b", "team-a") is None
        assert [entry["id"] for entry in done["status"]["inventory"]["entries"]] == ["team-a_a__ConfigMap"]

        scraped = manager.metrics.render().decode()
        assert 'inhaul_pruned_objects_total{namespace="team-a"} 1.0' in scraped
        for stage in ("build", "apply", "prune"):
            assert f'inhaul_stage_duration_seconds_count{{stage="{stage}"}}' in scraped
        labels = 'exported_namespace="team-a",kind="Kustomization",ready="True",reason="ReconciliationSucceeded"'
        assert f'inhaul_objects{{{labels},suspended="false"}} 1.0' in scraped

        await world.kube.patch(CONFIGMAPS, "a", "team-a", body={"data": {"x": "edited"}}, field_manager="kubectl-edit")
        await world.until(lambda: _is(world, "a", {"x": "2"}))
        note = await world.until(lambda: _event(world, "DriftReverted"))
        assert note.startswith('ConfigMap/team-a/a /data/x: Git has "2", live "edited" (kubectl-edit, Update, ')
        await world.kube.delete(CONFIGMAPS, "a", "team-a")
        await world.until(lambda: _is(world, "a", {"x": "2"}))

        await world.kube.delete(KUSTOMIZATIONS, "app", "team-a")
        await world.until(lambda: _gone(world, "app"))
        assert await world.data("a", "team-a") is None


async def _is(world: World, name: str, data: dict[str, str]) -> bool:
    return await world.data(name, "team-a") == data


async def _event(world: World, reason: str) -> str:
    """The note of an event of this reason; "" while there is none."""
    events = (await world.kube.list(EVENTS, "team-a")).items
    return next((str(event["note"]) for event in events if event["reason"] == reason), "")


async def _gone(world: World, name: str) -> bool:
    return await world.get(KUSTOMIZATIONS, name, "team-a") is None


async def test_each_fault_stands_on_its_own_object_and_the_others_go_on(world: World) -> None:
    for name in ("team-a", "team-b", "team-d"):
        await world.tenant(name)
    await world.tenant("team-c", rights=False)
    files = {"good/a.yaml": configmap("a", "team-a"), "bad/x.yaml": "kind: [", "b/a.yaml": configmap("a", "team-b"),
             "c/a.yaml": configmap("a", "team-c"), "steal/a.yaml": configmap("stolen", "team-b")}  # fmt: skip
    await world.git.create_repo("fleet", files)
    for name in ("team-a", "team-c"):
        await world.repository(name)
    await world.repository("team-b", password="wrong")
    await world.repository("team-d", repo="nowhere")
    await world.kustomization("bad", "team-a", "bad")
    await world.kustomization("missing", "team-a", "nowhere")
    await world.kustomization("steal", "team-a", "steal")
    await world.kustomization("good", "team-a", "good")
    await world.kustomization("app", "team-b", "b")
    await world.kustomization("app", "team-c", "c")
    async with running(world.manager()):
        await world.condition("good", "team-a", "True")
        bad = await world.condition("bad", "team-a", "False", "BuildFailed")
        assert "bad/x.yaml: line 2" in (find(bad["status"], "Ready") or {})["message"]
        await world.condition("missing", "team-a", "False", "ArtifactFailed")
        steal = await world.condition("steal", "team-a", "False", "ReconciliationFailed")
        message = (find(steal["status"], "Ready") or {})["message"]
        assert "ConfigMap/team-b/stolen dry-run failed (Forbidden)" in message
        assert "system:serviceaccount:team-a:default" in message
        assert await world.data("stolen", "team-b") is None
        refused = await world.condition("fleet", "team-b", "False", "AuthenticationFailed", resource=GIT_REPOSITORIES)
        assert (find(refused["status"], "FetchFailed") or {})["status"] == "True"
        await world.condition("fleet", "team-d", "False", resource=GIT_REPOSITORIES)
        await world.condition("app", "team-b", "False", "ArtifactFailed")
        await world.condition("app", "team-c", "False", "ReconciliationFailed")


async def test_kustomize_substitution_and_secrets_read_as_the_tenant(world: World) -> None:
    await world.tenant("team-a")
    files = {
        "base/kustomization.yaml": "resources: [cm.yaml]\n",
        "base/cm.yaml": configmap("settings", color="${color}", size="${size:=small}"),
        "prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\nnamespace: team-a\n",
    }
    await world.git.create_repo("fleet", files)
    await world.secret("colors", "team-a", color="blue")
    await world.repository("team-a")
    post = {"substitute": {"other": "x"}, "substituteFrom": [{"kind": "Secret", "name": "colors"}]}
    await world.kustomization("prod", "team-a", "prod", postBuild=post)
    async with running(world.manager()):
        await world.condition("prod", "team-a", "True")
        assert await world.data("prod-settings", "team-a") == {"color": "blue", "size": "small"}
        await world.kube.patch(KUSTOMIZATIONS, "prod", "team-a", body={"spec": {"postBuild": {"substituteFrom": [
            {"kind": "Secret", "name": "absent"}]}}})  # fmt: skip
        held = await world.condition("prod", "team-a", "False", "BuildFailed")
        assert "Secret team-a/absent not found" in (find(held["status"], "Ready") or {})["message"]


async def test_a_chain_of_dependencies_follows_by_events(world: World) -> None:
    await world.tenant("team-a")
    names = [f"step-{index}" for index in range(5)]
    await world.git.create_repo("fleet", {f"{name}/cm.yaml": configmap(name, "team-a") for name in names})
    for index, name in enumerate(names):
        before = [{"name": names[index - 1]}] if index else []
        await world.kustomization(name, "team-a", name, dependsOn=before, wait=True)
    await world.repository("team-a")
    async with running(world.manager()):
        await world.condition(names[-1], "team-a", "True")
        for name in names:
            await world.condition(name, "team-a", "True")


async def test_an_empty_render_deletes_nothing(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/a.yaml": configmap("a", "team-a"), "app/README": "x"})
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "app")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await world.push({"app/a.yaml": None}, "team-a")
        await world.condition("app", "team-a", "False")
        assert await world.data("a", "team-a") == {}
        assert await world.get(SECRETS, "git", "team-a") is not None


async def test_a_commit_tells_its_lead_time_and_leaves_other_paths_in_peace(world: World) -> None:
    await world.tenant("team-a")
    files = {"one/a.yaml": configmap("one", "team-a", x="1"), "two/a.yaml": configmap("two", "team-a", x="1")}
    await world.git.create_repo("fleet", files)
    await world.repository("team-a")
    for name in ("one", "two"):
        await world.kustomization(name, "team-a", name)
    manager = world.manager()
    async with running(manager):
        for name in ("one", "two"):
            await world.condition(name, "team-a", "True")
        commit = await world.push({"one/a.yaml": configmap("one", "team-a", x="2")}, "team-a")
        for name in ("one", "two"):
            await world.applied(name, "team-a", commit)

        async def told() -> list[tuple[str, str]]:
            events = (await world.kube.list(EVENTS, "team-a")).items
            found = [(each["regarding"]["name"], each["note"]) for each in events if commit in each["note"]
                     and each["regarding"]["kind"] == "Kustomization"]  # fmt: skip
            return found if any("healthy after" in note for _, note in found) else []

        notes = await world.until(told)
        assert {name for name, _ in notes} == {"one"}, "the other Kustomization has nothing to tell"
        assert any(" by " in note and "fetched after" in note and "applied after" in note for _, note in notes)
        scraped = manager.metrics.render().decode()
        assert 'inhaul_lead_time_seconds_count{namespace="team-a",phase="commit_to_healthy"} 3.0' in scraped
        assert 'inhaul_managed_objects{name="one",namespace="team-a"} 1.0' in scraped
