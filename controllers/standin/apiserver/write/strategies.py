"""What single built-in types do on their way in: fill in, refuse, keep.

Only what the suite's controllers and kubectl meet; the defaulting of pods and workloads is in `workloads/defaults.py`.
A `prepare` may change the object (a copy of its own), a `check` only looks.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any

from controllers.api.resource import Manifest

from ..status_errors import (
    Cause,
    bad_request,
    duplicate,
    field_forbidden,
    invalid_value,
    not_supported,
    required,
    too_long,
)
from ..workloads import defaults as workloads

Prepare = Callable[[Manifest, Manifest | None], None]
Check = Callable[[Manifest, Manifest | None], list[Cause]]
DATA_LIMIT = 1024 * 1024
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
IMMUTABLE = "field is immutable when `immutable` is set"


# --- secrets and config maps ------------------------------------------------------------------------------------------


def _decoded(name: str, value: Any, kind: str = "Secret") -> bytes:
    try:
        return base64.b64decode(value or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise bad_request(
            f'{kind} in version "v1" cannot be handled as a {kind}: {name}: illegal base64 data'
        ) from None


def prepare_secret(obj: Manifest, old: Manifest | None) -> None:
    """stringData into data; the default type."""
    plain = obj.pop("stringData", None) or {}
    if plain:
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
    obj["type"] = obj.get("type") or "Opaque"
    for name, value in (obj.get("data") or {}).items():
        _decoded(name, value)


def check_secret(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """Keys, size, what the type asks for, what may not change."""
    data = obj.get("data") or {}
    causes = [invalid_value(f"data[{name}]", name, _KEY) for name in data if not _DATA_KEY.fullmatch(name)]
    if sum(len(_decoded(name, value)) for name, value in data.items()) > DATA_LIMIT:
        causes.append(too_long("data", DATA_LIMIT))
    for name in SECRET_KEYS.get(obj["type"], ()):
        if name not in data:
            causes.append(required(f"data[{name}]"))
        elif name.startswith(".docker") and not _is_json(_decoded(name, data[name])):
            causes.append(
                Cause("FieldValueInvalid", "Invalid value: <secret contents redacted>: no JSON", f"data[{name}]")
            )
    account = ((obj.get("metadata") or {}).get("annotations") or {}).get("kubernetes.io/service-account.name")
    if obj["type"] == "kubernetes.io/service-account-token" and not account:
        causes.append(required("metadata.annotations[kubernetes.io/service-account.name]"))
    if obj["type"] == "kubernetes.io/basic-auth" and not ({"username", "password"} & data.keys()):
        causes += [required("data[username]"), required("data[password]")]
    if old is not None:
        if obj["type"] != old.get("type"):
            causes.append(invalid_value("type", obj["type"], "field is immutable"))
        causes += _check_immutable(obj, old, ("data",))
    return causes


_KEY = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _check_immutable(obj: Manifest, old: Manifest, fields: tuple[str, ...]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if obj.get("immutable") else [field_forbidden("immutable", IMMUTABLE)]
    return causes + [field_forbidden(f, IMMUTABLE) for f in fields if (obj.get(f) or {}) != (old.get(f) or {})]


def prepare_config_map(obj: Manifest, old: Manifest | None) -> None:
    """Refuses binaryData that is no base64."""
    for name, value in (obj.get("binaryData") or {}).items():
        _decoded(name, value, "ConfigMap")


def check_config_map(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """Keys, size, what may not change."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    causes = [invalid_value(f"data[{name}]", name, _KEY) for name in data if not _DATA_KEY.fullmatch(name)]
    causes += [invalid_value(f"binaryData[{name}]", name, _KEY) for name in binary if not _DATA_KEY.fullmatch(name)]
    twice = sorted(data.keys() & binary.keys())
    causes += [invalid_value(f"data[{name}]", name, "duplicate of key present in binaryData") for name in twice]
    if sum(len(str(value).encode()) for value in (*data.values(), *binary.values())) > DATA_LIMIT:
        causes.append(too_long("", DATA_LIMIT))
    return causes + (_check_immutable(obj, old, ("data", "binaryData")) if old else [])


# --- others -----------------------------------------------------------------------------------------------------------


