"""Adapters of the vectors of `kustomization.json` on objects: substitution, health, comparison, inventory."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from controllers.api.meta import annotations_of
from controllers.kustomization.apply import immutable
from controllers.kustomization.build import postbuild
from controllers.kustomization.drift import detect as drift
from controllers.kustomization.health import aggregate as health
from controllers.kustomization.health import expressions as health_expr
from controllers.kustomization.health import kstatus
from controllers.kustomization.objects import diff, inventory, labels, normalize
from controllers.lang import envsubst as substitute
from controllers.lang import yaml_load as yamlload

from ..compare import OneOf

Values = dict[str, Any]
Given = dict[str, Any]


def varsub(vector: Given) -> Values:
    given = vector["input"]
    try:
        return {"output": substitute.substitute(given["text"], given["vars"], strict=given["strict"])}
    except substitute.SubstitutionError as error:
        return {"error": str(error)}


FUNCTIONS = {
    "toLen": "length", "toLower": ",,", "toLowerFirst": ",", "toUpper": "^^", "toUpperFirst": "^", "toDefault": ":=",
    "toSubstr": ":", "replaceAll": "//", "replaceFirst": "/", "replacePrefix": "/#", "replaceSuffix": "/%",
    "trimShortestPrefix": "#", "trimLongestPrefix": "##", "trimShortestSuffix": "%", "trimLongestSuffix": "%%",
}  # fmt: skip
"""Upstream's functions by our operators."""


def varsub_func(vector: Given) -> Values:
    given = vector["input"]
    return {"output": substitute.call(FUNCTIONS[given["func"]], given["value"], given["args"])}


def varsub_name(vector: Given) -> Values:
    return {"valid": substitute.is_name(vector["input"]["name"])}


def varsub_resource(vector: Given) -> Values:
    given = vector["input"]
    text = given.get("manifest") or "\n---\n".join(given["files"].values())
    inline, sources = given.get("substitute"), given.get("substituteFrom") or []
    if "kustomization" in given:
        spec = yamlload.load(given["kustomization"])["spec"]["postBuild"]
        inline, sources = spec.get("substitute"), [yamlload.load(each) for each in given.get("configMaps", [])]
    objects = yamlload.load_all(text)
    try:
        if postbuild.is_enabled(inline, bool(sources)):
            values = postbuild.variables(inline, [postbuild.source_values(source) for source in sources])
            objects = postbuild.substitute_objects(objects, values, strict=given.get("strict", True))
    except postbuild.InvalidSubstitutionError as error:
        if "kustomization" in given:  # upstream's function alone, without its controller
            return {"error": str(error)}
        condition = {"type": "Ready", "status": "False", "reason": "BuildFailed"}
        return {"condition": condition, "message": str(error)}
    if problems := labels.bad_labels(objects):
        condition = {"type": "Ready", "status": "False", "reason": "ReconciliationFailed"}
        return {"condition": condition, "message": problems[0]}
    first = objects[0]
    data = first.get("data") or {}
    decoded = (
        {key: base64.b64decode(value).decode() for key, value in data.items()} if first["kind"] == "Secret" else {}
    )
    return {
        "labels": labels.labels_of(first),
        "data_decoded": decoded,
        **{each["kind"]: _Fields({**each, **each["metadata"]}) for each in objects},
    }


class _Fields:
    """An object, equal to a table of dotted paths; `_contains` and `_not_contains` speak of the text at a path."""

    def __init__(self, manifest: Values) -> None:
        self.manifest = manifest

    def at(self, path: str) -> Any:
        value: Any = self.manifest
        for part in path.split("."):
            value = value[part]
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and all(self.holds(path, wanted) for path, wanted in other.items())

    def holds(self, path: str, wanted: Any) -> bool:
        if path.endswith("_not_contains"):
            return all(text not in self.at(path.removesuffix("_not_contains")) for text in wanted)
        if path.endswith("_contains"):
            return all(text in self.at(path.removesuffix("_contains")) for text in wanted)
        return bool(self.at(path) == wanted)

    __hash__ = None  # type: ignore[assignment]


