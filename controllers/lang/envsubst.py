"""`spec.postBuild`: `${name…}` expressions in built objects, an interpreter of our own.

The grammar is upstream's (a fork of drone/envsubst) without its bugs: where upstream panics or refuses what its own
documentation lists (`${v-d}`, `${v+x}`, `${v:?text}`, negative offsets and lengths) a shell's meaning holds; arguments
are looked at only when used; slices count characters. Arrays of embedded shell scripts (`${list[@]}`) are left as they
are.

Values may come from Secrets, so no error shows one: it names the object, the line of its text and the expression. Text,
depth and work are bounded; globs cost text x pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .glob import Glob, InvalidPatternError

MAX_DEPTH = 16
"""Expressions within arguments of expressions."""
MAX_OUTPUT = 8 * 1024 * 1024
"""Characters that one text may grow to."""

MAX_WORK = 100_000_000
"""Characters that the operators of one text may walk over; a glob walks them once for each of its tokens, slowly."""
_GLOB_COST = 40

_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_DEFAULTS = (":=", ":-", ":?", ":+", "=", "-", "?", "+")
_CASES = ("^^", "^", ",,", ",")
_REMOVALS = ("##", "#", "%%", "%")
_REPLACEMENTS = ("//", "/#", "/%", "/")


class SubstitutionError(ValueError):
    """An expression that cannot be read or has no value. `line` counts from 1 within the text."""

    def __init__(self, problem: str, *, line: int, expression: str) -> None:
        shown = expression if len(expression) <= 120 else f"{expression[:117]}..."
        super().__init__(f"line {line}: {shown}: {problem}")
        self.problem = problem
        self.line = line
        self.expression = shown


@dataclass(frozen=True, slots=True)
class Expression:
    """`${name operator args}`; each argument is a list of texts and expressions. `start` is where `${` stands."""

    name: str
    operator: str
    args: tuple[tuple[str | Expression, ...], ...]
    start: int
    source: str


def is_name(text: str) -> bool:
    """May a variable be called that?"""
    return bool(_NAME.fullmatch(text))


def substitute(text: str, variables: Mapping[str, str], *, strict: bool = True) -> str:
    """The text with its expressions evaluated. Strict: a name without value and default is an error.

    Raises SubstitutionError.
    """
    out: list[str] = []
    size = position = 0
    work = _Work()
    while (dollar := text.find("$", position)) >= 0:
        out.append(text[position:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            out.append("$")
            position = dollar + 2
        elif following != "{" or _is_array(text, dollar):
            out.append("$")
            position = dollar + 1
        else:
            expression, position = _Parser(text).expression(dollar, 0)
            out.append(_evaluate(expression, variables, strict, text, work))
        size += len(out[-1]) + len(out[-2])
        if size > MAX_OUTPUT:
            raise SubstitutionError(
                f"the result is longer than {MAX_OUTPUT} characters", line=_line(text, dollar), expression="${…}"
            )
    out.append(text[position:])
    return "".join(out)


def _is_array(text: str, dollar: int) -> bool:
    """`${list[…` belongs to a shell script: no variable of ours has elements."""
    name = _NAME.match(text, dollar + 2 + (text[dollar + 2 : dollar + 3] in ("#", "!")))
    return name is not None and text[name.end() : name.end() + 1] == "["


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


class _Parser:
    """Recursive descent over one text; every method takes a position and returns the one after what it read."""

    def __init__(self, text: str) -> None:
        self.text = text

    def expression(self, start: int, depth: int) -> tuple[Expression, int]:
        if depth >= MAX_DEPTH:
            raise self.error(start, f"more than {MAX_DEPTH} expressions within one another")
        position = start + 2
        if self.text.startswith("#", position) and (name := _NAME.match(self.text, position + 1)):
            return self.close(start, name.end(), name[0], "length", ())
        name = _NAME.match(self.text, position)
        if not name:
            raise self.error(start, "bad substitution: expected a variable's name; write $${ to keep the text")
        return self.operation(start, name[0], name.end(), depth)

    def operation(self, start: int, name: str, position: int, depth: int) -> tuple[Expression, int]:
        for operators, parse in (
            (_DEFAULTS, self.one_argument),
            (_CASES, self.no_argument),
            (_REMOVALS, self.one_argument),
            (_REPLACEMENTS, self.replacement),
            ((":",), self.slice),
        ):
            for operator in operators:
                if self.text.startswith(operator, position):
                    args, after = parse(start, position + len(operator), depth)
                    return self.close(start, after, name, operator, args)
        return self.close(start, position, name, "", ())

    def close(
        self, start: int, position: int, name: str, operator: str, args: tuple[tuple[str | Expression, ...], ...]
    ) -> tuple[Expression, int]:
        if not self.text.startswith("}", position):
            raise self.error(start, "missing closing brace; write $${ to keep the text")
        return Expression(name, operator, args, start, self.text[start : position + 1]), position + 1

    def no_argument(
        self, start: int, position: int, depth: int
    ) -> tuple[tuple[tuple[str | Expression, ...], ...], int]:
        return (), position

    def one_argument(
        self, start: int, position: int, depth: int
    ) -> tuple[tuple[tuple[str | Expression, ...], ...], int]:
        argument, position = self.argument(start, position, depth, stop="}")
        return (argument,), position

    def slice(self, start: int, position: int, depth: int) -> tuple[tuple[tuple[str | Expression, ...], ...], int]:
        offset, position = self.argument(start, position, depth, stop=":}")
        if not self.text.startswith(":", position):
            return (offset,), position
        length, position = self.argument(start, position + 1, depth, stop="}")
        return (offset, length), position

    def replacement(
        self, start: int, position: int, depth: int
    ) -> tuple[tuple[tuple[str | Expression, ...], ...], int]:
        pattern, position = self.argument(start, position, depth, stop="/}", escapes=True)
        if not self.text.startswith("/", position):
            return (pattern, ()), position
        replacement, position = self.argument(start, position + 1, depth, stop="}", escapes=True)
        return (pattern, replacement), position

    def argument(
        self, start: int, position: int, depth: int, *, stop: str, escapes: bool = False
    ) -> tuple[tuple[str | Expression, ...], int]:
        parts: list[str | Expression] = []
        plain: list[str] = []
        while position < len(self.text) and self.text[position] not in stop:
            if self.text.startswith("${", position):
                inner, position = self.expression(position, depth + 1)
                parts += ["".join(plain), inner]
                plain = []
                continue
            if escapes and self.text[position : position + 2] in ("\\/", "\\\\", "$$"):
                position += 1
            plain.append(self.text[position])
            position += 1
        return (*parts, "".join(plain)), position

    def error(self, start: int, problem: str) -> SubstitutionError:
        end = self.text.find("\n", start)
        expression = self.text[start : end if end >= 0 else len(self.text)]
        return SubstitutionError(problem, line=_line(self.text, start), expression=expression)


@dataclass(slots=True)
class _Work:
    """What the operators of one text have walked over."""

    done: int = 0

    def charge(self, operator: str, value: str, args: Sequence[str]) -> bool:
        """Adds an operation; False where it is too much."""
        cost = len(value) * max(1, len(args[0])) * _GLOB_COST if operator in _REMOVALS and args else len(value)
        self.done += cost
        return self.done <= MAX_WORK


def _evaluate(expression: Expression, variables: Mapping[str, str], strict: bool, text: str, work: _Work) -> str:
    def argument(index: int) -> str:
        return "".join(
            part if isinstance(part, str) else _evaluate(part, variables, strict, text, work)
            for part in expression.args[index]
        )

    value = variables.get(expression.name)
    match expression.operator:
        case "=" | ":=" | ":-":
            return value or argument(0)
        case "-":
            return argument(0) if value is None else value
        case "+" | ":+":
            return argument(0) if value or (value is not None and expression.operator == "+") else ""
        case "?" | ":?":
            if value or (value is not None and expression.operator == "?"):
                return value
            raise _error(expression, text, f"variable not set: {argument(0) or expression.name}")
    if value is None:
        if strict:
            raise _error(expression, text, f"variable not set (strict mode): {expression.name!r}")
        value = ""
    if not expression.operator:
        return value
    takes = expression.operator in (":", "/", "//", "/#", "/%") or expression.operator in _REMOVALS
    args = [argument(index) for index in range(len(expression.args))] if takes else []
    if not work.charge(expression.operator, value, args):
        raise _error(expression, text, "the expressions of this text cost too much (a long pattern on a long value?)")
    result = call(expression.operator, value, args)
    if len(result) > MAX_OUTPUT:
        raise _error(expression, text, f"the result is longer than {MAX_OUTPUT} characters")
    return result


def _error(expression: Expression, text: str, problem: str) -> SubstitutionError:
    return SubstitutionError(problem, line=_line(text, expression.start), expression=expression.source)


def call(operator: str, value: str, args: Sequence[str]) -> str:
    """One operator on a value that is set: `length`, casing, `:` slices, `#`/`%` removals, `/` replacements."""
    match operator:
        case "length":
            return str(len(value.encode()))
        case "^^":
            return value.upper()
        case ",,":
            return value.lower()
        case "^":
            return value[:1].upper() + value[1:]
        case ",":
            return value[:1].lower() + value[1:]
        case ":":
            return _slice(value, args)
        case ":=" | ":-" | "=":
            return value or "".join(args)
        case "#" | "##" | "%" | "%%":
            return _remove(operator, value, args[0]) if args else value
        case _:
            return _replace(operator, value, args)


def _slice(value: str, args: Sequence[str]) -> str:
    """From an offset (negative: from the end) for a length (negative: up to that far from the end)."""
    try:
        numbers = [int(text.strip()) for text in args[:2]]
    except ValueError:
        return value
    if not numbers:
        return value
    start = numbers[0] if numbers[0] >= 0 else max(0, len(value) + numbers[0])
    if len(numbers) == 1:
        return value[start:]
    end = start + numbers[1] if numbers[1] >= 0 else len(value) + numbers[1]
    return value[start : max(start, end)]


def _remove(operator: str, value: str, pattern: str) -> str:
    try:
        glob = Glob.parse(pattern)
    except InvalidPatternError:
        return value
    from_end = operator[0] == "%"
    lengths = glob.reversed().prefixes(value[::-1]) if from_end else glob.prefixes(value)
    if not lengths:
        return value
    length = lengths[-1] if len(operator) == 2 else lengths[0]
    return value[: len(value) - length] if from_end else value[length:]


def _replace(operator: str, value: str, args: Sequence[str]) -> str:
    if not args or not args[0]:
        return value
    old, new = args[0], args[1] if len(args) > 1 else ""
    match operator:
        case "//":
            found = value.count(old)
            if len(value) + found * len(new) > MAX_OUTPUT:
                raise SubstitutionError("the replacement grows too long", line=1, expression="${…//…}")
            return value.replace(old, new)
        case "/":
            return value.replace(old, new, 1)
        case "/#":
            return new + value.removeprefix(old) if value.startswith(old) else value
        case "/%":
            return value.removesuffix(old) + new if value.endswith(old) else value
        case _:
            raise ValueError(f"no operator {operator!r}")