def prepare_namespace(obj: Manifest, old: Manifest | None) -> None:
    """The finalizer that its controller works on, its phase, its name as a label."""
    labels = obj["metadata"].setdefault("labels", None) or {}
    obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"].get("name", "")}
    if old is None:
        obj["spec"] = {**(obj.get("spec") or {}), "finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}


ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
"""What a Service is given after its writer is noted, so that nobody owns it."""


def as_said(table: tuple[str, str], obj: Manifest, said: Manifest) -> Manifest:
    """The object as its writer sent it, with defaults, and without what the server then allocates; `said` is its spec
    before.
    """
    if table != ("", "services"):
        return obj
    spec = {name: value for name, value in obj["spec"].items() if name in said or name not in ALLOCATED}
    return {**obj, "spec": spec}


class ServiceAddresses:
    """Gives each Service an address out of 10.96.0.0/16, one after the other."""

    def __init__(self) -> None:
        self._next = 10

    def prepare(self, obj: Manifest, old: Manifest | None) -> None:
        """The defaults of a Service, and its address."""
        spec = obj["spec"] = dict(obj.get("spec") or {})
        before = (old or {}).get("spec") or {}
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if spec.get("ports"):
            spec["ports"] = [_service_port(port) for port in spec["ports"]]
        if spec["type"] != "ExternalName":
            if not spec.get("clusterIP"):
                spec["clusterIP"] = before.get("clusterIP") or self._allocate()
            spec["clusterIPs"] = [spec["clusterIP"]]
            anywhere = spec["clusterIP"] == "None" and not spec.get("selector")
            families, policy = (["IPv4", "IPv6"], "RequireDualStack") if anywhere else (["IPv4"], "SingleStack")
            spec.setdefault("ipFamilies", before.get("ipFamilies") or families)
            spec.setdefault("ipFamilyPolicy", before.get("ipFamilyPolicy") or policy)
            spec.setdefault("internalTrafficPolicy", "Cluster")
        obj["status"] = obj.get("status") or {"loadBalancer": {}}

    def _allocate(self) -> str:
        self._next += 1
        return f"10.96.{(self._next >> 8) & 255}.{self._next & 255}"


def _service_port(port: Manifest) -> Manifest:
    filled = {"protocol": "TCP", **port}
    filled.setdefault("targetPort", port.get("port"))
    return filled


def check_service(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """Ports, and the address that stays."""
    spec = obj.get("spec") or {}
    causes = []
    if spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None" and not spec.get("ports"):
        causes.append(required("spec.ports"))
    for index, port in enumerate(spec.get("ports") or []):
        if not isinstance(port.get("port"), int) or not 1 <= port["port"] <= 65535:
            why = "must be between 1 and 65535, inclusive"
            causes.append(invalid_value(f"spec.ports[{index}].port", port.get("port"), why))
        causes += _port_names(spec["ports"], index)
    before = ((old or {}).get("spec") or {}).get("clusterIP")
    if before and spec.get("type") != "ExternalName" and spec.get("clusterIP") != before:
        causes.append(invalid_value("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set"))
    return causes


def _port_names(ports: list[Manifest], index: int) -> list[Cause]:
    """Several ports have names of their own, and no two are one."""
    port, before = ports[index], ports[:index]
    if len(ports) > 1 and not port.get("name"):
        return [required(f"spec.ports[{index}].name")]
    causes = []
    if port.get("name") and any(other.get("name") == port["name"] for other in before):
        causes.append(duplicate(f"spec.ports[{index}].name", port["name"]))
    if any((other.get("port"), other.get("protocol")) == (port.get("port"), port.get("protocol")) for other in before):
        shown = {name: port[name] for name in ("protocol", "port") if name in port}
        causes.append(duplicate(f"spec.ports[{index}]", shown))
    return causes


def prepare_binding(obj: Manifest, old: Manifest | None) -> None:
    """The API groups that are meant where none is said."""
    ref = obj.get("roleRef")
    if isinstance(ref, dict) and not ref.get("apiGroup"):
        obj["roleRef"] = {**ref, "apiGroup": "rbac.authorization.k8s.io"}
    subjects = []
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject = {**subject, "apiGroup": "rbac.authorization.k8s.io"}
        subjects.append(subject)
    if subjects:
        obj["subjects"] = subjects


def check_binding(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """A role that is named and stays."""
    ref = obj.get("roleRef") or {}
    causes = [] if ref.get("name") else [required("roleRef.name")]
    group = "rbac.authorization.k8s.io"
    if ref.get("apiGroup") != group:
        causes.append(not_supported("roleRef.apiGroup", ref.get("apiGroup") or "", (group,)))
    accepted = ("Role", "ClusterRole") if obj.get("kind") == "RoleBinding" else ("ClusterRole",)
    if ref.get("kind") not in accepted:
        causes.append(not_supported("roleRef.kind", ref.get("kind") or "", accepted))
    if old is not None and old.get("roleRef") != ref:
        causes.append(invalid_value("roleRef", ref, "cannot change roleRef"))
    for index, subject in enumerate(obj.get("subjects") or []):
        kinds = ("ServiceAccount", "User", "Group")
        if subject.get("kind") not in kinds:
            causes.append(not_supported(f"subjects[{index}].kind", subject.get("kind") or "", kinds))
        elif subject["kind"] == "ServiceAccount" and not subject.get("namespace") and obj.get("kind") != "RoleBinding":
            causes.append(required(f"subjects[{index}].namespace"))
    return causes


def prepare_role(obj: Manifest, old: Manifest | None) -> None:
    """Rules are always there, if only as null."""
    obj["rules"] = obj.get("rules")


def check_role(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """Every rule has verbs, and resources with groups or paths."""
    causes = []
    for index, rule in enumerate(obj.get("rules") or []):
        if not rule.get("verbs"):
            causes.append(required(f"rules[{index}].verbs", "verbs must contain at least one value"))
        if urls := rule.get("nonResourceURLs"):
            path = f"rules[{index}].nonResourceURLs"
            if obj.get("kind") == "Role":
                why = "namespaced rules cannot apply to non-resource URLs"
                causes.append(invalid_value(path, urls, why))
            elif rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                causes.append(invalid_value(path, urls, why))
        else:
            if not rule.get("apiGroups"):
                causes.append(
                    required(f"rules[{index}].apiGroups", "resource rules must supply at least one api group")
                )
            if not rule.get("resources"):
                causes.append(required(f"rules[{index}].resources", "resource rules must supply at least one resource"))
    return causes


def check_lease(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """Positive numbers."""
    spec = obj.get("spec") or {}
    causes = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        causes.append(invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        causes.append(invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes


def check_event(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """An event stands in the namespace of what it is about."""
    about = (obj.get("involvedObject") or {}).get("namespace") or "default"
    here = obj["metadata"].get("namespace")
    if about != here:
        return [invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def prepare_claim(obj: Manifest, old: Manifest | None) -> None:
    """Pending until someone binds it."""
    obj["spec"] = {"volumeMode": "Filesystem", **(obj.get("spec") or {})}
    obj.setdefault("status", {"phase": "Pending"})


def tables() -> tuple[dict[tuple[str, str], Prepare], dict[tuple[str, str], Check]]:
    """The rules by (group, plural), for one server."""
    prepare: dict[tuple[str, str], Prepare] = {
        ("", "secrets"): prepare_secret,
        ("", "configmaps"): prepare_config_map,
        ("", "namespaces"): prepare_namespace,
        ("", "services"): ServiceAddresses().prepare,
        ("", "persistentvolumeclaims"): prepare_claim,
        ("rbac.authorization.k8s.io", "roles"): prepare_role,
        ("rbac.authorization.k8s.io", "clusterroles"): prepare_role,
        ("rbac.authorization.k8s.io", "rolebindings"): prepare_binding,
        ("rbac.authorization.k8s.io", "clusterrolebindings"): prepare_binding,
        **workloads.PREPARE,
    }
    check: dict[tuple[str, str], Check] = {
        ("", "secrets"): check_secret,
        ("", "configmaps"): check_config_map,
        ("", "services"): check_service,
        ("", "events"): check_event,
        ("coordination.k8s.io", "leases"): check_lease,
        ("rbac.authorization.k8s.io", "rolebindings"): check_binding,
        ("rbac.authorization.k8s.io", "clusterrolebindings"): check_binding,
        ("rbac.authorization.k8s.io", "roles"): check_role,
        ("rbac.authorization.k8s.io", "clusterroles"): check_role,
        **workloads.CHECK,
    }
    return prepare, check
