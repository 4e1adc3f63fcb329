"""The public face: parse a text once, render it on data.

    Template.parse("{{ .user | upper }}", name="spec.template.data[dsn]", functions=GO).render({"user": "x"})

Data are plain Python values (see `values`): dict, list, str, bytes, int, float, bool, None, Struct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import nodes as n
from .builtins import BUILTINS
from .evaluator import Budget, Evaluator
from .parser import parse
from .registry import FunctionSet
from .values import Value, to_bytes

MissingKey = Literal["error", "default", "invalid", "zero"]
_DEFAULT_BUDGET = Budget()


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. Safe to share and to render many times."""

    name: str
    text: str
    templates: dict[str, list[n.Node]]
    functions: FunctionSet

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        name: str,
        delimiters: tuple[str, str] = ("{{", "}}"),
        functions: FunctionSet | None = None,
    ) -> Template:
        """`functions` come on top of Go's own. Raises ParseError (line, cause)."""
        known = BUILTINS | (functions or {})
        return cls(name, text, parse(text, name=name, functions=known, delimiters=delimiters), known)

    def render(self, data: Value, *, missing_key: MissingKey = "error", budget: Budget = _DEFAULT_BUDGET) -> str:
        """The text. Bytes that are not UTF-8 stand as lone surrogates: `render_bytes` gives them back.

        `missing_key`: what `.x` is where a map has no x: an error, or (default, invalid) `<no value>`. "zero" is as
        default, for all maps here hold any type. Raises ExecutionError (line, column, cause), BudgetExceededError.
        """
        evaluator = Evaluator(
            self.templates, self.functions, name=self.name, text=self.text, missing_key=missing_key, budget=budget
        )
        return evaluator.run(data)

    def render_bytes(
        self, data: Value, *, missing_key: MissingKey = "error", budget: Budget = _DEFAULT_BUDGET
    ) -> bytes:
        """As `render`, the very bytes."""
        return to_bytes(self.render(data, missing_key=missing_key, budget=budget))
