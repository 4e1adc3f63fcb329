"""What can go wrong with a template, for a reader who wrote it.

    TemplateError              base; carries template name, line, column, the place and the cause
    ├── ParseError             the text is no template
    ├── ExecutionError         the text is one, but this data cannot go through it
    └── BudgetExceededError         it would have taken too many steps, bytes or levels

    FunctionError              raised by a template function; the evaluator turns it into an ExecutionError

Texts follow Go's (`template: name:1:3: executing "name" at <.x>: map has no entry for key "x"`). They quote the
template, never the data: a value may be a secret. Functions name what they expected and not what they were given.
"""

from __future__ import annotations


class FunctionError(Exception):
    """A template function refuses its arguments. The text holds no argument's value."""


class TemplateError(Exception):
    """A template that cannot be parsed or executed.

    `line` counts from 1, `column` in bytes from 0 (as Go does), `where` is the piece of template ("" when parsing).
    """

    def __init__(self, cause: str, *, name: str, line: int = 0, column: int | None = None, where: str = "") -> None:
        self.cause = cause
        self.name = name
        self.line = line
        self.column = column
        self.where = where
        super().__init__(self._text())

    def _text(self) -> str:
        place = f"{self.name}:{self.line}" if self.line else self.name
        if self.column is not None:
            place += f":{self.column}"
        at = f' executing "{self.name}" at <{self.where}>:' if self.where else ""
        return f"template: {place}:{at} {self.cause}"


class ParseError(TemplateError):
    """The text is not a template."""


class ExecutionError(TemplateError):
    """The template failed on this data."""


class BudgetExceededError(ExecutionError):
    """The template would use more than it was given."""
