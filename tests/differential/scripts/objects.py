"""Writing built-in objects: create, replace, patch, delete, and what is refused."""

from __future__ import annotations

from typing import Any

from ..script import CORE, apply, delete, get, jsonpatch, merge, post, put, script, strategic

CONFIGS, SECRETS, ACCOUNTS = f"{CORE}/configmaps", f"{CORE}/secrets", f"{CORE}/serviceaccounts"
TEMPLATES = f"{CORE}/podtemplates"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{ns}/deployments"


def config(name: str, data: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}}
    return {**body, "data": data} if data is not None else body


def secret(name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    containers = [{"name": "main", "image": "a:1"}, {"name": "side", "image": "b:1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    full = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, "paused": True, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": full}


def template(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A PodTemplate: lists with merge keys, and no controller that writes to it."""
    inner = {"metadata": {"labels": {"app": name}}, "spec": {"containers": list(containers), **spec}}
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": inner}


def owner(name: str, uid: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, **more}


ONE = f"{CONFIGS}/one"
SCRIPTS = (
    script(
        "create",
        post(CONFIGS, config("one", {"a": "1"})),
        post(CONFIGS, config("one", {"a": "2"})),
        get(ONE),
        post(CONFIGS, config("UPPER")),
        post(CONFIGS, config("")),
        post(CONFIGS, {"apiVersion": "v1", "kind": "ConfigMap"}),
        post(CONFIGS, config("other", {}, namespace="elsewhere")),
        post(CONFIGS, {**config("kind"), "kind": "Secret"}),
        post(CONFIGS, {**config("version"), "apiVersion": "v2"}),
        post(CONFIGS, config("rv", {}, resourceVersion="5")),
        post(CONFIGS, config("typed", {"a": 5})),
        post(CONFIGS, {**config("unknown"), "spec": {"x": 1}}),
        post(CONFIGS, {**config("strict"), "spec": {"x": 1}}, query={"fieldValidation": "Strict"}),
        post(CONFIGS, {**config("ignored"), "spec": {"x": 1}}, query={"fieldValidation": "Ignore"}),
        post(CONFIGS, config("key", {"a b": "1"})),
        post(CONFIGS, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"dup"},"data":{"a":"1","a":"2"}}'),
        post(CONFIGS, "{nonsense"),
        post(CONFIGS, config("labels", labels={"a b": "c"})),
        post(CONFIGS, config("values", labels={"a": "c d"})),
        post(CONFIGS, config("annotations", annotations={"a b": "c"})),
        post(CONFIGS, config("finalizers", finalizers=["nodomain"])),
        post(CONFIGS, config("owned", ownerReferences=[{"kind": "ConfigMap", "name": "one"}])),
        post("/api/v1/namespaces/absent/configmaps", config("one")),
        post(CONFIGS, config("defaults", creationTimestamp="2001-01-01T00:00:00Z", uid="own", generation=7)),
        post(CONFIGS, config("immutable", {"a": "1"})),
        merge(f"{CONFIGS}/immutable", {"immutable": True}),
        merge(f"{CONFIGS}/immutable", {"data": {"a": "2"}}),
        merge(f"{CONFIGS}/immutable", {"immutable": False}),
        post("/api/v1/nothing", {}),
        post("/apis/none.example/v1/things", {}),
        put(CONFIGS, config("one")),
        post(ONE, config("one")),
    ),
    script(
        "replace",
        post(CONFIGS, config("one", {"a": "1"})),
        put(ONE, config("one", {"a": "2"})),
        put(ONE, config("one", {"a": "2"})),
        put(ONE, config("one", {"a": "3"}, resourceVersion="{0.metadata.resourceVersion}")),
        put(ONE, config("one", {"a": "3"}, resourceVersion="{1.metadata.resourceVersion}")),
        put(ONE, config("two", {"a": "3"})),
        put(ONE, config("one", {"a": "4"}, uid="00000000-0000-0000-0000-000000000000")),
        put(f"{CONFIGS}/absent", config("absent", {"a": "1"})),
        put(f"{CONFIGS}/absent", config("absent", {"a": "1"}, resourceVersion="1")),
        put(ONE, config("one", {"a": "5"}, resourceVersion="nonsense")),
        put(ONE, config("one", {"a": "5"}, labels={"x": "y"}, annotations={"n": "m"})),
        put(ONE, config("one", {"a": "5"})),
        put(ONE, {**config("one"), "binaryData": {"b": "aGVsbG8="}}),
        put(ONE, {**config("one"), "binaryData": {"b": "!!"}}),
        put(ONE, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"nameless": "1"}}),
    ),
    script(
        "patch",
        post(CONFIGS, config("one", {"a": "1", "b": "2"}, labels={"l": "1"})),
        merge(ONE, {"data": {"a": "9", "b": None}}),
        merge(ONE, {"data": {"a": "9"}}),
        merge(ONE, {"metadata": {"labels": None, "annotations": {"x": "y"}}}),
        merge(ONE, {"metadata": {"resourceVersion": "{0.metadata.resourceVersion}"}, "data": {"c": "1"}}),
        merge(ONE, {"metadata": {"name": "two"}}),
        merge(ONE, {"metadata": {"uid": "other"}}),
        merge(ONE, {"kind": "Secret"}),
        merge(ONE, [1]),
        merge(ONE, {"data": {"a": 5}}),
        merge(ONE, {"unknown": 1}),
        merge(ONE, {"unknown": 1}, query={"fieldValidation": "Strict"}),
        merge(f"{CONFIGS}/absent", {"data": {}}),
        jsonpatch(ONE, [{"op": "add", "path": "/data/j", "value": "1"}]),
        jsonpatch(ONE, [{"op": "test", "path": "/data/j", "value": "2"}]),
        jsonpatch(ONE, [{"op": "remove", "path": "/data/none"}]),
        jsonpatch(ONE, [{"op": "replace", "path": "/data/j", "value": "3"}, {"op": "remove", "path": "/data/a"}]),
        jsonpatch(ONE, [{"op": "copy", "from": "/data/j", "path": "/data/k"}]),
        jsonpatch(ONE, [{"op": "move", "from": "/data/k", "path": "/data/m"}]),
        jsonpatch(ONE, [{"op": "fly", "path": "/data/m"}]),
        jsonpatch(ONE, {"op": "add"}),
        jsonpatch(ONE, [{"op": "replace", "path": "/data", "value": None}]),
        strategic(ONE, {"data": {"s": "1"}, "metadata": {"labels": {"z": "1"}}}),
        strategic(ONE, {"data": {"$retainKeys": ["s"], "s": "2"}}),
        strategic(ONE, {"data": None}),
        merge(ONE, {"data": {"q": "1"}}, query={"fieldManager": "bob"}),
        merge(ONE, {"data": {"q": "2"}}, query={"fieldManager": "bob", "force": "true"}),
        get(ONE),
    ),
    script(
        "strategic-lists",
        post(TEMPLATES, template("web", {"name": "main", "image": "a:1"}, {"name": "side", "image": "b:1"})),
        strategic(f"{TEMPLATES}/web", {"template": {"spec": {"containers": [{"name": "main", "image": "a:2"}]}}}),
        strategic(
            f"{TEMPLATES}/web",
            {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}},
        ),
        strategic(
            f"{TEMPLATES}/web",
            {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}},
        ),
        strategic(f"{TEMPLATES}/web", {"template": {"spec": {"containers": [{"image": "nameless"}]}}}),
        strategic(f"{TEMPLATES}/web", {"metadata": {"finalizers": ["example.org/x"]}}),
        strategic(f"{TEMPLATES}/web", {"metadata": {"finalizers": ["example.org/y"]}}),
        strategic(f"{TEMPLATES}/web", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.org/x"]}}),
        merge(f"{TEMPLATES}/web", {"metadata": {"finalizers": None}}),
    ),
    script(
        "workload-rules",
        post(DEPLOYMENTS, deployment("web")),
        post(DEPLOYMENTS, deployment("mismatch", selector={"matchLabels": {"app": "x"}})),
        post(DEPLOYMENTS, deployment("negative", replicas=-1)),
        post(DEPLOYMENTS, deployment("text", replicas="three")),
        get(f"{DEPLOYMENTS}/web", until="MinimumReplicas"),
        merge(f"{DEPLOYMENTS}/web", {"spec": {"selector": {"matchLabels": {"app": "y"}}}}),
        merge(f"{DEPLOYMENTS}/web", {"spec": {"revisionHistoryLimit": 3}}, silent=True),
        get(f"{DEPLOYMENTS}/web", until='"observedGeneration": 2'),
        get(f"{DEPLOYMENTS}/web/scale"),
        merge(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -2}}),
        merge(f"{DEPLOYMENTS}/web", {"status": {"replicas": 9}}),
        delete(f"{DEPLOYMENTS}/web"),
    ),
    script(
        "secrets",
        post(SECRETS, secret("plain", stringData={"a": "hello"})),
        post(SECRETS, secret("both", data={"a": "aGVsbG8=", "b": "Yg=="}, stringData={"a": "over"})),
        post(SECRETS, secret("typed", type="kubernetes.io/basic-auth", stringData={"username": "u"})),
        merge(f"{SECRETS}/typed", {"type": "Opaque"}),
        post(SECRETS, secret("tls", type="kubernetes.io/tls", data={})),
        post(SECRETS, secret("docker", type="kubernetes.io/dockerconfigjson", data={})),
        post(SECRETS, secret("broken", data={"a": "%%%"})),
        post(SECRETS, secret("token", type="kubernetes.io/service-account-token")),
        merge(f"{SECRETS}/plain", {"stringData": {"b": "new"}}),
        merge(f"{SECRETS}/plain", {"data": {"a": None}}),
        merge(f"{SECRETS}/plain", {"immutable": True}),
        merge(f"{SECRETS}/plain", {"data": {"c": "Yw=="}}),
        delete(f"{SECRETS}/plain"),
        get(f"{SECRETS}/plain"),
    ),
    script(
        "delete",
        post(CONFIGS, config("one", {"a": "1"})),
        delete(ONE, {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}),
        delete(ONE, {"preconditions": {"resourceVersion": "1"}}),
        delete(ONE, {"propagationPolicy": "Sideways"}),
        delete(ONE, {"dryRun": ["All"]}),
        delete(ONE, {"dryRun": ["Some"]}),
        delete(ONE, query={"dryRun": "All"}),
        get(ONE),
        delete(ONE, {"preconditions": {"uid": "{0.metadata.uid}", "resourceVersion": "{0.metadata.resourceVersion}"}}),
        delete(ONE),
        post(CONFIGS, config("one", finalizers=["example.org/hold"])),
        delete(ONE),
        delete(ONE),
        merge(ONE, {"metadata": {"finalizers": ["example.org/hold", "example.org/more"]}}),
        merge(ONE, {"data": {"still": "writable"}}),
        post(CONFIGS, config("one")),
        merge(ONE, {"metadata": {"finalizers": None}}),
        get(ONE),
        post(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}),
        delete(f"{ACCOUNTS}/robot"),
        post(CONFIGS, config("x", labels={"sweep": "yes"})),
        post(CONFIGS, config("y", labels={"sweep": "yes"})),
        delete(CONFIGS, query={"labelSelector": "sweep=yes"}),
        get(CONFIGS, query={"labelSelector": "sweep=yes"}),
        delete(CONFIGS, query={"labelSelector": "sweep==="}),
    ),
    script(
        "generated",
        post(CONFIGS, config("", {"a": "1"}, generateName="gen-")),
        get(f"{CONFIGS}/{{0.metadata.name}}"),
        merge(f"{CONFIGS}/{{0.metadata.name}}", {"metadata": {"generateName": "other-"}}),
        merge(f"{CONFIGS}/{{0.metadata.name}}", {"metadata": {"generateName": None}}),
        put(f"{CONFIGS}/{{0.metadata.name}}", config("{0.metadata.name}", {"a": "2"})),
        post(CONFIGS, config("", generateName="gen-"), query={"dryRun": "All"}),
        post(CONFIGS, config("named", generateName="gen-")),
        post(CONFIGS, config("", generateName="Gen_")),
        post(CONFIGS, config("named", generateName="gen-")),
        apply(f"{CONFIGS}/applied", config("applied", generateName="gen-")),
        apply(f"{CONFIGS}/applied", config("", generateName="gen-")),
        delete(f"{CONFIGS}/{{0.metadata.name}}", {"propagationPolicy": "Orphan"}),
        get(f"{CONFIGS}/{{0.metadata.name}}", until="NotFound"),
    ),
    script(
        "owners",
        post(CONFIGS, config("owner")),
        post(CONFIGS, config("a", ownerReferences=[owner("owner", "{0.metadata.uid}")])),
        post(
            CONFIGS,
            config("b", ownerReferences=[owner("owner", "{0.metadata.uid}"), owner("a", "{1.metadata.uid}")]),
        ),
        merge(f"{CONFIGS}/a", {"metadata": {"ownerReferences": [owner("owner", "{0.metadata.uid}", controller=True)]}}),
        apply(f"{CONFIGS}/a", config("a", ownerReferences=[owner("b", "{2.metadata.uid}", controller=True)]), "bob"),
        apply(f"{CONFIGS}/a", config("a", ownerReferences=[owner("b", "{2.metadata.uid}")]), "bob"),
        apply(f"{CONFIGS}/a", config("a", ownerReferences=[owner("owner", "{0.metadata.uid}")]), "carol"),
        strategic(f"{CONFIGS}/a", {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "{2.metadata.uid}"}]}}),
        strategic(
            f"{CONFIGS}/b",
            {"metadata": {"ownerReferences": [owner("a", "{1.metadata.uid}", blockOwnerDeletion=True)]}},
        ),
        delete(f"{CONFIGS}/a", {"propagationPolicy": "Foreground"}, query={"dryRun": "All"}),
        delete(f"{CONFIGS}/owner", {"propagationPolicy": "Foreground"}),
        get(f"{CONFIGS}/owner", until="NotFound"),
        get(f"{CONFIGS}/a", until="NotFound"),
        get(f"{CONFIGS}/b", until="NotFound"),
    ),
    script(
        "dry-run",
        post(CONFIGS, config("one", {"a": "1"}), query={"dryRun": "All"}),
        get(ONE),
        post(CONFIGS, config("one", {"a": "1"})),
        put(ONE, config("one", {"a": "2"}), query={"dryRun": "All"}),
        merge(ONE, {"data": {"b": "3"}}, query={"dryRun": "All"}),
        post(CONFIGS, config("one"), query={"dryRun": "All"}),
        post(CONFIGS, config("two"), query={"dryRun": "Some"}),
        get(ONE),
    ),
    script(
        "namespaces",
        post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "d-life"}}),
        post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a.b"}}),
        get("/api/v1/namespaces/d-life/configmaps/kube-root-ca.crt", until="ca.crt", silent=True),
        get("/api/v1/namespaces/d-life/serviceaccounts/default", until="uid", silent=True),
        post("/api/v1/namespaces/d-life/configmaps", config("held", finalizers=["example.org/hold"])),
        delete("/api/v1/namespaces/d-life"),
        get("/api/v1/namespaces/d-life/configmaps/held", until="deletionTimestamp"),
        post("/api/v1/namespaces/d-life/configmaps", config("late")),
        get("/api/v1/namespaces/d-life"),
        merge("/api/v1/namespaces/d-life/configmaps/held", {"metadata": {"finalizers": None}}, silent=True),
        get("/api/v1/namespaces/d-life", until="NotFound"),
        delete("/api/v1/namespaces/d-life"),
        delete("/api/v1/namespaces/default"),
    ),
    script(
        "garbage",
        post(CONFIGS, config("owner")),
        post(
            CONFIGS,
            config(
                "child",
                ownerReferences=[
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{0.metadata.uid}"}
                ],
            ),
        ),
        delete(f"{CONFIGS}/owner"),
        get(f"{CONFIGS}/child", until="NotFound"),
        post(CONFIGS, config("owner")),
        post(
            CONFIGS,
            config(
                "child",
                ownerReferences=[
                    {
                        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{4.metadata.uid}",
                        "blockOwnerDeletion": True, "controller": True,
                    }
                ],
                finalizers=["example.org/hold"],
            ),
        ),
        delete(f"{CONFIGS}/owner", {"propagationPolicy": "Foreground"}),
        get(f"{CONFIGS}/child", until="deletionTimestamp", silent=True),
        get(f"{CONFIGS}/owner"),
        merge(f"{CONFIGS}/child", {"metadata": {"finalizers": None}}, silent=True),
        get(f"{CONFIGS}/owner", until="NotFound"),
        post(CONFIGS, config("owner")),
        post(
            CONFIGS,
            config(
                "child",
                ownerReferences=[
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{11.metadata.uid}"}
                ],
            ),
        ),
        delete(f"{CONFIGS}/owner", {"propagationPolicy": "Orphan"}),
        get(f"{CONFIGS}/owner", until="NotFound"),
        get(f"{CONFIGS}/child"),
    ),
)  # fmt: skip
