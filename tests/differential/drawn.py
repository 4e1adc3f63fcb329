"""Calls drawn at random, out of few names and values, so that writers meet: what the random tests are made of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .pair import Call
from .script import CORE, apply, delete, get, jsonpatch, merge, post, put, strategic

Draw = st.SearchStrategy[Any]
MANAGERS = st.sampled_from(["alice", "bob", "carol"])
WRITERS = st.sampled_from(["dave", "erin"])
NAMES, WORDS, NUMBERS = st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", ""]), st.integers(1, 3)
GROUP = "random.example.org"
MIXED = f"/apis/{GROUP}/v1/namespaces/{{ns}}/mixeds"


def some(**fields: Draw) -> Draw:
    """An object with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def keyed(key: str, names: Draw, **fields: Draw) -> Draw:
    """A list of objects, no two with one key."""
    item = st.fixed_dictionaries({key: names}, optional=fields)
    return st.lists(item, max_size=3, unique_by=lambda found: found[key])


def ports(name: str) -> Draw:
    """A list whose items go by a port and a protocol, either of which may be the default."""
    item = st.fixed_dictionaries(
        {name: st.sampled_from([80, 81]), "name": st.sampled_from(["x", "y", "z"])},
        optional={"protocol": st.sampled_from(["TCP", "UDP"])},
    )
    return st.lists(
        item,
        max_size=3,
        unique_by=(lambda found: (found[name], found.get("protocol", "TCP")), lambda found: found["name"]),
    )


def meta(least: int) -> Draw:
    """Some metadata; `least` is the size of the smallest map or list in it."""
    return some(
        labels=st.dictionaries(NAMES, WORDS, min_size=least, max_size=2),
        annotations=st.dictionaries(NAMES, WORDS, min_size=least, max_size=2),
        finalizers=st.lists(
            st.sampled_from(["example.org/x", "example.org/y"]), min_size=least, max_size=2, unique=True
        ),
    )


META = {True: meta(1), False: meta(0)}
"""Custom or not: the real server stores empty metadata of a custom object, shows none, and writes once more for it."""
CONTAINER = {
    "image": st.sampled_from(["i:1", "i:2"]),
    "args": st.lists(NAMES, max_size=2),
    "env": keyed("name", st.sampled_from(["E", "F", "G"]), value=WORDS),
    "ports": ports("containerPort"),
    "resources": some(limits=st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "2"]))),
}
POD = some(
    containers=keyed("name", st.sampled_from(["main", "side"]), **CONTAINER),
    nodeSelector=st.dictionaries(NAMES, WORDS, max_size=2),
    tolerations=st.lists(st.fixed_dictionaries({"key": NAMES, "operator": st.just("Exists")}), max_size=2),
    restartPolicy=st.sampled_from(["Always", "Never"]),
    volumes=keyed("name", st.sampled_from(["v", "w"]), emptyDir=st.just({})),
)
SPEC = some(
    tags=st.lists(NAMES, max_size=3, unique=True),
    parts=keyed("name", NAMES, value=NUMBERS, note=WORDS, inner=some(deep=st.dictionaries(NAMES, WORDS, max_size=2))),
    whole=st.dictionaries(NAMES, WORDS, max_size=2),
    plain=st.lists(NAMES, max_size=2),
    map=st.dictionaries(NAMES, NUMBERS, max_size=2),
    free=st.dictionaries(NAMES, st.one_of(WORDS, NUMBERS, st.lists(NUMBERS, max_size=2), st.just({})), max_size=2),
    mode=st.sampled_from(["fast", "slow"]),
    size=NUMBERS,
)
STATUS = some(note=WORDS, conditions=keyed("type", st.sampled_from(["Ready", "Other"]), status=WORDS))


