"""Server-side printing: `meta.k8s.io/v1 Table` as kubectl asks for it, for built-in kinds and by the columns of
CRDs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controllers.api.resource import Manifest

from .seams import KindInfo

Cell = Callable[[Manifest], Any]
UNKNOWN = "<unknown>"
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """A column and how its cells are read."""

    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def definition(self) -> Manifest:
        return {
            "name": self.name, "type": self.type, "format": self.format, "description": self.description,
            "priority": self.priority,
        }  # fmt: skip


class Renderer:
    """seams.TableRenderer. `now` is for ages."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def table(
        self, kind: KindInfo, objects: Sequence[Manifest], *, list_meta: Manifest, include_object: str
    ) -> Manifest:
        columns = self._columns(kind)
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": list_meta,
            "columnDefinitions": [column.definition() for column in columns],
            "rows": [self._row(columns, obj, include_object) for obj in objects],
        }

    def _row(self, columns: Sequence[Column], obj: Manifest, include_object: str) -> Manifest:
        row: Manifest = {"cells": [_plain(column.cell(obj)) for column in columns]}
        if include_object == "Object":
            row["object"] = obj
        elif include_object != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        return row

    def _columns(self, kind: KindInfo) -> list[Column]:
        name = Column("Name", lambda obj: obj["metadata"]["name"], format="name")
        age = Column("Age", self._age)
        if not kind.custom:
            return [name, *_BUILT_IN.get((kind.group, kind.plural), ()), age]
        if not kind.columns:
            return [name, Column("Age", self._age, type="date")]
        return [name, *(self._custom(column) for column in kind.columns)]

    def _custom(self, column: Any) -> Column:
        read = json_path(column.json_path)
        cell: Cell = lambda obj: self._since(read(obj)) if column.type == "date" else read(obj)  # noqa: E731
        said = column.description or f"Custom resource definition column (in JSONPath format): {column.json_path}"
        return Column(column.name, cell, column.type, column.priority, column.format, said)

    def _age(self, obj: Manifest) -> str:
        return self._since(obj["metadata"].get("creationTimestamp")) or UNKNOWN

    def _since(self, stamp: Any) -> str | None:
        if not stamp:
            return None
        try:
            moment = datetime.fromisoformat(str(stamp))
        except ValueError:
            return UNKNOWN
        return human((self._now() - moment).total_seconds())


def human(seconds: float) -> str:
    """An age as kubectl shows it: 45s, 3m12s, 5h, 2d."""
    total = max(0, int(seconds))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y{days % 365}d"


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


# --- JSONPath, as far as printer columns use it

_STEP = re.compile(
    r"""\.(?P<name>(?:[A-Za-z0-9_/-]|\\.)+) | \[(?P<index>-?\d+)\] | \[(?P<star>\*)\]
      | \[['"](?P<quoted>[^'"]+)['"]\]
      | \[\?\(\s*@\.(?P<key>[\w.-]+)\s*==\s*["'](?P<value>[^"']*)["']\s*\)\]""",
    re.VERBOSE,
)


def json_path(path: str) -> Callable[[Manifest], Any]:
    """A reader of the first value under a path; None where there is none."""
    steps = [match.groupdict() for match in _STEP.finditer(path if path.startswith((".", "[")) else f".{path}")]

    def read(obj: Manifest) -> Any:
        found: list[Any] = [obj]
        for step in steps:
            found = [item for value in found for item in _advance(value, step)]
        return found[0] if found else None

    return read


def _advance(value: Any, step: dict[str, str | None]) -> list[Any]:
    name = step["name"] or step["quoted"]
    if name is not None:
        key = re.sub(r"\\(.)", r"\1", name)
        return [value[key]] if isinstance(value, dict) and key in value else []
    if not isinstance(value, list):
        return []
    if step["index"] is not None:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    if step["star"]:
        return value
    key = step["key"] or ""
    return [item for item in value if isinstance(item, dict) and str(item.get(key)) == step["value"]]


# --- built-in kinds


def _at(path: str, default: Any = "") -> Cell:
    read = json_path(path)

    def cell(obj: Manifest) -> Any:
        found = read(obj)
        return default if found is None else found

    return cell


def _count(path: str) -> Cell:
    read = json_path(path)
    return lambda obj: len(read(obj) or ())


def _ratio(part: str, whole: str) -> Cell:
    left, right = _at(part, 0), _at(whole, 0)
    return lambda obj: f"{left(obj)}/{right(obj)}"


def _pod_ready(obj: Manifest) -> str:
    statuses = (obj.get("status") or {}).get("containerStatuses") or []
    return f"{sum(bool(item.get('ready')) for item in statuses)}/{len(obj['spec'].get('containers') or [])}"


