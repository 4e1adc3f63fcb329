"""`fromYaml` and templated YAML as sigs.k8s.io/yaml reads them: go-yaml v2, then by way of JSON.

libyaml parses (go-yaml is its port, complaints included); what its events mean is decided here, by go-yaml's rules:
1.1 booleans, numbers in Go's forms, merge keys in document order, the first document only, keys as texts. Times stay
texts. Nodes are counted after aliases are expanded, so that a file of aliases does not grow into memory.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from .convert import parse_float, parse_int
from .errors import FunctionError
from .goformat import float32_text, float_text, go_syntax
from .goyaml_write import FLOAT, TIME, to_yaml
from .registry import Function, functions
from .values import Value, to_bytes, to_text, valid_text

MAX_NODES = 50_000
MAX_DEPTH = 200
_TAG = "tag:yaml.org,2002:"
_RESOLVED = {"", *(_TAG + name for name in ("str", "bool", "int", "float", "null", "timestamp"))}
_WORDS: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), ("null", None)),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), ("bool", True)),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), ("bool", False)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), ("float", math.nan)),
    **{sign + word: ("float", math.inf) for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), ("float", -math.inf)),
}
_LONG_WITH_ZERO = re.compile(r"[-+]?0[0-9_]{5,}")
"""Digits that are an account's or a customer's number rather than an octal mode."""
_SLASH = re.compile(r"\\(?:\\|/)")
# libyaml's, where it is: it complains in go-yaml's words
_PARSER: Any = getattr(yaml, "CLoader", yaml.Loader)


class _ReadError(Exception):
    """The text cannot be read; the message is go-yaml's and may quote the text."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """In place of a scalar whose text would not be what was written."""

    why: str


@dataclass(frozen=True, slots=True)
class _BadKey:
    """A key that JSON has no form for, as go-yaml describes it."""

    kind: str
    shown: str


@dataclass(slots=True)
class _Node:
    kind: str
    tag: str = ""
    text: str = ""
    plain: bool = False
    children: list[_Node] = field(default_factory=list)
    target: _Node | None = None


# --- from text to nodes


def _compose(text: str) -> _Node | None:
    """The first document's root, None where there is none. Raises _ReadError."""
    raw = to_bytes(text) or b"\n"
    try:
        events = yaml.parse(raw, Loader=_PARSER)
        next(events)
        if isinstance(next(events), yaml.StreamEndEvent):
            return None
        root = _Composer(events, text).node(next(events), 0)
        next(events)
        return root
    except yaml.YAMLError as error:
        raise _ReadError(_problem(error)) from None


