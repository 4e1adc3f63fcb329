"""Functions that templates may call, with their parameter types, and sets of them.

A signature is a word of one letter per parameter, the last with `*` where it may repeat. Go refuses a wrong type before
the function runs; so does the evaluator, by these letters:

    a any   s string   i int   f float64   b bool   m map[string]interface{}   L, S any list   y []byte
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .errors import FunctionError
from .values import NOTHING, Int64, StringMap, Value

MAX_BYTES = 4 << 20
MAX_ITEMS = 100_000
TYPE_OF_LETTER = {
    "a": "interface {}",
    "s": "string",
    "i": "int",
    "f": "float64",
    "b": "bool",
    "m": "map[string]interface {}",
    "L": "list",
    "S": "list",
    "y": "[]uint8",
}


@dataclass(frozen=True, slots=True)
class Function:
    """`call` takes positional arguments that fit `parameters`; it raises FunctionError."""

    name: str
    parameters: str
    call: Callable[..., Value]
    deterministic: bool = True
    cost: int | Callable[..., int] = 0
    """What a call takes of the budget's `heavy`: a number, or a function of the arguments."""

    @property
    def fixed(self) -> str:
        return self.parameters[:-2] if self.variadic else self.parameters

    @property
    def variadic(self) -> bool:
        return self.parameters.endswith("*")

    def cost_of(self, arguments: Sequence[Value]) -> int:
        return self.cost if isinstance(self.cost, int) else self.cost(*arguments)

    def parameter(self, index: int) -> str:
        """The letter of the parameter at `index`."""
        return self.fixed[index] if index < len(self.fixed) else self.parameters[-2]


class FunctionSet(Mapping[str, Function]):
    """Functions by name. Immutable; `a | b` is both, b's winning."""

    __slots__ = ("_functions",)

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = dict(functions)

    def __getitem__(self, name: str) -> Function:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __or__(self, other: Mapping[str, Function]) -> FunctionSet:
        return FunctionSet({**self._functions, **other})

    def without(self, *names: str) -> FunctionSet:
        return FunctionSet({name: fn for name, fn in self._functions.items() if name not in names})

    def deterministic(self) -> FunctionSet:
        """Only those whose result depends on their arguments alone."""
        return FunctionSet({name: fn for name, fn in self._functions.items() if fn.deterministic})


def functions(
    table: Mapping[str, tuple[str, Callable[..., Value]]],
    *,
    deterministic: bool = True,
    cost: int | Callable[..., int] = 0,
) -> dict[str, Function]:
    """`{"upper": ("s", str.upper)}` → functions by name."""
    return {name: Function(name, letters, call, deterministic, cost) for name, (letters, call) in table.items()}


def fits(letter: str, value: Value) -> bool:
    """May a value be passed for a parameter of this type?"""
    if letter == "a":
        return True
    if value is NOTHING or value is None:
        return letter in "mLSy" and value is None
    match letter:
        case "s":
            return isinstance(value, str)
        case "i":
            return isinstance(value, int) and not isinstance(value, bool | Int64)
        case "f":
            return isinstance(value, float)
        case "b":
            return isinstance(value, bool)
        case "m":
            return isinstance(value, dict) and not isinstance(value, StringMap)
        case "y":
            return isinstance(value, bytes)
    return isinstance(value, list | tuple)


def bounded_size(size: int, what: str = "result") -> int:
    """`size`, or FunctionError where it is more than a template may build."""
    if size > MAX_BYTES:
        raise FunctionError(f"{what} would exceed {MAX_BYTES} bytes")
    return size


def bounded_count(count: int, what: str = "list") -> int:
    """`count`, or FunctionError where it is more items than a template may build."""
    if count > MAX_ITEMS:
        raise FunctionError(f"{what} would exceed {MAX_ITEMS} items")
    return count
