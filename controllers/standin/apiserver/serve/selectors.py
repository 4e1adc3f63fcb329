"""Label and field selectors, parsed once per request and asked per object."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..status_errors import bad_request

Test = Callable[[Mapping[str, str]], bool]
_KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(rf"\s*({_KEY})\s*(==|=|!=|>|<)\s*({_VALUE})\s*")
_EXISTS = re.compile(rf"\s*(!?)\s*({_KEY})\s*")
_PLAIN_VALUE = re.compile(_VALUE)
MAX_LENGTH = 64 * 1024

COMMON = ("metadata.name", "metadata.namespace")
FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "secrets"): ("type",),
    ("", "namespaces"): ("status.phase", "name"),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("", "events"): (
        *(f"involvedObject.{n}" for n in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")),
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    ("apps", "replicasets"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
}


def _split(text: str) -> list[str]:
    """At commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts


def _requirement(text: str) -> Test:
    found = _SET.fullmatch(text)
    if found:
        key, operator, listed = found.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        for value in values:
            if not _PLAIN_VALUE.fullmatch(value):
                raise bad_request(f"unable to parse requirement: values[0][{key}]: Invalid value: {value!r}")
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    found = _EQUAL.fullmatch(text)
    if found:
        return _comparison(*found.groups())
    found = _EXISTS.fullmatch(text)
    if not found:
        raise bad_request(f"unable to parse requirement: found {text.strip()!r}, expected an identifier")
    negated, key = found.groups()
    return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)


def _comparison(key: str, operator: str, value: str) -> Test:
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator in "><":
        if not value.lstrip("-").isdigit():
            raise bad_request(
                f"unable to parse requirement: values[0][{key}]: Invalid value: {value!r}: not an integer"
            )
        bound = int(value)

        def compared(labels: Mapping[str, str]) -> bool:
            found = labels.get(key, "")
            if not found.lstrip("-").isdigit():
                return False
            return int(found) > bound if operator == ">" else int(found) < bound

        return compared
    return lambda labels: labels.get(key) == value


def label_test(text: str) -> Test | None:
    """A label selector as a test of labels; None for the empty one. Raises StatusError 400."""
    if not text.strip():
        return None
    if len(text) > MAX_LENGTH:
        raise bad_request(f"unable to parse requirement: the selector has {len(text)} characters")
    tests = [_requirement(part) for part in _split(text)]
    if len(tests) == 1:
        return tests[0]
    return lambda labels: all(test(labels) for test in tests)


def field_terms(text: str, key: tuple[str, str], extra: tuple[str, ...] = ()) -> list[tuple[str, bool, str]]:
    """A field selector as (path, equal, value). Raises StatusError 400 for a field that the type cannot select by."""
    known = (*COMMON, *FIELDS.get(key, ()), *extra)
    terms = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = re.fullmatch(r"\s*([\w.\-/\[\]]+)\s*(==|=|!=)(.*)", part)
        if not found:
            raise bad_request(f"invalid field selector: {part!r}; can't understand")
        name, operator, value = found.groups()
        if name not in known:
            raise bad_request(f"field label not supported: {name}")
        terms.append((name, operator != "!=", value.strip().replace("\\,", ",").replace("\\=", "=")))
    return terms


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """The value a field selector compares, as text; what is absent is empty."""
    if path == "name":
        path = "metadata.name"
    if path == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "0" if path in ("status.replicas", "status.successful") else ""
    return str(value)


class Selector:
    """Both selectors of one request. `everything` where there are none."""

    def __init__(self, labels: str, fields: str, key: tuple[str, str], extra: tuple[str, ...] = ()) -> None:
        self._labels = label_test(labels)
        self._fields = field_terms(fields, key, extra) if fields else []
        self.everything = self._labels is None and not self._fields
        self.name = next((value for path, equal, value in self._fields if path == "metadata.name" and equal), "")
        """The one name that can match, if the selector names it."""

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Whether an object is selected."""
        if self._labels is not None and not self._labels(obj["metadata"].get("labels") or {}):
            return False
        return all((field_value(obj, path) == value) is equal for path, equal, value in self._fields)
