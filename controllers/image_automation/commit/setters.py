"""Writing what policies chose into marked scalars, and changing nothing else. Pure.

Every byte outside the marked scalars stays: line ends, BOM, blank lines, indentation, quotes, comments, anchors. A
scalar keeps its style; a plain one gets double quotes where the new text would read as another type. After the splice
the text is read again and compared token by token: if anything but the targeted values differs, the file is left alone
and reported. Files are independent: one that cannot be read is reported and the others go on.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.resolver import Resolver

from controllers.image_automation.tags.reference import Ref

from .markers import TOKEN, Marked, Marker, Scalar, Token, UnreadableYamlError, find_markers, scan
from .yaml_plain import is_plain_scalar

BOM = "\ufeff"
MAX_FILE = 4 << 20
_CONTENT = re.compile(r"[^\r\n\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True, order=True)
class ObjectId:
    """The object that a scalar is part of; empty where the file is no manifest."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ScalarChange:
    old: str
    new: str
    setter: str
    object: ObjectId
    line: int


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A marker that changed nothing although it is one or tries to be."""

    path: str
    line: int
    marker: str
    why: str


@dataclass(frozen=True, slots=True)
class FileEdit:
    """What became of one file. `content` is None where it stays as it is."""

    path: str
    content: bytes | None = None
    changes: tuple[ScalarChange, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TreeEdit:
    """What became of all files, by path."""

    files: tuple[FileEdit, ...]

    @property
    def contents(self) -> dict[str, bytes]:
        return {one.path: one.content for one in self.files if one.content is not None}

    @property
    def unresolved(self) -> tuple[Unresolved, ...]:
        return tuple(marker for one in self.files for marker in one.unresolved)

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        return tuple((one.path, one.problem) for one in self.files if one.problem)


def is_candidate(path: str) -> bool:
    """Whether a file's name says that markers may be in it: `.yaml`, `.yml`, or `Kustomization`."""
    name = posixpath.basename(path)
    return name == "Kustomization" or posixpath.splitext(name)[1] in (".yaml", ".yml")


def has_marker(content: bytes) -> bool:
    """Whether a file is worth reading."""
    return TOKEN.encode() in content


def edit_tree(files: Mapping[str, bytes], policies: Mapping[str, Ref]) -> TreeEdit:
    """Edits every candidate that holds markers. `policies`: `namespace:name` → what it resolved to."""
    return TreeEdit(
        tuple(
            edit_file(path, content, policies)
            for path, content in sorted(files.items())
            if is_candidate(path) and has_marker(content)
        )
    )


def edit_file(path: str, content: bytes, policies: Mapping[str, Ref]) -> FileEdit:
    """Never raises for what is in the file."""
    if len(content) > MAX_FILE:
        return FileEdit(path, problem=f"{len(content)} bytes, more than {MAX_FILE}")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return FileEdit(path, problem=f"not UTF-8 at byte {error.start}")
    try:
        edited, changes, unresolved = _edit(path, text, policies)
    except UnreadableYamlError as error:
        return FileEdit(path, problem=f"not YAML that can be edited: {error}")
    return FileEdit(path, edited.encode() if changes else None, changes, unresolved)


def _edit(
    path: str, text: str, policies: Mapping[str, Ref]
) -> tuple[str, tuple[ScalarChange, ...], tuple[Unresolved, ...]]:
    bom = BOM if text.startswith(BOM) else ""
    body = text[len(bom) :]
    found = find_markers(body)
    owners = _Owners(body)  # also the proof that the whole text parses
    unresolved = [Unresolved(path, one.line, one.text, one.why) for one in found.misplaced]
    splices: list[tuple[Marked, str]] = []
    for one in found.marked:
        new = wanted_value(one.marker, policies)
        if new is None:
            unresolved.append(Unresolved(path, one.line, one.marker.setter, _why(one.marker, policies)))
        elif _current(one.scalar) != new:
            splices.append((one, new))
    if not splices:
        return text, (), tuple(unresolved)
    edited = body
    for one, new in sorted(splices, key=lambda item: -item[0].scalar.start):
        start, end, written = _splice(body, one.scalar, new)
        edited = edited[:start] + written + edited[end:]
    _check(found.tokens, edited, splices)
    changes = tuple(
        ScalarChange(one.scalar.value, new, one.marker.setter, owners.at(one.scalar.start), one.line)
        for one, new in sorted(splices, key=lambda item: item[0].scalar.start)
    )
    return bom + edited, changes, tuple(unresolved)


