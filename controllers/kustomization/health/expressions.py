"""`healthCheckExprs`: the health of a kind in CEL over the object. Pure (the runtime's CEL library bounds itself).

Order: an unobserved generation is in progress; then `inProgress`, `failed`, `current`; else in progress. What is not
there is an error and no `false`: a misspelt field must not read as "not ready yet".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from controllers.api.resource import Manifest
from controllers.lang.cel import CelError, compile_cel

from .kstatus import State, Status

_IDENTIFIER = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?!\w)")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_RESERVED = {"true", "false", "null", "in", "has", "all", "exists", "exists_one", "map", "filter", "size", "type"}
_NO_KEY = re.compile(r'Key not found in map\s*:\s*"([^"]*)"')
_NO_VALUE = re.compile(r'No value with name "([^"]*)" found')


class ExpressionError(ValueError):
    """An expression that is missing, cannot be read, or cannot be evaluated over an object."""


@dataclass(frozen=True, slots=True)
class HealthExpressions:
    """The expressions for one kind; checked when made. Raises ExpressionError."""

    current: str
    in_progress: str = ""
    failed: str = ""

    def __post_init__(self) -> None:
        if not self.current:
            raise ExpressionError("expression Current not specified")
        for name, text in (("Current", self.current), ("InProgress", self.in_progress), ("Failed", self.failed)):
            check(name, text)

    def evaluate(self, manifest: Manifest) -> Status:
        """The object's status. Raises ExpressionError."""
        generation = (manifest.get("metadata") or {}).get("generation")
        seen = (manifest.get("status") or {}).get("observedGeneration")
        if type(seen) is int and type(generation) is int and seen != generation:
            return Status(State.IN_PROGRESS, "LatestGenerationNotObserved", "the latest generation is not observed yet")
        for text, state in (
            (self.in_progress, State.IN_PROGRESS),
            (self.failed, State.FAILED),
            (self.current, State.CURRENT),
        ):
            if text and holds(text, manifest):
                return Status(state, f"{state}Expression", f"the health expression for {state} holds")
        return Status(State.IN_PROGRESS, "NoExpressionHolds", "no health expression holds")


def check(name: str, text: str) -> None:
    """Raises ExpressionError where an expression (none is fine) cannot be read; it names it."""
    if not text:
        return
    try:
        compile_cel(text, names_in(text))
    except CelError as error:
        raise ExpressionError(f"failed to parse the expression {name}: {error}") from None


def names_in(expression: str) -> tuple[str, ...]:
    """Identifiers that stand at the root of a path: what an object's top-level fields may be called."""
    bare = _STRING.sub("''", expression)
    return tuple(sorted({name for name in _IDENTIFIER.findall(bare) if name not in _RESERVED}))


def holds(expression: str, variables: Mapping[str, object]) -> bool:
    """A boolean expression over named values. Raises ExpressionError."""
    names = names_in(expression)
    try:
        return compile_cel(expression, names).holds({name: variables[name] for name in names if name in variables})
    except CelError as error:
        raise ExpressionError(
            f"failed to evaluate the CEL expression '{expression}': {_told(str(error), expression)}"
        ) from None


def _told(message: str, expression: str) -> str:
    """The library's message in the words that users of health expressions know."""
    if found := _NO_KEY.search(message):
        return f"no such key: {found[1]}"
    if found := _NO_VALUE.search(message):
        path = re.search(rf"(?<![\w.]){re.escape(found[1])}(?:\.[A-Za-z_]\w*(?!\w|\())*", expression)
        return f"no such attribute(s): {path[0] if path else found[1]}"
    return message
