"""Reading and writing over HTTP: codes, Status bodies, what the server fills in and refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from .conftest import JSON, STRATEGIC, WIDGETS, Api

MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"


def config_map(name: str = "c", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def widget(name: str = "w", **spec: Any) -> dict[str, Any]:
    meta = {"name": name}
    return {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": meta, "spec": {"size": 1, **spec}}


WIDGET = 'Widget in version "v1" cannot be handled as a Widget:'


async def test_a_create_is_201_with_what_the_server_fills_in(api: Api) -> None:
    code, made = await api.post(MAPS, config_map(a="1"))
    assert code == 201
    meta = made["metadata"]
    assert meta["namespace"] == "default"
    assert meta["uid"]
    assert int(meta["resourceVersion"]) > 0
    assert meta["managedFields"][0]["manager"] == "tester"
    assert "generation" not in meta
    code, again = await api.post(MAPS, config_map())
    assert (code, again["reason"]) == (409, "AlreadyExists")
    assert again["message"] == 'configmaps "c" already exists'


async def test_absent_objects_types_and_namespaces_are_404(api: Api) -> None:
    code, body = await api.get(f"{MAPS}/none")
    assert (code, body["reason"], body["details"]) == (404, "NotFound", {"name": "none", "kind": "configmaps"})
    code, body = await api.get("/apis/example.org/v1/nothings")
    assert (code, body["message"]) == (404, "404 page not found\n")
    code, body = await api.get("/apis/apps/v1/nothings")
    assert (code, body["message"]) == (404, "the server could not find the requested resource")
    code, body = await api.post("/api/v1/namespaces/absent/configmaps", config_map())
    assert (code, body["message"]) == (404, 'namespaces "absent" not found')


async def test_names_are_generated_and_checked(api: Api) -> None:
    code, made = await api.post(MAPS, {"metadata": {"generateName": "run-"}})
    assert code == 201
    assert made["metadata"]["name"].startswith("run-")
    code, body = await api.post(MAPS, config_map("Upper"))
    assert (code, body["reason"], body["details"]["causes"][0]["field"]) == (422, "Invalid", "metadata.name")


async def test_a_put_with_a_stale_resource_version_is_409(api: Api) -> None:
    _, made = await api.post(MAPS, config_map(a="1"))
    code, second = await api.put(f"{MAPS}/c", {**made, "data": {"a": "2"}})
    assert code == 200
    code, body = await api.put(f"{MAPS}/c", {**made, "data": {"a": "3"}})
    assert (code, body["reason"]) == (409, "Conflict")
    code, same = await api.put(f"{MAPS}/c", second)
    assert same["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_a_write_that_changes_nothing_keeps_the_resource_version(api: Api) -> None:
    _, made = await api.post(MAPS, config_map(a="1"))
    _, patched = await api.patch(f"{MAPS}/c", {"data": {"a": "1"}})
    assert patched == made


async def test_generation_follows_the_spec_alone_and_status_has_its_own_door(api: Api, widgets: str) -> None:
    _, made = await api.post(widgets, {**widget(), "status": {"x": 1}})
    assert made["metadata"]["generation"] == 1
    assert "status" not in made
    _, labelled = await api.patch(f"{widgets}/w", {"metadata": {"labels": {"a": "b"}}, "status": {"x": 1}})
    assert labelled["metadata"]["generation"] == 1
    assert "status" not in labelled
    _, status = await api.patch(f"{widgets}/w/status", {"spec": {"size": 9}, "status": {"x": 2}})
    assert (status["status"], status["spec"]["size"], status["metadata"]["generation"]) == ({"x": 2}, 1, 1)
    _, grown = await api.patch(f"{widgets}/w", {"spec": {"size": 2}})
    assert (grown["metadata"]["generation"], grown["status"]) == (2, {"x": 2})


async def test_custom_objects_are_defaulted_checked_and_pruned(api: Api, widgets: str) -> None:
    code, made = await api.post(widgets, widget(bogus=1))
    assert (code, made["spec"]) == (201, {"size": 1, "replicas": 3})
    assert api.warnings == ['299 - "unknown field \\"spec.bogus\\""']
    code, body = await api.post(widgets, widget("x", bogus=1), fieldValidation="Strict")
    assert (code, body["message"]) == (400, f'{WIDGET} strict decoding error: unknown field "spec.bogus"')
    code, body = await api.post(widgets, {**widget("x"), "spec": {"text": 1}})
    assert code == 422
    assert {cause["field"] for cause in body["details"]["causes"]} >= {"spec.size", "spec.text"}
    code, body = await api.patch(f"{widgets}/w", {"spec": {"size": 5}})
    code, body = await api.patch(f"{widgets}/w", {"spec": {"size": 4}})
    assert (code, body["details"]["causes"][0]["message"]) == (422, "Invalid value: no shrinking")


async def test_all_versions_show_the_same_object(api: Api, widgets: str) -> None:
    await api.post(widgets, widget())
    code, seen = await api.get(f"{widgets.replace('v1', 'v1beta1')}/w")
    assert (code, seen["apiVersion"]) == (200, "example.org/v1beta1")


async def test_duplicate_fields_are_named(api: Api) -> None:
    body = '{"metadata": {"name": "d"}, "data": {"a": "1", "a": "2"}}'
    code, found = await api.post(MAPS, body, fieldValidation="Strict")
    assert (code, found["message"]) == (
        400,
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a"',
    )


async def test_secrets_take_plain_text_and_keep_their_type(api: Api) -> None:
    code, made = await api.post(SECRETS, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert (made["data"], made["type"], "stringData" in made) == ({"k": "dg=="}, "Opaque", False)
    code, body = await api.patch(f"{SECRETS}/s", {"type": "other"})
    assert (code, body["details"]["causes"][0]["field"]) == (422, "type")
    await api.patch(f"{SECRETS}/s", {"immutable": True})
    code, body = await api.patch(f"{SECRETS}/s", {"data": {"k": "eA=="}})
    assert (code, body["details"]["causes"][0]["reason"]) == (422, "FieldValueForbidden")
    code, body = await api.post(SECRETS, {"metadata": {"name": "t"}, "data": {"k": "%"}})
    assert code == 400


async def test_dry_run_stores_nothing(api: Api, widgets: str) -> None:
    for call in (api.post(MAPS, config_map(), dryRun="All"), api.apply(f"{MAPS}/c", config_map(), dryRun="All")):
        code, made = await call
        assert (code, made["metadata"]["name"]) == (201, "c")
        assert (await api.get(f"{MAPS}/c"))[0] == 404
    await api.post(MAPS, config_map(a="1"))
    _, patched = await api.patch(f"{MAPS}/c", {"data": {"a": "2"}}, dryRun="All")
    assert patched["data"] == {"a": "2"}
    assert (await api.delete(f"{MAPS}/c", dryRun="All"))[0] == 200
    _, left = await api.get(f"{MAPS}/c")
    assert left["data"] == {"a": "1"}


async def test_finalizers_hold_an_object_until_they_are_gone(api: Api) -> None:
    await api.post(MAPS, {"metadata": {"name": "f", "finalizers": ["example.org/hold"]}})
    code, marked = await api.delete(f"{MAPS}/f")
    assert (code, bool(marked["metadata"]["deletionTimestamp"])) == (200, True)
    code, body = await api.patch(f"{MAPS}/f", {"metadata": {"finalizers": ["example.org/hold", "example.org/new"]}})
    assert (code, body["reason"]) == (422, "Invalid")
    code, _ = await api.patch(f"{MAPS}/f", {"metadata": {"finalizers": None}})
    assert code == 200
    assert (await api.get(f"{MAPS}/f"))[0] == 404


async def test_delete_keeps_to_its_preconditions(api: Api) -> None:
    _, made = await api.post(MAPS, config_map())
    code, body = await api.delete(f"{MAPS}/c", {"preconditions": {"uid": "other"}})
    assert (code, body["reason"]) == (409, "Conflict")
    code, body = await api.delete(f"{MAPS}/c", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (code, body["status"], body["details"]["uid"]) == (200, "Success", made["metadata"]["uid"])


async def test_deletecollection_deletes_what_is_selected(api: Api) -> None:
    for name, label in (("a", "x"), ("b", "y")):
        await api.post(MAPS, {"metadata": {"name": name, "labels": {"l": label}}})
    code, body = await api.delete(MAPS, labelSelector="l=x")
    assert (code, [item["metadata"]["name"] for item in body["items"]]) == (200, ["a"])
    assert (await api.get(f"{MAPS}/b"))[0] == 200


async def test_the_patches_keep_to_their_types(api: Api, widgets: str) -> None:
    await api.post(MAPS, config_map(a="1"))
    code, body = await api.patch(f"{MAPS}/c", [{"op": "test", "path": "/data/a", "value": "2"}], JSON)
    assert (code, body["reason"]) == (422, "Invalid")
    _, body = await api.patch(f"{MAPS}/c", [{"op": "add", "path": "/data/b", "value": "2"}], JSON)
    assert body["data"] == {"a": "1", "b": "2"}
    await api.post(widgets, widget())
    assert (await api.patch(f"{widgets}/w", {}, STRATEGIC))[0] == 415
    assert (await api.patch(f"{widgets}/w", {}, "text/plain"))[0] == 415
    code, body = await api.patch(f"{MAPS}/c", {"metadata": {"resourceVersion": "1"}, "data": {"a": "9"}})
    assert (code, body["reason"]) == (409, "Conflict")


async def test_scale_is_a_view_of_the_replicas(api: Api, widgets: str) -> None:
    await api.post(widgets, widget())
    _, scale = await api.get(f"{widgets}/w/scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 3)
    _, scale = await api.patch(f"{widgets}/w/scale", {"spec": {"replicas": 5}})
    assert scale["spec"]["replicas"] == 5
    assert (await api.get(f"{widgets}/w"))[1]["spec"]["replicas"] == 5


async def test_a_crd_is_served_at_once_and_takes_its_objects_along(api: Api, widgets: str) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    _, crd = await api.get(f"{crds}/widgets.example.org")
    conditions = {item["type"]: item["status"] for item in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    await api.post(widgets, {**widget(), "metadata": {"name": "w", "finalizers": ["example.org/hold"]}})
    _, body = await api.delete(f"{crds}/widgets.example.org")
    assert body["metadata"]["deletionTimestamp"]
    assert (await api.post(widgets, widget("late")))[0] == 405
    await api.patch(f"{widgets}/w", {"metadata": {"finalizers": None}})
    assert (await api.get(f"{crds}/widgets.example.org"))[0] == 404
    assert (await api.get(widgets))[0] == 404


async def test_a_crd_that_cannot_be_served_is_refused(api: Api) -> None:
    broken = {**WIDGETS, "metadata": {"name": "wrong.example.org"}}
    code, body = await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", broken)
    assert (code, body["details"]["causes"][0]["field"]) == (422, "metadata.name")


async def test_events_are_one_set_in_two_wordings(api: Api) -> None:
    event = {
        "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "note": "hello",
        "reason": "R",
        "action": "A",
        "type": "Normal",
        "reportingController": "c",
        "reportingInstance": "i",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    }
    code, made = await api.post("/apis/events.k8s.io/v1/namespaces/default/events", event)
    assert (code, made["note"]) == (201, "hello")
    _, listed = await api.get("/api/v1/events", fieldSelector="involvedObject.name=p,reason=R")
    assert [item["message"] for item in listed["items"]] == ["hello"]


async def test_hostile_bodies_are_refused_and_the_server_goes_on(api: Api) -> None:
    deep = "[" * 100_000
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
        f"{name}: &{name} [{','.join(['*' + before] * 9)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert (await api.post(MAPS, deep))[0] == 400
    assert (await api.post(MAPS, "[]"))[0] == 400
    assert (await api.post(MAPS, "{" + "\x00"))[0] == 400
    assert (await api.post(MAPS, {"metadata": []}))[0] == 400
    assert (await api.post(MAPS, {"metadata": {"name": "x", "labels": {"a": {"b": 1}}}}))[0] == 400
    assert (await api.call("POST", MAPS, bomb, "application/yaml"))[0] == 400
    assert (await api.post(MAPS, '{"data": "' + "x" * (4 * 1024 * 1024) + '"}'))[0] == 413
    assert (await api.get(MAPS, limit="x"))[0] == 400
    assert (await api.get(MAPS))[0] == 200


async def test_writes_at_the_same_time_do_not_lose_each_other(api: Api) -> None:
    await api.post(MAPS, config_map())
    patches = (api.patch(f"{MAPS}/c", {"data": {f"k{number}": "v"}}) for number in range(40))
    assert all(code == 200 for code, _ in await asyncio.gather(*patches))
    _, found = await api.get(f"{MAPS}/c")
    assert len(found["data"]) == 40


async def test_a_namespace_goes_when_its_own_finalizers_are_gone(api: Api) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
    _, marked = await api.delete("/api/v1/namespaces/n")
    assert (marked["status"]["phase"], marked["spec"]["finalizers"]) == ("Terminating", ["kubernetes"])
    code, body = await api.post("/api/v1/namespaces/n/configmaps", config_map())
    assert (code, body["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    code, kept = await api.put("/api/v1/namespaces/n", {**marked, "spec": {"finalizers": []}})
    assert kept["spec"]["finalizers"] == ["kubernetes"]
    await api.put("/api/v1/namespaces/n/finalize", {**marked, "spec": {"finalizers": []}})
    assert (await api.get("/api/v1/namespaces/n"))[0] == 404
