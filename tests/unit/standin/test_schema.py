"""Structural schemas: pruning, defaults, and the causes that a wrong object is refused with."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.standin.apiserver.schema import wire
from controllers.standin.apiserver.schema.cel import rule_causes
from controllers.standin.apiserver.schema.compile import compile_schema
from controllers.standin.apiserver.schema.decode import decode_error
from controllers.standin.apiserver.schema.loader import table
from controllers.standin.apiserver.schema.prune import apply_defaults, drop_empty, drop_forbidden_nulls, prune
from controllers.standin.apiserver.schema.validate import validate
from controllers.standin.apiserver.status_errors import Cause, StatusError


def schema(**properties: Any) -> Any:
    return compile_schema({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


def causes(value: dict[str, Any], **properties: Any) -> list[tuple[str, str, str]]:
    found = validate(schema(**properties), {"spec": value})
    return [(cause.reason, cause.field, cause.message) for cause in found]


def test_unknown_fields_go_and_are_named() -> None:
    node = schema(
        a={"type": "object", "properties": {"b": {"type": "string"}}},
        free={"x-kubernetes-preserve-unknown-fields": True},
    )
    obj = {
        "spec": {"a": {"b": "1", "c": 2}, "d": 3, "free": {"x": {"y": 1}}},
        "extra": 1,
        "metadata": {"name": "n", "bad": 1},
    }
    assert prune(node, obj) == ["spec.a.c", "spec.d", "extra", "metadata.bad"]
    assert obj == {"spec": {"a": {"b": "1"}, "free": {"x": {"y": 1}}}, "metadata": {"name": "n"}}


def test_embedded_resources_keep_their_head() -> None:
    node = schema(t={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {}})
    obj = {"spec": {"t": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}, "data": 1}}}
    assert prune(node, obj) == ["spec.t.data"]
    assert obj["spec"]["t"]["metadata"] == {"name": "n"}


def test_defaults_fill_from_the_outside_in_and_are_never_shared() -> None:
    node = schema(
        a={
            "type": "object",
            "default": {},
            "properties": {"b": {"type": "array", "items": {"type": "string"}, "default": ["x"]}},
        }
    )
    one: dict[str, Any] = {"spec": {}}
    two: dict[str, Any] = {"spec": {"a": None}}
    apply_defaults(node, one)
    apply_defaults(node, two)
    assert one == two == {"spec": {"a": {"b": ["x"]}}}
    one["spec"]["a"]["b"].append("y")
    assert two["spec"]["a"]["b"] == ["x"]


def test_a_wrong_type_is_named_with_its_path() -> None:
    assert causes({"size": "x"}, size={"type": "integer"}) == [
        (
            "FieldValueTypeInvalid",
            "spec.size",
            'Invalid value: "string": spec.size in body must be of type integer: "string"',
        )
    ]
    assert causes({"size": True}, size={"type": "integer"})[0][0] == "FieldValueTypeInvalid"
    assert causes({"size": 2.0}, size={"type": "integer"}) == []


def test_null_is_refused_unless_nullable() -> None:
    assert causes({"a": None}, a={"type": "string"})[0][2].endswith('must be of type string: "null"')
    assert causes({"a": None}, a={"type": "string", "nullable": True}) == []


@pytest.mark.parametrize(
    ("rule", "value", "reason", "text"),
    [
        ({"type": "integer", "minimum": 1}, 0, "FieldValueInvalid", "should be greater than or equal to 1"),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            "FieldValueInvalid",
            "should be greater than 1",
        ),
        ({"type": "number", "maximum": 5}, 5.5, "FieldValueInvalid", "should be less than or equal to 5"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "FieldValueNotSupported", 'supported values: "a", "b"'),
        ({"type": "string", "pattern": "^x+$"}, "y", "FieldValueInvalid", "should match '^x+$'"),
        ({"type": "string", "minLength": 2}, "é", "FieldValueInvalid", "should be at least 2 chars long"),
        ({"type": "string", "maxLength": 2}, "abc", "FieldValueTooLong", "Too long"),
        ({"type": "string", "format": "date-time"}, "soon", "FieldValueTypeInvalid", "must be of type date-time"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [], "FieldValueInvalid", "at least 1 items"),
        (
            {"type": "array", "items": {"type": "string"}, "maxItems": 1},
            ["a", "b"],
            "FieldValueTooMany",
            "at most 1 item",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            {},
            "FieldValueInvalid",
            "at least 1 properties",
        ),
        ({"x-kubernetes-int-or-string": True}, 1.5, "FieldValueTypeInvalid", "integer,string"),
        ({"type": "number", "multipleOf": 0.1}, 0.25, "FieldValueInvalid", "multiple of 0.1"),
    ],
)
def test_constraints_are_refused_with_their_reason(rule: dict[str, Any], value: Any, reason: str, text: str) -> None:
    (found,) = causes({"f": value}, f=rule)
    assert found[0] == reason
    assert found[1] == "spec.f"
    assert text in found[2]


def test_a_pattern_is_searched_and_runs_in_linear_time() -> None:
    assert causes({"f": "axb"}, f={"type": "string", "pattern": "x"}) == []
    assert causes({"f": "a" * 5000 + "!"}, f={"type": "string", "pattern": "^(a+)+$"})


def test_required_fields_and_items_are_named_by_path() -> None:
    item = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    found = causes({"l": [{"name": "a"}, {}]}, l={"type": "array", "items": item})
    assert found == [("FieldValueRequired", "spec.l[1].name", "Required value")]


def test_lists_by_key_and_sets_hold_nothing_twice() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string"}}}
    by_key = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    found = causes({"l": [{"name": "a"}, {"name": "a"}]}, l=by_key)
    assert found == [("FieldValueDuplicate", "spec.l[1]", 'Duplicate value: {"name":"a"}')]
    as_set = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    assert causes({"l": ["a", "b", "a"]}, l=as_set)[0][1] == "spec.l[2]"


def test_one_of_any_of_not() -> None:
    rule = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    one = {**rule, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert causes({"f": {"a": "1"}}, f=one) == []
    assert "one and only one" in causes({"f": {"a": "1", "b": "2"}}, f=one)[0][2]
    assert causes({"f": {"a": "1"}}, f={**rule, "not": {"required": ["a"]}})[0][0] == "FieldValueInvalid"


def rules(*listed: dict[str, str], **more: Any) -> Any:
    size = {"type": "integer"}
    spec = {
        "type": "object",
        "properties": {"size": size, "namespace": {"type": "string"}},
        "x-kubernetes-validations": list(listed),
    }
    return compile_schema({"type": "object", "properties": {"spec": {**spec, **more}}})


def test_cel_rules_speak_with_their_message_and_see_the_old_object() -> None:
    node = rules({"rule": "self.size > 1", "message": "too small"}, {"rule": "self.size >= oldSelf.size"})
    assert rule_causes(node, {"spec": {"size": 2}}, None, blocked=()) == []
    (small,) = rule_causes(node, {"spec": {"size": 1}}, None, blocked=())
    assert (small.field, small.message) == ("spec", "Invalid value: too small")
    (shrunk,) = rule_causes(node, {"spec": {"size": 2}}, {"spec": {"size": 3}}, blocked=())
    assert shrunk.message.endswith("failed rule: self.size >= oldSelf.size")


def test_cel_sees_reserved_names_escaped_and_message_expressions() -> None:
    node = rules({"rule": "self.__namespace__ == 'a'", "messageExpression": "'found ' + self.__namespace__"})
    (found,) = rule_causes(node, {"spec": {"namespace": "b"}}, None, blocked=())
    assert found.message == "Invalid value: found b"


def test_cel_is_not_asked_about_an_object_that_is_wrong_already() -> None:
    node = rules({"rule": "self.size > 1"})
    (found,) = rule_causes(
        node, {"spec": {}}, None, blocked=[Cause("FieldValueRequired", "Required value", "spec.size")]
    )
    assert "not checked" in found.message


def test_built_in_types_refuse_what_a_decoder_would() -> None:
    deployment = table()["apps.v1.Deployment"]
    assert decode_error(deployment, {"spec": {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": "1"}}}}) == ""
    assert "spec.replicas" in decode_error(deployment, {"spec": {"replicas": "1"}})
    assert "metadata.labels.a" in decode_error(deployment, {"metadata": {"labels": {"a": 1}}})
    limits = {"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]}}}}
    assert decode_error(deployment, limits) == ""


# --- protobuf ---------------------------------------------------------------------------------------------------------


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def message(version: str, kind: str, body: bytes) -> bytes:
    return wire.MAGIC + field(1, field(1, version.encode()) + field(2, kind.encode())) + field(2, body)


def test_a_protobuf_secret_is_read_and_zeros_dropped() -> None:
    head = field(1, b"s") + field(2, b"") + field(8, b"")
    body = field(1, head) + field(2, field(1, b"k") + field(2, b"v")) + field(3, b"Opaque") + field(5, 0)
    found = wire.decode(message("v1", "Secret", body))
    assert found["metadata"] == {"name": "s"}
    assert found["data"] == {"k": "dg=="}
    assert found["type"] == "Opaque"


@pytest.mark.parametrize("cut", range(4, 40, 3))
def test_damaged_protobuf_is_refused_and_never_crashes(cut: int) -> None:
    whole = message("v1", "Secret", field(1, field(1, b"a-long-name-of-a-secret")) + field(3, b"Opaque"))
    try:
        wire.decode(whole[:cut])
    except StatusError as error:
        assert error.code in (400, 415)


def test_nulls_that_a_custom_field_may_not_hold_are_dropped_and_others_stay() -> None:
    node = compile_schema(
        {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string", "nullable": True}},
                    "additionalProperties": False,
                },
            },
        }
    )
    obj: dict[str, Any] = {"spec": {"a": None, "b": None}}
    drop_forbidden_nulls(node, obj)
    assert obj == {"spec": {"b": None}}


def test_zero_scalars_go_where_a_typed_object_leaves_them_out() -> None:
    container: dict[str, Any] = {"name": "", "env": [{"name": "A", "value": ""}], "tty": False, "ports": []}
    drop_empty(table()["core.v1.Container"], container)
    assert container == {"name": "", "env": [{"name": "A"}]}
