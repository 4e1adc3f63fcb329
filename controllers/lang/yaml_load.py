"""YAML as Kubernetes reads it: the types of Go's sigs.k8s.io/yaml, within limits.

PyYAML's own resolver is YAML 1.1 with surprises of its own (`1:30` is 90, `0o14` a text, a date is a date). Kubernetes
turns YAML into JSON by go-yaml's rules: yes/no/on/off are booleans only where Go's typed decoder asks for one, so here
they stay text as in untyped objects; `0o14` and `014` are octal, dates are text, keys become text. libyaml parses; the
construction from its events is ours, so that limits hold while it runs: a file of aliases must not grow into memory.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$")
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INFINITIES = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"}


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """What one text may cost."""

    bytes: int = 4 * 1024 * 1024
    nodes: int = 500_000
    """After aliases are expanded."""
    depth: int = 100
    documents: int = 10_000


DEFAULT_LIMITS = YamlLimits()


class InvalidYamlError(ValueError):
    """Text that is no YAML, or more of it than the limits allow. `line` counts from 1; the message shows no content."""

    def __init__(self, problem: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line


def load_all(text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS) -> list[Any]:
    """All documents of a text; empty ones are left out. Raises InvalidYamlError."""
    return [value for value in iter_documents(text, limits=limits) if value is not None]


def load(text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS) -> Any:
    """The first document, None for an empty text. Raises InvalidYamlError."""
    return next(iter(load_all(text, limits=limits)), None)


def iter_documents(text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS) -> Iterator[Any]:
    """The documents as they are parsed, None for an empty one."""
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > limits.bytes:
        raise InvalidYamlError(f"found {len(raw)} bytes, expected at most {limits.bytes}")
    try:
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidYamlError(f"byte {error.start} is not UTF-8") from None
    loader = yaml.CLoader(decoded)
    try:
        yield from _Builder(loader, limits).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidYamlError(_harmless(error.problem or error.context), line=mark.line + 1 if mark else 0) from None
    except yaml.YAMLError:
        raise InvalidYamlError("a character that YAML does not allow") from None
    finally:
        loader.dispose()


def _harmless(problem: str | None) -> str:
    """libyaml's own words without the piece of content that some of them quote."""
    return re.sub(r"'[^']{2,}'", "'…'", problem or "not YAML")


class _Builder:
    def __init__(self, loader: yaml.CLoader, limits: YamlLimits) -> None:
        self.loader = loader
        self.limits = limits
        self.nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}

    def documents(self) -> Iterator[Any]:
        self.loader.get_event()  # the stream's start
        for _ in range(self.limits.documents):
            event = self.next()
            if isinstance(event, yaml.StreamEndEvent):
                return
            self.anchors = {}
            yield self.value(self.next(), 0)
            self.loader.get_event()  # the document's end
        if not self.loader.check_event(yaml.StreamEndEvent):
            raise InvalidYamlError(f"expected at most {self.limits.documents} documents")

    def next(self) -> Any:
        """The next event; libyaml's types are looser than what it gives."""
        return self.loader.get_event()

    def value(self, event: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        self.count(1, line)
        if depth > self.limits.depth:
            raise InvalidYamlError(f"expected at most {self.limits.depth} levels", line=line)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), line)
        before = self.nodes
        if isinstance(event, yaml.ScalarEvent):
            result = _scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            result = self.sequence(depth)
        else:
            result = self.mapping(depth)
        if event.anchor:
            self.anchors[event.anchor] = (result, self.nodes - before + 1)
        return result

    def sequence(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            found.append(self.value(event, depth + 1))
        return found

    def mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = self.value(event, depth + 1)
            value = self.value(self.next(), depth + 1)
            if is_merge:
                for source in value if isinstance(value, list) else [value]:
                    if not isinstance(source, dict):
                        raise InvalidYamlError("a merge key (<<) takes a mapping", line=line)
                    merged = source | merged
                continue
            name = _key(key, line)
            if name in found:
                raise InvalidYamlError(f"the key {name[:60]!r} stands twice in one mapping", line=line)
            found[name] = value
        return merged | found if merged else found

    def alias(self, anchor: str, line: int) -> Any:
        if anchor not in self.anchors:
            raise InvalidYamlError("an alias of an anchor that is not there, or of what it stands in", line=line)
        value, size = self.anchors[anchor]
        self.count(size, line)
        return _copy(value)

    def count(self, more: int, line: int) -> None:
        self.nodes += more
        if self.nodes > self.limits.nodes:
            raise InvalidYamlError(f"expected at most {self.limits.nodes} values after aliases are expanded", line=line)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _key(key: Any, line: int) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise InvalidYamlError("a key that is no text", line=line)


def _scalar(event: yaml.ScalarEvent, line: int) -> Any:
    text: str = event.value
    tag = event.tag
    if tag and tag != "!":
        return _tagged(tag, text, line)
    return resolve(text, line) if event.implicit[0] and not event.style else text


def _tagged(tag: str, text: str, line: int) -> Any:
    match tag.removeprefix(_TAG):
        case "str":
            return text
        case "int" | "float" | "bool" | "null":
            value = resolve(text, line)
            if isinstance(value, str):
                raise InvalidYamlError(f"text that is no {tag.removeprefix(_TAG)}", line=line)
            return float(value) if tag.endswith("float") and isinstance(value, int) else value
        case "binary":
            try:
                return base64.b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise InvalidYamlError("!!binary that is no base64 of text", line=line) from None
        case "timestamp":
            return text
        case _:
            raise InvalidYamlError("a tag that JSON has nothing for", line=line)


def resolve(text: str, line: int = 0) -> Any:
    """The value of a plain scalar by go-yaml's rules."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _INFINITIES:
        raise InvalidYamlError("a number that JSON has nothing for (infinity, NaN)", line=line)
    if text[0] not in "-+.0123456789":
        return text
    if _INTEGER.match(text):
        if (number := _integer(text)) is not None:
            return number
    elif _FLOAT.match(text):
        number = float(text.replace("_", ""))
        if math.isinf(number):
            raise InvalidYamlError("a number that is too large", line=line)
        return number
    return text


def _integer(text: str) -> int | float | None:
    plain = text.replace("_", "").lower()
    sign = -1 if plain[0] == "-" else 1
    digits = plain.lstrip("+-")
    try:
        if digits.startswith(("0b", "0x", "0o")):
            number = int(digits, 0)
        elif len(digits) > 1 and digits.startswith("0"):
            number = int(digits, 8)
        else:
            if len(digits) > 400:
                return None
            number = int(digits)
        return sign * number if number < 1 << 64 else float(sign * number)
    except (ValueError, OverflowError):
        return None  # of more digits than any number has: Go keeps it as text
