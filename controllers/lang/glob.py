"""Shell globs (`*`, `?`, `[a-z]`, `\\x`) matched in O(text x pattern), whatever a tenant writes.

Two uses: names in ignore patterns, and the prefixes and suffixes of `${name#glob}`. `*` matches any characters. A
pattern is a list of tokens that is walked as a small automaton, so no backtracking can blow up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STAR = None


class InvalidPatternError(ValueError):
    """A glob that cannot be read: an open bracket, an empty class, a trailing backslash."""


@dataclass(frozen=True, slots=True)
class One:
    """One character: any where `ranges` is None, else one in (or, negated, outside) the ranges."""

    ranges: tuple[tuple[str, str], ...] | None
    negated: bool = False

    def matches(self, character: str) -> bool:
        if self.ranges is None:
            return True
        return any(low <= character <= high for low, high in self.ranges) is not self.negated


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed pattern."""

    tokens: tuple[One | None, ...]
    ends: tuple[str, ...] = ()
    """The text of a pattern without wildcards, or those before and after its only star: nearly every pattern that
    people write is one of the two, and is compared without the automaton. Empty for all others."""

    @classmethod
    def parse(cls, text: str, *, negations: str = "^!") -> Glob:
        """`negations` are the characters that negate a class when they begin it. Raises InvalidPatternError."""
        tokens: list[One | None] = []
        position = 0
        while position < len(text):
            character = text[position]
            position += 1
            if character == "*":
                if not tokens or tokens[-1] is not STAR:
                    tokens.append(STAR)
            elif character == "?":
                tokens.append(One(None))
            elif character == "[":
                token, position = _class(text, position, negations)
                tokens.append(token)
            else:
                if character == "\\":
                    if position == len(text):
                        raise InvalidPatternError("a backslash at the end")
                    character = text[position]
                    position += 1
                tokens.append(One(((character, character),)))
        return cls(tuple(tokens), _ends(tokens))

    def matches(self, text: str) -> bool:
        """Does it match the whole text?"""
        match self.ends:
            case (whole,):
                return text == whole
            case (before, after):
                return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)
            case _:
                return len(text) in self.prefixes(text)

    def prefixes(self, text: str) -> list[int]:
        """Lengths of all prefixes of `text` that it matches, ascending."""
        end = len(self.tokens)
        reached = self._closed({0})
        found = [0] if end in reached else []
        for index, character in enumerate(text):
            after: set[int] = set()
            for position in reached:
                if position == end:
                    continue
                token = self.tokens[position]
                if token is STAR:
                    after.add(position)
                elif token.matches(character):
                    after.add(position + 1)
            reached = self._closed(after)
            if not reached:
                break
            if end in reached:
                found.append(index + 1)
        return found

    def reversed(self) -> Glob:
        tokens = tuple(reversed(self.tokens))
        return Glob(tokens, _ends(tokens))

    def _closed(self, reached: set[int]) -> set[int]:
        """A star may stand for nothing."""
        for position in sorted(reached):
            if position < len(self.tokens) and self.tokens[position] is STAR:
                reached.add(position + 1)
        return reached


def _ends(tokens: Sequence[One | None]) -> tuple[str, ...]:
    texts = [""]
    for token in tokens:
        if token is STAR:
            texts.append("")
            continue
        letters = token.ranges or ()
        if token.negated or len(letters) != 1 or letters[0][0] != letters[0][1]:
            return ()
        texts[-1] += letters[0][0]
    return tuple(texts) if len(texts) <= 2 else ()


def _class(text: str, position: int, negations: str) -> tuple[One, int]:
    """The character class that begins after `[`, and the position after its `]`."""
    negated = position < len(text) and text[position] in negations
    position += negated
    ranges: list[tuple[str, str]] = []
    while True:
        if text[position : position + 1] == "]" and ranges:
            return One(tuple(ranges), negated), position + 1
        low, position = _member(text, position)
        high = low
        if text[position : position + 1] == "-":
            high, position = _member(text, position + 1)
        ranges.append((low, high))


def _member(text: str, position: int) -> tuple[str, int]:
    if text[position : position + 1] == "\\":
        position += 1
    elif text[position : position + 1] in ("-", "]"):
        raise InvalidPatternError("a character class with a loose `-` or `]`")
    if position >= len(text):
        raise InvalidPatternError("a character class that is not closed")
    return text[position], position + 1
