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
from controllers.api.timestamps import timestamp_or_none

from ..seams import KindInfo
from .table_columns import UNKNOWN, reader, rows

Cell = Callable[[Manifest], Any]
_BUILT_IN = rows()


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
        elif include_object == "None":
            row["object"] = None
        else:
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        return row

    def _columns(self, kind: KindInfo) -> list[Column]:
        name = Column("Name", lambda obj: obj["metadata"]["name"], format="name")
        if not kind.custom:
            listed = [
                Column(title, reader(source, self._since), of_type, priority)
                for title, of_type, priority, source in _BUILT_IN.get(kind.plural, ())
            ]
            if kind.plural == "events":
                return [*listed, Column("Name", name.cell, format="name", priority=1)]
            return [name, *listed]
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
        moment = timestamp_or_none(stamp)
        return human((self._now() - moment).total_seconds()) if moment is not None else UNKNOWN


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