def kstatus_(vector: Given) -> Values:
    status = kstatus.compute(vector["input"]["object"], now=datetime.now(UTC))
    found = [{key: each[key] for key in ("reason", "status", "type")} for each in status.conditions]
    types = {each["type"] for each in found}
    return {"status": str(status.state), "conditions": found, "absentConditionTypes": _Absent(types)}


class _Absent:
    """Condition types that are not there: equal to any list of such."""

    def __init__(self, present: set[str]) -> None:
        self.present = present

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and not self.present & set(other)

    __hash__ = None  # type: ignore[assignment]


def kstatus_flux_job(vector: Given) -> Values:
    status = kstatus.compute(vector["input"]["object"], flux_jobs=True)
    return {"status": str(status.state), "message": status.message}


def kstatus_aggregate(vector: Given) -> Values:
    given = vector["input"]
    states = [kstatus.State(state) for state in given["statuses"]]
    return {"status": str(health.aggregate(states, kstatus.State(given["desired"])))}


def kstatus_podcontroller(vector: Given) -> Values:
    given = vector["input"]
    pods = [(kstatus.Status(kstatus.State(each["status"])), _pod(each["pod"])) for each in given["pods"]]
    owner = kstatus.Status(kstatus.State(given["owner_status"]))
    return {"status": str(health.with_pods(owner, pods).state)}


def _pod(kind: Given | None) -> Values | None:
    """The Pod that a constructor of upstream's test makes."""
    if kind is None:
        return None
    name, namespace, *rest = kind["args"]
    pod: Values = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}}
    if "Unschedulable" in kind["kind_of"]:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        return {**pod, "status": {"phase": "Pending", "conditions": [condition]}}
    if "Terminating" in kind["kind_of"] or "Deleti" in kind["kind_of"]:
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {**pod, "status": {"phase": rest[0] if rest else "Failed"}}


def kstatus_wait(vector: Given) -> Values:
    given = vector["input"]
    return {"ok": health.is_fulfilled(kstatus.State(given["observed"]), given["object"])}


def cel_health(vector: Given) -> Values:
    given = vector["input"]
    try:
        return {"status": str(_expressions(given["exprs"]).evaluate(given["object"]).state)}
    except health_expr.ExpressionError as error:
        return {"error": str(error)}


def cel_health_parse(vector: Given) -> Values:
    try:
        _expressions(vector["input"]["exprs"])
    except health_expr.ExpressionError as error:
        return {"error": str(error)}
    return {"ok": True}


def _expressions(texts: Given) -> health_expr.HealthExpressions:
    return health_expr.HealthExpressions(texts.get("current", ""), texts.get("inProgress", ""), texts.get("failed", ""))


def ssa_normalize(vector: Given) -> Values:
    return {"object": _Semantic(normalize.normalize(vector["input"]["object"]))}


class _Semantic:
    """An object, equal to another one that has Go's zero values (`""`, null, `{}`) besides."""

    def __init__(self, manifest: Values) -> None:
        self.manifest = manifest

    def __eq__(self, other: object) -> bool:
        return bool(_without_zeros(self.manifest) == _without_zeros(other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.manifest)


def _without_zeros(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_zeros(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _without_zeros(item) for key, item in value.items()}
    return {key: item for key, item in inner.items() if item not in (None, "", {})}


def secret_mask_object(vector: Given) -> Values:
    old, new = diff.mask_objects(vector["input"]["old"], vector["input"]["new"])
    return {"old": old, "new": new}


def secret_mask_patch(vector: Given) -> Values:
    return {"patch": diff.mask_patch(vector["input"]["patch"])}


def diff_spec(vector: Given) -> Values:
    given = vector["input"]
    together = any(option.get("Rationalize") for option in given.get("opts", []))
    return {"patch": diff.content(given["existing"], given["dryRun"], rationalize=together)}


def diff_metadata(vector: Given) -> Values:
    return {"patch": diff.metadata(vector["input"]["existing"], vector["input"]["dryRun"])}


def ignore_selector(vector: Given) -> Values:
    given = vector["input"]
    manifest = (given.get("u") or {}).get("object") or {}
    if "u" not in given:
        version = "/".join(part for part in (given.get("group"), given.get("version")) if part)
        meta = {"name": given.get("n"), "namespace": given.get("ns"), "labels": given.get("labels")}
        meta["annotations"] = given.get("annotations")
        manifest = {"apiVersion": version, "kind": given.get("kind"), "metadata": meta}
    return {"want": drift.target_of(given["selector"]).matches(manifest)}


def immutable_error(vector: Given) -> Values:
    return {"immutable": immutable.is_immutable(vector["input"]["error"])}


def common_metadata(vector: Given) -> Values:
    given = vector["input"]
    manifest = labels.with_metadata(yamlload.load(given["yaml"]), given["labels"], given["annotations"])
    return {"labels": labels.labels_of(manifest), "annotations": annotations_of(manifest)}


def has_drifted(vector: Given) -> Values:
    existing, dry_run = (_object(vector["input"].get(name)) for name in ("existing", "dryRun"))
    assert dry_run is not None
    if "metadata" not in vector["input"]["dryRun"]:
        dry_run["metadata"]["resourceVersion"] = "1"
    return {"drifted": drift.has_drifted(existing, dry_run), "action": drift.action(existing, dry_run)}


def _object(part: Given | None) -> Values | None:
    """An object out of its metadata (labels, annotations), or out of its top-level fields."""
    if part is None:
        return None
    if part.keys() <= {"labels", "annotations", "resourceVersion"}:
        return {"metadata": dict(part)}
    return {"metadata": {}, **part}


_WANTED: dict[str, Values] = {
    "Deployment": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": "y", "resourceVersion": "1"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}},
    },
    "ConfigMap": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "y", "resourceVersion": "1"},
        "data": {"key": "value"},
    },
}


