"""Walks a parsed template over data, after Go's text/template/exec.

What goes wrong in template engines and is held here: endless work (every node costs a step, every function result costs
by its size), endless output, recursion (a `template` that calls itself), and errors that carry data: messages name
types, keys that the template itself wrote, and never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import nodes as n
from .errors import BudgetExceededError, ExecutionError, FunctionError
from .goformat import display
from .registry import TYPE_OF_LETTER, Function, FunctionSet, fits
from .values import NOTHING, Struct, Value, sorted_items, truth, type_name


@dataclass(frozen=True, slots=True)
class Budget:
    """What one rendering may use. A step takes about a microsecond, so `steps` bounds time as well."""

    steps: int = 500_000
    output: int = 4 << 20
    depth: int = 100
    heavy: int = 250
    """Units of about ten milliseconds for functions that are slow by design: keys, bcrypt, scrypt."""


class _BreakError(Exception):
    pass


class _ContinueError(Exception):
    pass


class _Final:
    """No value came down the pipeline."""


_MISSING = _Final()


class Evaluator:
    """One rendering. Not to be used twice."""

    def __init__(
        self,
        templates: Mapping[str, list[n.Node]],
        functions: FunctionSet,
        *,
        name: str,
        text: str,
        missing_key: str,
        budget: Budget,
    ) -> None:
        self.templates = templates
        self.functions = functions
        self.name = name
        self.text = text
        self.missing_key = missing_key
        self.budget = budget
        self.executing = name
        self.steps = self.heavy = 0
        self.size = 0
        self.depth = 0
        self.out: list[str] = []
        self.variables: list[tuple[str, Value]] = []
        self.node: n.Node | None = None

    def run(self, data: Value) -> str:
        try:
            self.variables = [("$", data)]
            self.walk(data, self.templates[self.name])
        except RecursionError:
            raise self.error("nested too deeply", BudgetExceededError) from None
        return "".join(self.out)

    # --- errors and budget

    def error(self, cause: str, kind: type[ExecutionError] = ExecutionError) -> ExecutionError:
        if self.node is None:
            return kind(cause, name=self.name)
        position = self.node.position
        column = position - (self.text.rfind("\n", 0, position) + 1)
        where = str(self.node)
        where = where if len(where) <= 20 else f"{where[:20]}..."
        return kind(cause, name=self.name, line=self.node.line, column=column, where=where)

    def spend(self, steps: int = 1) -> None:
        self.steps += steps
        if self.steps > self.budget.steps:
            raise self.error(f"template takes more than {self.budget.steps} steps", BudgetExceededError)

    def spend_heavy(self, function: Function, arguments: list[Value]) -> None:
        self.heavy += function.cost_of(arguments)
        if self.heavy > self.budget.heavy:
            raise self.error(f"{function.name} is slow, and was called too often in one template", BudgetExceededError)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > self.budget.depth:
            raise self.error(f"nested more than {self.budget.depth} levels deep", BudgetExceededError)

    def write(self, text: str) -> None:
        self.size += len(text)
        if self.size > self.budget.output:
            raise self.error(f"output exceeds {self.budget.output} characters", BudgetExceededError)
        self.out.append(text)

    # --- nodes

    def walk(self, dot: Value, items: list[n.Node]) -> None:
        self.enter()
        for node in items:
            self.spend()
            self.node = node
            if isinstance(node, n.Text):
                self.write(node.text)
            elif isinstance(node, n.Action):
                value = self.pipeline(dot, node.pipe)
                if not node.pipe.declared:
                    self.show(node, value)
            elif isinstance(node, n.Branch):
                mark = len(self.variables)
                (self.loop if node.kind == "range" else self.branch)(dot, node)
                del self.variables[mark:]
            elif isinstance(node, n.Call):
                self.template(dot, node)
            elif isinstance(node, n.Jump):
                raise _BreakError if node.kind == "break" else _ContinueError
        self.depth -= 1

    def show(self, node: n.Action, value: Value) -> None:
        self.node = node
        try:
            self.write(display(value))
        except FunctionError as error:
            raise self.error(str(error)) from None

    def branch(self, dot: Value, node: n.Branch) -> None:
        value = self.pipeline(dot, node.pipe)
        if truth(value):
            self.walk(value if node.kind == "with" else dot, node.body)
        elif node.otherwise is not None:
            self.walk(dot, node.otherwise)

    def loop(self, dot: Value, node: n.Branch) -> None:
        value = self.pipeline(dot, node.pipe)
        self.node = node
        declared = node.pipe.declared
        mark, depth = len(self.variables), self.depth
        ran = False
        for key, item in self.iterate(value, node):
            ran = True
            self.spend()
            for variable, given in zip(declared, (key, item) if len(declared) > 1 else (item,), strict=False):
                self.assign(variable.names[0], given)
            try:
                self.walk(item, node.body)
            except _ContinueError:
                self.depth = depth
            except _BreakError:
                self.depth = depth
                break
            finally:
                del self.variables[mark:]
        if not ran and node.otherwise is not None:
            self.walk(dot, node.otherwise)

    def iterate(self, value: Value, node: n.Branch) -> list[tuple[Value, Value]]:
        if value is None or value is NOTHING:
            return []
        if isinstance(value, list | tuple | bytes):
            self.spend(len(value) // 16)
            return list(enumerate(value))
        if isinstance(value, dict):
            self.spend(len(value) // 8)
            return sorted_items(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if len(node.pipe.declared) > 1:
                raise self.error("can't use an integer to iterate over more than one variable")
            self.spend(max(value, 0))
            return [(number, number) for number in range(value)]
        raise self.error(f"range can't iterate over a value of type {type_name(value)}")

    def template(self, dot: Value, node: n.Call) -> None:
        body = self.templates.get(node.name)
        if body is None:
            raise self.error(f'template "{node.name}" not defined')
        given = self.pipeline(dot, node.pipe) if node.pipe else NOTHING
        outer, self.variables = self.variables, [("$", given)]
        self.enter()
        try:
            self.walk(given, body)
        finally:
            self.variables = outer
        self.depth -= 1

    # --- variables

    def assign(self, name: str, value: Value) -> None:
        for at in range(len(self.variables) - 1, -1, -1):
            if self.variables[at][0] == name:
                self.variables[at] = (name, value)
                return
        raise self.error(f"undefined variable: {name}")

    def variable(self, name: str) -> Value:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise self.error(f"undefined variable: {name}")

    # --- pipelines

    def pipeline(self, dot: Value, pipe: n.Pipe) -> Value:
        self.node = pipe
        self.enter()
        value: Value = _MISSING
        for command in pipe.commands:
            value = self.command(dot, command, value)
            if value is None:
                value = NOTHING
        for declared in pipe.declared:
            if pipe.assigns:
                self.assign(declared.names[0], value)
            else:
                self.variables.append((declared.names[0], value))
        self.depth -= 1
        return value

    def command(self, dot: Value, command: n.Command, final: Value) -> Value:
        self.spend()
        first = command.args[0]
        match first:
            case n.Field() | n.Chain() | n.Variable():
                return self.path(dot, first, command.args[1:], final)
            case n.Identifier():
                return self.function(dot, first, command.args, final, command)
            case n.Nil():
                self.node = first
                raise self.error("nil is not a command")
        if len(command.args) > 1 or final is not _MISSING:
            self.node = first
            raise self.error(f"can't give argument to non-function {first}")
        return self.value(dot, first)

    def value(self, dot: Value, node: n.Node) -> Value:
        """The value of an operand that stands alone."""
        match node:
            case n.Dot():
                return dot
            case n.Nil():
                return None
            case n.Bool() | n.String():
                return node.value
            case n.Number():
                return node.ideal()
            case n.Pipe():
                return self.pipeline(dot, node)
            case n.Identifier():
                return self.function(dot, node, [node], _MISSING)
        return self.path(dot, node, [], _MISSING)

    def path(self, dot: Value, node: n.Node, args: list[n.Node], final: Value) -> Value:
        """`.a.b`, `$x.a`, `(pipe).a`, the last step with arguments."""
        self.node = node
        match node:
            case n.Field():
                receiver, names = dot, node.names
            case n.Variable():
                receiver, names = self.variable(node.names[0]), node.names[1:]
                if not names and (args or final is not _MISSING):
                    raise self.error(f"can't give argument to non-function {node}")
            case n.Chain():
                if isinstance(node.node, n.Nil):
                    raise self.error("indirection through explicit nil in " + str(node))
                receiver, names = self.value(dot, node.node), node.names
                self.node = node
            case _:
                raise self.error(f"can't evaluate {node}")
        for name in names[:-1]:
            receiver = self.field(dot, receiver, name, [], _MISSING, node)
        return self.field(dot, receiver, names[-1], args, final, node) if names else receiver

    def field(self, dot: Value, receiver: Value, name: str, args: list[n.Node], final: Value, node: n.Node) -> Value:
        self.node = node
        if receiver is NOTHING:
            if self.missing_key == "error":
                raise self.error(f'nil data; no entry for key "{name}"')
            return NOTHING
        if receiver is None:
            raise self.error(f"nil pointer evaluating interface {{}}.{name}")
        has_args = bool(args) or final is not _MISSING
        if isinstance(receiver, Struct):
            return self.member(dot, receiver, name, args, final)
        if isinstance(receiver, dict):
            if has_args:
                raise self.error(f"{name} is not a method but has arguments")
            if name in receiver:
                return receiver[name]
            if self.missing_key == "error":
                raise self.error(f'map has no entry for key "{name}"')
            return NOTHING
        raise self.error(f"can't evaluate field {name} in type {type_name(receiver)}")

    def member(self, dot: Value, receiver: Struct, name: str, args: list[n.Node], final: Value) -> Value:
        if name in receiver.methods:
            method = Function(name, "a*", receiver.methods[name])
            return self.call(dot, method, args, final)
        if name not in receiver.fields:
            raise self.error(f"can't evaluate field {name} in type {receiver.type_name}")
        if args or final is not _MISSING:
            raise self.error(f"{name} has arguments but cannot be invoked as function")
        return receiver.fields[name]

    # --- functions

    def function(
        self, dot: Value, node: n.Identifier, args: list[n.Node], final: Value, command: n.Node | None = None
    ) -> Value:
        self.node = node
        function = self.functions.get(node.name)
        if function is None:
            raise self.error(f'"{node.name}" is not a defined function')
        if node.name in ("and", "or"):
            return self.short_circuit(dot, node, args[1:], final)
        return self.call(dot, function, args[1:], final, command)

    def short_circuit(self, dot: Value, node: n.Identifier, args: list[n.Node], final: Value) -> Value:
        if not args and final is _MISSING:
            raise self.error(f"wrong number of args for {node.name}: want at least 1 got 0")
        value: Value = None
        for arg in args:
            value = self.value(dot, arg)
            if truth(value) == (node.name == "or"):
                return value
        return value if final is _MISSING else final

    def call(
        self, dot: Value, function: Function, args: list[n.Node], final: Value, command: n.Node | None = None
    ) -> Value:
        at = self.node
        count = len(args) + (final is not _MISSING)
        fixed = len(function.fixed)
        if function.variadic and count < fixed:
            raise self.error(f"wrong number of args for {function.name}: want at least {fixed} got {count}")
        if not function.variadic and count != fixed:
            raise self.error(f"wrong number of args for {function.name}: want {fixed} got {count}")
        values = [self.argument(dot, arg, function.parameter(index)) for index, arg in enumerate(args)]
        self.node = at
        if final is not _MISSING:
            values.append(self.checked(final, function.parameter(len(args))))
        self.node = command or at
        if function.cost:
            self.spend_heavy(function, values)
        try:
            result = function.call(*values)
        except FunctionError as error:
            raise self.error(f"error calling {function.name}: {error}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Python's texts may quote the value that was refused: only the kind of the error may leave.
            raise self.error(f"error calling {function.name}: {type(error).__name__}") from None
        if isinstance(result, str | bytes | list | tuple | dict):
            self.spend(len(result) // 64)
            if len(result) > self.budget.output:
                raise self.error(f"result of {function.name} exceeds {self.budget.output} bytes", BudgetExceededError)
        return result

    def argument(self, dot: Value, node: n.Node, letter: str) -> Value:
        self.node = node
        if isinstance(node, n.Nil) and letter not in "amLSy":
            raise self.error(f"cannot assign nil to {TYPE_OF_LETTER[letter]}")
        if isinstance(node, n.Number):
            if letter == "f" and node.float_ is not None:
                return node.float_
            if letter == "i":
                if node.integer is None:
                    raise self.error(f"expected integer; found {node}")
                return node.integer
        if isinstance(node, n.Bool | n.Number | n.String) and letter != "a":
            value = self.value(dot, node)
            if not fits(letter, value):
                raise self.error(f"expected {TYPE_OF_LETTER[letter]}; found {node}")
            return value
        value = self.value(dot, node)
        self.node = node
        return self.checked(value, letter)

    def checked(self, value: Value, letter: str) -> Value:
        if fits(letter, value):
            return None if value is NOTHING else value
        if value is NOTHING or value is None:
            if letter in "mLSy":
                return None
            raise self.error(f"invalid value; expected {TYPE_OF_LETTER[letter]}")
        raise self.error(f"wrong type for value; expected {TYPE_OF_LETTER[letter]}; got {type_name(value)}")
