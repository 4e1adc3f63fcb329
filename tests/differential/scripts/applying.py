"""Server-side apply: ownership, conflicts, force, removal, kinds of lists, other writers' managedFields."""

from __future__ import annotations

from typing import Any

from ..script import apply, delete, get, jsonpatch, merge, post, put, script
from .objects import CONFIGS, TEMPLATES, config, template

ONE, WEB = f"{CONFIGS}/one", f"{TEMPLATES}/web"


def owned(data: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return config("one", data, **meta)


def containers(*items: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return template("web", *items, **spec)


def only(*items: dict[str, Any]) -> dict[str, Any]:
    inner = {"spec": {"containers": list(items)}}
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "web"}, "template": inner}


SCRIPTS = (
    script(
        "apply",
        apply(ONE, owned({"a": "1", "b": "1"})),
        apply(ONE, owned({"a": "1", "b": "1"})),
        apply(ONE, owned({"a": "2"})),
        apply(ONE, owned({"a": "3"}), "bob"),
        apply(ONE, owned({"a": "2"}), "bob"),
        apply(ONE, owned({"c": "1"}), "bob"),
        apply(ONE, owned({"a": "3", "c": "1"}), "bob", query={"force": "true"}),
        apply(ONE, owned({"a": "4"})),
        apply(ONE, owned({})),
        apply(ONE, owned({}), "bob"),
        get(ONE),
        delete(ONE),
    ),
    script(
        "apply-and-update",
        post(CONFIGS, owned({"a": "1", "b": "1"}), query={"fieldManager": "maker"}),
        apply(ONE, owned({"a": "1"})),
        apply(ONE, owned({"b": "2"})),
        apply(ONE, owned({"b": "2"}), query={"force": "true"}),
        merge(ONE, {"data": {"b": "3"}}, query={"fieldManager": "patcher"}),
        apply(ONE, owned({"b": "4"})),
        put(ONE, owned({"b": "5", "n": "1"}), query={"fieldManager": "putter"}),
        jsonpatch(ONE, [{"op": "remove", "path": "/data/n"}], query={"fieldManager": "patcher"}),
        merge(ONE, {"metadata": {"managedFields": [{}]}}),
        apply(ONE, owned({"b": "6"}), query={"force": "true"}),
        merge(ONE, {"metadata": {"managedFields": None}}),
        merge(ONE, {"data": {"z": "1"}}, query={"fieldManager": "late"}),
        merge(ONE, {"metadata": {"managedFields": []}}),
        merge(ONE, {"data": {"z": "2"}}, query={"fieldManager": "later"}),
        apply(ONE, owned({"z": "2"})),
        merge(ONE, {"metadata": {"managedFields": []}}),
        put(ONE, owned({"b": "7"}), query={"fieldManager": "putter"}),
        get(ONE),
    ),
    script(
        "apply-refused",
        apply(ONE, {"kind": "ConfigMap", "metadata": {"name": "one"}}),
        apply(ONE, {"apiVersion": "v1", "metadata": {"name": "one"}}),
        apply(ONE, {**owned({}), "metadata": {"name": "two"}}),
        apply(ONE, {**owned({}), "metadata": {}}),
        apply(ONE, owned({}, managedFields=[])),
        apply(ONE, owned({}, managedFields=[{"manager": "x"}])),
        apply(ONE, {**owned({}), "unknown": 1}),
        apply(ONE, {**owned({}), "unknown": 1}, query={"fieldValidation": "Strict"}),
        apply(ONE, "a: [1"),
        apply(ONE, owned({}, uid="00000000-0000-0000-0000-000000000000")),
        apply(ONE, owned({}, resourceVersion="5")),
        apply(ONE, owned({}), manager=""),
        apply(ONE, owned({"a": 5})),
        apply(ONE, owned({}, namespace="elsewhere")),
        apply(ONE, owned({"a": "1"}), query={"dryRun": "All"}),
        get(ONE),
        apply("/api/v1/namespaces/absent/configmaps/one", owned({})),
    ),
    script(
        "apply-metadata",
        apply(ONE, owned({}, labels={"l": "1"}, annotations={"a": "1"}, finalizers=["example.org/a"])),
        apply(ONE, owned({}, labels={"m": "1"}, finalizers=["example.org/b"]), "bob"),
        apply(ONE, owned({}, labels={"l": "2"}), "carol"),
        apply(ONE, owned({})),
        apply(ONE, owned({}, finalizers=["example.org/b"]), "bob"),
        delete(ONE),
        apply(ONE, owned({}), "bob"),
        get(ONE),
    ),
    script(
        "apply-lists",
        apply(WEB, containers({"name": "main", "image": "a:1"})),
        apply(WEB, only({"name": "side", "image": "b:1"}), "bob"),
        apply(
            WEB,
            containers(
                {
                    "name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
                }
            ),
        ),
        apply(WEB, containers({"name": "main", "image": "a:2", "env": [{"name": "B", "value": "2"}]})),
        apply(WEB, only({"name": "main", "image": "c:1"}), "bob"),
        apply(WEB, containers({"name": "main", "image": "a:2"}, {"name": "main", "image": "a:3"})),
        apply(WEB, containers({"image": "nameless"})),
        apply(WEB, containers({"name": "main", "image": "a:2"}, nodeSelector=None)),
        apply(WEB, containers({"name": "main", "image": "a:2", "args": ["x", "y"]}, nodeSelector={"a": "b"})),
        apply(WEB, containers({"name": "main", "image": "a:2", "args": ["x", "z"]}), "carol"),
        apply(WEB, containers({"name": "main", "image": "a:2"}, nodeSelector={"a": "c", "d": "e"}), "carol"),
        apply(WEB, containers({"name": "main", "image": "a:2"}, restartPolicy="Sometimes")),
        post(TEMPLATES, template("plain", {"name": "main", "image": "a"}), query={"fieldManager": "maker"}),
        get(WEB),
    ),
)  # fmt: skip
