"""Answers made comparable, and their differences. What may differ stands in known.toml, with the reason.

Uids become their order of appearance, resourceVersions their rank among those of the same object, times and tokens a
mark: two servers give different ones, but the same object must carry the same one in every answer of a script. Empty
`details` of a Status count as none. Two orders are chance on the real server, and are set aside: that of the conflicts
of one apply (it walks a hash map of the managers), and that of managedFields (by the second of the write; the moments
at which two servers pass a second differ).
"""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
URL = re.compile(r"https://127\.0\.0\.1:\d+")
AGE_COLUMNS = ("Age", "Created At")
KNOWN = Path(__file__).with_name("known.toml")


@dataclass(frozen=True)
class Difference:
    """`where` is script/step, `path` a place in the answer such as `body.details.causes.0.message`."""

    where: str
    path: str
    standin: Any
    real: Any

    def __str__(self) -> str:
        left, right = (json.dumps(value, ensure_ascii=False)[:700] for value in (self.standin, self.real))
        return f"{self.where} {self.path}\n    stand-in {left}\n    real     {right}"


ABSENT = "(absent)"


class Normaliser:
    """Of one server's answers in one script."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        self._versions: dict[str, set[int]] = {}

    def first(self, value: Any) -> Any:
        """First pass: learns the resourceVersions of each object; the rest is replaced."""
        return self._walk(value, "")

    def second(self, value: Any) -> Any:
        """Second pass: resourceVersions by their rank among those of the same object."""
        if isinstance(value, dict):
            return {name: self.second(item) for name, item in value.items()}
        if isinstance(value, tuple):
            uid, number = value
            return f"<version {sorted(self._versions[uid]).index(number)}>"
        return [self.second(item) for item in value] if isinstance(value, list) else value

    def _walk(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            if value.get("kind") == "Table":
                value = _ageless(value)
            if value.get("kind") == "Status":
                value = _in_order(value)
            listed = "items" in value or "columnDefinitions" in value or value.get("type") == "BOOKMARK"
            uid, found = value.get("uid", ""), {}
            for name, item in value.items():
                if name == "metadata" and listed:
                    found[name] = self._list_meta(item)
                elif name == "managedFields" and isinstance(item, list):
                    found[name] = sorted((self._walk(entry, name) for entry in item), key=_canonical)
                elif name == "resourceVersion" and isinstance(item, str) and item.isdigit():
                    self._versions.setdefault(uid, set()).add(int(item))
                    found[name] = (uid, int(item))
                else:
                    found[self._text(name, "")] = self._walk(item, name)
            return found
        if isinstance(value, list):
            return [self._walk(item, key) for item in value]
        return self._text(value, key) if isinstance(value, str) else value

    def _list_meta(self, meta: Any) -> Any:
        marks = {"resourceVersion": "<list version>", "continue": "<continue>"}
        return {name: marks.get(name, item) if item else item for name, item in meta.items()}

    def _text(self, value: str, key: str) -> str:
        if key == "token":
            return "<token>"
        value = UID.sub(lambda found: self._uids.setdefault(found.group(), f"<uid {len(self._uids)}>"), value)
        value = URL.sub("<url>", value)
        return TIME.sub("<time>", value)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _in_order(status: dict[str, Any]) -> dict[str, Any]:
    """Conflicts by field and message; no empty details."""
    details = status.get("details")
    if details == {}:
        return {name: item for name, item in status.items() if name != "details"}
    if status.get("reason") == "Conflict" and details and "causes" in details:
        return {**status, "details": {**details, "causes": sorted(details["causes"], key=_canonical)}}
    return status


def _ageless(table: dict[str, Any]) -> dict[str, Any]:
    columns = table.get("columnDefinitions") or []
    places = {index for index, column in enumerate(columns) if column["name"] in AGE_COLUMNS}
    rows = [
        {**row, "cells": ["<age>" if index in places else cell for index, cell in enumerate(row["cells"])]}
        for row in table.get("rows") or []
    ]
    return {**table, "rows": rows}


def differences(standin: Any, real: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, stand-in's value, real value) wherever two JSON values are not the same."""
    if isinstance(standin, dict) and isinstance(real, dict):
        for name in sorted(standin.keys() | real.keys()):
            yield from differences(
                standin.get(name, ABSENT), real.get(name, ABSENT), f"{path}.{name}" if path else name
            )
    elif isinstance(standin, list) and isinstance(real, list) and len(standin) == len(real):
        for index, (left, right) in enumerate(zip(standin, real, strict=True)):
            yield from differences(left, right, f"{path}.{index}")
    elif standin != real or isinstance(standin, bool) != isinstance(real, bool):
        yield path, standin, real


@dataclass(frozen=True)
class Known:
    """An entry of known.toml: globs over `where` and `path`, and why the difference stays. One that is `racy` depends
    on the moment of a background controller, and may be absent from a run.
    """

    where: str
    path: str
    reason: str
    racy: bool = False

    def covers(self, difference: Difference) -> bool:
        return fnmatch.fnmatchcase(difference.where, self.where) and fnmatch.fnmatchcase(difference.path, self.path)


def known() -> list[Known]:
    if not KNOWN.exists():
        return []
    return [Known(**entry) for entry in tomllib.loads(KNOWN.read_text(encoding="utf-8")).get("known", [])]
