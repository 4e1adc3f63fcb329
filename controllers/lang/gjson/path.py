"""`property`: gjson paths over raw JSON, the whole grammar.

    name.last   arr.1   arr.#   arr.#.x   arr.#(a=="b").c   arr.#(a>1)#.c   na*e   fav\\.movie
    a|b   @reverse   {a,b}   !"x"

`.` and `|` differ only behind `#`: the dot goes into each element, the pipe works on the collected array. A path is
user input: its nesting is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import query
from .modifiers import MODIFIERS
from .numbers import integral, number_of, plain_number
from .scan import Value, elements, members, nested_end, parse, string_end, value_at

MAX_DEPTH = 60
MAX_DIG = 100_000
"""Values that `@dig` looks into."""
MAX_PATH = 4096
MAX_RESULT = 8 << 20
"""Characters of a path, and of any value on the way: `{a:@this,b:@this}` doubles what it is given, wherever it stands
in a path."""


class PathTooDeepError(ValueError):
    """The path nests more than MAX_DEPTH levels, is too long, or makes too much."""


def lookup(document: str, path: str) -> Value | None:
    """The value at `path`, None where there is none. Raises PathTooDeepError."""
    if len(path) > MAX_PATH:
        raise PathTooDeepError(f"property of {len(path)} characters, expected at most {MAX_PATH}")
    return _get(document, path, 0)


def text_of(value: Value) -> str:
    """The value as it goes into a Secret: strings unescaped, numbers plain, null "", containers as they stand."""
    match value.kind:
        case "string":
            return value.text
        case "number":
            return value.raw if integral(value.raw) else plain_number(number_of(value.raw))
        case "null":
            return ""
        case "json":
            return value.raw
    return value.kind


@dataclass(frozen=True, slots=True)
class _Part:
    """The first component of a path, and what follows it."""

    name: str
    rest: str = ""
    more: bool = False
    pipe: str | None = None
    wild: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    value: Value | None
    pipe: str | None = None


def _get(raw: str, path: str, depth: int) -> Value | None:
    if depth > MAX_DEPTH:
        raise PathTooDeepError(f"property nests more than {MAX_DEPTH} levels")
    _check_size(len(raw))
    if len(path) > 1:
        if path[0] in "@!":
            done = _modifier(raw, path) if path[0] == "@" else _static(path)
            if done is not None:
                result, rest = done
                return _get(result, rest[1:], depth + 1) if rest[:1] in ("|", ".") and rest else parse(result)
        if path[0] in "[{":
            selected = _multipath(raw, path, depth)
            if selected is not None:
                return selected
    if path.startswith(".."):
        found = _array(f"[{raw}]", path[2:], depth)
    else:
        start = next((at for at, char in enumerate(raw) if char in "{["), -1)
        if start < 0:
            return None
        found = (_object if raw[start] == "{" else _array)(raw[start:], path, depth)
    if found.pipe is not None:
        return _get(found.value.raw if found.value else "", found.pipe, depth + 1)
    return found.value


def _pipes(following: str) -> bool:
    """Does what follows a dot work on the value so far (a modifier or a multipath)?"""
    if following[:1] == "@":
        name = following[1:]
        for at, char in enumerate(name):
            if char in ".|:":
                name = name[:at]
                break
        return name in _MODIFIERS
    return following[:1] in ("[", "{")


def _split(path: str, name: str, at: int, wild: bool) -> _Part:
    """The part that ends at `path[at]`, a dot or a pipe."""
    following = path[at + 1 :]
    if path[at] == "|" or (following and _pipes(following)):
        return _Part(name, pipe=following, wild=wild)
    return _Part(name, rest=following, more=True, wild=wild)


def _object_part(path: str) -> _Part:
    out: list[str] = []
    wild, escaped, at = False, False, 0
    while at < len(path):
        char = path[at]
        if char in ".|":
            return _split(path, "".join(out), at, wild)
        if char == "\\":
            escaped = True
            at += 1
            out.append(path[at : at + 1])
        else:
            wild = wild or char in "*?"
            out.append(char)
        at += 1
    return _Part("".join(out) if escaped else path, wild=wild)


def _object(raw: str, path: str, depth: int) -> _Found:
    if depth > MAX_DEPTH:
        raise PathTooDeepError(f"property nests more than {MAX_DEPTH} levels")
    part = _object_part(path)
    pipe = part.pipe  # also where nothing is found: a modifier or a literal then works on nothing
    for key, _, value in members(raw):
        if not (query.glob(key, part.name) if part.wild else key == part.name):
            continue
        if not part.more:
            return _Found(value, part.pipe)
        if value.kind == "json":
            found = (_object if value.is_object else _array)(value.raw, part.rest, depth + 1)
            if found.value is not None:
                return found
            pipe = found.pipe if found.pipe is not None else pipe
    return _Found(None, pipe)


def _array(raw: str, path: str, depth: int) -> _Found:
    if depth > MAX_DEPTH:
        raise PathTooDeepError(f"property nests more than {MAX_DEPTH} levels")
    if path[:2] in ("#(", "#["):
        return _query(raw, path, depth)
    if path.startswith("#."):
        return _collect(raw, path[2:], depth)
    at = next((position for position, char in enumerate(path) if char in ".|"), -1)
    part = _Part(path) if at < 0 else _split(path, path[:at], at, wild=False)
    if part.name == "#":
        return _Found(Value("number", str(sum(1 for _ in elements(raw)))), part.pipe)
    if not part.name.isascii() or not part.name.isdigit() or len(part.name) > 9:
        return _Found(None, part.pipe)
    for index, value in enumerate(elements(raw)):
        if index == int(part.name):
            if not part.more:
                return _Found(value, part.pipe)
            if value.kind == "json":
                return (_object if value.is_object else _array)(value.raw, part.rest, depth + 1)
            break
    return _Found(None, part.pipe)


def _collect(raw: str, path: str, depth: int) -> _Found:
    """`#.path`: the path's value in each element that has it, as an array."""
    path, pipe = query.split_pipe(path)
    found = [_get(value.raw, path, depth + 1) for value in elements(raw)]
    return _Found(Value("json", f"[{','.join(value.raw for value in found if value is not None)}]"), pipe)


