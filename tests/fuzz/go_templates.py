"""Random Go templates over a fixed document, for comparison with the real engine. Deterministic by seed."""

from __future__ import annotations

import random
from typing import Any

DATA: dict[str, Any] = {
    "s": "text", "e": "", "u": "héé", "h": "<a href=\"x\">&'</a>", "n": 5, "z": 0, "neg": -7, "f": 1.5, "big": 1e21,
    "t": True, "no": False, "nil": None, "l": ["p", "q", "r"], "el": [], "m": {"b": "2", "a": 1, "c": [1, 2]},
    "em": {}, "mix": [1, "x", None, 2.5, {"k": "v"}, [True]],
}  # fmt: skip
_FIELDS = [".x." + name for name in DATA]
_DEEP = [".x.m.a", ".x.m.c", ".x.m.missing", ".x.missing", ".x.s.deep", "$.x.n", ".x"]
_LITERALS = ['"lit"', '"%d"', "`raw`", "1", "0", "-3", "2.5", "0x1F", "'a'", "true", "false", '"é\\n"', "1e3"]
_FORMATS = [
    "%v",
    "%s",
    "%d",
    "%q",
    "%5v|",
    "%-6s|",
    "%05d",
    "%x",
    "%t",
    "%.1f",
    "%T",
    "%%",
    "%+v",
    "%6.2f|",
    "%c",
    "%e",
    "%g",
]


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.variables: list[str] = []
        self.loops = 0

    def pick(self, options: list[str]) -> str:
        return self.random.choice(options)

    def operand(self, depth: int = 0) -> str:
        roll = self.random.random()
        if roll < 0.45:
            return self.pick(_FIELDS)
        if roll < 0.6:
            return self.pick(_DEEP)
        if roll < 0.72:
            return self.pick(_LITERALS)
        if roll < 0.8 and self.variables:
            return self.pick(self.variables)
        if roll < 0.84:
            return self.pick([".", "$"])
        return f"({self.pipeline(depth + 1)})" if depth < 3 else self.pick(_FIELDS)

    def call(self, depth: int) -> str:
        one, two, three = (self.operand(depth) for _ in range(3))
        template = "".join(self.pick(_FORMATS) + self.pick(["", " ", "-"]) for _ in range(self.random.randint(1, 3)))
        return self.pick([
            f"eq {one} {two}", f"ne {one} {two}", f"lt {one} {two}", f"le {one} {two}", f"gt {one} {two}",
            f"ge {one} {two}", f"eq {one} {two} {three}", f"and {one} {two}", f"or {one} {two} {three}", f"not {one}",
            f"len {one}", f"index {one} {two}", f"index .x.m {two}", f"index .x.l {self.random.randint(-1, 4)}",
            f"slice {one} {self.random.randint(0, 2)}", f"slice .x.s 1 {self.random.randint(0, 5)}",
            f"print {one} {two}", f"println {one} {two}",
            f'printf "{template}" {one} {two}', f'printf "{template}" {one}',
            f"html {one}", f"js {one}", f"urlquery {one}", f"print {one}",
        ])  # fmt: skip

    def pipeline(self, depth: int = 0) -> str:
        head = self.operand(depth) if self.random.random() < 0.45 else self.call(depth)
        if self.random.random() < 0.25:
            head += " | " + self.pick(["len", "not", "print", 'printf "%v"', "html", "js", "urlquery", 'eq "text"'])
        return head

    def trim(self, body: str) -> str:
        left = "{{- " if self.random.random() < 0.15 else "{{"
        right = " -}}" if self.random.random() < 0.15 else "}}"
        return f"{left}{body}{right}"

    def node(self, depth: int) -> str:
        roll = self.random.random()
        if depth > 2 or roll < 0.2:
            return self.pick(["text ", "\n", "  a b\n", "", "x"])
        if roll < 0.55:
            return self.trim(self.pipeline())
        if roll < 0.58:
            return "{{/* c */}}"
        if roll < 0.6:
            return self.named(depth)
        scope = len(self.variables)
        out = self.block(depth, roll)
        if roll >= 0.68:
            del self.variables[scope:]
        return out

    def block(self, depth: int, roll: float) -> str:
        if roll < 0.68:
            name = f"$v{len(self.variables)}"
            text = self.trim(f"{name} := {self.pipeline()}")
            self.variables.append(name)
            return text
        if roll < 0.82:
            other = self.pick(["", "{{else}}" + self.nodes(depth + 1), f"{{{{else if {self.pipeline()}}}}}E"])
            return self.trim(f"if {self.pipeline()}") + self.nodes(depth + 1) + other + "{{end}}"
        if roll < 0.88:
            return self.trim(f"with {self.pipeline()}") + self.nodes(depth + 1) + "{{else}}W{{end}}"
        if roll < 0.92:
            return self.counted(depth)
        jump = self.pick(["", "", "{{if eq . 1}}{{break}}{{end}}", '{{if eq . "q"}}{{continue}}{{end}}'])
        return (
            f"{self.trim('range ' + self.pipeline())}[{{{{.}}}}]{jump}{self.nodes(depth + 1)}{{{{else}}}}R{{{{end}}}}"
        )

    def counted(self, depth: int) -> str:
        """A range with a key and a value, and an assignment that outlives the loop."""
        key, value = f"$k{len(self.variables)}", f"$e{len(self.variables)}"
        before = f"{{{{$last := {self.operand()}}}}}"
        self.variables += [key, value]
        body = f"{{{{{key}}}}}={{{{{value}}}}};{{{{$last = {value}}}}}{self.nodes(depth + 1)}"
        del self.variables[-2:]
        return f"{before}{self.trim(f'range {key}, {value} := {self.pipeline()}')}{body}{{{{end}}}}{{{{$last}}}}"

    def named(self, depth: int) -> str:
        """A template that is defined and called, or a block; neither sees the variables around it."""
        outer, self.variables = self.variables, []
        body, self.loops = self.nodes(depth + 1), self.loops + 1
        self.variables = outer
        name = f"t{self.loops}"
        if self.random.random() < 0.3:
            return f'{{{{block "{name}" {self.pipeline()}}}}}{body}{{{{end}}}}'
        if depth:
            return f'{{{{template "t1" {self.pipeline()}}}}}'
        return f'{{{{define "{name}"}}}}<{body}>{{{{end}}}}{{{{template "{name}" {self.pipeline()}}}}}'

    def nodes(self, depth: int) -> str:
        return "".join(self.node(depth) for _ in range(self.random.randint(1, 3)))


def template(seed: int) -> str:
    """One template. What it renders to is for the engines to agree on."""
    return Maker(seed).nodes(0)
