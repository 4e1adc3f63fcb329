"""Server-side apply as pure functions: ownership, conflicts, removal, lists by key."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controllers.standin.apiserver.schema.compile import compile_schema
from controllers.standin.apiserver.schema.loader import table
from controllers.standin.apiserver.ssa import managed
from controllers.standin.apiserver.ssa.fieldset import from_fields_v1, show, to_fields_v1
from controllers.standin.apiserver.ssa.typed import InvalidListError, compare, field_set, merge, remove

DEPLOYMENT = table()["apps.v1.Deployment"]
CONFIG_MAP = table()["core.v1.ConfigMap"]
CUSTOM = compile_schema(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "parts": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                    },
                    "whole": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "additionalProperties": {"type": "string"},
                    },
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
)


def by(manager: str, time: str = "2026-01-01T00:00:00Z", **more: Any) -> managed.Write:
    return managed.Write(manager, "v1", time, **more)


def config_map(data: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}}
    return body if data is None else {**body, "data": data}


def stored(applied: managed.Applied) -> dict[str, Any]:
    obj = copy.deepcopy(applied.object)
    obj["metadata"]["managedFields"] = applied.managed_fields
    return obj


def applied(*steps: tuple[str, dict[str, Any]], schema: Any = CONFIG_MAP, force: bool = False) -> dict[str, Any]:
    live: dict[str, Any] | None = None
    for manager, config in steps:
        live = stored(managed.apply(schema, live, config, by(manager), force=force))
    assert live is not None
    return live


def owners(obj: dict[str, Any]) -> dict[str, set[str]]:
    entries = obj["metadata"]["managedFields"]
    return {entry["manager"]: {show(path) for path in from_fields_v1(entry["fieldsV1"])} for entry in entries}


def test_two_appliers_of_different_fields_live_together() -> None:
    live = applied(("a", config_map({"x": "1"})), ("b", config_map({"y": "2"})))
    assert live["data"] == {"x": "1", "y": "2"}
    assert owners(live) == {"a": {".data.x"}, "b": {".data.y"}}


def test_applying_anothers_field_with_another_value_is_a_conflict_with_its_cause() -> None:
    live = applied(("a", config_map({"x": "1"})))
    with pytest.raises(managed.ConflictsError) as caught:
        managed.apply(CONFIG_MAP, live, config_map({"x": "2"}), by("b"), force=False)
    status = caught.value.status("", "configmaps", "c").body()
    assert status["code"] == 409
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "a": .data.x'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".data.x"}
    assert status["details"]["causes"] == [cause]


def test_a_forced_apply_takes_the_field_over() -> None:
    live = applied(("a", config_map({"x": "1", "z": "3"})), ("b", config_map({"x": "2"})), force=True)
    assert live["data"] == {"x": "2", "z": "3"}
    assert owners(live) == {"a": {".data.z"}, "b": {".data.x"}}


def test_the_same_value_is_shared_and_stays_until_its_last_owner_drops_it() -> None:
    both = applied(("a", config_map({"x": "1"})), ("b", config_map({"x": "1"})))
    assert owners(both) == {"a": {".data.x"}, "b": {".data.x"}}
    one = stored(managed.apply(CONFIG_MAP, both, config_map({}), by("a"), force=False))
    assert one["data"] == {"x": "1"}
    none = stored(managed.apply(CONFIG_MAP, one, config_map({}), by("b"), force=False))
    assert not none.get("data")


def test_a_field_that_its_applier_no_longer_names_is_removed() -> None:
    live = applied(("a", config_map({"x": "1", "y": "2"}, labels={"l": "1"})), ("a", config_map({"x": "1"})))
    assert live["data"] == {"x": "1"}
    assert "labels" not in live["metadata"]


def test_a_field_written_by_an_update_belongs_to_the_updater_and_conflicts() -> None:
    live = applied(("a", config_map({"x": "1"})))
    changed = copy.deepcopy(live)
    changed["data"]["x"] = "2"
    changed["metadata"]["managedFields"] = managed.update(CONFIG_MAP, live, changed, by("editor"))
    assert owners(changed) == {"editor": {".data.x"}}
    with pytest.raises(managed.ConflictsError) as caught:
        managed.apply(CONFIG_MAP, changed, config_map({"x": "1"}), by("a"), force=False)
    assert 'conflict with "editor" using v1: .data.x' in str(caught.value.status("", "configmaps", "c"))


def test_applying_the_same_again_changes_nothing_not_even_the_time() -> None:
    once = applied(("a", config_map({"x": "1"})))
    again = managed.apply(CONFIG_MAP, once, config_map({"x": "1"}), by("a", "2030-01-01T00:00:00Z"), force=False)
    assert stored(again) == once


def test_fields_that_nobody_tracked_belong_to_before_first_apply() -> None:
    live = config_map({"x": "1"}, uid="u")
    with pytest.raises(managed.ConflictsError) as caught:
        managed.apply(CONFIG_MAP, live, config_map({"x": "2"}), by("a"), force=False)
    assert '"before-first-apply"' in str(caught.value.status("", "configmaps", "c"))


def test_a_reset_with_one_empty_entry_stops_tracking() -> None:
    live = applied(("a", config_map({"x": "1"})))
    reset = copy.deepcopy(live)
    reset["metadata"]["managedFields"] = [{}]
    assert managed.update(CONFIG_MAP, live, reset, by("b")) == []
    emptied = copy.deepcopy(live)
    emptied["metadata"]["managedFields"] = []
    assert managed.update(CONFIG_MAP, live, emptied, by("b")) == []


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": list(containers)}}
    meta = {"name": "d"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": template, **spec}}


def containers(obj: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["spec"]["template"]["spec"]["containers"]
    return found


def test_containers_merge_by_name_and_a_dropped_one_goes() -> None:
    first = deployment({"name": "app", "image": "i:1"}, {"name": "side", "image": "s:1"})
    live = applied(("a", first), ("b", deployment({"name": "extra", "image": "e:1"})), schema=DEPLOYMENT)
    assert [c["name"] for c in containers(live)] == ["app", "side", "extra"]
    live = stored(managed.apply(DEPLOYMENT, live, deployment({"name": "app", "image": "i:2"}), by("a"), force=False))
    assert containers(live) == [{"name": "app", "image": "i:2"}, {"name": "extra", "image": "e:1"}]


def test_container_ports_without_protocol_are_the_tcp_ones() -> None:
    path = {show(path) for path in field_set(DEPLOYMENT, deployment({"name": "a", "ports": [{"containerPort": 80}]}))}
    assert '.spec.template.spec.containers[name="a"].ports[containerPort=80,protocol="TCP"].containerPort' in path


def test_a_field_owned_inside_an_item_keeps_the_item() -> None:
    live = applied(("a", deployment({"name": "app", "image": "i:1"})), schema=DEPLOYMENT)
    config = deployment({"name": "app", "tty": True})
    live = stored(managed.apply(DEPLOYMENT, live, config, by("b"), force=False))
    live = stored(managed.apply(DEPLOYMENT, live, deployment(), by("a"), force=False))
    assert containers(live) == [{"name": "app", "tty": True}]


def test_an_item_without_its_key_and_a_key_twice_are_refused() -> None:
    with pytest.raises(InvalidListError, match="omits all key fields"):
        field_set(CUSTOM, {"spec": {"parts": [{"value": 1}]}})
    with pytest.raises(InvalidListError, match="duplicate"):
        field_set(DEPLOYMENT, deployment({"name": "a"}, {"name": "a"}))


def custom(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}


def test_sets_merge_by_value_atomic_lists_and_maps_as_a_whole() -> None:
    live = applied(("a", custom(tags=["x"], args=["1"], whole={"p": "1"})), schema=CUSTOM)
    config = custom(tags=["y"])
    live = stored(managed.apply(CUSTOM, live, config, by("b"), force=False))
    assert live["spec"]["tags"] == ["x", "y"]
    with pytest.raises(managed.ConflictsError) as caught:
        managed.apply(CUSTOM, live, custom(args=["2"], whole={"q": "2"}), by("b"), force=False)
    assert {show(path) for path in caught.value.fields} == {".spec.args", ".spec.whole"}
    live = stored(managed.apply(CUSTOM, live, custom(args=["2"]), by("a"), force=False))
    assert live["spec"] == {"tags": ["y"], "args": ["2"]}


def test_untyped_parts_merge_by_key_with_lists_as_a_whole() -> None:
    live = applied(("a", custom(free={"p": {"x": 1}, "l": [1]})), ("b", custom(free={"p": {"y": 2}})), schema=CUSTOM)
    assert live["spec"]["free"] == {"p": {"x": 1, "y": 2}, "l": [1]}


def test_a_create_is_tracked_for_custom_types_with_its_spec_and_for_built_in_ones_without() -> None:
    entries = managed.update(CUSTOM, None, custom(args=["1"]), by("kubectl-create"))
    assert entries[0]["fieldsV1"] == {"f:spec": {".": {}, "f:args": {}}}
    built_in = managed.update(DEPLOYMENT, None, deployment(replicas=1), by("kubectl-create"))
    assert built_in[0]["fieldsV1"]["f:spec"]["f:replicas"] == {}
    assert "." not in built_in[0]["fieldsV1"]["f:spec"]


def test_more_than_ten_updaters_are_joined() -> None:
    live: dict[str, Any] = {**config_map({}), "metadata": {"name": "c"}}
    live["metadata"]["managedFields"] = managed.update(CONFIG_MAP, None, config_map({"k": "v"}), by("first"))
    live["data"] = {"k": "v"}
    for number in range(15):
        new = copy.deepcopy(live)
        new["data"][f"k{number}"] = "v"
        who = by(f"m{number}", f"2026-01-01T00:00:{number:02d}Z")
        new["metadata"]["managedFields"] = managed.update(CONFIG_MAP, live, new, who)
        live = new
    names = [entry["manager"] for entry in live["metadata"]["managedFields"]]
    assert len(names) == managed.MAX_UPDATE_MANAGERS
    assert "ancient-changes" in names
    assert "m14" in names


def test_fields_v1_survives_reading_and_writing() -> None:
    text = {"f:a": {".": {}, "f:b": {}, 'k:{"name":"x"}': {".": {}, "f:v": {}}}, "f:c": {'v:"y"': {}}}
    assert to_fields_v1(from_fields_v1(text)) == text


def test_compare_tells_added_changed_and_removed() -> None:
    found = compare(CUSTOM, custom(tags=["a", "b"], args=["1"]), custom(tags=["b", "c"], args=["2"], free={"x": 1}))
    assert {show(path) for path in found.added} == {'.spec.tags[="c"]', ".spec.free", ".spec.free.x"}
    assert {show(path) for path in found.modified} == {".spec.args"}
    assert {show(path) for path in found.removed} == {'.spec.tags[="a"]'}


def test_merge_and_remove_leave_their_arguments_alone() -> None:
    live, config = deployment({"name": "a", "image": "1"}), deployment({"name": "b", "image": "2"})
    before = copy.deepcopy((live, config))
    merged = merge(DEPLOYMENT, live, config)
    left = remove(DEPLOYMENT, merged, field_set(DEPLOYMENT, config))
    assert (live, config) == before
    assert containers(merged) == [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]
    assert containers(left) == [{"name": "a", "image": "1"}]


def test_an_emptied_map_keeps_those_who_own_the_map_itself() -> None:
    live = applied(("a", config_map({"x": "1"})), ("b", config_map({})), ("a", config_map({})))
    assert owners(live) == {"a": {".data"}, "b": {".data"}}


def test_an_applier_that_changes_nothing_has_no_time() -> None:
    live = applied(("a", config_map({"x": "1"})), ("b", config_map({"x": "1"})))
    times = {entry["manager"]: entry.get("time") for entry in live["metadata"]["managedFields"]}
    assert times == {"a": "2026-01-01T00:00:00Z", "b": None}


def test_items_that_share_a_key_are_one_field() -> None:
    before, after = {"tags": ["x", "y"]}, {"tags": ["x", "y", "y"]}
    found = compare(CUSTOM, {"spec": before}, {"spec": after})
    assert found.added == {("f:spec", "f:tags", 'v:"y"')}
    assert found.removed == {("f:spec", "f:tags", 'v:"y"')}


def test_a_required_list_is_there_before_it_is_written_so_only_its_items_are_owned() -> None:
    entries = managed.update(DEPLOYMENT, None, deployment({"name": "app", "image": "i"}), by("a"))
    owned = entries[0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert list(owned) == ['k:{"name":"app"}']


def test_the_oldest_writers_are_joined_when_there_are_more_than_ten() -> None:
    live = {**config_map({}), "metadata": {"name": "c", "uid": "u"}}
    live["metadata"]["managedFields"] = managed.update(CONFIG_MAP, None, config_map({"k0": "1"}), by("m00"))
    live["data"] = {"k0": "1"}
    for number in range(1, 12):
        new = copy.deepcopy(live)
        new["data"][f"k{number}"] = "1"
        time = f"2026-01-01T00:00:{number:02}Z"
        new["metadata"]["managedFields"] = managed.update(CONFIG_MAP, live, new, by(f"m{number:02}", time))
        live = new
    names = [entry["manager"] for entry in live["metadata"]["managedFields"]]
    assert len(names) == 10
    assert owners(live)["ancient-changes"] == {".data.k0", ".data.k1", ".data.k2"} | {".data"}
