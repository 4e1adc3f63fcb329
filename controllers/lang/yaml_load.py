"""YAML as Kubernetes reads it: the JSON that Go's sigs.k8s.io/yaml makes of it, within limits.

libyaml parses; what a plain scalar stands for is go-yaml's (yaml_scalars.py), in its version 2 unless asked otherwise.
Whole floats become integers, as they do on the way through JSON; a tag that the library does not know says nothing; a
key is text. The construction from libyaml's events is ours, so that limits hold while it runs: a file of aliases must
not grow into memory. Duplicate keys are refused, where the library would keep the last.
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

from .yaml_scalars import Version, as_json, is_timestamp, needs_quotes, resolve, single_text

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """What one text may cost."""

    bytes: int = 64 * 1024 * 1024
    """The largest release files of the ecosystem have some 5 MB."""
    nodes: int = 5_000_000
    """Scalars, lists and maps, those that aliases stand for left out."""
    aliased: int = 500_000
    """Values that aliases stand for: these cost memory without costing bytes."""
    depth: int = 200
    documents: int = 100_000


DEFAULT_LIMITS = YamlLimits()


class InvalidYamlError(ValueError):
    """Invalid YAML, or more of it than the limits allow. `line` counts from 1; the message shows no content."""

    def __init__(self, problem: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line


def load_all(text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS, version: Version = Version.V2) -> list[Any]:
    """All documents of a text; empty ones are left out. Raises InvalidYamlError."""
    return [value for value in iter_documents(text, limits=limits, version=version) if value is not None]


def load(text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS, version: Version = Version.V2) -> Any:
    """The first document, None for an empty text. Raises InvalidYamlError."""
    return next(iter(load_all(text, limits=limits, version=version)), None)


def iter_documents(
    text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS, version: Version = Version.V2
) -> Iterator[Any]:
    """The documents as they are parsed, None for an empty one."""
    yield from _documents(_decoded(text, limits), _Builder, limits, version)


def load_typed(text: str | bytes, *, limits: YamlLimits = DEFAULT_LIMITS) -> Any:
    """The first document, None for an empty text; whole floats are floats. Raises InvalidYamlError."""
    found = _documents(_decoded(text, limits), _TypedBuilder, limits, Version.V2)
    return next((value for value in found if value is not None), None)


def _decoded(text: str | bytes, limits: YamlLimits) -> str:
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > limits.bytes:
        raise InvalidYamlError(f"found {len(raw)} bytes, expected at most {limits.bytes}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidYamlError(f"byte {error.start} is not UTF-8") from None


def _harmless(problem: str | None) -> str:
    """libyaml's own words without the piece of content that some of them quote."""
    return re.sub(r"'[^']{2,}'", "'…'", problem or "not YAML")


class _NotPlainError(Exception):
    """A text with something that not every reader takes for the same."""


