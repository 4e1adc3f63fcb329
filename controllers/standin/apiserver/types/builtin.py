"""The built-in resource types: names, verbs and subresources, as data.

Each row: plural, Kind, type of the table in `schema/`, then flags: `c` cluster-scoped, `s` status subresource, `k`
scale, `g` generation is kept, and short names and categories.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..schema.compile import compile_schema
from ..schema.loader import table
from ..schema.node import Node
from ..seams import KindInfo, Plugins
from .registry import Registry, ResourceType, ScalePaths, Served

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
ROWS = """
v1 namespaces Namespace core.v1.Namespace cs ns
v1 secrets Secret core.v1.Secret -
v1 configmaps ConfigMap core.v1.ConfigMap - cm
v1 services Service core.v1.Service s svc all
v1 serviceaccounts ServiceAccount core.v1.ServiceAccount - sa
v1 pods Pod core.v1.Pod sg po all
v1 podtemplates PodTemplate core.v1.PodTemplate g
v1 replicationcontrollers ReplicationController core.v1.ReplicationController skg rc all
v1 nodes Node core.v1.Node cs no
v1 persistentvolumeclaims PersistentVolumeClaim core.v1.PersistentVolumeClaim s pvc
v1 persistentvolumes PersistentVolume core.v1.PersistentVolume cs pv
v1 resourcequotas ResourceQuota core.v1.ResourceQuota s quota
v1 limitranges LimitRange core.v1.LimitRange - limits
v1 endpoints Endpoints core.v1.Endpoints - ep
v1 events Event core.v1.Event - ev
events.k8s.io/v1 events Event events.v1.Event - ev
coordination.k8s.io/v1 leases Lease coordination.v1.Lease -
discovery.k8s.io/v1 endpointslices EndpointSlice discovery.v1.EndpointSlice g
apps/v1 deployments Deployment apps.v1.Deployment skg deploy all
apps/v1 statefulsets StatefulSet apps.v1.StatefulSet skg sts all
apps/v1 daemonsets DaemonSet apps.v1.DaemonSet sg ds all
apps/v1 replicasets ReplicaSet apps.v1.ReplicaSet skg rs all
apps/v1 controllerrevisions ControllerRevision apps.v1.ControllerRevision -
batch/v1 jobs Job batch.v1.Job sg - all
batch/v1 cronjobs CronJob batch.v1.CronJob sg cj all
networking.k8s.io/v1 ingresses Ingress networking.v1.Ingress sg ing
networking.k8s.io/v1 ingressclasses IngressClass networking.v1.IngressClass cg
networking.k8s.io/v1 networkpolicies NetworkPolicy networking.v1.NetworkPolicy g netpol
rbac.authorization.k8s.io/v1 roles Role rbac.v1.Role -
rbac.authorization.k8s.io/v1 rolebindings RoleBinding rbac.v1.RoleBinding -
rbac.authorization.k8s.io/v1 clusterroles ClusterRole rbac.v1.ClusterRole c
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding rbac.v1.ClusterRoleBinding c
policy/v1 poddisruptionbudgets PodDisruptionBudget policy.v1.PodDisruptionBudget sg pdb
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler autoscaling.v2.HorizontalPodAutoscaler s hpa all
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration =.ValidatingWebhookConfiguration cg - api-extensions
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration =.MutatingWebhookConfiguration cg - api-extensions
admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy =.ValidatingAdmissionPolicy csg - api-extensions
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding =.ValidatingAdmissionPolicyBinding cg - api-extensions
storage.k8s.io/v1 storageclasses StorageClass storage.v1.StorageClass c sc
storage.k8s.io/v1 csidrivers CSIDriver storage.v1.CSIDriver c
scheduling.k8s.io/v1 priorityclasses PriorityClass scheduling.v1.PriorityClass cg pc
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition = csg crd,crds api-extensions
"""  # noqa: E501

CRD_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["group", "names", "scope", "versions"],
            "properties": {
                "group": {"type": "string"},
                "scope": {"type": "string"},
                "preserveUnknownFields": {"type": "boolean"},
                "conversion": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "names": {
                    "type": "object",
                    "properties": {
                        "plural": {"type": "string"},
                        "singular": {"type": "string"},
                        "kind": {"type": "string"},
                        "listKind": {"type": "string"},
                        "shortNames": {"type": "array", "items": {"type": "string"}},
                        "categories": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "versions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "served": {"type": "boolean"},
                            "storage": {"type": "boolean"},
                            "deprecated": {"type": "boolean"},
                            "deprecationWarning": {"type": "string"},
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "openAPIV3Schema": {
                                        "type": "object",
                                        "x-kubernetes-preserve-unknown-fields": True,
                                    }
                                },
                            },
                            "subresources": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "additionalPrinterColumns": {
                                "type": "array",
                                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            },
                            "selectableFields": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "properties": {"jsonPath": {"type": "string"}},
                                },
                            },
                        },
                    },
                },
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "acceptedNames": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "observedGeneration": {"type": "integer"},
                "storedVersions": {"type": "array", "items": {"type": "string"}},
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            },
        },
    },
}
_RETURNS_OBJECT_WORDS = (
    "pods services serviceaccounts persistentvolumeclaims persistentvolumes resourcequotas podtemplates"
)
RETURNS_OBJECT = frozenset(_RETURNS_OBJECT_WORDS.split())
"""Types whose deletion answers with the object instead of a Status."""

UPSERTED = "leases endpoints events limitranges services clusterroles clusterrolebindings roles rolebindings"
SHARED = {("events.k8s.io", "events"): ("", "events")}
"""Types that are another type's objects in other words."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the REST rules need to know of a type beyond its names."""

    generation: bool
    upsert: bool = False
    """A PUT creates what is not there."""


