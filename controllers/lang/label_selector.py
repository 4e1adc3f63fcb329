"""Label selectors in their text form: `a=b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a`, `!a`, joined by commas.
Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TERM = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<no>[^\s,=!()]+)"
    r"|(?P<key>[^\s,=!()]+)\s*(?:(?P<set>in|notin)\s*\(\s*(?P<values>[^()]*)\)|(?P<op>==|=|!=)\s*(?P<value>[^\s,()=!]*))?)"
    r"\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: `in`, `notin`, `exists` or `absent`."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "in":
                return labels.get(self.key) in self.values and self.key in labels
            case "notin":
                return self.key not in labels or labels[self.key] not in self.values
            case "exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; none matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """Raises ValueError."""
        found: list[Requirement] = []
        position = 0
        if len(text) > 10_000:
            raise ValueError("a selector of more than 10000 characters")
        while position < len(text.rstrip()):
            term = _TERM.match(text, position)
            if not term or term.end() == position:
                raise ValueError(f"selector {text[:200]!r}: cannot be read from {text[position : position + 40]!r} on")
            found.append(_requirement(term))
            position = term.end()
        return cls(tuple(found))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


def _requirement(term: re.Match[str]) -> Requirement:
    if term["absent"]:
        return Requirement(term["no"], "absent")
    if term["set"]:
        return Requirement(term["key"], term["set"], frozenset(value.strip() for value in term["values"].split(",")))
    if term["op"]:
        return Requirement(term["key"], "notin" if term["op"] == "!=" else "in", frozenset({term["value"]}))
    return Requirement(term["key"], "exists")