class _Builder:
    def __init__(self, loader: yaml.CLoader, limits: YamlLimits, version: Version) -> None:
        self.loader = loader
        self.limits = limits
        self.version = version
        self.nodes = 0
        self.aliased = 0
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
        return _value(self.node(event, depth, line), line)

    def node(self, event: Any, depth: int, line: int) -> Any:
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            raise InvalidYamlError(f"expected at most {self.limits.nodes} values", line=line)
        if depth > self.limits.depth:
            raise InvalidYamlError(f"expected at most {self.limits.depth} levels", line=line)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), line)
        before = self.nodes + self.aliased
        if event.anchor:
            self.anchors.pop(event.anchor, None)  # within itself an anchor is not known yet
        if isinstance(event, yaml.ScalarEvent):
            result = _scalar(event, line, self.version)
        elif isinstance(event, yaml.SequenceStartEvent):
            result = self.sequence(depth)
        else:
            result = self.mapping(depth)
        if event.anchor:
            self.anchors[event.anchor] = (result, self.nodes + self.aliased - before + 1)
        return result

    def sequence(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            found.append(self.value(event, depth + 1))
        return found

    def mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own: set[str] = set()
        merged: dict[str, Any] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if _is_merge(event):
                self.node(event, depth + 1, line)
                source = _merged(self.value(self.next(), depth + 1), line)
                if self.version is Version.V2:
                    found |= source  # over what stands before it: the order decides
                else:
                    merged = source | merged
                continue
            name = self.key(event, depth, line)
            if name in own:
                raise InvalidYamlError(f"duplicate key {name[:60]!r}", line=line)
            own.add(name)
            found[name] = self.value(self.next(), depth + 1)
        return merged | found if merged else found

    def key(self, event: Any, depth: int, line: int) -> str:
        return _key(self.node(event, depth + 1, line), line)

    def alias(self, anchor: str, line: int) -> Any:
        if anchor not in self.anchors:
            raise InvalidYamlError("alias of an unknown anchor, or of the value that contains it", line=line)
        value, size = self.anchors[anchor]
        self.aliased += size
        if self.aliased > self.limits.aliased:
            raise InvalidYamlError(
                f"expected at most {self.limits.aliased} values after aliases are expanded", line=line
            )
        return _copy(value)


class _TypedBuilder(_Builder):
    """Keeps floats as they are, for whoever decodes into types."""

    def value(self, event: Any, depth: int) -> Any:
        return self.node(event, depth, event.start_mark.line + 1)


class _PlainBuilder(_Builder):
    """Ends at the first thing that is not JSON in other clothes.

    That is an alias, a tag, a float, folded text or a word of YAML 1.1.
    """

    def node(self, event: Any, depth: int, line: int) -> Any:
        scalar = isinstance(event, yaml.ScalarEvent)
        if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag or (scalar and event.style == ">"):
            raise _NotPlainError  # folded text: go-yaml's version 3 adds an empty line before a deeper one
        value = super().node(event, depth, line)
        if scalar and not event.style and not _is_unmistakable(event.value, value):
            raise _NotPlainError
        return value

    def key(self, event: Any, depth: int, line: int) -> str:
        name = self.node(event, depth + 1, line)
        if not isinstance(name, str) or name == "<<":
            raise _NotPlainError
        return name


def _is_unmistakable(text: str, value: Any) -> bool:
    """Is a plain scalar the same to every reader: text, a small decimal integer, or a word of JSON?"""
    if isinstance(value, str):
        return not needs_quotes(text)
    return text in ("true", "false", "null") or (type(value) is int and str(value) == text and abs(value) < 1 << 53)


def _documents(text: str, builder: type[_Builder], limits: YamlLimits, version: Version) -> Iterator[Any]:
    loader = yaml.CLoader(text)
    try:
        yield from builder(loader, limits, version).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidYamlError(_harmless(error.problem or error.context), line=mark.line + 1 if mark else 0) from None
    except yaml.YAMLError:
        raise InvalidYamlError("a character that YAML does not allow") from None
    finally:
        loader.dispose()


def load_plain(text: str, *, limits: YamlLimits = DEFAULT_LIMITS) -> list[Any] | None:
    """All documents of a text that every reader takes for the same; None for any other, valid or not."""
    try:
        return [value for value in _documents(text, _PlainBuilder, limits, Version.V2) if value is not None]
    except (_NotPlainError, InvalidYamlError):
        return None


def _is_merge(event: Any) -> bool:
    plain = isinstance(event, yaml.ScalarEvent) and event.value == "<<"
    return plain and (event.implicit[0] or event.tag == f"{_TAG}merge")


def _merged(value: Any, line: int) -> dict[str, Any]:
    """The maps that a merge key names as one; earlier ones win."""
    merged: dict[str, Any] = {}
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, dict):
            raise InvalidYamlError("merge key (<<): expected a map or a list of maps", line=line)
        merged = source | merged
    return merged


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _scalar(event: yaml.ScalarEvent, line: int, version: Version) -> Any:
    """The value of a scalar; a float is still one (see `_value`)."""
    text: str = event.value
    if tag := event.tag:
        return _tagged(tag.removeprefix(_TAG), text, line, version) if tag.startswith(_TAG) else text
    return resolve(text, version) if event.implicit[0] and not event.style else text


def _tagged(tag: str, text: str, line: int, version: Version) -> Any:
    """The library resolves the text as if it were plain and compares; an unknown tag leaves it as it is."""
    if tag == "binary":
        return _binary(text, line)
    expected = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(tag)
    if tag == "timestamp":
        if not is_timestamp(text):
            raise InvalidYamlError("!!timestamp on a text that is not a timestamp", line=line)
    elif expected is not None:
        value = resolve(text, version)
        if expected is float and type(value) is int and value < 1 << 63:
            value = float(value)
        if type(value) is not expected:
            raise InvalidYamlError(f"!!{tag} on a value of another type", line=line)
        return value
    return text


def _binary(text: str, line: int) -> str:
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidYamlError("!!binary: expected base64 of UTF-8 text", line=line) from None


def _value(value: Any, line: int) -> Any:
    """A scalar where it is a value: JSON has no infinity, and whole floats are integers there."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise InvalidYamlError("infinity and NaN are not representable in JSON", line=line)
    return as_json(value)


def _key(key: Any, line: int) -> str:
    """A scalar where it is a key: the texts that sigs.k8s.io/yaml gives numbers and booleans."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int) and key < 1 << 63:
        return str(key)
    if isinstance(key, float):
        return single_text(key)
    raise InvalidYamlError("unsupported key: expected text, a number or a boolean", line=line)
