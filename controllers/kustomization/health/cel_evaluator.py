"""Edge: CEL that users write, where it cannot hurt: small questions here, all else in a process that can be killed.

The library bounds iterations, not memory: a few `cel.bind`s that each name the last one ten times, or a chain of
`replace`, ask for terabytes. An expression that only selects and compares (what health checks are made of) makes
nothing larger than its input and is evaluated in place; one that calls anything else or adds goes to the worker, with
its limits of time and memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from controllers.api.resource import Manifest
from controllers.runtime.worker import WorkFailedError, WorkTimeoutError

from .expressions import ExpressionError, HealthExpressions, holds
from .kstatus import Status

TIMEOUT = 5.0
"""Seconds for one object's expressions."""
_HARMLESS = {
    "all", "exists", "exists_one", "filter", "has", "size", "contains", "startsWith", "endsWith", "in", "int", "bool",
    "double", "type", "orValue", "hasValue", "value",
}  # fmt: skip
"""What makes nothing larger than what it is given."""
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_CALL = re.compile(r"(\w+)\s*\(")


class Heavy(Protocol):
    async def run(self, function: str, argument: Any, timeout: float | None = None) -> Any: ...


class Evaluator:
    """Evaluates users' expressions. One per process."""

    def __init__(self, heavy: Heavy) -> None:
        self._heavy = heavy

    async def status(self, expressions: HealthExpressions, manifest: Manifest) -> Status:
        """The object's status. Raises ExpressionError, also where it took too long or too much."""
        texts = (expressions.current, expressions.in_progress, expressions.failed)
        if all(map(is_small, texts)):
            return expressions.evaluate(manifest)
        found: Status = await self._run("status_of", (texts, manifest))
        return found

    async def decided(
        self, expression: str, variables: Mapping[str, object]
    ) -> Callable[[str, Mapping[str, object]], bool]:
        """A function that says what the expression (of a dependency; "" for none) comes to, or raises."""
        if not expression or is_small(expression) or any(value is None for value in variables.values()):
            return holds
        try:
            result = bool(await self._run("is_true", (expression, dict(variables))))
        except ExpressionError as failed:
            error = failed

            def refuse(text: str, values: Mapping[str, object]) -> bool:
                raise error

            return refuse
        return lambda text, values: result

    async def _run(self, function: str, argument: Any) -> Any:
        try:
            return await self._heavy.run(f"{__name__}:{function}", argument, TIMEOUT)
        except WorkTimeoutError:
            raise ExpressionError("the expression takes too much time or memory") from None
        except WorkFailedError as error:
            if error.kind != ExpressionError.__name__:
                raise
            raise ExpressionError(str(error)) from None


def is_small(expression: str) -> bool:
    """Can it make nothing larger than its input?"""
    if "\\" in expression or "'''" in expression or '"""' in expression or len(expression) > 4096:
        return False
    bare = _STRING.sub("''", expression)
    return not any(mark in bare for mark in "+*{[") and set(_CALL.findall(bare)) <= _HARMLESS


def status_of(argument: tuple[tuple[str, str, str], Manifest]) -> Status:
    """In the worker."""
    texts, manifest = argument
    return HealthExpressions(*texts).evaluate(manifest)


def is_true(argument: tuple[str, Mapping[str, object]]) -> bool:
    """In the worker."""
    return holds(*argument)