TRAITS: dict[tuple[str, str], Traits] = {}


def install(registry: Registry, plugins: Plugins) -> None:
    """Adds all built-in types, with the subresources that plug-ins serve."""
    extra: dict[tuple[str, str], list[str]] = {}
    for _, group, plural, sub in plugins.subresources:
        extra.setdefault((group, plural), []).append(sub)
    for line in ROWS.strip().splitlines():
        entry = _entry(line.split(), extra)
        registry.add(entry)
    for info, handler in plugins.virtual:
        schema = table()[f"{info.group.partition('.')[0]}.{info.version}.{info.kind}"]
        served = Served(info, schema, handler=handler)
        registry.add(ResourceType(info.group, info.plural, {info.version: served}, info.version))


def _entry(row: list[str], extra: dict[tuple[str, str], list[str]]) -> ResourceType:
    api_version, plural, kind, type_name, flags, *names = row
    group, _, version = api_version.rpartition("/")
    if type_name.startswith("=."):
        type_name = f"admissionregistration.v1.{kind}"
    subresources = [name for flag, name in (("s", "status"), ("k", "scale")) if flag in flags]
    if plural == "namespaces":
        subresources.append("finalize")
    subresources += [name for name in dict.fromkeys(extra.get((group, plural), ())) if name not in subresources]
    info = KindInfo(
        group,
        version,
        plural,
        kind,
        "c" not in flags,
        singular=kind.lower(),
        list_kind=f"{kind}List",
        short_names=_names(names[:1]),
        categories=_names(names[1:]),
        subresources=tuple(subresources),
        verbs=VERBS if plural != "namespaces" else tuple(verb for verb in VERBS if verb != "deletecollection"),
    )
    schema = _crd_schema() if type_name == "=" else table()[type_name]
    TRAITS[(group, plural)] = Traits("g" in flags, plural in UPSERTED.split())
    scale = ScalePaths(selector=("spec", "selector")) if "k" in flags else None
    name = "apiextensions.v1.CustomResourceDefinition" if type_name == "=" else type_name
    served = Served(info, schema, "s" in flags, scale, type_name=name)
    return ResourceType(group, plural, {version: served}, version, shares=SHARED.get((group, plural)))


def _crd_schema() -> Node:
    """The schema of definitions, with what Go always encodes of them."""
    node = compile_schema(CRD_SCHEMA)
    node.name, node.required = "apiextensions.v1.CustomResourceDefinition", ("spec", "status")
    spec = node.properties["spec"]
    spec.name, spec.required, spec.always = "apiextensions.v1.CustomResourceDefinitionSpec", ("names",), ("versions",)
    spec.properties["names"].name = "apiextensions.v1.CustomResourceDefinitionNames"
    return node


def _names(columns: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for column in columns if column != "-" for name in column.split(","))
