"""Pods and what makes pods: the defaults that kubectl and the rollout simulator lean on, and the checks people run
into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controllers.api.resource import Manifest

from ..status_errors import Cause, field_forbidden, invalid_value, not_supported, required

Path = tuple[str, ...]


def _container(container: Manifest) -> Manifest:
    tag = str(container.get("image", "")).rpartition("/")[2].partition("@")[0].partition(":")[2]
    pinned = "@" in str(container.get("image", ""))
    filled: Manifest = {
        **container,
        "resources": container.get("resources") or {},
        "terminationMessagePath": container.get("terminationMessagePath") or "/dev/termination-log",
        "terminationMessagePolicy": container.get("terminationMessagePolicy") or "File",
        "imagePullPolicy": container.get("imagePullPolicy")
        or ("Always" if not pinned and tag in ("", "latest") else "IfNotPresent"),
    }
    if container.get("ports"):
        filled["ports"] = [{**port, "protocol": port.get("protocol") or "TCP"} for port in container["ports"]]
    return filled


def pod_spec(spec: Manifest, restart: str = "Always") -> Manifest:
    """A pod's spec with its defaults."""
    filled: Manifest = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        **{name: value for name, value in spec.items() if value is not None},
    }
    if filled.get("serviceAccountName"):
        filled["serviceAccount"] = filled["serviceAccountName"]
    if filled.get("volumes"):
        filled["volumes"] = [volume if len(volume) > 1 else {**volume, "emptyDir": {}} for volume in filled["volumes"]]
    for name in ("containers", "initContainers"):
        if filled.get(name):
            filled[name] = [_container(item) for item in filled[name]]
    return filled


def _template(spec: Manifest, restart: str = "Always") -> Manifest:
    template = dict(spec.get("template") or {})
    template.setdefault("metadata", {})
    template["spec"] = pod_spec(template.get("spec") or {}, restart)
    return template


def _defaults(obj: Manifest, defaults: Manifest) -> Manifest:
    spec = {**defaults, **{name: value for name, value in (obj.get("spec") or {}).items() if value is not None}}
    obj["spec"] = spec
    return spec


