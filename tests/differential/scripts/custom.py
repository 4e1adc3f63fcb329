"""Custom resources: definitions, schemas (defaults, pruning, CEL), status and scale, versions; our own kinds."""

# ruff: noqa: E501  (a call a line)

from __future__ import annotations

from typing import Any

from ..script import apply, delete, get, jsonpatch, merge, post, put, script, strategic, table

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
EXTERNAL = "/apis/external-secrets.io/v1/namespaces/{ns}/externalsecrets"
SEALED = "/apis/bitnami.com/v1alpha1/namespaces/{ns}/sealedsecrets"
POLICIES = "/apis/image.toolkit.fluxcd.io/v1/namespaces/{ns}/imagepolicies"
REPOSITORIES = "/apis/image.toolkit.fluxcd.io/v1/namespaces/{ns}/imagerepositories"
UPDATES = "/apis/image.toolkit.fluxcd.io/v1/namespaces/{ns}/imageupdateautomations"
GITS = "/apis/source.toolkit.fluxcd.io/v1/namespaces/{ns}/gitrepositories"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{ns}/kustomizations"
STORES = "/apis/external-secrets.io/v1/namespaces/{ns}/secretstores"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "ratio": {"type": "number", "exclusiveMinimum": True, "minimum": 0, "multipleOf": 0.5},
                "replicas": {"type": "integer", "default": 3},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
                "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
                "when": {"type": "string", "format": "date-time"},
                "port": {"x-kubernetes-int-or-string": True},
                "nothing": {"type": "string", "nullable": True},
                "nested": {
                    "type": "object", "default": {},
                    "properties": {"deep": {"type": "string", "default": "sea"}, "list": {"type": "array", "items": {"type": "string"}}},
                },
                "map": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3},
                "parts": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object", "required": ["name"],
                        "properties": {"name": {"type": "string"}, "value": {"type": "integer"}, "note": {"type": "string"}},
                    },
                },
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
            "x-kubernetes-validations": [
                {"rule": "self.size >= oldSelf.size", "message": "no shrinking"},
                {"rule": "!has(self.code) || self.code != 'bad'", "message": "bad code", "fieldPath": ".code", "reason": "FieldValueForbidden"},
                {"rule": "self.size != 7", "messageExpression": "'seven is out'"},
            ],
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "note": {"type": "string"}, "selector": {"type": "string"}}},
    },
}  # fmt: skip


def definition(plural: str, kind: str, **spec: Any) -> dict[str, Any]:
    version = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Note", "type": "string", "jsonPath": ".status.note", "priority": 1},
            {"name": "Tag", "type": "string", "jsonPath": ".spec.tags[0]"},
            {"name": "Ratio", "type": "number", "jsonPath": ".spec.ratio"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }  # fmt: skip
    full = {
        "group": "diff.example.org", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
        "versions": [version], **spec,
    }  # fmt: skip
    metadata = {"name": f"{plural}.diff.example.org"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": full,
    }


def gadget(name: str, kind: str = "Gadget", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "diff.example.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def made(plural: str, kind: str) -> tuple[Any, ...]:
    """Creates a definition and waits until it is served (2 calls)."""
    return (
        post(CRDS, definition(plural, kind), silent=True),
        get(f"{CRDS}/{plural}.diff.example.org", until='"type": "Established"', silent=True),
        get(f"/apis/diff.example.org/v1/{plural}", until='"items"', silent=True),
    )


def path(plural: str) -> str:
    return f"/apis/diff.example.org/v1/namespaces/{{ns}}/{plural}"


def ours(api_version: str, kind: str, name: str, spec: Any, **meta: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **meta}, "spec": spec}


def external(name: str, **spec: Any) -> dict[str, Any]:
    return ours("external-secrets.io/v1", "ExternalSecret", name, spec)


