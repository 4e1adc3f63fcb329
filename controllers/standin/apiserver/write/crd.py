"""CustomResourceDefinitions: checked on their way in, accepted at once, served from then on.

A CRD is Established in the same write that stores it, and its routes are there when the answer is. Deleting one
deletes its objects; while any of them waits for a finalizer the CRD is Terminating and takes no new ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import re2

from controllers.api.resource import Manifest

from ..schema.compile import compile_schema
from ..seams import KindInfo, PrinterColumn
from ..status_errors import Cause, StatusError, invalid_value, not_supported, required
from ..storage import Item, StoredEvent
from ..types.builtin import VERBS
from ..types.registry import ResourceType, ScalePaths, Served, version_order
from . import meta
from .deletion import delete
from .rest import Rest
from .target import Options, RequestTarget

CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
TYPES = ("object", "array", "string", "integer", "number", "boolean")
MAX_SCHEMA_DEPTH = 100
Schema = Mapping[str, Any]


# --- from a CRD to a served type --------------------------------------------------------------------------------------


def resource_type(crd: Manifest) -> ResourceType:
    """The type that an accepted CRD defines."""
    spec = crd["spec"]
    served = {item["name"]: _served(spec, item) for item in spec["versions"] if item.get("served")}
    storage = next((item for item in spec["versions"] if item.get("storage")), spec["versions"][0])
    schema = compile_schema((storage.get("schema") or {}).get("openAPIV3Schema") or {})
    return ResourceType(
        spec["group"],
        spec["names"]["plural"],
        {name: served[name] for name in sorted(served, key=version_order)},
        storage["name"],
        custom=True,
        storage_schema=schema,
        accepting=not crd["metadata"].get("deletionTimestamp"),
        crd_uid=crd["metadata"].get("uid", ""),
    )


def _served(spec: Manifest, version: Manifest) -> Served:
    names, subresources = spec["names"], version.get("subresources") or {}
    status, scale = "status" in subresources, subresources.get("scale")
    info = KindInfo(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        spec["scope"] == "Namespaced",
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name, on in (("status", status), ("scale", bool(scale))) if on),
        verbs=VERBS,
        columns=tuple(_column(item) for item in version.get("additionalPrinterColumns") or ()),
        custom=True,
    )
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    warning = ""
    if version.get("deprecated"):
        warning = version.get("deprecationWarning") or f"{info.api_version} {info.kind} is deprecated"
    return Served(info, compile_schema(schema), status, _scale(scale), schema, deprecated=warning)


def _column(item: Manifest) -> PrinterColumn:
    return PrinterColumn(
        str(item.get("name", "")),
        str(item.get("type", "string")),
        str(item.get("jsonPath", "")),
        str(item.get("format") or ""),
        int(item.get("priority") or 0),
        str(item.get("description") or ""),
    )


def _scale(scale: Manifest | None) -> ScalePaths | None:
    if not scale:
        return None

    def path(name: str) -> tuple[str, ...]:
        return tuple(part for part in str(scale.get(name) or "").split(".") if part)

    return ScalePaths(path("specReplicasPath"), path("statusReplicasPath"), path("labelSelectorPath"))


# --- on the way in ----------------------------------------------------------------------------------------------------


def prepare(clock: Callable[[], str]) -> Callable[[Manifest, Manifest | None], None]:
    """Fills in names and status."""

    def fill(obj: Manifest, old: Manifest | None) -> None:
        spec = obj.get("spec") or {}
        names = spec.get("names") or {}
        if names.get("kind"):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", f"{names['kind']}List")
        spec.setdefault("conversion", {"strategy": "None"})
        conditions = ((old or {}).get("status") or {}).get("conditions") or [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", clock()),
            _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", clock()),
        ]
        stored = list(((old or {}).get("status") or {}).get("storedVersions") or [])
        for version in spec.get("versions") or []:
            if isinstance(version, dict) and version.get("storage") and version.get("name") not in stored:
                stored.append(version.get("name"))
        obj["status"] = {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}

    return fill


def _condition(name: str, reason: str, message: str, now: str, status: str = "True") -> Manifest:
    return {"type": name, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}


def check(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """All that is wrong with a CRD."""
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    causes = [required(f"spec.{name}") for name in ("group", "scope", "versions") if not spec.get(name)]
    causes += [required(f"spec.names.{name}") for name in ("plural", "kind") if not names.get(name)]
    if causes:
        return causes
    if spec["scope"] not in ("Namespaced", "Cluster"):
        causes.append(not_supported("spec.scope", spec["scope"], ("Cluster", "Namespaced")))
    wanted = f"{names['plural']}.{spec['group']}"
    if old is None and obj["metadata"].get("name") != wanted:
        why = 'must be spec.names.plural+"."+spec.group'
        causes.append(invalid_value("metadata.name", obj["metadata"].get("name"), why))
    for name in ("plural", "singular", "kind", "listKind"):
        text = str(names.get(name) or "")
        if text and not (len(text) <= 63 and meta.SERVICE_NAME.fullmatch(text.lower() if "ind" in name else text)):
            causes.append(invalid_value(f"spec.names.{name}", text, "must be an RFC 1035 label"))
    if old is not None:
        before = old["spec"]
        for path in ("group", "scope"):
            if spec[path] != before[path]:
                causes.append(invalid_value(f"spec.{path}", spec[path], "field is immutable"))
        if names["kind"] != before["names"]["kind"]:
            causes.append(invalid_value("spec.names.kind", names["kind"], "field is immutable"))
    if sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        why = "must have exactly one version marked as storage version"
        causes.append(invalid_value("spec.versions", len(spec["versions"]), why))
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") for version in spec["versions"]]
    common = all(schema == schemas[0] for schema in schemas)
    for index, version in enumerate(spec["versions"]):
        path = f"spec.versions[{index}]"
        # One schema for all versions is one field in the server's own form of a CRD, and named as that.
        at = "spec.validation.openAPIV3Schema" if common else f"{path}.schema.openAPIV3Schema"
        causes += _check_version(version, path, at)
    return list(dict.fromkeys(causes))


def _check_version(version: Manifest, path: str, at: str) -> list[Cause]:
    causes = [] if version.get("name") else [required(f"{path}.name")]
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if not isinstance(schema, dict):
        return [*causes, required(f"{path}.schema.openAPIV3Schema")]
    if schema.get("type") != "object":
        causes.append(invalid_value(f"{at}.type", schema.get("type", ""), "must be object at the root"))
    _check_schema(schema, at, causes, 0)
    scale = (version.get("subresources") or {}).get("scale")
    if isinstance(scale, dict):
        for name, start in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
            if not str(scale.get(name) or "").startswith(start):
                why = f"should be a json path under {start.rstrip('.')}"
                causes.append(invalid_value(f"{path}.subresources.scale.{name}", scale.get(name), why))
    return causes


def _check_schema(schema: Schema, path: str, causes: list[Cause], depth: int) -> None:
    """Structural rules: a type everywhere, patterns that RE2 takes, CEL that compiles."""
    if depth > MAX_SCHEMA_DEPTH:
        causes.append(invalid_value(path, "…", f"nested deeper than {MAX_SCHEMA_DEPTH}"))
        return
    kind = schema.get("type") or ""
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not free:
        causes.append(required(f"{path}.type", "must not be empty for specified object fields"))
    elif kind and kind not in TYPES:
        causes.append(not_supported(f"{path}.type", kind, TYPES))
    _check_expressions(schema, path, causes)
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        causes.append(required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if list-type is map"))
    for name, sub in (schema.get("properties") or {}).items():
        if isinstance(sub, dict):
            _check_schema(sub, f"{path}.properties[{name}]", causes, depth + 1)
    if kind == "array" and not isinstance(schema.get("items"), dict):
        causes.append(required(f"{path}.items", "must be specified"))
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            _check_schema(schema[name], f"{path}.{name}", causes, depth + 1)


def _check_expressions(schema: Schema, path: str, causes: list[Cause]) -> None:
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and pattern:
        try:
            re2.compile(pattern)
        except re2.error as error:
            causes.append(invalid_value(f"{path}.pattern", pattern, f"must be a valid regular expression: {error}"))
    rules = schema.get("x-kubernetes-validations") or []
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        _check_rule(rule, f"{path}.x-kubernetes-validations[{index}]", causes)


def _check_rule(rule: Any, path: str, causes: list[Cause]) -> None:
    from controllers.lang.cel import CelError, compile_cel

    source = rule.get("rule") if isinstance(rule, dict) else None
    if not isinstance(source, str) or not source.strip():
        causes.append(required(f"{path}.rule", "rule is not specified"))
        return
    variables = ("self", "oldSelf") if re.search(r"\boldSelf\b", source) else ("self",)
    try:
        compile_cel(source, variables)
    except CelError as error:
        causes.append(invalid_value(f"{path}.rule", source, f"compilation failed: {error}"))


# --- life -------------------------------------------------------------------------------------------------------------


class Definitions:
    """Keeps the registry as the stored CRDs say, and clears up after deleted ones."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        rest.prepare[CRDS] = prepare(lambda: meta.now_text(rest.clock()))
        rest.check[CRDS] = check
        rest.delete_hooks[CRDS] = self._delete
        rest.memory.listen(CRDS, self._changed)

    def _changed(self, event: StoredEvent) -> None:
        crd = event.item.object
        spec = crd["spec"]
        if event.type == "DELETED":
            self._rest.registry.remove(spec["group"], spec["names"]["plural"])
            return
        before = event.old.object["spec"] if event.old else None
        terminating = bool(crd["metadata"].get("deletionTimestamp"))
        known = self._rest.registry.get(spec["group"], spec["names"]["plural"])
        if before == spec and known is not None and known.accepting is not terminating:
            return
        self._rest.registry.add(resource_type(crd))

    def _delete(self, target: RequestTarget, item: Item) -> Manifest | None:
        """Marks the CRD and deletes its objects; with the last one it is gone. Returns it as it was marked."""
        crd, rest = item.object, self._rest
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        entry = rest.registry.get(*key)
        if entry is None:
            return None
        if not crd["metadata"].get("deletionTimestamp"):
            item = rest.memory.put(CRDS, target.key, self._terminating(crd))
            rest.memory.listen(key, lambda event: self._emptied(target, key))
        marked = item.object
        for name in list(rest.memory.table(key).keys):
            namespace, _, own = name.rpartition("/")
            try:
                delete(rest, RequestTarget(entry, entry.preferred, namespace, own), {}, Options())
            except StatusError as refused:
                if refused.code != 404:
                    raise
        self._emptied(target, key)
        return marked

    def _terminating(self, crd: Manifest) -> Manifest:
        now = meta.now_text(self._rest.clock())
        head = {**crd["metadata"], "deletionTimestamp": now}
        head["finalizers"] = [*(name for name in head.get("finalizers") or [] if name != FINALIZER), FINALIZER]
        status = dict(crd.get("status") or {})
        ending = _condition("Terminating", "InstanceDeletionPending", "its objects are deleted first", now)
        status["conditions"] = [*(c for c in status.get("conditions") or [] if c.get("type") != "Terminating"), ending]
        return {**crd, "metadata": head, "status": status}

    def _emptied(self, target: RequestTarget, key: tuple[str, str]) -> None:
        item = self._rest.memory.get(CRDS, target.key)
        if item is None or self._rest.memory.table(key).items or not item.object["metadata"].get("deletionTimestamp"):
            return
        finalizers = [name for name in item.object["metadata"].get("finalizers") or [] if name != FINALIZER]
        head = {**item.object["metadata"], "finalizers": finalizers}
        last = {**item.object, "metadata": head}
        if finalizers:
            self._rest.memory.put(CRDS, target.key, last)
        else:
            meta.tidy(head)
            self._rest.memory.remove(CRDS, target.key, last)