def wanted_value(marker: Marker, policies: Mapping[str, Ref]) -> str | None:
    """What a marker's scalar shall be; None where the policy is unknown or has no digest to write."""
    ref = policies.get(marker.name)
    if ref is None:
        return None
    match marker.part:
        case "tag":
            return ref.tag
        case "name":
            return ref.name
        case "digest":
            return ref.digest or None  # an empty text would destroy a digest that is pinned
    return ref.image


def _why(marker: Marker, policies: Mapping[str, Ref]) -> str:
    if marker.name in policies:
        return "the policy has no digest (spec.digestReflectionPolicy)"
    return "no policy of this namespace and name, selected and with a latest image"


def _current(scalar: Scalar) -> str:
    """The value as far as it is ours to write: a block scalar's last line break belongs to its header."""
    return scalar.value.rstrip("\n") if scalar.style in ("|", ">") else scalar.value


def _splice(text: str, scalar: Scalar, new: str) -> tuple[int, int, str]:
    """The characters to replace, and with what."""
    match scalar.style:
        case "":
            return scalar.start, scalar.end, new if is_plain_scalar(new) else _double(new)
        case "'":
            return scalar.start, scalar.end, "'" + new.replace("'", "''") + "'"
        case '"':
            return scalar.start, scalar.end, _double(new)
    return (*_block_content(text, scalar), new)


def _double(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in escaped) + '"'


def _block_content(text: str, scalar: Scalar) -> tuple[int, int]:
    """First to last character of a block scalar's content, without the first line's indentation."""
    token = text[scalar.start : scalar.end]
    header = _CONTENT.match(token)
    if header is None or any(character.isdigit() for character in header[0].split("#")[0]):
        raise UnreadableYamlError("a marked block scalar with an indentation indicator")
    lines = [found for found in _CONTENT.finditer(token, header.end()) if found[0].strip(" \t")]
    if not lines:
        raise UnreadableYamlError("a marked block scalar without content")
    indent = len(lines[0][0]) - len(lines[0][0].lstrip(" "))
    return scalar.start + lines[0].start() + indent, scalar.start + lines[-1].end()


def _check(old: Sequence[Token], after: str, splices: list[tuple[Marked, str]]) -> None:
    """Only the targeted values differ, or UnreadableYamlError."""
    wanted = {one.scalar.start: new for one, new in splices}
    new = scan(after)
    fine = len(old) == len(new)
    for was, now in zip(old, new, strict=False):
        if was.kind != now.kind or was.role != now.role:
            fine = False
        elif was.kind == "Scalar" and was.start in wanted:
            value = now.value.rstrip("\n") if now.style in ("|", ">") else now.value
            fine = fine and value == wanted[was.start]
        else:
            fine = fine and was.value == now.value and was.style == now.style
    if not fine:
        raise UnreadableYamlError("the edit would change more than the marked values")


class _Redefining(Composer, CParser, Resolver):
    """Lets an anchor be defined anew, as YAML does; slower than the composer in C, which refuses that."""

    def __init__(self, stream: str) -> None:
        CParser.__init__(self, stream)
        Composer.__init__(self)
        Resolver.__init__(self)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        found: yaml.Node | None = super().compose_node(parent, index)
        return found


def _nodes(text: str) -> list[yaml.Node]:
    try:
        return list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except ComposerError:
        return list(yaml.compose_all(text, Loader=_Redefining))  # type: ignore[arg-type]


class _Owners:
    """Which object a position in the text belongs to: a document, or an item of a document of kind List."""

    def __init__(self, text: str) -> None:
        self._ranges: list[tuple[int, int, ObjectId]] = []
        try:
            for node in _nodes(text):
                self._add(node)
        except (yaml.YAMLError, RecursionError) as error:
            raise UnreadableYamlError(getattr(error, "problem", None) or "a document does not parse") from None

    def _add(self, node: yaml.Node | None) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        items = _child(node, "items")
        if isinstance(items, yaml.SequenceNode) and _text(node, "kind").endswith("List"):
            for item in items.value:
                self._add(item)
        self._ranges.append((node.start_mark.index, node.end_mark.index, _identity(node)))

    def at(self, position: int) -> ObjectId:
        for start, end, identity in self._ranges:
            if start <= position < end:
                return identity
        return ObjectId()


def _identity(node: yaml.MappingNode) -> ObjectId:
    metadata = _child(node, "metadata")
    inner = metadata if isinstance(metadata, yaml.MappingNode) else None
    return ObjectId(
        _text(node, "apiVersion"),
        _text(node, "kind"),
        _text(inner, "namespace") if inner else "",
        _text(inner, "name") if inner else "",
    )


def _child(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    for name, value in node.value:
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            found: yaml.Node = value
            return found
    return None


def _text(node: yaml.MappingNode, key: str) -> str:
    found = _child(node, key)
    return str(found.value) if isinstance(found, yaml.ScalarNode) else ""
