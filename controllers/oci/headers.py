"""`Link` (RFC 8288) and `WWW-Authenticate` (RFC 9110, 11.6.1) as registries write them. Pure.

Both are lists whose items have parameters: any order, any case of names, quoted or not, in one header field or in
several. Reading them with one regular expression loses a page of tags, or a challenge, without a word; so what does
not parse is an error here. Why no library: docs/decisions/0019-own-header-parsers.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SPACE = re.compile(r"[ \t]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|$)")
_BARE = re.compile(r"[^\s;,\"]+")
MAX_HEADER = 64 << 10


class HeaderError(ValueError):
    """A header that cannot be read. The message repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Link:
    """`target` as written (it may be relative); `relations` in lower case; `anchor`: of what it speaks, "": this."""

    target: str
    relations: frozenset[str]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """`scheme` and the names of `parameters` in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


class _Scanner:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_HEADER:
            raise HeaderError(f"longer than {MAX_HEADER} bytes")
        self.text, self.at = text, 0

    @property
    def ended(self) -> bool:
        return self.at >= len(self.text)

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, character: str) -> bool:
        """With the white space around it."""
        self.skip()
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        self.skip()
        return True

    def match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def value(self) -> str:
        """A quoted string, or text up to the next separator."""
        if (quoted := self.match(_QUOTED)) is not None:
            return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)
        if (bare := self.match(_BARE)) is None:
            raise HeaderError("a parameter without a value")
        return bare


def parse_links(values: Iterable[str]) -> list[Link]:
    """The links of all `Link` header fields. Raises HeaderError."""
    return [link for value in values for link in _links(_Scanner(value))]


def _links(scanner: _Scanner) -> Iterable[Link]:
    while True:
        while scanner.take(","):
            pass
        if scanner.ended:
            return
        if not scanner.take("<"):
            raise HeaderError("a link without <target>")
        end = scanner.text.find(">", scanner.at)
        if end < 0:
            raise HeaderError("a link target without an end")
        target, scanner.at = scanner.text[scanner.at : end].strip(), end + 1
        parameters = _parameters(scanner)
        yield Link(target, frozenset(parameters.get("rel", "").lower().split()), parameters.get("anchor", ""))
        if not scanner.ended and not scanner.text.startswith(",", scanner.at):
            raise HeaderError("a link followed by neither ; nor ,")


def _parameters(scanner: _Scanner) -> dict[str, str]:
    """The first of each name counts (RFC 8288, 3.3)."""
    found: dict[str, str] = {}
    while scanner.take(";"):
        name = scanner.match(_TOKEN)
        if name is None:
            continue  # an empty parameter: `; ;`
        found.setdefault(name.lower(), scanner.value() if scanner.take("=") else "")
    scanner.skip()
    return found


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of all `WWW-Authenticate` header fields, in order. Raises HeaderError."""
    return [challenge for value in values for challenge in _challenges(_Scanner(value))]


def _challenges(scanner: _Scanner) -> list[Challenge]:
    found: list[Challenge] = []
    while True:
        while scanner.take(","):
            pass
        if scanner.ended:
            return found
        word = scanner.match(_TOKEN)
        if word is None:
            raise HeaderError("a challenge that does not begin with a word")
        if scanner.take("="):  # a parameter of the challenge before
            if not found:
                raise HeaderError("a parameter before any challenge")
            found[-1].parameters.setdefault(word.lower(), scanner.value())
            continue
        found.append(Challenge(word.lower()))
        scanner.skip()
        scanner.match(_TOKEN68)