class _Composer:
    """One document's nodes from its events."""

    def __init__(self, events: Iterator[Any], text: str) -> None:
        self.events = events
        self.text = text
        self.slashes = "\\/" in text
        self.anchors: dict[str, _Node] = {}
        self.count = 0

    def node(self, event: Any, depth: int) -> _Node:
        self.count += 1
        if depth > MAX_DEPTH:
            raise _ReadError(f"yaml: exceeded max depth of {MAX_DEPTH}")
        if self.count > MAX_NODES:
            raise _ReadError(f"yaml: more than {MAX_NODES} nodes")
        if isinstance(event, yaml.AliasEvent):
            target = self.anchors.get(event.anchor or "")
            if target is None:
                raise _ReadError(f"yaml: unknown anchor '{event.anchor}' referenced")
            return _Node("alias", text=event.anchor or "", target=target)
        if isinstance(event, yaml.ScalarEvent):
            if self.slashes and event.style == '"':
                self._refuse_slash(event)
            node = _Node("scalar", event.tag or "", event.value, event.implicit[0])
            self._anchor(event, node)
            return node
        node = _Node("map" if isinstance(event, yaml.MappingStartEvent) else "list", event.tag or "")
        self._anchor(event, node)
        while not isinstance(child := next(self.events), yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node.children.append(self.node(child, depth + 1))
        return node

    def _anchor(self, event: Any, node: _Node) -> None:
        if event.anchor:
            self.anchors[event.anchor] = node

    def _refuse_slash(self, event: Any) -> None:
        r"""`\/` is an escape to libyaml and to JSON, but not to go-yaml."""
        raw = self.text[event.start_mark.index : event.end_mark.index]
        found = next((found for found in _SLASH.finditer(raw) if found[0] == "\\/"), None)
        if found:
            line = event.start_mark.line + raw.count("\n", 0, found.start())
            raise _ReadError(f"yaml: {f'line {line + 1}: ' if line else ''}found unknown escape character")


def _problem(error: yaml.YAMLError) -> str:
    """As go-yaml words it: the line counts from 1 for what the scanner found, from 0 for the parser; 0 is left out."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"yaml: {getattr(error, 'reason', '') or 'unknown problem parsing YAML content'}"
    line = error.problem_mark.line if error.problem_mark else 0
    if line:
        line += isinstance(error, yaml.scanner.ScannerError)
    elif error.context_mark:
        line = error.context_mark.line
    return f"yaml: {f'line {line}: ' if line else ''}{error.problem}"


# --- from nodes to values


class _Decoder:
    """`coerce`: scalars become texts, as for a map[string]string. Raises _ReadError."""

    def __init__(self, *, coerce: bool = False) -> None:
        self.coerce = coerce
        self.open: set[int] = set()
        self.count = 0

    def value(self, node: _Node, depth: int = 0) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise _ReadError("yaml: document contains excessive aliasing")
        if depth > MAX_DEPTH:
            raise _ReadError(f"yaml: exceeded max depth of {MAX_DEPTH}")
        if node.target is not None:
            return self._aliased(node, node.target, depth)
        if node.kind == "scalar":
            value = _scalar(node)
            return _coerced(value, node.text) if self.coerce else value
        if node.kind == "list":
            return [self.value(child, depth + 1) for child in node.children]
        out: dict[str | _BadKey, Any] = {}
        self._fill(node, out, depth)
        return out

    def _aliased(self, node: _Node, target: _Node, depth: int) -> Any:
        if id(node) in self.open:
            raise _ReadError(f"yaml: anchor '{node.text}' value contains itself")
        self.open.add(id(node))
        value = self.value(target, depth + 1)
        self.open.discard(id(node))
        return value

    def _fill(self, node: _Node, out: dict[str | _BadKey, Any], depth: int) -> None:
        for key, item in zip(node.children[::2], node.children[1::2], strict=True):
            if key.kind == "scalar" and key.text == "<<" and (key.plain or key.tag == f"{_TAG}merge"):
                self._merge(item, out, depth + 1)
            else:
                out[_key_text(self._key(key))] = self.value(item, depth + 1)

    def _key(self, node: _Node) -> Any:
        node = node.target or node
        if node.kind == "scalar":
            return _scalar(node)
        plain = _Decoder().value(node)
        raise _ReadError(f"yaml: invalid map key: {go_syntax(plain, untyped_keys=True)}")

    def _merge(self, node: _Node, out: dict[str | _BadKey, Any], depth: int) -> None:
        """Of several maps the first wins; what the map said before gives way, what it says later wins."""
        items = [node] if (node.target or node).kind == "map" else reversed(node.children)
        if node.kind == "scalar" or (node.target is not None and node.target.kind != "map"):
            raise _ReadError("yaml: map merge requires map or sequence of maps as the value")
        for item in items:
            if (item.target or item).kind != "map":
                raise _ReadError("yaml: map merge requires map or sequence of maps as the value")
            out.update(self.value(item, depth))


def _scalar(node: _Node) -> Any:
    if not node.tag and not node.plain:
        return node.text
    if node.tag == f"{_TAG}binary":
        try:
            return to_text(base64.b64decode(re.sub("[\r\n]", "", node.text), validate=True))
        except (binascii.Error, ValueError):
            raise _ReadError("yaml: !!binary value contains invalid base64 data") from None
    if node.tag not in _RESOLVED:
        return node.text
    wanted = node.tag.removeprefix(_TAG)
    kind, value = ("str", node.text) if wanted == "str" else _resolved(node.text, wanted)
    if wanted == "float" and kind == "int":
        return float(value)
    if wanted not in ("", kind):
        raise _ReadError(f"yaml: cannot decode !!{kind} `{node.text}` as a !!{wanted}")
    return value


def _resolved(text: str, tag: str) -> tuple[str, Any]:
    """(kind, value) of a plain text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        number = parse_float(text)
        return ("str", text) if number is None else ("float", number)
    if text[0] not in "+-0123456789":
        return "str", text
    if tag in ("", "timestamp") and _is_time(text):
        return "timestamp", text
    plain = text.replace("_", "")
    integer = parse_int(plain)
    if integer is not None and (-(1 << 63) <= integer < 1 << 63 or (plain[0] not in "+-" and integer < 1 << 64)):
        return "int", integer
    number = parse_float(plain) if FLOAT.fullmatch(plain) else None
    return ("str", text) if number is None else ("float", number)


def _is_time(text: str) -> bool:
    return bool(TIME.fullmatch(text))


def _key_text(key: Any) -> str | _BadKey:
    """A key as the JSON object has it."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float):
        return float32_text(key) if math.isfinite(key) else f"{'-' if key < 0 else ''}.{'nan' if key != key else 'inf'}"
    if isinstance(key, int) and key < 1 << 63:
        return str(key)
    return _BadKey("%!s(<nil>)", "<nil>") if key is None else _BadKey("uint64", f"{key:#x}")


def _check_keys(value: Any) -> None:
    """Raises _ReadError for a key that no JSON object has."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_keys(item)
            if isinstance(key, _BadKey):
                shown = "<nil>" if item is None else go_syntax(item, untyped_keys=True)
                raise _ReadError(f"unsupported map key of type: {key.kind}, key: {key.shown}, value: {shown}")
    elif isinstance(value, list):
        for item in value:
            _check_keys(item)


def _coerced(value: Any, text: str) -> Any:
    """A scalar as the text that upstream makes of it, _Refused where that would lose digits."""
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if _LONG_WITH_ZERO.fullmatch(text):
        return _Refused("is a long number with a leading zero, which would be read as octal or lose the zero")
    if isinstance(value, int):
        return str(value)
    shown = float32_text(value)
    if math.isfinite(value) and float(shown) != value:
        return _Refused("is a number of so many digits that it would be rounded")
    return shown


def _decoded(text: str, *, coerce: bool = False) -> Any:
    root = _compose(text)
    return None if root is None else _Decoder(coerce=coerce).value(root)


def load(text: str) -> Any:
    """One YAML document. Raises FunctionError that quotes nothing of it."""
    try:
        return _decoded(text)
    except (_ReadError, RecursionError):
        raise FunctionError("invalid YAML") from None


def load_texts(text: str) -> dict[str, str] | None:
    """A map of texts: scalars become texts as upstream's library makes them (5432, true). None where the document is
    no map. Raises FunctionError, which quotes nothing: no YAML, or a value that would be corrupted or is no scalar
    (named by its number, for a name may have been rendered from a value)."""
    try:
        root = _compose(text)
        if root is None:
            return {}
        node = root.target or root
        if node.kind != "map":
            return {} if node.kind == "scalar" and _scalar(node) is None else None
        loaded = _Decoder(coerce=True).value(root)
        _check_keys(loaded)
    except (_ReadError, RecursionError):
        raise FunctionError("did not render to YAML") from None
    for at, value in enumerate(loaded.values(), 1):
        if isinstance(value, _Refused):
            raise FunctionError(f"value {at} of the map {value.why}; put it in quotes")
        if not isinstance(value, str):
            raise FunctionError(f"value {at} of the map is a {'map' if isinstance(value, dict) else 'list'}, not text")
    texts: dict[str, str] = loaded
    return texts


def from_yaml(text: str) -> dict[str, Value]:
    """A map; what is none yields {"Error": …}, for templates that look for it."""
    try:
        loaded = _decoded(text)
        _check_keys(loaded)
        _check_numbers(loaded)
    except _ReadError as error:
        return {"Error": f"error converting YAML to JSON: {error}"}
    except RecursionError:
        return {"Error": "error converting YAML to JSON: yaml: nested too deeply"}
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        kind = {bool: "bool", str: "string", list: "array"}.get(type(loaded), "number")
        return {
            "Error": "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
            f"{kind} into Go value of type map[string]interface {{}}"
        }
    converted = _as_json(loaded)
    return converted if isinstance(converted, dict) else {}


def _check_numbers(value: Any) -> None:
    """Raises _ReadError for the first number that JSON has no form for."""
    if isinstance(value, dict):
        for key in sorted(value, key=to_bytes):
            _check_numbers(value[key])
    elif isinstance(value, list):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _ReadError(f"json: unsupported value: {float_text(value)}")


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {valid_text(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


YAML: dict[str, Function] = functions({"toYaml": ("a", to_yaml), "fromYaml": ("s", from_yaml)})