class Kind:
    """A kind of object: its path, and what its fields may hold."""

    def __init__(self, api_version: str, kind: str, path: str, **fields: Draw) -> None:
        self.head = {"apiVersion": api_version, "kind": kind}
        self.path = path
        self.fields = fields
        self.meta = META["." in api_version and "k8s.io" not in api_version]

    def body(self, name: str, meta: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        return {**self.head, "metadata": {"name": name, **meta}, **fields}


CONFIG = Kind("v1", "ConfigMap", f"{CORE}/configmaps", data=st.dictionaries(NAMES, WORDS, max_size=3))
ROLE = Kind(
    "rbac.authorization.k8s.io/v1",
    "Role",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    rules=st.lists(
        st.just({"apiGroups": [""], "resources": ["pods"]}).flatmap(
            lambda rule: st.sampled_from([["get"], ["list", "get"]]).map(lambda verbs: {**rule, "verbs": verbs})
        ),
        max_size=2,
    ),
)
TEMPLATE = Kind(
    "v1",
    "PodTemplate",
    f"{CORE}/podtemplates",
    template=some(metadata=some(labels=st.dictionaries(NAMES, WORDS, max_size=2)), spec=POD),
)
SERVICE = Kind(
    "v1",
    "Service",
    f"{CORE}/services",
    spec=st.fixed_dictionaries(
        {"clusterIP": st.just("None"), "selector": st.dictionaries(NAMES, WORDS, min_size=1, max_size=2)},
        optional={"ports": ports("port")},
    ),
)
LABELLED = st.dictionaries(NAMES, WORDS, max_size=2).map(lambda labels: {"labels": {**labels, "app": "one"}})
DEPLOYMENT = Kind(
    "apps/v1",
    "Deployment",
    "/apis/apps/v1/namespaces/{ns}/deployments",
    spec=st.fixed_dictionaries(
        {
            "paused": st.just(True),
            "replicas": st.just(0),
            "selector": st.just({"matchLabels": {"app": "one"}}),
            "template": st.fixed_dictionaries({"metadata": LABELLED}, optional={"spec": POD}),
        },
        optional={
            "minReadySeconds": st.sampled_from([0, 5]),
            "revisionHistoryLimit": st.sampled_from([0, 5]),
            "strategy": st.sampled_from([{"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 1}}, {}]),
        },
    ),
)
"""Paused, so that its controller writes the status alone."""
CUSTOM = Kind(f"{GROUP}/v1", "Mixed", MIXED, spec=SPEC)


def without_controller(body: Any) -> Any:
    """A Deployment without what its controller writes, at a moment of its own."""
    if not isinstance(body, dict) or body.get("kind") != "Deployment":
        return body
    managers = [
        item for item in body["metadata"].get("managedFields") or () if item["manager"] != "kube-controller-manager"
    ]
    meta = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
    return {**body, "metadata": {**meta, "managedFields": managers}, "status": {}}


@st.composite
def write(draw: Any, kind: Kind) -> Call:
    """One write of the object `one`, by one of the doors."""
    doors = ["apply", "apply", "apply", "merge", "put", "delete", "json", "post"]
    doors += ["status", "apply-status"] if kind is CUSTOM else ["strategic"]
    door = draw(st.sampled_from(doors))
    one, dry = f"{kind.path}/one", draw(st.sampled_from([{}, {}, {}, {"dryRun": "All"}]))
    body = kind.body("one", draw(kind.meta), draw(some(**kind.fields)))
    if door == "apply":
        force = draw(st.sampled_from(["true", "false"]))
        return apply(one, body, draw(MANAGERS), query={"force": force, **dry})
    query = {"fieldManager": draw(st.one_of(MANAGERS, WRITERS)), **dry}
    if door == "post":
        return post(kind.path, body, query=query)
    if door == "put" and kind is not CUSTOM:
        return put(one, body, query=query)
    if door == "delete":
        return delete(one, draw(st.sampled_from([None, {"propagationPolicy": "Background"}])), query=dry)
    if door == "json":
        return jsonpatch(one, draw(operations(kind, body)), query=query)
    if door == "apply-status":
        return apply(f"{one}/status", {**body, "status": draw(STATUS)}, draw(MANAGERS), query={"force": "true", **dry})
    if door == "status":
        return merge(f"{one}/status", {"status": draw(STATUS), **draw(some(metadata=kind.meta))}, query=query)
    part = {name: value for name, value in body.items() if name not in ("apiVersion", "kind")}
    part["metadata"] = {name: value for name, value in part["metadata"].items() if name != "name"}
    changed = draw(with_nulls(part))
    if kind is DEPLOYMENT and isinstance(changed.get("spec"), dict):
        changed["spec"] |= {"paused": True, "replicas": 0}
    return (strategic if door == "strategic" else merge)(one, changed, query=query)


@st.composite
def with_nulls(draw: Any, value: Any) -> Any:
    """A patch in which some fields are null."""
    if not isinstance(value, dict):
        return value
    return {
        name: None if draw(st.integers(0, 5)) == 0 else draw(with_nulls(item))
        for name, item in value.items()
        if not (name == "metadata" and item is None)
    }


@st.composite
def operations(draw: Any, kind: Kind, body: dict[str, Any]) -> list[dict[str, Any]]:
    """A few operations at places that objects of this kind may have."""
    places = [f"/metadata/labels/{name}" for name in "ab"] + ["/metadata/labels", "/metadata/annotations"]
    places += [f"/{name}" for name in kind.fields]
    values: dict[str, Any] = {"/metadata/labels": {"a": "1"}, "/metadata/annotations": {"b": "2"}}
    values |= {f"/{name}": body.get(name) for name in kind.fields}
    found = []
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places))
        value = values.get(path, draw(WORDS))
        op = draw(st.sampled_from(["add", "add", "replace", "remove", "test"]))
        found.append({"op": op, "path": path} if op == "remove" else {"op": op, "path": path, "value": value})
    return found


def writes(kind: Kind) -> Draw:
    """Some writes, and what is there after them."""
    first = st.builds(
        lambda meta, fields, manager: post(kind.path, kind.body("one", meta, fields), query={"fieldManager": manager}),
        kind.meta, some(**kind.fields), st.one_of(MANAGERS, WRITERS),
    )  # fmt: skip
    begun = st.tuples(
        st.one_of(st.just([]), first.map(lambda call: [call])), st.lists(write(kind), min_size=2, max_size=6)
    )
    return begun.map(lambda drawn: [*drawn[0], *drawn[1], get(f"{kind.path}/one")])


DEFINITION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "value": {"type": "integer"},
                            "note": {"type": "string", "default": "none"},
                            "inner": {
                                "type": "object",
                                "properties": {
                                    "deep": {"type": "object", "additionalProperties": {"type": "string"}},
                                },
                            },
                        },
                    },
                },
                "whole": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "additionalProperties": {"type": "string"},
                },
                "plain": {"type": "array", "items": {"type": "string"}},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "mode": {"type": "string", "default": "fast", "enum": ["fast", "slow"]},
                "size": {"type": "integer", "nullable": True},
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "note": {"type": "string"},
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                    },
                },
            },
        },
    },
}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"mixeds.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "mixeds", "kind": "Mixed"},
        "versions": [
            {
                "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": DEFINITION},
                "subresources": {"status": {}},
            }
        ],
    },
}  # fmt: skip