def _prepare_deployment(obj: Manifest, old: Manifest | None) -> None:
    spec = _defaults(obj, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = dict(spec.get("strategy") or {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = {"maxUnavailable": "25%", "maxSurge": "25%", **(strategy.get("rollingUpdate") or {})}
        strategy["rollingUpdate"] = rolling
    spec["strategy"] = strategy
    spec["template"] = _template(spec)


def _prepare_stateful_set(obj: Manifest, old: Manifest | None) -> None:
    defaults = {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady", "serviceName": ""}
    spec = _defaults(obj, defaults)
    spec["updateStrategy"] = spec.get("updateStrategy") or {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})
    spec["template"] = _template(spec)


def _prepare_daemon_set(obj: Manifest, old: Manifest | None) -> None:
    spec = _defaults(obj, {"revisionHistoryLimit": 10})
    rolling = {"maxUnavailable": 1, "maxSurge": 0}
    spec["updateStrategy"] = spec.get("updateStrategy") or {"type": "RollingUpdate", "rollingUpdate": rolling}
    spec["template"] = _template(spec)


def _prepare_replica_set(obj: Manifest, old: Manifest | None) -> None:
    spec = _defaults(obj, {"replicas": 1})
    spec["template"] = _template(spec)
    obj.setdefault("status", {"replicas": 0})


def _prepare_pod(obj: Manifest, old: Manifest | None) -> None:
    obj["spec"] = {"enableServiceLinks": True, **pod_spec(obj.get("spec") or {})}
    if old is None:
        obj["status"] = {**(obj.get("status") or {}), "phase": "Pending", "qosClass": "BestEffort"}


def _prepare_job(obj: Manifest, old: Manifest | None) -> None:
    spec = _defaults(obj, {"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed"})
    spec.setdefault("suspend", False)
    spec["template"] = _template(spec)
    if old is None and not spec.get("manualSelector"):
        uid = obj["metadata"].get("uid", "")
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        meta = dict(spec["template"]["metadata"] or {})
        own = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": obj["metadata"]["name"]}
        meta["labels"] = {**(meta.get("labels") or {}), **own}
        spec["template"]["metadata"] = meta


def _prepare_cron_job(obj: Manifest, old: Manifest | None) -> None:
    history = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    _defaults(obj, {"concurrencyPolicy": "Allow", "suspend": False, **history})


# --- checks -----------------------------------------------------------------------------------------------------------


RESTART = ("Always", "OnFailure", "Never")


def _check_containers(spec: Manifest, path: str) -> list[Cause]:
    causes = []
    if (policy := spec.get("restartPolicy", "Always")) not in RESTART:
        causes.append(not_supported(f"{path}.restartPolicy", policy, RESTART))
    if not spec.get("containers"):
        causes.append(required(f"{path}.containers"))
    seen: set[Any] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            at = f"{path}.{group}[{index}]"
            if not container.get("name"):
                causes.append(required(f"{at}.name"))
            elif container["name"] in seen:
                causes.append(Cause("FieldValueDuplicate", f'Duplicate value: "{container["name"]}"', f"{at}.name"))
            seen.add(container.get("name"))
            if not container.get("image"):
                causes.append(required(f"{at}.image"))
            volumes = {volume.get("name") for volume in spec.get("volumes") or []}
            for number, mount in enumerate(container.get("volumeMounts") or []):
                if mount.get("name") not in volumes:
                    where = f"{at}.volumeMounts[{number}].name"
                    causes.append(Cause("FieldValueNotFound", f'Not found: "{mount.get("name", "")}"', where))
    return causes


def matches(selector: Manifest, labels: Manifest) -> bool:
    """Whether a LabelSelector selects these labels; an empty one selects all."""
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    for term in selector.get("matchExpressions") or []:
        name, operator, values = term.get("key"), term.get("operator"), term.get("values") or []
        found = labels.get(name)
        right = {
            "In": found in values,
            "NotIn": found not in values,
            "Exists": name in labels,
            "DoesNotExist": name not in labels,
        }.get(str(operator), False)
        if not right:
            return False
    return True


def check_workload(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """A selector that selects the template and stays; containers; replicas not below zero."""
    spec = obj.get("spec") or {}
    causes = []
    selector, template = spec.get("selector"), spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    replicas = spec.get("replicas")
    if isinstance(replicas, int) and replicas < 0:
        causes.append(invalid_value("spec.replicas", replicas, "must be greater than or equal to 0"))
    if not selector:
        causes.append(required("spec.selector"))
        why = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels or None, why))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(invalid_value("spec.selector", selector, "empty selector is invalid for deployment"))
    elif not matches(selector, labels):
        why = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels, why))
    causes += _check_containers(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy in RESTART[1:]:
        causes.append(not_supported("spec.template.spec.restartPolicy", policy, RESTART[:1]))
    if old is not None and selector != (old.get("spec") or {}).get("selector"):
        causes.append(invalid_value("spec.selector", selector, "field is immutable"))
    return causes


def _check_pod(obj: Manifest, old: Manifest | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = _check_containers(spec, "spec")
    if old is not None and _frozen(spec) != _frozen(old.get("spec") or {}):
        why = "pod updates may not change fields other than images, activeDeadlineSeconds, tolerations and grace period"
        causes.append(field_forbidden("spec", why))
    return causes


def _frozen(spec: Manifest) -> Manifest:
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName")
    kept = {name: value for name, value in spec.items() if name not in free}
    for group in ("containers", "initContainers"):
        if kept.get(group):
            kept[group] = [{n: v for n, v in item.items() if n not in ("image", "resources")} for item in kept[group]]
    return kept


def _check_job(obj: Manifest, old: Manifest | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    template = (spec.get("template") or {}).get("spec") or {}
    causes = _check_containers(template, "spec.template.spec")
    if template.get("restartPolicy") not in ("OnFailure", "Never"):
        why = f'Unsupported value: "{template.get("restartPolicy", "")}": supported values: "OnFailure", "Never"'
        causes.append(Cause("FieldValueNotSupported", why, "spec.template.spec.restartPolicy"))
    if old is not None and spec.get("template") != (old.get("spec") or {}).get("template"):
        causes.append(invalid_value("spec.template", "object", "field is immutable"))
    return causes


def _check_template(obj: Manifest, old: Manifest | None) -> list[Cause]:
    return _check_containers((obj.get("template") or {}).get("spec") or {}, "template.spec")


def _prepare_template(obj: Manifest, old: Manifest | None) -> None:
    obj["template"] = _template(obj)


PREPARE: dict[tuple[str, str], Callable[[Manifest, Manifest | None], None]] = {
    ("apps", "deployments"): _prepare_deployment,
    ("apps", "statefulsets"): _prepare_stateful_set,
    ("apps", "daemonsets"): _prepare_daemon_set,
    ("apps", "replicasets"): _prepare_replica_set,
    ("", "pods"): _prepare_pod,
    ("", "podtemplates"): _prepare_template,
    ("batch", "jobs"): _prepare_job,
    ("batch", "cronjobs"): _prepare_cron_job,
}
CHECK: dict[tuple[str, str], Callable[[Manifest, Manifest | None], list[Cause]]] = {
    ("apps", "deployments"): check_workload,
    ("apps", "statefulsets"): check_workload,
    ("apps", "daemonsets"): check_workload,
    ("apps", "replicasets"): check_workload,
    ("", "pods"): _check_pod,
    ("", "podtemplates"): _check_template,
    ("batch", "jobs"): _check_job,
}