def _query(raw: str, path: str, depth: int) -> _Found:
    """`#(path op value)` first match, `#(…)#` all matches."""
    asked = query.parse(path)
    if asked is None:
        return _Found(None)
    rest, every = path[asked.end :], False
    if rest[:1] == "#":
        rest, every = rest[1:], True
    tail = _Part("") if not rest else _split(rest, "", 0, False) if rest[0] in ".|" else None
    if tail is None:
        return _Found(None)
    below, pipe, more = tail.rest, tail.pipe, tail.more
    if rest[:1] == "." and not more:  # behind `#(…)` a dot goes into the elements even before a modifier
        below, pipe, more = rest[1:], None, True
    if more:
        below, pipe = query.split_pipe(below)
    collected: list[str] = []
    matched = False
    for value in elements(raw):
        if value.kind == "json":
            compared = _get(value.raw, asked.path, depth + 1)
        else:
            compared = None if asked.path else value
            if asked.path:
                continue
        if not query.matches(asked, compared):
            continue
        found = _get(value.raw, below, depth + 1) if more else value
        matched = True
        if not every:
            return _Found(found, pipe)
        if found is not None and found.raw:
            collected.append(found.raw)
    pipe = pipe if matched or not more else None  # a pipe behind a path is seen with the first match only
    return _Found(Value("json", f"[{','.join(collected)}]"), pipe) if every else _Found(None, pipe)


def _static(path: str) -> tuple[str, str] | None:
    """`!literal` → (its JSON, the rest of the path)."""
    body = path[1:]
    if body[:1] in tuple('{["+-0123456789'):
        if body[0] == '"':
            return body[: string_end(body, 0)], ""  # the reference takes the rest of the path for part of the literal
        if body[0] in "{[":
            end = nested_end(body, 0)
            return body[:end], body[end:]
        return value_at(body, 0)[0].raw, ""
    at = next((position for position, char in enumerate(body) if char in ".|"), len(body))
    name = body[:at]
    return (name, body[at:]) if name.lower() in ("true", "false", "null", "nan", "inf") else None


def _modifier(raw: str, path: str) -> tuple[str, str] | None:
    """`@name:argument` → (its result, the rest of the path)."""
    at = next((position for position, char in enumerate(path) if char in ":.|"), len(path))
    function = _MODIFIERS.get(path[1:at])
    if function is None:
        return None
    if path[at : at + 1] != ":":
        return function(raw, ""), path[at:]
    rest = path[at + 1 :]
    if rest[:1] in ("{", "[", '"') and rest:
        end = string_end(rest, 0) if rest[0] == '"' else nested_end(rest, 0)
    else:
        end = 0
        while end < len(rest) and rest[end] != "|":
            end = (
                nested_end(rest, end) if rest[end] in "{[(" else string_end(rest, end) if rest[end] == '"' else end + 1
            )
    return function(raw, rest[:end]), rest[end:]


def _check_size(size: int) -> None:
    if size > MAX_RESULT:
        raise PathTooDeepError(f"property makes a value of more than {MAX_RESULT} characters")


def _multipath(raw: str, path: str, depth: int) -> Value | None:
    """`{a,"name":b}` and `[a,b]`."""
    parsed = query.selectors(path)
    if parsed is None:
        return None
    chosen, rest = parsed
    if rest and rest[0] not in ".|":
        return None
    parts, size = [], 0
    for name, sub in chosen:
        found = _get(raw, sub, depth + 1)
        if found is None:
            continue
        prefix = f"{query.member_name(name, sub)}:" if path[0] == "{" else ""
        parts.append(prefix + (found.raw or "null"))
        size += len(parts[-1])
        _check_size(size)
    body = path[0] + ",".join(parts) + ("}" if path[0] == "{" else "]")
    return _get(body, rest[1:], depth + 1) if rest else Value("json", body)


def _dig(raw: str, path: str) -> str:
    """Every value at `path` at any depth, outermost first."""
    root, found, seen = parse(raw), [], 0
    pending = [root] if root else []
    while pending:
        value = pending.pop()
        seen += 1
        if seen > MAX_DIG:
            break
        hit = lookup(value.raw, path)
        if hit is not None:
            found.append(hit.raw)
        if value.is_object:
            pending.extend(reversed([item for _, _, item in members(value.raw)]))
        elif value.is_array:
            pending.extend(reversed(list(elements(value.raw))))
    return f"[{','.join(found)}]"


_MODIFIERS = {**MODIFIERS, "dig": _dig}
