"""Where a YAML text carries setter markers, and which scalar each of them means. Pure.

A marker is a comment that is one JSON object and nothing else: `# {"$imagepolicy": "ns:policy[:tag|:name|:digest]"}`.
It works behind a scalar on its line (a value of a mapping or an item of a list, also in a flow collection that spans
lines), in the header of a block scalar, directly above a list's scalar item, and between `key:` and a value on the next
line. Everywhere else it means nothing: above a key, behind `key:` or a one-line flow collection, on an alias, a null, a
document that is no mapping. Such markers are reported, never guessed at.

The text is read as libyaml's tokens: between two tokens stand only white space and comments, so every comment is found
exactly, with positions in characters, and a `#` inside a scalar is never taken for one.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import yaml

KEY = "$imagepolicy"
TOKEN = f'"{KEY}"'
"""A file without it is not read further."""
MAX_TEXT = 4 << 20
MAX_TOKENS = 400_000
MAX_DEPTH = 100

Part = Literal["", "tag", "name", "digest"]
_BREAKS = "\r\n\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_HEADER = re.compile(rf"[|>][-+0-9]*(?:[ \t]+(#[^{_BREAKS}]*))?[ \t]*(?:\r\n|[{_BREAKS}])")


class UnreadableYamlError(ValueError):
    """A text that cannot be read as YAML, or only beyond our limits; the message names the line."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What a marker asks for. `setter` is its text: `ns:policy` or `ns:policy:tag`."""

    namespace: str
    policy: str
    part: Part

    @property
    def name(self) -> str:
        return f"{self.namespace}:{self.policy}"

    @property
    def setter(self) -> str:
        return f"{self.name}:{self.part}" if self.part else self.name


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar in the text: characters `start` to `end`, `style` "" (plain), ', ", | or >, and its parsed value."""

    start: int
    end: int
    style: str
    value: str
    in_flow: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """A marker and the scalar it means."""

    marker: Marker
    scalar: Scalar
    line: int
    """1-based line of the marker."""


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A comment that is or tries to be a marker, and why it means nothing."""

    text: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    marked: tuple[Marked, ...]
    misplaced: tuple[Misplaced, ...]
    tokens: Sequence[Token] = ()
    """The text's tokens, for whoever compares."""


@dataclass(frozen=True, slots=True)
class _Comment:
    start: int
    text: str
    before: int
    """Index of the token before it; its line comment where `same_line`."""
    same_line: bool
    alone: bool
    """The only comment line of its block, with no blank line up to the next token."""


_COMMENTED_OUT = re.compile(rf"\#++[ \t]*+(?!\{{)(?:.*?[ \t])?\#.*{re.escape(TOKEN)}", re.DOTALL)
"""A comment on a line of its own that holds a line with its own comment: `# image: app:v1 # {"$imagepolicy": …}`."""


def parse_marker(comment: str) -> Marker | str | None:
    """A marker, or why a comment that names one is none, or None for any other comment."""
    body = comment.lstrip("#").strip()
    if TOKEN not in body:
        return "the key must be in double quotes" if KEY in body and body.startswith("{") else None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "the comment must be one JSON object and nothing else"
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()) or KEY not in value:
        return "the comment must be a JSON object of strings"
    parts = str(value[KEY]).split(":")
    if len(parts) not in (2, 3) or not all(parts) or "/" in value[KEY]:
        return 'expected "namespace:policy", "namespace:policy:tag", ":name" or ":digest"'
    if len(parts) == 2:
        return Marker(parts[0], parts[1], "")
    for known in ("tag", "name", "digest"):
        if parts[2] == known:
            return Marker(parts[0], parts[1], known)
    return f"unknown suffix {parts[2][:40]!r}, expected tag, name or digest"


def find_markers(text: str) -> Found:
    """All markers of a text (without BOM). Raises UnreadableYamlError."""
    tokens = scan(text)
    breaks = [found.end() for found in _BREAK.finditer(text)]
    marked: list[Marked] = []
    misplaced: list[Misplaced] = []
    for comment in _comments(text, tokens):
        marker = parse_marker(comment.text)
        if marker is None or (not comment.same_line and _COMMENTED_OUT.match(comment.text)):
            continue
        line = bisect_right(breaks, comment.start) + 1
        target = marker if isinstance(marker, str) else _target(tokens, comment)
        if isinstance(marker, str) or isinstance(target, str):
            misplaced.append(Misplaced(comment.text[:200], line, str(target)))
        else:
            marked.append(Marked(marker, target, line))
    return _one_each(marked, misplaced, tokens)


def _one_each(marked: list[Marked], misplaced: list[Misplaced], tokens: list[Token]) -> Found:
    """A line comment wins over one above; the text order decides nothing else."""
    chosen: dict[int, Marked] = {}
    for one in marked:
        other = chosen.get(one.scalar.start)
        if other is not None:
            misplaced.append(Misplaced(other.marker.setter, other.line, "the item has a marker of its own on its line"))
        chosen[one.scalar.start] = one
    return Found(tuple(chosen.values()), tuple(misplaced), tokens)


# --- tokens


class Token(NamedTuple):
    """A token with width. `role` is what a scalar is there for. (A tuple: a text has hundreds of them.)"""

    kind: str
    start: int
    end: int
    line: int
    value: str = ""
    style: str = ""
    role: Literal["", "key", "value", "item", "root"] = ""
    in_flow: bool = False


