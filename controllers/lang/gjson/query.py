"""The small grammars inside a gjson path: queries, wildcards, multipath members, pipes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .numbers import number_of
from .scan import Value, string_end, unescape

_OPERATORS = ("!=", "!%", "<=", ">=", "==", "<", ">", "=", "%")


@dataclass(frozen=True, slots=True)
class Query:
    """`#(path operator value)`; `end` is the offset behind the closing bracket."""

    path: str
    operator: str
    value: str
    end: int


def parse(text: str) -> Query | None:
    """The query that stands at the head of `text`, None where it is not closed."""
    at, depth, operator_at, escapes = 2, 1, 0, False
    while at < len(text):
        char = text[at]
        if depth == 1 and not operator_at and char in "!=<>%":
            operator_at = at
        elif char == "\\":
            at += 1
        elif char in "[(":
            depth += 1
        elif char in "])":
            depth -= 1
            if depth == 0:
                break
        elif char == '"':
            end = string_end(text, at)
            escapes = escapes or "\\" in text[at:end]
            at = end - 1
        at += 1
    if depth:
        return None
    if not operator_at:
        return Query(text[2:at].strip(), "", "", at + 1)
    condition = text[operator_at:at].strip()
    operator = next((known for known in _OPERATORS if condition.startswith(known)), condition[:1])
    value = condition[len(operator) :].strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = unescape(value[1:-1]) if escapes else value[1:-1]
    return Query(text[2:operator_at].strip(), "=" if operator == "==" else operator, value, at + 1)


def _truthy(value: Value | None) -> bool:
    if value is None:
        return False
    if value.kind == "string":
        return value.text.lower() in ("1", "t", "true")
    return number_of(value.raw) != 0 if value.kind == "number" else value.kind == "true"


def _falsy(value: Value | None) -> bool:
    if value is None or value.kind in ("null", "false"):
        return True
    if value.kind == "string":
        return value.text.lower() in ("0", "f", "false")
    return number_of(value.raw) == 0 if value.kind == "number" else False


def matches(asked: Query, value: Value | None) -> bool:
    """Does a value (None: there is none) satisfy the query?"""
    wanted = asked.value
    if wanted[:1] == "~":
        answers = {
            "*": value is not None,
            "null": value is None or value.kind == "null",
            "true": _truthy(value),
            "false": _falsy(value),
        }
        if wanted[1:] not in answers:
            return False
        wanted, value = "true", Value("true" if answers[wanted[1:]] else "false", "")
    if value is None:
        return False
    if not asked.operator:
        return True
    match value.kind:
        case "string":
            return _compare_text(asked.operator, value.text, wanted)
        case "number":
            return _compare(asked.operator, number_of(value.raw), number_of(wanted))
        case "true" | "false":
            return _compare_bool(asked.operator, value.kind == "true", wanted)
    return False


def _compare_text(operator: str, text: str, wanted: str) -> bool:
    if operator in ("%", "!%"):
        return glob(text, wanted) == (operator == "%")
    return _compare(operator, text, wanted)


def _compare(operator: str, left: Any, right: Any) -> bool:
    answers = {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    return bool(answers.get(operator, False))


def _compare_bool(operator: str, value: bool, wanted: str) -> bool:
    if value:
        answers = {"=": wanted == "true", "!=": wanted != "true", ">": wanted == "false", ">=": True}
    else:
        answers = {"=": wanted == "false", "!=": wanted != "false", "<": wanted == "true", "<=": True}
    return answers.get(operator, False)


def glob(text: str, pattern: str) -> bool:
    """`*` any run, `?` any one character, backslash takes the next as it is. Linear but for one backtrack point."""
    at = star = mark = 0
    position, star = 0, -1
    while at < len(text):
        char = pattern[position : position + 1]
        if char == "*":
            star, mark = position, at
            position += 1
            continue
        literal = pattern[position + 1 : position + 2] if char == "\\" else char
        if char and (char == "?" or literal == text[at]):
            position += 2 if char == "\\" else 1
            at += 1
        elif star >= 0:
            mark += 1
            position, at = star + 1, mark
        else:
            return False
    return pattern[position:].strip("*") == ""


def split_pipe(path: str) -> tuple[str, str | None]:
    """(what stands before the first pipe outside of brackets and strings, what stands behind it)."""
    depth = at = 0
    while at < len(path):
        char = path[at]
        if char == "\\":
            at += 1
        elif char == '"':
            at = string_end(path, at) - 1
        elif char in "{[(":
            depth += 1
        elif char in "}])":
            depth -= 1
        elif char == "|" and depth == 0:
            return path[:at], path[at + 1 :]
        at += 1
    return path, None


def selectors(path: str) -> tuple[list[tuple[str, str]], str] | None:
    """Members of a multipath as (name, path), and the rest of the path; None where it is not closed."""
    chosen: list[tuple[str, str]] = []
    depth, colon, start, at, modifier = 1, 0, 1, 1, False
    while at < len(path):
        char = path[at]
        if char == "\\":
            at += 1
        elif char == "@":
            modifier = modifier or path[at - 1] in ".|"
        elif char == ":" and depth == 1 and not colon and not modifier:
            colon = at
        elif char == '"':
            at = string_end(path, at) - 1
        elif char in "[({":
            depth += 1
        elif char in "])}":
            depth -= 1
        if depth == 0 or (char == "," and depth == 1):
            chosen.append((path[start:colon], path[colon + 1 : at]) if colon else ("", path[start:at]))
            colon, start, modifier = 0, at + 1, False
            if depth == 0:
                return chosen, path[at + 1 :]
        at += 1
    return None


def member_name(name: str, path: str) -> str:
    """The key of a multipath's member, as JSON."""
    if name:
        try:
            if name[0] == '"' and isinstance(json.loads(name), str):
                return name
        except ValueError:
            pass
        return json.dumps(name, ensure_ascii=False)
    at = max((i for i, char in enumerate(path) if char in ".|" and path[i - 1 : i] != "\\"), default=-1)
    last = path[at + 1 :]
    simple = not any(char < " " or char in "[]{}()#|!" for char in last)
    return json.dumps(last if simple else "_", ensure_ascii=False)
