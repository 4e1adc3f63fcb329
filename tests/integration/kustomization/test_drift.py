"""A hand's edit is undone, held or ignored, field by field, and told with who, when and what."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import generate_latest

from controllers.api.core import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIGMAPS, DEPLOYMENTS, EVENTS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.kustomization.watch.coverage import Coverage
from controllers.kustomization.watch.owned import OwnedObjects
from controllers.runtime.conditions import find

from .conftest import World, configmap, running

MODE, HELD, RELEASE = (f"drift.inhaul.dev/{name}" for name in ("mode", "held", "release"))


def deployment(namespace: str, *, replicas: int = 2, image: str = "app:1", env: str = "a", mode: str = "") -> str:
    marks = f", annotations: {{{MODE}: {mode}}}" if mode else ""
    return f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: checkout, namespace: {namespace}{marks}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: checkout}}}}
  template:
    metadata: {{labels: {{app: checkout}}}}
    spec:
      containers:
      - name: app
        image: {image}
        env: [{{name: LEVEL, value: {env}}}, {{name: OTHER, value: b}}]
"""


async def start(world: World, files: dict[str, str], **annotations: str) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", files)
    await world.repository("team-a")
    await world.kustomization("app", "team-a", "./app")
    await annotate(world, **annotations)


async def annotate(world: World, **annotations: str | None) -> None:
    marks = {f"drift.inhaul.dev/{name}": value for name, value in annotations.items()}
    await world.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"metadata": {"annotations": marks}})


async def edit(world: World, name: str, body: Manifest, *, kind: Any = DEPLOYMENTS) -> None:
    await world.kube.patch(kind, name, "team-a", body=body, kind="strategic", field_manager="kubectl-edit")


async def live(world: World) -> Manifest:
    spec: Manifest = (await world.kube.get(DEPLOYMENTS, "checkout", "team-a"))["spec"]
    return spec


async def test_a_field_that_a_hand_changed_is_held_through_revisions_until_it_is_released(world: World) -> None:
    await start(world, {"app/a.yaml": deployment("team-a")}, mode="Alert")
    manager = world.manager()
    async with running(manager):
        await world.condition("app", "team-a", "True")
        container = {"name": "app", "env": [{"name": "LEVEL", "value": "debug"}]}
        await edit(world, "checkout", {"spec": {"replicas": 5, "template": {"spec": {"containers": [container]}}}})
        found = await world.condition("app", "team-a", "False", "DriftDetected")
        held = {each["path"]: each for each in json.loads(found["metadata"]["annotations"][HELD])}
        level = "/spec/template/spec/containers/[name=app]/env/[name=LEVEL]/value"
        assert set(held) == {"/spec/replicas", level}
        one = held["/spec/replicas"]
        assert (one["object"], one["wanted"], one["live"]) == ("team-a_checkout_apps_Deployment", "2", "5")
        assert (one["manager"], one["operation"]) == ("kubectl-edit", "Update")
        assert one["time"]
        assert one["since"]
        assert find(found["status"], "Reconciling") is None
        text = (find(found["status"], "InSync") or {})["message"]
        assert "Deployment/team-a/checkout /spec/replicas: Git has 2, live 5 (kubectl-edit, Update, " in text
        scraped = generate_latest(manager.metrics.registry).decode()
        assert 'field="/spec/replicas"' in scraped
        assert 'inhaul_drift_detected_total{action="held",name="app",namespace="team-a"} 2.0' in scraped

        commit = await world.push({"app/a.yaml": deployment("team-a", replicas=3, image="app:2")}, "team-a")

        async def newer() -> bool:
            manifest = await world.condition("app", "team-a", "False", "DriftDetected")
            return bool(manifest["status"].get("lastAppliedRevision", "").endswith(commit))

        await world.until(newer)
        spec = await live(world)
        assert spec["replicas"] == 5
        assert spec["template"]["spec"]["containers"][0]["image"] == "app:2"
        assert spec["template"]["spec"]["containers"][0]["env"][0]["value"] == "debug"

        release = json.dumps([{"object": "team-a_checkout_apps_Deployment", "path": "/spec/replicas"}])
        await annotate(world, release=release)
        await world.until(lambda: _field(world, "replicas", 3))
        assert (await live(world))["template"]["spec"]["containers"][0]["env"][0]["value"] == "debug"
        await annotate(world, release=json.dumps([{"object": "*"}]))
        done = await world.condition("app", "team-a", "True", "ReconciliationSucceeded")
        assert not {HELD, RELEASE} & done["metadata"]["annotations"].keys()
        assert (find(done["status"], "InSync") or {})["status"] == "True"
        assert (await live(world))["template"]["spec"]["containers"][0]["env"][0]["value"] == "a"


