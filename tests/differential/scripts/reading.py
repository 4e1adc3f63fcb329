"""Lists, pages, selectors, shapes, watches, discovery."""

# ruff: noqa: E501  (a call a line)

from __future__ import annotations

from ..pair import TABLE
from ..script import delete, get, merge, post, script, table
from .objects import CONFIGS, SECRETS, config, secret

META = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METAS = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
MINE = {"labelSelector": "test"}
MADE = tuple(
    post(CONFIGS, config(f"c{number}", {"n": str(number)}, labels={"test": "yes", "n": str(number)}))
    for number in range(5)
)
SCRIPTS = (
    script(
        "lists",
        *MADE,
        get(CONFIGS, query=MINE),
        get(CONFIGS, query={**MINE, "limit": "2"}),
        get(CONFIGS, query={**MINE, "limit": "2", "continue": "{6.metadata.continue}"}),
        get(CONFIGS, query={**MINE, "limit": "2", "continue": "{7.metadata.continue}"}),
        get(CONFIGS, query={"limit": "2", "continue": "nonsense"}),
        get(CONFIGS, query={**MINE, "limit": "-1"}),
        get(CONFIGS, query={"labelSelector": "n in (1,2)"}),
        get(CONFIGS, query={"labelSelector": "test,n notin (1,2)"}),
        get(CONFIGS, query={"labelSelector": "test,!n"}),
        get(CONFIGS, query={"labelSelector": "n!=1,test=yes"}),
        get(CONFIGS, query={"labelSelector": "n>2"}),
        get(CONFIGS, query={"labelSelector": "a b"}),
        get(CONFIGS, query={"fieldSelector": "metadata.name=c1"}),
        get(CONFIGS, query={"fieldSelector": "metadata.name!=c1", **MINE}),
        get(CONFIGS, query={"fieldSelector": "data.n=1"}),
        get(CONFIGS, query={**MINE, "resourceVersion": "0"}),
        get(CONFIGS, query={**MINE, "resourceVersion": "nonsense"}),
        get(CONFIGS, query={**MINE, "resourceVersionMatch": "Exact"}),
        get(CONFIGS, query={**MINE, "resourceVersion": "0", "resourceVersionMatch": "Exact"}),
        get(CONFIGS, query={**MINE, "resourceVersionMatch": "Nonsense", "resourceVersion": "1"}),
        get(f"{CONFIGS}/c1", accept=META),
        get(CONFIGS, query={**MINE, "limit": "1"}, accept=METAS),
        get(CONFIGS, query=MINE, accept="application/cbor"),
        get(f"{CONFIGS}/c1", accept="text/html"),
        get(f"{CONFIGS}/absent"),
        get(f"{CONFIGS}/c1/status"),
        post(SECRETS, secret("opaque", data={})),
        post(SECRETS, secret("auth", type="kubernetes.io/basic-auth", stringData={"username": "u", "password": "p"})),
        get(SECRETS, query={"fieldSelector": "type=Opaque"}),
        get("/api/v1/namespaces", query={"fieldSelector": "metadata.name={ns}"}),
        get("/api/v1/namespaces/{ns}/absents"),
        get("/apis/absent.example.org/v1/things"),
        get("/apis/apps/v9/deployments"),
    ),
    script(
        "tables",
        *MADE[:2],
        table(CONFIGS, query=MINE),
        table(CONFIGS, query={**MINE, "includeObject": "Object"}),
        table(CONFIGS, query={**MINE, "includeObject": "None"}),
        table(CONFIGS, query={**MINE, "limit": "1"}),
        table(f"{CONFIGS}/c0"),
        post(SECRETS, secret("opaque", stringData={"a": "b"})),
        table(f"{SECRETS}/opaque"),
        table("/api/v1/namespaces/{ns}"),
        table(f"{CONFIGS}/absent"),
        table("/apis/apps/v1/namespaces/{ns}/deployments"),
        table("/apis/apps/v1/namespaces/{ns}/statefulsets"),
        table("/apis/apps/v1/namespaces/{ns}/daemonsets"),
        table("/apis/apps/v1/namespaces/{ns}/replicasets"),
        table("/apis/batch/v1/namespaces/{ns}/jobs"),
        table("/apis/batch/v1/namespaces/{ns}/cronjobs"),
        table("/api/v1/namespaces/{ns}/pods"),
        table("/api/v1/namespaces/{ns}/services"),
        table("/api/v1/namespaces/{ns}/serviceaccounts", query={"fieldSelector": "metadata.name=none"}),
        table("/api/v1/namespaces/{ns}/events"),
        table("/apis/events.k8s.io/v1/namespaces/{ns}/events"),
        table("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"),
        table("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles"),
        table("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings"),
        table("/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies"),
        table("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/externalsecrets.external-secrets.io"),
    ),
    script(
        "watches",
        *MADE[:2],
        merge(f"{CONFIGS}/c0", {"data": {"n": "9"}}),
        merge(f"{CONFIGS}/c0", {"metadata": {"labels": {"n": "9"}}}),
        delete(f"{CONFIGS}/c1"),
        post(CONFIGS, config("late", {}, labels={"test": "yes"})),
        get(CONFIGS, query={**MINE, "resourceVersion": "{0.metadata.resourceVersion}"}, watch=5),
        get(CONFIGS, query={"labelSelector": "n=9", "resourceVersion": "{0.metadata.resourceVersion}"}, watch=1),
        get(CONFIGS, query={"labelSelector": "n=0", "resourceVersion": "{0.metadata.resourceVersion}"}, watch=2),
        get(CONFIGS, query={"fieldSelector": "metadata.name=c1", "resourceVersion": "{0.metadata.resourceVersion}"}, watch=2),
        get(CONFIGS, query={**MINE, "resourceVersion": "0"}, watch=2),
        get(
            CONFIGS,
            query={
                **MINE, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true",
            },
            watch=3,
        ),
        get(CONFIGS, query={**MINE, "sendInitialEvents": "true"}, watch=1),
        get(CONFIGS, query={**MINE, "resourceVersion": "1"}, watch=1),
        get(CONFIGS, query={**MINE, "resourceVersion": "nonsense"}, watch=1),
        get(CONFIGS, query={**MINE, "resourceVersion": "{0.metadata.resourceVersion}"}, watch=2, accept=TABLE),
        get(CONFIGS, query={**MINE, "resourceVersion": "{0.metadata.resourceVersion}"}, watch=2, accept=META),
        get(f"{CONFIGS}/c0", query={"resourceVersion": "{0.metadata.resourceVersion}"}, watch=2),
    ),
    script(
        "discovery",
        get("/api"),
        get("/apis/external-secrets.io"),
        get("/apis/external-secrets.io/v1"),
        get("/apis/kustomize.toolkit.fluxcd.io/v1"),
        get("/apis/image.toolkit.fluxcd.io/v1"),
        get("/apis/bitnami.com/v1alpha1"),
        get("/apis/inhaul.dev/v1alpha1"),
        get("/apis/coordination.k8s.io"),
        get("/apis/nothing.example.org"),
        get("/nothing"),
    ),
)  # fmt: skip