REMOTE = [{"secretKey": "k", "remoteRef": {"key": "path"}}]
STORE = {"name": "aws", "kind": "SecretStore"}
G, A, S = path("gadgets"), path("applies"), path("states")
SCRIPTS = (
    script(
        "schema",
        *made("gadgets", "Gadget"),
        post(G, gadget("one", size=3)),
        get(f"{G}/one"),
        post(G, gadget("empty")),
        post(G, gadget("small", size=0)),
        post(G, gadget("big", size=11)),
        post(G, gadget("text", size="3")),
        post(G, gadget("float", size=1.5)),
        post(G, gadget("whole", size=2.0)),
        post(G, gadget("mode", size=1, mode="odd")),
        post(G, gadget("code", size=1, code="A")),
        post(G, gadget("long", size=1, code="abcdefg")),
        post(G, gadget("bad", size=1, code="bad")),
        post(G, gadget("seven", size=7)),
        post(G, gadget("when", size=1, when="yesterday")),
        post(G, gadget("port", size=1, port="http")),
        post(G, gadget("portn", size=1, port=80)),
        post(G, gadget("portx", size=1, port=[1])),
        post(G, gadget("ratio", size=1, ratio=0)),
        post(G, gadget("ratios", size=1, ratio=0.7)),
        post(G, gadget("null", size=1, nothing=None)),
        post(G, gadget("nullmode", size=1, mode=None)),
        post(G, gadget("nullnested", size=1, nested=None)),
        post(G, gadget("nulldefault", size=1, replicas=None)),
        post(G, gadget("map", size=1, map={"a": 1, "b": "x"})),
        post(G, gadget("maps", size=1, map={"a": 1, "b": 2, "c": 3})),
        post(G, gadget("tags", size=1, tags=["a", "a"])),
        post(G, gadget("tagged", size=1, tags=["a", "b", "c", "d"])),
        post(G, gadget("parts", size=1, parts=[{"name": "a"}, {"name": "a"}])),
        post(G, gadget("nameless", size=1, parts=[{"value": 1}])),
        post(G, gadget("pruned", size=1, extra=1, nested={"unknown": 1}, free={"any": {"thing": 1}})),
        post(G, gadget("strict", size=1, extra=1, nested={"unknown": 1}), query={"fieldValidation": "Strict"}),
        post(G, gadget("ignore", size=1, extra=1), query={"fieldValidation": "Ignore"}),
        post(G, gadget("many", size="x", mode="odd", code="A", tags="no")),
        post(G, {"apiVersion": "diff.example.org/v1", "kind": "Gadget", "metadata": {"name": "specless"}}),
        post(G, {"apiVersion": "diff.example.org/v1", "kind": "Gadget", "metadata": {"name": "speced"}, "spec": "text"}),
        post(G, {"apiVersion": "diff.example.org/v2", "kind": "Gadget", "metadata": {"name": "v"}, "spec": {"size": 1}}),
        post(G, {"apiVersion": "diff.example.org/v1", "kind": "Widget", "metadata": {"name": "k"}, "spec": {"size": 1}}),
        post(G, {"metadata": {"name": "kindless"}, "spec": {"size": 1}}),
        post(G, gadget("UPPER", size=1)),
        merge(f"{G}/one", {"spec": {"size": 2}}),
        merge(f"{G}/one", {"spec": {"size": 4, "replicas": None}}),
        merge(f"{G}/one", {"spec": {"nested": {"deep": None}}}),
        put(f"{G}/one", gadget("one", size=5)),
        put(f"{G}/one", {**gadget("one", size=5), "metadata": {"name": "one", "resourceVersion": "{3.metadata.resourceVersion}"}}),
        strategic(f"{G}/one", {"spec": {"size": 6}}),
        jsonpatch(f"{G}/one", [{"op": "replace", "path": "/spec/size", "value": 6}]),
        jsonpatch(f"{G}/one", [{"op": "add", "path": "/spec/tags", "value": ["x"]}, {"op": "add", "path": "/spec/tags/-", "value": "y"}]),
        table(f"{G}/one"),
        table(G, query={"limit": "2"}),
        delete(f"{G}/one"),
        get(f"{G}/one"),
    ),
    script(
        "custom-apply",
        *made("applies", "Apply"),
        apply(f"{A}/x", gadget("x", "Apply", size=1, tags=["a"], parts=[{"name": "p", "value": 1}], whole={"a": "1"})),
        apply(f"{A}/x", gadget("x", "Apply", size=1, tags=["b"], parts=[{"name": "q", "value": 1}]), "bob"),
        apply(f"{A}/x", gadget("x", "Apply", parts=[{"name": "p", "note": "n"}], size=1), "bob"),
        apply(f"{A}/x", gadget("x", "Apply", size=2), "bob"),
        apply(f"{A}/x", gadget("x", "Apply", size=1, whole={"b": "1"}), "bob"),
        apply(f"{A}/x", gadget("x", "Apply", size=1, whole={"b": "1"}), "bob", query={"force": "true"}),
        apply(f"{A}/x", gadget("x", "Apply", size=1, tags=["a", "a"])),
        apply(f"{A}/x", gadget("x", "Apply", size=1, parts=[{"name": "p"}, {"name": "p"}])),
        apply(f"{A}/x", gadget("x", "Apply", size=1, parts=[{"value": 3}])),
        apply(f"{A}/x", gadget("x", "Apply", size="one")),
        apply(f"{A}/x", gadget("x", "Apply", size=1)),
        apply(f"{A}/x", gadget("x", "Apply")),
        apply(f"{A}/x", gadget("x", "Apply", size=1, free={"k": {"a": 1}})),
        apply(f"{A}/x", gadget("x", "Apply", size=1, free={"k": {"b": 1}}), "bob"),
        apply(f"{A}/x", gadget("x", "Apply", size=1, unknown=2), "bob"),
        merge(f"{A}/x", {"spec": {"parts": [{"name": "p", "value": 5}]}}, query={"fieldManager": "merger"}),
        apply(f"{A}/x/status", {**gadget("x", "Apply"), "status": {"note": "hi"}}, "stat"),
        apply(f"{A}/absent/status", {**gadget("absent", "Apply"), "status": {"note": "hi"}}, "stat"),
        get(f"{A}/x"),
    ),
    script(
        "status-and-scale",
        *made("states", "State"),
        post(S, {**gadget("one", "State", size=1), "status": {"note": "ignored"}}),
        merge(f"{S}/one", {"status": {"note": "ignored"}}),
        merge(f"{S}/one/status", {"status": {"note": "kept"}, "spec": {"size": 9}}),
        merge(f"{S}/one/status", {"status": {"note": 5}}),
        merge(f"{S}/one/status", {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.org/x"]}}),
        put(f"{S}/one/status", {**gadget("one", "State", size=8), "status": {"note": "put"}}),
        put(
            f"{S}/one/status",
            {
                **gadget("one", "State", size=8), "status": {"note": "put", "replicas": 2, "selector": "a=b"},
                "metadata": {"name": "one", "resourceVersion": "{7.metadata.resourceVersion}"},
            },
        ),
        get(f"{S}/one/status"),
        get(f"{S}/one/scale"),
        merge(f"{S}/one/scale", {"spec": {"replicas": 5}}),
        get(f"{S}/one"),
        merge(f"{S}/one/scale", {"spec": {"replicas": -1}}),
        merge(f"{S}/one", {"spec": {"mode": "fast"}}),
        merge(f"{S}/one", {"metadata": {"labels": {"x": "y"}}}),
        merge(f"{S}/one", {"metadata": {"finalizers": ["example.org/x"]}}),
        delete(f"{S}/one"),
        merge(f"{S}/one", {"spec": {"mode": "slow"}}),
        merge(f"{S}/one", {"metadata": {"finalizers": []}}),
        get(f"{S}/one"),
        post(f"{S}/one/status", {}),
        delete(f"{S}/one/status"),
        get(f"{S}/one/nothing"),
    ),
    script(
        "definitions",
        post(CRDS, definition("Bad_Name", "Bad")),
        post(CRDS, {**definition("lefts", "Left"), "metadata": {"name": "rights.diff.example.org"}}),
        post(CRDS, definition("schemaless", "Schemaless", versions=[{"name": "v1", "served": True, "storage": True}])),
        post(
            CRDS,
            definition(
                "unstructured", "Unstructured",
                versions=[{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"properties": {}}}}}}],
            ),
        ),
        post(
            CRDS,
            definition(
                "storages", "Storage",
                versions=[
                    {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
                    for name in ("v1", "v2")
                ],
            ),
        ),
        post(CRDS, definition("goods", "Good")),
        get(f"{CRDS}/goods.diff.example.org", until="InitialNamesAccepted"),
        get("/apis/diff.example.org/v1/goods", until='"items"'),
        merge(f"{CRDS}/goods.diff.example.org", {"spec": {"scope": "Cluster"}}),
        merge(f"{CRDS}/goods.diff.example.org", {"spec": {"group": "other.example.org"}}),
        delete(f"{CRDS}/goods.diff.example.org"),
        get(f"{CRDS}/goods.diff.example.org", until="NotFound"),
        get("/apis/diff.example.org/v1/goods", until="not found"),
    ),
    script(
        "our-kinds",
        post(EXTERNAL, external("ok", secretStoreRef=STORE, refreshInterval="1h", target={"name": "t"}, data=REMOTE)),
        get(f"{EXTERNAL}/ok"),
        post(EXTERNAL, external("remote", data=[{"secretKey": "k"}])),
        post(EXTERNAL, external("policy", secretStoreRef=STORE, data=REMOTE, target={"creationPolicy": "Sometimes"})),
        post(EXTERNAL, external("typo", secretStoreRef=STORE, data=REMOTE, refreshIntervall="1h")),
        merge(f"{EXTERNAL}/ok/status", {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "m"}]}}),
        table(f"{EXTERNAL}/ok"),
        table(EXTERNAL),
        post(EXTERNAL, {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "bare"}}),
        post(STORES, ours("external-secrets.io/v1", "SecretStore", "aws", {"provider": {"aws": {"service": "SecretsManager", "region": "eu-west-1"}}})),
        post(STORES, ours("external-secrets.io/v1", "SecretStore", "two", {"provider": {"aws": {"service": "SecretsManager", "region": "x"}, "vault": {"server": "https://v"}}})),
        post(STORES, ours("external-secrets.io/v1", "SecretStore", "none", {})),
        post(STORES, ours("external-secrets.io/v1", "SecretStore", "odd", {"provider": {"aws": {"service": "Odd", "region": "x"}}})),
        table(STORES),
        post(SEALED, ours("bitnami.com/v1alpha1", "SealedSecret", "sealed", {"encryptedData": {"a": "AgB"}, "template": {"type": "Opaque"}})),
        post(SEALED, ours("bitnami.com/v1alpha1", "SealedSecret", "odd", {"encryptedData": {"a": 5}})),
        post(SEALED, ours("bitnami.com/v1alpha1", "SealedSecret", "none", {})),
        table(SEALED),
        post(REPOSITORIES, ours("image.toolkit.fluxcd.io/v1", "ImageRepository", "app", {"image": "r.example.com/app", "interval": "1m"})),
        post(REPOSITORIES, ours("image.toolkit.fluxcd.io/v1", "ImageRepository", "bad", {"image": "r.example.com/app", "interval": "soon"})),
        table(REPOSITORIES),
        post(POLICIES, ours("image.toolkit.fluxcd.io/v1", "ImagePolicy", "app", {"imageRepositoryRef": {"name": "app"}, "policy": {"semver": {"range": ">=1.0.0"}}})),
        post(POLICIES, ours("image.toolkit.fluxcd.io/v1", "ImagePolicy", "digest", {"imageRepositoryRef": {"name": "app"}, "policy": {"semver": {"range": ">=1.0.0"}}, "interval": "1m"})),
        post(POLICIES, ours("image.toolkit.fluxcd.io/v1", "ImagePolicy", "none", {"imageRepositoryRef": {"name": "app"}})),
        table(POLICIES),
        post(UPDATES, ours("image.toolkit.fluxcd.io/v1", "ImageUpdateAutomation", "app", {
            "interval": "1m", "sourceRef": {"kind": "GitRepository", "name": "app"}, "git": {"commit": {"author": {"email": "a@example.com"}}},
        })),
        post(UPDATES, ours("image.toolkit.fluxcd.io/v1", "ImageUpdateAutomation", "bad", {"interval": "1m", "sourceRef": {"kind": "Bucket", "name": "app"}})),
        table(UPDATES),
        post(GITS, ours("source.toolkit.fluxcd.io/v1", "GitRepository", "app", {"interval": "1m", "url": "https://git.example.com/app"})),
        post(GITS, ours("source.toolkit.fluxcd.io/v1", "GitRepository", "bad", {"interval": "1m", "url": "ftp://git.example.com/app"})),
        table(GITS),
        post(KUSTOMIZATIONS, ours("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "app", {"interval": "1m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "app"}})),
        post(KUSTOMIZATIONS, ours("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "bad", {"interval": "1m", "sourceRef": {"kind": "Odd", "name": "app"}})),
        table(KUSTOMIZATIONS),
        apply(f"{KUSTOMIZATIONS}/app", ours("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "app", {"path": "./apps", "interval": "2m"}), "bob"),
        apply(f"{KUSTOMIZATIONS}/app", ours("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "app", {"path": "./apps", "interval": "2m"}), "bob", query={"force": "true"}),
        merge(f"{KUSTOMIZATIONS}/app", {"spec": {"suspend": True}}),
        table("/apis/inhaul.dev/v1alpha1/tenantpolicies"),
    ),
)  # fmt: skip
