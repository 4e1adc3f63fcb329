"""A script: calls that build on each other, in a namespace of their own, run against both servers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .compare import Difference, Normaliser, differences
from .pair import APPLY, JSON, MERGE, STRATEGIC, TABLE, Answer, Call, Pair

CORE = "/api/v1/namespaces/{ns}"
REFERENCE = re.compile(r"\{(\d+)\.([^}]+)\}")


@dataclass(frozen=True)
class Script:
    name: str
    calls: tuple[Call, ...]
    forget: Callable[[Any], Any] = lambda body: body
    """Takes out of a body what is not compared."""

    @property
    def namespace(self) -> str:
        return f"d-{self.name}"


def script(name: str, *calls: Call, forget: Callable[[Any], Any] = lambda body: body) -> Script:
    return Script(name, calls, forget)


def get(path: str, **options: Any) -> Call:
    return Call("GET", path, **options)


def post(path: str, body: Any, **options: Any) -> Call:
    return Call("POST", path, body, **options)


def put(path: str, body: Any, **options: Any) -> Call:
    return Call("PUT", path, body, **options)


def delete(path: str, body: Any = None, **options: Any) -> Call:
    return Call("DELETE", path, body, **options)


def merge(path: str, body: Any, **options: Any) -> Call:
    return Call("PATCH", path, body, media=MERGE, **options)


def jsonpatch(path: str, body: Any, **options: Any) -> Call:
    return Call("PATCH", path, body, media=JSON, **options)


def strategic(path: str, body: Any, **options: Any) -> Call:
    return Call("PATCH", path, body, media=STRATEGIC, **options)


def apply(path: str, body: Any, manager: str = "alice", **options: Any) -> Call:
    query = {"fieldManager": manager, **options.pop("query", {})}
    return Call("PATCH", path, body, media=APPLY, query=query, **options)


def table(path: str, **options: Any) -> Call:
    return Call("GET", path, accept=TABLE, **options)


def filled(value: Any, namespace: str, answers: list[Answer]) -> Any:
    """`value` with its placeholders replaced."""
    if isinstance(value, dict):
        return {filled(name, namespace, answers): filled(item, namespace, answers) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, namespace, answers) for item in value]
    if not isinstance(value, str):
        return value

    def look(found: re.Match[str]) -> str:
        current: Any = answers[int(found.group(1))].body
        for part in found.group(2).split("."):
            current = current[int(part)] if isinstance(current, list) else current[part]
        return str(current)

    return REFERENCE.sub(look, value.replace("{ns}", namespace))


def at(call: Call, namespace: str, answers: list[Answer]) -> Call:
    return replace(
        call,
        path=filled(call.path, namespace, answers),
        body=filled(call.body, namespace, answers),
        query=filled(call.query, namespace, answers),
        user=filled(call.user, namespace, answers),
        groups=tuple(filled(list(call.groups), namespace, answers)),
        bearer=filled(call.bearer, namespace, answers),
    )


def run(pair: Pair, wanted: Script) -> list[Difference]:
    """All differences between the two servers' answers. A failing look-up of an earlier answer raises."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace}}
    pair.both(post("/api/v1/namespaces", body), post("/api/v1/namespaces", body))
    left: list[Answer] = []
    right: list[Answer] = []
    for call in wanted.calls:
        try:
            calls = at(call, wanted.namespace, left), at(call, wanted.namespace, right)
        except (KeyError, IndexError, TypeError) as error:
            found = compare(wanted, left, right)
            return [*found, Difference(f"{wanted.name}/{len(left)}", "call", repr(error), call.path)]
        first, second = pair.both(*calls)
        left.append(first)
        right.append(second)
    return compare(wanted, left, right)


def compare(wanted: Script, left: list[Answer], right: list[Answer]) -> list[Difference]:
    """The differences of two transcripts."""
    sides = []
    for answers in (left, right):
        normaliser = Normaliser()
        first = [
            normaliser.first({"code": item.code, "body": wanted.forget(item.body), "warnings": [*item.warnings]}, step)
            for step, (item, call) in enumerate(zip(answers, wanted.calls, strict=False))
            if not call.silent
        ]
        sides.append(normaliser.second(first))
    steps = [index for index, call in enumerate(wanted.calls) if not call.silent]
    found = []
    for index, standin, real in zip(steps, *sides, strict=False):
        where = f"{wanted.name}/{index}"
        if standin["code"] != real["code"]:
            found.append(Difference(where, "code", _gist(standin), _gist(real)))
        else:
            found += [Difference(where, path, *values) for path, *values in differences(standin, real)]
    return found


def _gist(answer: dict[str, Any]) -> Any:
    body = answer["body"]
    return [answer["code"], body.get("message", body.get("kind")) if isinstance(body, dict) else body]