def scan(text: str) -> list[Token]:
    """The tokens of a text, scalars with their roles. Raises UnreadableYamlError."""
    if len(text) > MAX_TEXT:
        raise UnreadableYamlError(f"{len(text)} characters, more than {MAX_TEXT}")
    try:
        return list(_roles(yaml.scan(text, Loader=yaml.CSafeLoader)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise UnreadableYamlError(f"{where}{problem}") from None


_OPEN = {"BlockMappingStartToken": "map", "BlockSequenceStartToken": "seq", "FlowMappingStartToken": "flow-map"}
_OPEN["FlowSequenceStartToken"] = "flow-seq"
_CLOSE = {"BlockEndToken", "FlowMappingEndToken", "FlowSequenceEndToken"}


def _roles(tokens: Iterator[Any]) -> Iterator[Token]:
    stack: list[str] = []
    expecting, root = "root", ""
    for count, token in enumerate(tokens):
        kind = type(token).__name__
        if count > MAX_TOKENS or len(stack) > MAX_DEPTH:
            raise UnreadableYamlError(f"more than {MAX_TOKENS} tokens or {MAX_DEPTH} levels")
        role = ""
        if kind in _OPEN:
            root = root or _OPEN[kind]
            stack.append(_OPEN[kind])
            expecting = "item" if kind == "FlowSequenceStartToken" else "none"
        elif kind in _CLOSE:
            if stack:
                stack.pop()
            expecting = "none"
        elif kind == "KeyToken":
            expecting = "key"
        elif kind == "ValueToken":
            expecting = "value"
        elif kind == "BlockEntryToken":
            expecting = "item"
        elif kind == "FlowEntryToken":
            expecting = "item" if stack and stack[-1] == "flow-seq" else "none"
        elif kind in ("DocumentStartToken", "DocumentEndToken"):
            expecting, root = "root", ""
        elif kind in ("ScalarToken", "AliasToken"):
            role, expecting = (expecting if expecting != "none" else ""), "none"
            if not stack or "map" not in root:
                role = "root"  # a bare scalar or list is no resource and no values file
        mark, end = token.start_mark, token.end_mark.index
        if kind == "ScalarToken":
            flow = bool(stack) and stack[-1].startswith("flow")
            yield Token("Scalar", mark.index, end, mark.line, token.value, token.style or "", role, flow)  # type: ignore[arg-type]
        elif mark.index != end:
            yield Token(kind[:-5], mark.index, end, mark.line)


# --- comments


def _comments(text: str, tokens: list[Token]) -> Iterator[_Comment]:
    """Every comment with the token before it. Comments in headers of block scalars count as on their line."""
    sentinel = Token("End", len(text), len(text), 0)
    first = Token("Start", 0, 0, 0)
    for index, (token, following) in enumerate(pairwise([first, *tokens, sentinel])):
        before = index - 1
        if token.style in ("|", ">"):
            header = _HEADER.match(text, token.start)
            if header is not None and header[1]:
                yield _Comment(header.start(1), header[1], before, True, True)
        gap = text[token.end : following.start]
        if "#" in gap:
            fresh = index == 0 or token.style in ("|", ">")  # these end where the next line begins
            yield from _gap_comments(gap, token.end, before, fresh=fresh)


def _gap_comments(gap: str, offset: int, before: int, *, fresh: bool) -> Iterator[_Comment]:
    lines = _split_lines(gap)
    for number, (position, line) in enumerate(lines):
        mark = line.find("#")
        if mark < 0:
            continue
        above = lines[number - 1][1] if number else ""
        below = lines[number + 1 : -1]
        line_comment_above = number == 1 and not fresh
        alone = ("#" not in above or line_comment_above) and not below  # the next line is the next token's
        same_line = number == 0 and not fresh
        yield _Comment(offset + position + mark, line[mark:].rstrip(), before, same_line, alone)


def _split_lines(gap: str) -> list[tuple[int, str]]:
    lines, at = [], 0
    for found in _BREAK.finditer(gap):
        lines.append((at, gap[at : found.start()]))
        at = found.end()
    lines.append((at, gap[at:]))
    return lines


# --- which scalar


def _target(tokens: list[Token], comment: _Comment) -> Scalar | str:
    if comment.same_line:
        return _on_line(tokens, comment)
    return _below(tokens, comment)


def _on_line(tokens: list[Token], comment: _Comment) -> Scalar | str:
    at = comment.before
    token = tokens[at]
    if token.kind == "FlowEntry" and at > 0:
        token = tokens[at - 1]
    match token.kind:
        case "Scalar":
            if token.style in ("|", ">") and not token.start < comment.start < token.end:
                return "a comment below a block scalar belongs to no value"
            return _usable(token)
        case "Value":
            return "the value is empty or on the next line; put the marker behind the value"
        case "FlowSequenceEnd" | "FlowMappingEnd":
            return "a marker behind a flow collection means none of its entries"
        case "Alias":
            return "the value is an alias; mark the anchor instead"
    return "there is no value on this line"


def _below(tokens: list[Token], comment: _Comment) -> Scalar | str:
    after = tokens[comment.before + 1 : comment.before + 5]
    before = tokens[comment.before] if comment.before >= 0 else None
    nowhere = "a comment on a line of its own means only a list item directly below it"
    if not after or not comment.alone:
        return nowhere
    if after[0].kind == "BlockEntry":
        item = _after_properties(after[1:])
        return _usable(item) if item is not None and item.role in ("item", "root") else nowhere
    if before is not None and before.kind == "Value":
        value = _after_properties(after)
        return _usable(value) if value is not None and value.role == "value" else nowhere
    return nowhere


def _after_properties(tokens: list[Token]) -> Token | None:
    for token in tokens:
        if token.kind not in ("Anchor", "Tag"):
            return token if token.kind == "Scalar" else None
    return None


def _usable(token: Token) -> Scalar | str:
    if token.role == "root":
        return "the document is not a mapping"
    if token.role not in ("value", "item"):
        return "the scalar is a key"
    return Scalar(token.start, token.end, token.style, token.value, token.in_flow)