def _pod_status(obj: Manifest) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = obj.get("status") or {}
    for item in status.get("containerStatuses") or []:
        state = item.get("state") or {}
        for kind in ("waiting", "terminated"):
            if reason := (state.get(kind) or {}).get("reason"):
                return str(reason)
    return str(status.get("phase") or "Unknown")


def _restarts(obj: Manifest) -> str:
    return str(
        sum(int(item.get("restartCount", 0)) for item in (obj.get("status") or {}).get("containerStatuses") or [])
    )


def _ports(obj: Manifest) -> str:
    ports = obj["spec"].get("ports") or []
    return ",".join(f"{item.get('port')}/{item.get('protocol', 'TCP')}" for item in ports) or NONE


def _containers(field: str) -> Cell:
    def cell(obj: Manifest) -> str:
        template = (obj["spec"].get("template") or {}).get("spec") or obj["spec"]
        return ",".join(str(item.get(field, "")) for item in template.get("containers") or [])

    return cell


def _phase(obj: Manifest) -> str:
    return (
        "Terminating" if obj["metadata"].get("deletionTimestamp") else str((obj.get("status") or {}).get("phase", ""))
    )


def _job(obj: Manifest) -> str:
    for kind in ("Complete", "Failed"):
        if any(
            item.get("type") == kind and item.get("status") == "True"
            for item in (obj.get("status") or {}).get("conditions") or ()
        ):
            return kind
    return "Running"


def _regarding(obj: Manifest) -> str:
    what = obj.get("regarding") or obj.get("involvedObject") or {}
    return f"{str(what.get('kind', '')).lower()}/{what.get('name', '')}"


def _role(obj: Manifest) -> str:
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind')}/{reference.get('name')}"


_NUMBER = "integer"
_IMAGES = (
    Column("Containers", _containers("name"), priority=1),
    Column("Images", _containers("image"), priority=1),
)
_BUILT_IN: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "pods"): (
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
    ),
    ("", "namespaces"): (Column("Status", _phase),),
    ("", "secrets"): (Column("Type", _at(".type", "Opaque")), Column("Data", _count(".data"), _NUMBER)),
    ("", "configmaps"): (Column("Data", _count(".data"), _NUMBER),),
    ("", "serviceaccounts"): (Column("Secrets", _count(".secrets"), _NUMBER),),
    ("", "services"): (
        Column("Type", _at(".spec.type", "ClusterIP")),
        Column("Cluster-IP", _at(".spec.clusterIP", NONE)),
        Column("External-IP", lambda _: NONE),
        Column("Port(s)", _ports),
    ),
    ("", "nodes"): (Column("Status", lambda _: "Ready"), Column("Version", _at(".status.nodeInfo.kubeletVersion"))),
    ("", "events"): (
        Column("Type", _at(".type")),
        Column("Reason", _at(".reason")),
        Column("Object", _regarding),
        Column("Message", lambda obj: obj.get("note") or obj.get("message") or ""),
    ),
    ("events.k8s.io", "events"): (
        Column("Type", _at(".type")),
        Column("Reason", _at(".reason")),
        Column("Object", _regarding),
        Column("Message", lambda obj: obj.get("note") or obj.get("message") or ""),
    ),
    ("apps", "deployments"): (
        Column("Ready", _ratio(".status.readyReplicas", ".spec.replicas")),
        Column("Up-to-date", _at(".status.updatedReplicas", 0), _NUMBER),
        Column("Available", _at(".status.availableReplicas", 0), _NUMBER),
        *_IMAGES,
    ),
    ("apps", "replicasets"): (
        Column("Desired", _at(".spec.replicas", 0), _NUMBER),
        Column("Current", _at(".status.replicas", 0), _NUMBER),
        Column("Ready", _at(".status.readyReplicas", 0), _NUMBER),
        *_IMAGES,
    ),
    ("apps", "statefulsets"): (Column("Ready", _ratio(".status.readyReplicas", ".spec.replicas")), *_IMAGES),
    ("apps", "daemonsets"): (
        Column("Desired", _at(".status.desiredNumberScheduled", 0), _NUMBER),
        Column("Current", _at(".status.currentNumberScheduled", 0), _NUMBER),
        Column("Ready", _at(".status.numberReady", 0), _NUMBER),
        Column("Up-to-date", _at(".status.updatedNumberScheduled", 0), _NUMBER),
        Column("Available", _at(".status.numberAvailable", 0), _NUMBER),
        *_IMAGES,
    ),
    ("batch", "jobs"): (
        Column("Status", _job),
        Column("Completions", _ratio(".status.succeeded", ".spec.completions")),
        *_IMAGES,
    ),
    ("coordination.k8s.io", "leases"): (Column("Holder", _at(".spec.holderIdentity")),),
    ("rbac.authorization.k8s.io", "rolebindings"): (Column("Role", _role),),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): (Column("Role", _role),),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (Column("Created At", _at(".metadata.creationTimestamp")),),
}
