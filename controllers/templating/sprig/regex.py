"""Sprig's functions on regular expressions: RE2's, as Go's are, with Go's way of finding and replacing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2

from ..errors import FunctionError
from ..registry import Function, bounded_size, functions
from ..values import NilStrings, StringList, Value

_LITERAL = re.compile(r"\\Q.*?(\\E|\Z)|\\[^CQ]", re.DOTALL)
_SINGLE_BYTE = re.compile(r"\\C")
_TEMPLATE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def compile_re2(pattern: str) -> Any:
    """A user's regular expression, matched in linear time. Raises FunctionError."""
    if _SINGLE_BYTE.search(_LITERAL.sub("", pattern)):
        raise FunctionError("error parsing regexp")  # RE2's alone: Go has no way to match half a character
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        raise FunctionError("error parsing regexp") from None


def expand(template: str, found: Any) -> str:
    """Go's Regexp.Expand: `$1`, `${name}`, `$$`; `$1x` is the group named `1x`; an unknown group is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _TEMPLATE.sub(group, template)


def replace_all(pattern: Any, text: str, template: str) -> str:
    """Go's ReplaceAllString: an empty match right behind a match is none (unlike Python's `re.sub`)."""
    out: list[str] = []
    at, previous, total = 0, -1, 0
    for found in pattern.finditer(text):
        start, end = found.span()
        if start == end == previous:
            continue
        piece = text[at:start] + expand(template, found)
        total += len(piece)
        bounded_size(total)
        out.append(piece)
        at = previous = end
    return "".join(out) + text[at:]


def _find_all(pattern: str, text: str, limit: int) -> StringList:
    matches = _matches(compile_re2(pattern), text)
    found = [match.group(0) for match in (matches if limit < 0 else matches[:limit])]
    return StringList(found) if found else NilStrings()


def _matches(pattern: Any, text: str) -> list[Any]:
    out, previous = [], -1
    for match in pattern.finditer(text):
        start, end = match.span()
        if start == end == previous:
            continue
        out.append(match)
        previous = end
    return out


def _find(pattern: str, text: str) -> str:
    found = compile_re2(pattern).search(text)
    return found.group(0) if found else ""


def _matches_quietly(pattern: str, text: str) -> bool:
    """A pattern that is none matches nothing."""
    try:
        return compile_re2(pattern).search(text) is not None
    except FunctionError:
        return False


def _split(pattern: str, text: str, limit: int) -> StringList:
    """At most `limit` pieces (below 0: all); an empty match at the start or at the end leaves no empty piece."""
    compiled = compile_re2(pattern)
    if limit == 0:
        return NilStrings()
    if pattern and not text:
        return StringList([""])
    out: list[str] = []
    at = end = 0
    for match in _matches(compiled, text):
        if 0 < limit <= len(out) + 1:
            break
        end = match.start()
        if match.end() != 0:
            out.append(text[at:end])
        at = match.end()
    if end != len(text):
        out.append(text[at:])
    return StringList(out)


def _replace_literal(pattern: str, text: str, new: str) -> str:
    return replace_all(compile_re2(pattern), text, new.replace("$", "$$"))


def _both(name: str, letters: str, call: Callable[..., Value]) -> dict[str, tuple[str, Callable[..., Value]]]:
    """`regexX` and `mustRegexX`: ours both fail with an error and never panic."""
    return {f"regex{name}": (letters, call), f"mustRegex{name}": (letters, call)}


REGEX: dict[str, Function] = functions(
    {
        "regexMatch": ("ss", _matches_quietly),
        "mustRegexMatch": ("ss", lambda pattern, text: compile_re2(pattern).search(text) is not None),
        **_both("Find", "ss", _find),
        **_both("FindAll", "ssi", _find_all),
        **_both("ReplaceAll", "sss", lambda pattern, text, new: replace_all(compile_re2(pattern), text, new)),
        **_both("ReplaceAllLiteral", "sss", _replace_literal),
        **_both("Split", "ssi", _split),
        "regexQuoteMeta": ("s", lambda text: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)),
    }
)
