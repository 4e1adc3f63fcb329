"""The three patches and the two selectors, values in, values out."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.standin.apiserver.schema.loader import table
from controllers.standin.apiserver.serve.selectors import Selector
from controllers.standin.apiserver.status_errors import StatusError
from controllers.standin.apiserver.write.patch import json_patch, merge_patch
from controllers.standin.apiserver.write.strategic import strategic_merge

POD_SPEC = table()["core.v1.PodSpec"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_a_merge_patch_twice_is_the_same_as_once_and_changes_no_argument(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert (target, patch) == before


def test_a_merge_patch_removes_with_null_and_replaces_lists() -> None:
    assert merge_patch({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None}, "l": [2]}) == {"a": {"c": 2}, "l": [2]}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/l/-", "value": 3}], {"l": [1, 2, 3], "m": {"a/b": 1}}),
        ([{"op": "add", "path": "/l/0", "value": 0}], {"l": [0, 1, 2], "m": {"a/b": 1}}),
        ([{"op": "remove", "path": "/m/a~1b"}], {"l": [1, 2], "m": {}}),
        ([{"op": "replace", "path": "/l/1", "value": 9}], {"l": [1, 9], "m": {"a/b": 1}}),
        ([{"op": "move", "from": "/l/0", "path": "/x"}], {"l": [2], "m": {"a/b": 1}, "x": 1}),
        ([{"op": "copy", "from": "/l", "path": "/x"}], {"l": [1, 2], "m": {"a/b": 1}, "x": [1, 2]}),
        ([{"op": "test", "path": "/l", "value": [1, 2]}], {"l": [1, 2], "m": {"a/b": 1}}),
        ([{"op": "test", "path": "/absent", "value": None}], {"l": [1, 2], "m": {"a/b": 1}}),
    ],
)
def test_json_patch_operations(operations: list[Any], expected: Any) -> None:
    target = {"l": [1, 2], "m": {"a/b": 1}}
    assert json_patch(target, operations) == expected
    assert target == {"l": [1, 2], "m": {"a/b": 1}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/l", "value": 1},
        {"op": "test", "path": "/t", "value": 1},
        {"op": "remove", "path": "/absent"},
        {"op": "replace", "path": "/absent/x", "value": 1},
        {"op": "add", "path": "/l/7", "value": 1},
        {"op": "add", "path": "/absent/x", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "fly", "path": "/l"},
        {"op": "add", "path": "no-slash", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_apply_is_422(operation: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as caught:
        json_patch({"l": [], "t": True}, [operation])
    assert caught.value.code == 422


def test_strategic_merge_sets_one_containers_image_by_name() -> None:
    target = {"containers": [{"name": "a", "image": "1", "tty": True}, {"name": "b", "image": "1"}]}
    found = strategic_merge(POD_SPEC, target, {"containers": [{"name": "b", "image": "2"}]})
    assert found == {"containers": [{"name": "a", "image": "1", "tty": True}, {"name": "b", "image": "2"}]}


def test_strategic_merge_directives() -> None:
    target = {
        "containers": [{"name": "a"}, {"name": "b"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "nodeSelector": {"x": "1", "y": "2"},
    }
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        "containers": [{"name": "b", "$patch": "delete"}, {"name": "c"}],
        "volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}],
        "nodeSelector": {"x": None, "z": "3"},
    }
    assert strategic_merge(POD_SPEC, target, patch) == {
        "containers": [{"name": "c"}, {"name": "a"}],
        "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
        "nodeSelector": {"y": "2", "z": "3"},
    }


def test_strategic_merge_of_sets_and_their_deletions() -> None:
    meta = table()["meta.v1.ObjectMeta"]
    target = {"finalizers": ["a", "b"]}
    assert strategic_merge(meta, target, {"finalizers": ["c"]}) == {"finalizers": ["c", "a", "b"]}
    assert strategic_merge(meta, target, {"$deleteFromPrimitiveList/finalizers": ["a"]}) == {"finalizers": ["b"]}
    assert strategic_merge(meta, target, {"finalizers": None}) == {}


def test_strategic_merge_replaces_where_told() -> None:
    target = {"containers": [{"name": "a"}], "nodeSelector": {"x": "1"}}
    patch = {"containers": [{"$patch": "replace"}, {"name": "z"}], "nodeSelector": {"$patch": "replace", "y": "2"}}
    assert strategic_merge(POD_SPEC, target, patch) == {"containers": [{"name": "z"}], "nodeSelector": {"y": "2"}}


def selected(labels: str = "", fields: str = "", key: tuple[str, str] = ("", "secrets"), **obj: Any) -> bool:
    body = {"metadata": {"name": "n", "namespace": "ns", "labels": {"a": "1", "app.io/b": "x"}}, **obj}
    return Selector(labels, fields, key).matches(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("a=1", True),
        ("a==1,app.io/b=x", True),
        ("a!=1", False),
        ("c!=1", True),
        ("a in (1, 2)", True),
        ("a notin (1,2)", False),
        ("c notin (1)", True),
        ("a", True),
        ("!a", False),
        ("!c", True),
        ("a=1,!c,app.io/b in (x,y)", True),
        ("a>0", True),
        ("a<1", False),
    ],
)
def test_label_selectors(text: str, expected: bool) -> None:
    assert selected(text) is expected


@pytest.mark.parametrize("text", ["a=1 b", "=x", "a in (1", "a in 1", "a=b c,d", "-a", "a>x"])
def test_a_broken_label_selector_is_400(text: str) -> None:
    with pytest.raises(StatusError) as caught:
        selected(text)
    assert caught.value.code == 400


def test_field_selectors() -> None:
    assert selected(fields="metadata.name=n,type=Opaque", type="Opaque")
    assert not selected(fields="metadata.name!=n")
    event: dict[str, Any] = {"involvedObject": {"kind": "Pod", "name": "p"}}
    assert selected(fields="involvedObject.kind=Pod,involvedObject.name=p", key=("", "events"), **event)
    with pytest.raises(StatusError, match=r"field label not supported: spec\.x"):
        selected(fields="spec.x=1")
