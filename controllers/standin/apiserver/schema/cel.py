"""CEL rules of custom types (`x-kubernetes-validations`), checked after everything else.

Rules see `self`, and on updates `oldSelf` where the old value can be found: through fields, map keys, and lists of
objects by their keys. A rule that names `oldSelf` is skipped where there is no old value. Expressions are compiled
once per text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..ssa.typed import same
from ..status_errors import Cause, quoted
from .node import Node

MISSING_OLD = object()
MAX_CAUSES = 50
BLOCKING = (
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
)
SKIPPED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_OLD = re.compile(r"\boldSelf\b")
_RESERVED_WORDS = (
    "true false null in as break const continue else for function if import let loop package namespace return var "
    "void while"
)
_RESERVED = frozenset(_RESERVED_WORDS.split())
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


def rule_causes(node: Node, value: Any, old: Any, *, blocked: Sequence[Cause]) -> list[Cause]:
    """What the rules refuse. With faults of other kinds already found, the rules are not asked, and that is said."""
    if any(cause.reason in BLOCKING for cause in blocked):
        return [Cause("FieldValueInvalid", f"Invalid value: null: {SKIPPED}", "<nil>")]
    causes: list[Cause] = []
    _walk(node, value, MISSING_OLD if old is None else old, "", causes)
    return causes[:MAX_CAUSES]


def _walk(node: Node, value: Any, old: Any, path: str, causes: list[Cause]) -> None:
    if not node.has_rules or value is None or len(causes) >= MAX_CAUSES:
        return
    for rule in node.rules:
        found = _ask(node, rule, value, old, path)
        if found is not None:
            causes.append(found)
    if isinstance(value, dict):
        for name, item in value.items():
            child = node.properties.get(name) or node.values
            if child is not None and child.has_rules:
                before = old.get(name, MISSING_OLD) if isinstance(old, dict) else MISSING_OLD
                below = f"{path}.{name}" if name in node.properties and path else name
                _walk(child, item, before, below if name in node.properties else f"{path}[{name}]", causes)
    elif isinstance(value, list) and node.items is not None and node.items.has_rules:
        for index, item in enumerate(value):
            _walk(node.items, item, _counterpart(node, item, old), f"{path}[{index}]", causes)


def _counterpart(node: Node, item: Any, old: Any) -> Any:
    if node.list_type != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return MISSING_OLD
    for other in old:
        if isinstance(other, dict) and all(same(other.get(key), item.get(key)) for key in node.keys):
            return other
    return MISSING_OLD


def _ask(node: Node, rule: Mapping[str, Any], value: Any, old: Any, path: str) -> Cause | None:
    from controllers.lang.cel import CelError, compile_cel

    source = str(rule.get("rule", ""))
    escaped = "__" in source
    transition = bool(_OLD.search(source))
    if transition and old is MISSING_OLD:
        return None
    variables: dict[str, Any] = {"self": escape(value) if escaped else value}
    if transition:
        variables["oldSelf"] = escape(old) if escaped else old
    names = ("self", "oldSelf") if transition else ("self",)
    try:
        if compile_cel(source, names).holds(variables):
            return None
        message = str(rule.get("message") or "").strip() or _spoken(rule, names, variables) or f"failed rule: {source}"
    except CelError as error:
        message = f"rule {source!r} cannot be evaluated: {error}"
    where = path + _field_path(rule)
    reason = str(rule.get("reason") or "FieldValueInvalid")
    shown = (
        f"Invalid value: {message}" if isinstance(value, dict | list) else f"Invalid value: {quoted(value)}: {message}"
    )
    text = {"FieldValueForbidden": f"Forbidden: {message}", "FieldValueRequired": f"Required value: {message}"}
    return Cause(reason, text.get(reason, shown), where.lstrip(".") or "<nil>")


def _spoken(rule: Mapping[str, Any], names: tuple[str, ...], variables: Mapping[str, Any]) -> str:
    from controllers.lang.cel import CelError, compile_cel

    source = str(rule.get("messageExpression") or "")
    if not source:
        return ""
    try:
        found = compile_cel(source, names).evaluate(variables)
    except CelError:
        return ""
    return found if isinstance(found, str) and "\n" not in found else ""


def _field_path(rule: Mapping[str, Any]) -> str:
    return str(rule.get("fieldPath") or "")


def escape(value: Any) -> Any:
    """Field names as rules write them: `namespace` is `__namespace__`, `a-b` is `a__dash__b`."""
    if isinstance(value, dict):
        return {_escaped(name): escape(item) for name, item in value.items()}
    return [escape(item) for item in value] if isinstance(value, list) else value


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for plain, coded in _ESCAPES:
        name = name.replace(plain, coded)
    return name