async def test_a_restart_forgets_nothing_that_is_held_and_sees_what_was_removed_meanwhile(world: World) -> None:
    files = {"app/a.yaml": configmap("a", "team-a", x="1", y="1"), "app/b.yaml": configmap("b", "team-a")}
    await start(world, files, mode="Alert")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await edit(world, "a", {"data": {"x": "2"}}, kind=CONFIGMAPS)
        await world.condition("app", "team-a", "False", "DriftDetected")
    await edit(world, "a", {"data": {"y": None}}, kind=CONFIGMAPS)
    await world.kube.delete(CONFIGMAPS, "b", "team-a")
    async with running(world.manager()):

        async def all_three() -> bool:
            found = await world.kube.get(KUSTOMIZATIONS, "app", "team-a")
            held = json.loads(found["metadata"]["annotations"][HELD])
            wanted = {
                ("team-a_a__ConfigMap", "/data/x"),
                ("team-a_a__ConfigMap", "/data/y"),
                ("team-a_b__ConfigMap", ""),
            }
            return {(each["object"], each.get("path", "")) for each in held} == wanted

        await world.until(all_three)
        assert await world.data("a", "team-a") == {"x": "2"}
        assert await world.data("b", "team-a") is None


async def test_rules_and_objects_decide_for_themselves_and_the_rest_is_reverted(world: World) -> None:
    rules = [{"mode": "Ignore", "paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}]
    files = {
        "app/a.yaml": deployment("team-a"),
        "app/b.yaml": configmap("plain", "team-a", x="1"),
        "app/c.yaml": configmap("kept", "team-a", x="1").replace(
            "{name: kept", f"{{annotations: {{{MODE}: Alert}}, name: kept"
        ),
    }
    await start(world, files, rules=json.dumps(rules))
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await edit(world, "checkout", {"spec": {"replicas": 7, "paused": True}})
        await edit(world, "plain", {"data": {"x": "2"}}, kind=CONFIGMAPS)
        await edit(world, "kept", {"data": {"x": "2"}}, kind=CONFIGMAPS)
        found = await world.condition("app", "team-a", "False", "DriftDetected")
        await world.until(lambda: _data(world, "plain", {"x": "1"}))
        assert [each["object"] for each in json.loads(found["metadata"]["annotations"][HELD])] == [
            "team-a_kept__ConfigMap"
        ]
        assert await world.data("kept", "team-a") == {"x": "2"}
        assert (await live(world))["replicas"] == 7
        notes = [each["note"] for each in (await world.kube.list(EVENTS, "team-a")).items
                 if each["reason"] == "DriftReverted"]  # fmt: skip
        assert any('ConfigMap/team-a/plain /data/x: Git has "1", live "2" (kubectl-edit' in note for note in notes)

        async def listed() -> bool:
            told = find((await world.kube.get(KUSTOMIZATIONS, "app", "team-a"))["status"], "ForeignFields") or {}
            message = told.get("message", "")
            assert "/data/x" not in message, "a field of Git's is no addition, not even while a hand holds it"
            return "/spec/paused (kubectl-edit, Update)" in message

        await world.until(listed)


async def test_values_of_secrets_are_masked_wherever_drift_is_told(world: World) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: team-a}\nstringData: {key: from-git}\n"
    await start(world, {"app/a.yaml": secret}, mode="Alert")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await edit(world, "s", {"stringData": {"key": "by-hand-9d"}}, kind=SECRETS)
        found = await world.condition("app", "team-a", "False", "DriftDetected")
        (held,) = json.loads(found["metadata"]["annotations"][HELD])
        assert (held["path"], held["wanted"], held["live"]) == ("/data/key", "***", "***")


async def test_an_object_that_a_hand_deleted_stays_away_under_alert_and_comes_back_when_released(world: World) -> None:
    await start(world, {"app/a.yaml": configmap("a", "team-a"), "app/b.yaml": configmap("b", "team-a")}, mode="Alert")
    async with running(world.manager()):
        await world.condition("app", "team-a", "True")
        await world.kube.delete(CONFIGMAPS, "a", "team-a")
        found = await world.condition("app", "team-a", "False", "DriftDetected")
        assert "ConfigMap/team-a/a the object: Git has" in (find(found["status"], "InSync") or {})["message"]
        assert await world.data("a", "team-a") is None
        await annotate(world, release=json.dumps([{"object": "team-a_a__ConfigMap"}]))
        await world.condition("app", "team-a", "True")
        assert await world.data("a", "team-a") == {}


async def test_a_policy_that_cannot_be_read_stalls_and_names_the_annotation(world: World) -> None:
    await start(world, {"app/a.yaml": configmap("a", "team-a", x="1")}, mode="Sometimes")
    async with running(world.manager()):
        found = await world.condition("app", "team-a", "False", "InvalidDriftPolicy")
        assert MODE in (find(found["status"], "Ready") or {})["message"]
        assert await world.data("a", "team-a") is None
        wrong = configmap("b", "team-a", x="1").replace("{name: b", f"{{annotations: {{{MODE}: Often}}, name: b")
        await world.push({"app/b.yaml": wrong}, "team-a")
        await annotate(world, mode=None)
        told = f"ConfigMap/team-a/b: annotation {MODE}: found 'Often', expected Revert, Alert or Ignore"
        await _refused(world, told)
        await world.push({"app/b.yaml": None}, "team-a")
        await world.condition("app", "team-a", "True")
        await edit(world, "a", {"data": {"x": "2"}, "metadata": {"annotations": {MODE: "Live"}}}, kind=CONFIGMAPS)
        await _refused(world, "ConfigMap/team-a/a: annotation")


async def _refused(world: World, text: str) -> None:
    found = await world.condition("app", "team-a", "False", "ReconciliationFailed")
    assert text in (find(found["status"], "Ready") or {})["message"]


async def _field(world: World, name: str, value: Any) -> bool:
    return bool((await live(world)).get(name) == value)


async def _data(world: World, name: str, data: dict[str, str]) -> bool:
    return await world.data(name, "team-a") == data


async def test_a_controller_that_may_not_list_a_kind_watches_as_the_tenant_and_quietly(world: World) -> None:
    await start(world, {"app/a.yaml": configmap("a", "team-a", x="1")})
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    await world.make(CLUSTER_ROLES, "narrow", "", rules=rules)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "narrow"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "narrow"}]
    await world.make(CLUSTER_ROLE_BINDINGS, "narrow", "", roleRef=reference, subjects=subjects)
    seen = _Places()
    objects = OwnedObjects(seen, on_dirty=lambda key: None, on_status=lambda key: None)
    narrow, tenant = world.kube.impersonate("narrow"), world.kube.impersonate("system:serviceaccount:team-a:default")
    wanted = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": place}}
              for place in ("team-a", "kube-system")]  # fmt: skip
    await Coverage(narrow, objects).cover(tenant, "team-a", wanted)
    assert seen.places == [("configmaps", "team-a", tenant)]
    await Coverage(world.kube, objects).cover(tenant, "team-a", wanted)
    assert seen.places[1:] == [("configmaps", "", None)]


class _Places:
    def __init__(self) -> None:
        self.places: list[tuple[str, str, Any]] = []

    def watch(self, resource: Resource, on_event: Any, *, label_selector: str = "", namespace: str = "",
              kube: Any = None) -> None:  # fmt: skip
        self.places.append((resource.plural, namespace, kube))
