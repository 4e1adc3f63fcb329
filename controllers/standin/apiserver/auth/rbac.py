"""Role-based access control as rules on values: does a set of rules allow a request, does one set cover another.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from controllers.api.resource import Manifest

from ..seams import Attributes, User

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As the API server prints a rule in its refusals."""
        parts = []
        for label, values in (
            ("APIGroups", self.groups),
            ("Resources", self.resources),
            ("ResourceNames", self.names),
            ("NonResourceURLs", self.urls),
            ("Verbs", self.verbs),
        ):
            if values:
                parts.append(f"{label}:[" + ", ".join(f'"{value}"' for value in values) + "]")
        return "{" + ", ".join(parts) + "}"

    def allows(self, asked: Attributes) -> bool:
        if not _in(asked.verb, self.verbs):
            return False
        if not asked.is_resource:
            return any(_url(asked.path, pattern) for pattern in self.urls)
        if not _in(asked.group, self.groups) or not self._names_resource(asked.resource, asked.subresource):
            return False
        return not self.names or asked.name in self.names

    def _names_resource(self, resource: str, subresource: str) -> bool:
        full = f"{resource}/{subresource}" if subresource else resource
        return any(item in ("*", full) or (subresource and item == f"*/{subresource}") for item in self.resources)

    def atoms(self) -> Iterator[Rule]:
        """The rule as single permissions."""
        for verb in self.verbs:
            for url in self.urls:
                yield Rule((verb,), urls=(url,))
            for group in self.groups:
                for resource in self.resources:
                    for name in self.names or ("",):
                        yield Rule((verb,), (group,), (resource,), (name,) if name else ())

    def covers(self, atom: Rule) -> bool:
        """Does this rule grant at least what a single permission grants?"""
        if not _in(atom.verbs[0], self.verbs):
            return False
        if atom.urls:
            return any(pattern in ("*", atom.urls[0]) or _url(atom.urls[0], pattern) for pattern in self.urls)
        resource, _, subresource = atom.resources[0].partition("/")
        known = any(
            item in ("*", atom.resources[0]) or (bool(subresource) and item == f"*/{subresource}")
            for item in self.resources
        )
        named = not self.names or bool(atom.names and atom.names[0] in self.names)
        return _in(atom.groups[0], self.groups) and known and named and bool(resource)


def _in(value: str, accepted: Sequence[str]) -> bool:
    return "*" in accepted or value in accepted


def _url(path: str, pattern: str) -> bool:
    return pattern == path or pattern == "*" or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def rules_of(role: Manifest) -> list[Rule]:
    """The rules of a Role or ClusterRole."""
    return [
        Rule(
            verbs=tuple(rule.get("verbs") or ()),
            groups=tuple(rule.get("apiGroups") or ()),
            resources=tuple(rule.get("resources") or ()),
            names=tuple(rule.get("resourceNames") or ()),
            urls=tuple(rule.get("nonResourceURLs") or ()),
        )
        for rule in role.get("rules") or ()
    ]


def missing(wanted: Iterable[Rule], held: Sequence[Rule]) -> list[Rule]:
    """The permissions of `wanted` which `held` lacks: one rule for each object, with its verbs, in order."""
    lacking: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for rule in wanted:
        for atom in rule.atoms():
            if not any(own.covers(atom) for own in held):
                verbs = lacking.setdefault((atom.groups, atom.resources, atom.names, atom.urls), [])
                if atom.verbs[0] not in verbs:
                    verbs.append(atom.verbs[0])
    return sorted((Rule(tuple(verbs), *what) for what, verbs in lacking.items()), key=str)


def binds(binding: Manifest, user: User) -> bool:
    """Is the user among a binding's subjects?"""
    return bool(bound_as(binding, user))


def bound_as(binding: Manifest, user: User) -> str:
    """The subject of a binding that the user is, as reasons name it: `User "jane"`; "" where there is none."""
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
            if user.name == f"system:serviceaccount:{namespace}:{name}":
                return f'ServiceAccount "{name}/{namespace}"'
    return ""


def _rule(verbs: str, groups: str, resources: str) -> Manifest:
    return {
        "verbs": verbs.split(),
        "apiGroups": [group.strip("-") for group in groups.split()],
        "resources": resources.split(),
    }


_READ = "get list watch"
_WRITE = "create delete deletecollection patch update"
_WORKLOADS = [
    (
        "-",
        "configmaps endpoints events persistentvolumeclaims pods pods/log pods/status replicationcontrollers services",
    ),
    ("-", "resourcequotas limitranges serviceaccounts namespaces"),
    ("apps", "daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale"),
    ("batch", "cronjobs jobs"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("networking.k8s.io", "ingresses networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("events.k8s.io discovery.k8s.io", "events endpointslices"),
]
_NOT_WRITTEN = ("resourcequotas limitranges serviceaccounts namespaces", "events endpointslices")

_VIEW = [_rule(_READ, groups, resources) for groups, resources in _WORKLOADS]
_EDIT = [
    *_VIEW,
    *(_rule(_WRITE, groups, resources) for groups, resources in _WORKLOADS if resources not in _NOT_WRITTEN),
    _rule(f"{_READ} {_WRITE}", "-", "secrets serviceaccounts"),
    _rule("impersonate", "-", "serviceaccounts"),
    _rule("create", "-", "serviceaccounts/token pods/eviction"),
    _rule(f"{_READ} {_WRITE}", "coordination.k8s.io", "leases"),
]
_ADMIN = [
    *_EDIT,
    _rule(f"{_READ} {_WRITE}", "rbac.authorization.k8s.io", "roles rolebindings"),
    _rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
]
_DISCOVERY = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
]
_PUBLIC = ["/healthz", "/livez", "/readyz", "/version", "/version/"]

DEFAULT_ROLES: dict[str, list[Manifest]] = {
    "cluster-admin": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ],
    "system:discovery": [{"verbs": ["get"], "nonResourceURLs": _DISCOVERY}],
    "system:public-info-viewer": [{"verbs": ["get"], "nonResourceURLs": _PUBLIC}],
    "system:basic-user": [
        _rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        _rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ],
    "system:service-account-issuer-discovery": [
        {"verbs": ["get"], "nonResourceURLs": ["/.well-known/openid-configuration", "/openid/v1/jwks"]}
    ],
    "system:auth-delegator": [
        _rule("create", "authentication.k8s.io", "tokenreviews"),
        _rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    ],
}
"""Cluster roles made at start, with their rules."""

AGGREGATED_ROLES: dict[str, tuple[str, list[Manifest]]] = {
    "view": ("rbac.authorization.k8s.io/aggregate-to-view", _VIEW),
    "edit": ("rbac.authorization.k8s.io/aggregate-to-edit", _EDIT),
    "admin": ("rbac.authorization.k8s.io/aggregate-to-admin", _ADMIN),
}
"""Roles that collect the rules of all cluster roles with a label; the second part is their own
`system:aggregate-to-X`.
"""

DEFAULT_BINDINGS: dict[str, tuple[str, ...]] = {
    "cluster-admin": (MASTERS,),
    "system:discovery": ("system:authenticated",),
    "system:basic-user": ("system:authenticated",),
    "system:public-info-viewer": ("system:authenticated", "system:unauthenticated"),
    "system:service-account-issuer-discovery": ("system:serviceaccounts",),
}
"""Cluster role → groups."""
