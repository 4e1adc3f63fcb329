"""Answers made comparable, and their differences. What may differ stands in known.toml, with the reason.

Uids become the step at which they first appear, resourceVersions their rank among those of the same object, times and
tokens a mark: two servers give different ones, but the same object must carry the same one in every answer of a
script. Empty `details` of a Status count as none. Some orders are chance on the real server, and are set aside: those
of the conflicts of one apply and of the faults of one custom object (it walks hash maps), that of managedFields (by
the second of the write; the moments at which two servers pass a second differ), and those of resources in discovery
and of rules in a SelfSubjectRulesReview (the order of its caches).
"""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
URL = re.compile(r"https://\d+\.\d+\.\d+\.\d+:\d+")
ADDRESS = re.compile(r"^\d+\.\d+\.\d+\.\d+:\d+$")
BY_CHANCE = ("managedFields", "resources", "resourceRules", "nonResourceRules")
"""Lists whose order is chance."""
GENERATED = re.compile(r"\bgen([-_])[a-z0-9]{5}\b", re.IGNORECASE)
AGE = re.compile(r"(\d+[smhdy])+|<invalid>")
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
        self._step, self._seen = 0, 0

    def first(self, value: Any, step: int) -> Any:
        """First pass: learns the resourceVersions of each object; the rest is replaced."""
        self._step, self._seen = step, 0
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
                elif name in BY_CHANCE and isinstance(item, list) and all(isinstance(entry, dict) for entry in item):
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

    def _uid(self, uid: str) -> str:
        if uid not in self._uids:
            self._uids[uid] = f"<uid {self._seen} of step {self._step}>"
            self._seen += 1
        return self._uids[uid]

    def _text(self, value: str, key: str) -> str:
        if key == "token":
            return "<token>"
        value = UID.sub(lambda found: self._uid(found.group()), value)
        value = GENERATED.sub(r"gen\1<suffix>", value)
        value = ADDRESS.sub("<address>", URL.sub("<url>", value))
        return TIME.sub("<time>", value)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _in_order(status: dict[str, Any]) -> dict[str, Any]:
    """Causes by field and message; no empty details."""
    details = status.get("details") or {}
    if not details:
        return {name: item for name, item in status.items() if name != "details"}
    if status.get("reason") not in ("Conflict", "Invalid") or len(details.get("causes") or ()) < 2:
        return status
    causes = sorted(details["causes"], key=_canonical)
    found = {**status, "details": {**details, "causes": causes}}
    if status["reason"] == "Invalid":  # the message repeats the causes, in their order
        lines = dict.fromkeys(f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in causes)
        found["message"] = f"{status['message'].partition(' is invalid: ')[0]} is invalid: [{', '.join(lines)}]"
    return found


def _aged(cell: Any) -> bool:
    """Whether a cell is an age by its look: in a watch only the first Table says which column is which."""
    return isinstance(cell, str) and AGE.fullmatch(cell) is not None


def _ageless(table: dict[str, Any]) -> dict[str, Any]:
    columns = table.get("columnDefinitions") or []
    places = {index for index, column in enumerate(columns) if column["name"] in AGE_COLUMNS}
    rows = [
        {
            **row,
            "cells": ["<age>" if index in places or _aged(cell) else cell for index, cell in enumerate(row["cells"])],
        }
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
    """An entry of known.toml: places and paths (globs), and why the difference stays. One that is `racy` depends on
    the moment of a background controller, and may be absent from a run.
    """

    where: tuple[str, ...]
    path: tuple[str, ...]
    reason: str
    racy: bool = False

    def covers(self, difference: Difference) -> bool:
        return _any(difference.where, self.where) and _any(difference.path, self.path)

    def of(self, script: str) -> bool:
        return any(where.partition("/")[0] == script for where in self.where)

    def stale(self, script: str, found: Sequence[Difference]) -> list[str]:
        """The places of one script at which nothing is different in these paths."""
        here = [where for where in self.where if where.partition("/")[0] == script]
        paths = [item.where for item in found if _any(item.path, self.path)]
        return [] if self.racy else [where for where in here if not any(_any(path, (where,)) for path in paths)]


def _any(text: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(text, glob) for glob in globs)


def known() -> list[Known]:
    """known.toml. `where` and `path` stand there as one glob or as a list of them."""
    found = []
    for entry in tomllib.loads(KNOWN.read_text(encoding="utf-8"))["known"]:
        lists = {
            name: (entry[name],) if isinstance(entry[name], str) else tuple(entry[name]) for name in ("where", "path")
        }
        found.append(Known(lists["where"], lists["path"], entry["reason"], entry.get("racy", False)))
    return found