def drift_ignore(vector: Given) -> Values:
    given = vector["input"]
    rules = drift.rules_of([each if isinstance(each, dict) else {"paths": [each]} for each in given["ignore"]])
    wanted = _WANTED[given.get("object", "Deployment")]
    live = None if given.get("exists") is False else copy.deepcopy(wanted)
    for pointer in given.get("drift", []):
        _set(live, pointer, "moved")
    if "owner" in given and live is not None:
        entry = {"manager": "hpa", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        live["metadata"]["managedFields"] = [entry]
    sent = drift.payload(wanted, live, rules, manager="kustomize-controller")
    present = [f"/spec/{name}" for name in sent.get("spec", {})]
    return {
        "action": drift.action(live, wanted, rules),
        "payload_has_field": "/spec/replicas" in present,
        "field_present": next((path for path in present if path in given["ignore"]), None),
    }


def _set(value: Any, pointer: str, new: Any) -> None:
    *parents, last = [int(part) if part.isdecimal() else part for part in diff.segments(pointer)]
    for part in parents:
        value = value[part]
    value[last] = new


def inventory_id(vector: Given) -> Values:
    entry = inventory.parse_id(vector["input"]["id"], vector["input"].get("v", ""))
    assert entry.id == vector["input"]["id"]
    return {"namespace": entry.namespace, "name": entry.name, "group": entry.group, "kind": entry.kind}


def inventory_set(vector: Given) -> Values:
    one, other = list(vector["input"]["setA"]), list(vector["input"]["setB"])
    answers = (inventory.difference(one, other), inventory.union(one, other))
    return {
        "expected": OneOf([sorted(answer) if answer else {} for answer in answers]),
        "isEqual": inventory.equal(one, other),
    }


def prune_survivors(vector: Given) -> Values:
    return {"survivors": inventory.survivors(vector["input"]["objects"], vector["input"]["changeset"])}


def deletion_policy(vector: Given) -> Values:
    return {"delete": inventory.deletion(vector["input"]["deletionPolicy"], prune=vector["input"]["prune"]).delete}


ADAPTERS: dict[str, Callable[[Given], Values]] = {
    function.__name__.removesuffix("_"): function
    for function in (
        varsub,
        varsub_func,
        varsub_name,
        varsub_resource,
        kstatus_,
        kstatus_flux_job,
        kstatus_aggregate,
        kstatus_podcontroller,
        kstatus_wait,
        cel_health,
        cel_health_parse,
        ssa_normalize,
        secret_mask_object,
        secret_mask_patch,
        diff_spec,
        diff_metadata,
        ignore_selector,
        immutable_error,
        common_metadata,
        has_drifted,
        drift_ignore,
        inventory_id,
        inventory_set,
        prune_survivors,
        deletion_policy,
    )
}
