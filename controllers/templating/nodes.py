"""The parsed template. Values only; `str(node)` is the node as Go prints it, for error texts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    position: int
    line: int


@dataclass(slots=True)
class Text(Node):
    text: str


@dataclass(slots=True)
class Dot(Node):
    def __str__(self) -> str:
        return "."


@dataclass(slots=True)
class Nil(Node):
    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True)
class Bool(Node):
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(slots=True)
class Number(Node):
    """A constant without a type: it may serve as `integer`, as `float`, or as both."""

    text: str
    integer: int | None
    float_: float | None

    def ideal(self) -> int | float:
        """The value where any type will do."""
        is_float = self.integer is None or (any(c in self.text for c in ".eEpP") and not self._hex_or_char())
        if is_float and self.float_ is not None:
            return self.float_
        return self.integer or 0

    def _hex_or_char(self) -> bool:
        lowered = self.text.lower().lstrip("+-")
        return self.text.startswith("'") or (lowered.startswith("0x") and "p" not in lowered)

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class String(Node):
    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(slots=True)
class Field(Node):
    names: list[str]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Variable(Node):
    """`names[0]` is the variable with its dollar sign, the rest are fields."""

    names: list[str]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(slots=True)
class Identifier(Node):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Chain(Node):
    node: Node
    names: list[str]

    def __str__(self) -> str:
        head = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return head + "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Command(Node):
    args: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


@dataclass(slots=True)
class Pipe(Node):
    declared: list[Variable] = field(default_factory=list)
    assigns: bool = False
    commands: list[Command] = field(default_factory=list)

    def __str__(self) -> str:
        head = ", ".join(map(str, self.declared)) + (" = " if self.assigns else " := ") if self.declared else ""
        return head + " | ".join(map(str, self.commands))


@dataclass(slots=True)
class Action(Node):
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(slots=True)
class Branch(Node):
    """`kind` is if, with or range."""

    kind: str
    pipe: Pipe
    body: list[Node]
    otherwise: list[Node] | None

    def __str__(self) -> str:
        return f"{{{{{self.kind} {self.pipe}}}}}"


@dataclass(slots=True)
class Call(Node):
    """`{{template "name" pipe}}`."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f'{{{{template "{self.name}"' + (f" {self.pipe}" if self.pipe else "") + "}}"


@dataclass(slots=True)
class Jump(Node):
    """`{{break}}` or `{{continue}}`."""

    kind: str

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


@dataclass(slots=True)
class Mark(Node):
    """`{{end}}` or `{{else}}`, seen by the parser only."""

    kind: str
    follows: str = ""

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"
