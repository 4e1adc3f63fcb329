"""IAM policy evaluation, as far as identity and trust policies of the loop need it. Pure.

Deny wins, nothing allows by default. Actions and resources are globs; conditions know the string, ARN, Bool and Null
operators, `…IfExists`, `ForAnyValue:`/`ForAllValues:` and policy variables (`${aws:PrincipalTag/namespace}`). An
operator we do not know fails closed: it never makes an Allow apply and always makes a Deny apply.
Source: "Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

Context = Mapping[str, tuple[str, ...]]  # condition keys in lower case
Document = Mapping[str, Any]
Statement = Mapping[str, Any]


class Effect(Enum):
    ALLOW = "Allow"
    DENY = "Deny"
    NONE = "None"  # no statement applies: denied implicitly


def evaluate(documents: Iterable[Document], *, action: str, resource: str, context: Context) -> Effect:
    """What identity-based policies say about one action on one resource ARN ("*" where the action takes none)."""
    speaking = (each for each in _statements(documents) if _resource_applies(each, resource, context))
    return _decided(speaking, action, context)


def trusts(document: Document, *, action: str, principals: Iterable[tuple[str, str]], context: Context) -> Effect:
    """What a role's trust policy says. `principals` are what the caller is: ("AWS", arn), ("Federated", arn) …"""
    who = tuple(principals)
    speaking = (each for each in _statements([document]) if _principal_applies(each.get("Principal"), who))
    return _decided(speaking, action, context)


def _decided(statements: Iterable[Statement], action: str, context: Context) -> Effect:
    """Of statements that speak of the resource or the caller: a denial wins, silence is no permission."""
    found = Effect.NONE
    for statement in statements:
        effect = str(statement.get("Effect"))
        if not _action_applies(statement, action):
            continue
        if not conditions_hold(statement.get("Condition") or {}, context, fail=effect == "Deny"):
            continue
        if effect == "Deny":
            return Effect.DENY
        found = Effect.ALLOW
    return found


def conditions_hold(conditions: Mapping[str, Any], context: Context, *, fail: bool = False) -> bool:
    """Whether all operators hold. `fail` is the answer for an operator that we do not know."""
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            values = tuple(_expand(str(value), context) for value in _list(wanted))
            held = _holds(operator, context.get(key.lower()), values)
            if not (fail if held is None else held):
                return False
    return True


def _holds(operator: str, actual: tuple[str, ...] | None, wanted: tuple[str, ...]) -> bool | None:
    quantifier, separator, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (actual is None) == (wanted[:1] == ("true",))
    test = _TESTS.get(name)
    if test is None or (separator and quantifier not in ("ForAnyValue", "ForAllValues")):
        return None
    negated = "Not" in name
    if actual is None:
        return if_exists or negated or quantifier == "ForAllValues"
    results = [any(test(value, want) for want in wanted) != negated for value in actual]
    return any(results) if quantifier == "ForAnyValue" else all(results)


def glob(value: str, pattern: str) -> bool:
    """IAM's glob: `*` any characters (slashes too), `?` one. Linear in practice, quadratic at worst: no regex."""
    at, place, star, mark = 0, 0, -1, 0
    while at < len(value):
        if place < len(pattern) and pattern[place] == "*":
            star, mark = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", value[at]):
            at, place = at + 1, place + 1
        elif star >= 0:  # let the last star take one character more
            mark += 1
            at, place = mark, star + 1
        else:
            return False
    return all(character == "*" for character in pattern[place:])


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, want: value == want,
    "StringNotEquals": lambda value, want: value == want,
    "StringEqualsIgnoreCase": lambda value, want: value.lower() == want.lower(),
    "StringNotEqualsIgnoreCase": lambda value, want: value.lower() == want.lower(),
    "StringLike": glob,
    "StringNotLike": glob,
    "ArnEquals": glob,
    "ArnLike": glob,
    "ArnNotEquals": glob,
    "ArnNotLike": glob,
    "Bool": lambda value, want: value.lower() == want.lower(),
}


def _action_applies(statement: Mapping[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(glob(action.lower(), str(a).lower()) for a in _list(statement["NotAction"]))
    return any(glob(action.lower(), str(a).lower()) for a in _list(statement.get("Action")))


def _resource_applies(statement: Mapping[str, Any], resource: str, context: Context) -> bool:
    if "NotResource" in statement:
        return not any(glob(resource, _expand(str(r), context)) for r in _list(statement["NotResource"]))
    return any(glob(resource, _expand(str(r), context)) for r in _list(statement.get("Resource")))


def _principal_applies(principal: Any, who: tuple[tuple[str, str], ...]) -> bool:
    if principal == "*":
        return any(kind == "AWS" for kind, _ in who)
    if not isinstance(principal, Mapping):
        return False
    for kind, name in who:
        wanted = [str(item) for item in _list(principal.get(kind))]
        if name in wanted or (kind == "AWS" and "*" in wanted):
            return True
    return False


def _expand(text: str, context: Context) -> str:
    """Policy variables; one without a value matches nothing (its placeholder stays)."""

    def value(match: re.Match[str]) -> str:
        found = context.get(match[1].strip().lower(), ())
        return found[0] if len(found) == 1 else match[0]

    return re.sub(r"\$\{([^}]*)\}", value, text)


def _statements(documents: Iterable[Document]) -> Iterable[Statement]:
    for document in documents:
        for statement in _list(document.get("Statement")):
            if isinstance(statement, Mapping):
                yield statement


def _list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
