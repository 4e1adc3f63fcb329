"""YAML files into trees, with the scalars that Go's yaml.v3 makes of them, for SOPS hashes what that library reads.

Event by event, so that limits hold while reading. Aliases and anchors are refused (sops expands them on encryption, so
an encrypted file has none), duplicate keys, keys that are not text and tags whose meaning readers disagree on too. A
merge key stays one, since sops keeps it with the mapping that it merges.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Any, NoReturn

import yaml

from .ciphertext import Timestamp, go_yaml_float
from .errors import RefusedSyntaxError, TreeError
from .limits import SopsLimits

_SPECIAL: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:([Tt]|[ \t]+)(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(.*))?")
_MAX_DIGITS = 400


class MergeKey(str):
    """The key `<<` of a YAML mapping, unquoted: its value is merged into the mapping by every reader of the file."""

    __slots__ = ()


_TAG = "tag:yaml.org,2002:"


def resolve_plain(text: str) -> Any:
    """The value of a plain scalar: None, bool, int, float, Timestamp or the text itself."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    first = text[0]
    if first not in "+-.0123456789":
        return text
    if first.isdigit() and (moment := _timestamp(text)):
        return moment
    plain = text.replace("_", "")
    if first != "." and (match := _INT.fullmatch(plain)):
        return _integer(match[1], match[2], text)
    if _FLOAT.fullmatch(plain if first != "." else text):
        value = float(plain)
        # Go refuses what is out of range and leaves the text
        return text if value in (float("inf"), float("-inf")) else value
    return text


def _integer(sign: str, digits: str, text: str) -> Any:
    if len(digits) > _MAX_DIGITS:
        raise RefusedSyntaxError("TooLarge", f"a number of more than {_MAX_DIGITS} digits")
    low = digits.lower()
    if low.startswith(("0x", "0b", "0o")):
        value = int(low, 0)
    else:
        value = int(low, 8) if low.startswith("0") and len(low) > 1 else int(low)
    value = -value if sign == "-" else value
    if -(2**63) <= value < 2**63:
        return value
    if 0 <= value < 2**64:
        raise TreeError("ValueInvalid", "an integer above 63 bits: sops cannot hash it; quote it")
    return float(text.replace("_", "")) if _FLOAT.fullmatch(text.replace("_", "")) else text


def _timestamp(text: str) -> Timestamp | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, mark, hour, minute, second, fraction, zone = match.groups()
    try:
        if mark is None:
            return Timestamp(text, datetime(int(year), int(month), int(day)).strftime("%Y-%m-%dT00:00:00Z"))
        if mark.strip() == "" and zone:
            return None
        if mark.strip() and not re.fullmatch(r"Z|[+-]\d{2}:\d{2}", zone):
            return None
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
    except ValueError:
        return None
    nanos = (fraction or "").rstrip("0").rstrip(".")
    offset = "Z" if not zone or zone in ("Z", "+00:00", "-00:00") else zone
    return Timestamp(text, moment.strftime("%Y-%m-%dT%H:%M:%S") + nanos + offset)


def load_documents(data: bytes, limits: SopsLimits) -> list[Any]:
    """All documents of a file; each root must be a mapping. Raises RefusedSyntaxError with line and cause."""
    limits.check_size(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedSyntaxError("SyntaxError", "the file is not UTF-8 text") from None
    try:
        documents = _Builder(limits).read(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise RefusedSyntaxError("SyntaxError", f"{line}not valid YAML") from None
    except RecursionError:
        raise RefusedSyntaxError("TooLarge", "nested too deep") from None
    for document in documents:
        if not isinstance(document, dict):
            raise RefusedSyntaxError("SyntaxError", "expected a mapping at the top level of each document")
    return documents


class _Builder:
    def __init__(self, limits: SopsLimits) -> None:
        self._limits = limits
        self._nodes = 0

    def read(self, text: str) -> list[Any]:
        documents: list[Any] = []
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if len(documents) >= self._limits.documents:
                    raise RefusedSyntaxError("TooLarge", f"more than {self._limits.documents} documents")
                documents.append(self._node(next(events), events, 0))
        return [document for document in documents if document is not None] or [{}]

    def _node(self, event: Any, events: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        self._nodes += 1
        if self._nodes > self._limits.nodes or depth > self._limits.depth:
            raise RefusedSyntaxError(
                "TooLarge", f"line {line}: more than {self._limits.nodes} nodes or {self._limits.depth} levels"
            )
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise RefusedSyntaxError(
                "AliasRefused", f"line {line}: an encrypted file has no anchors and aliases; refused"
            )
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, line)
        if isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, "seq")
            items = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                items.append(self._node(item, events, depth + 1))
            return items
        _check_tag(event, "map")
        return self._mapping(events, depth)

    def _mapping(self, events: Any, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._node(event, events, depth + 1) if not _is_merge(event) else MergeKey("<<")
            if not isinstance(key, str):
                raise TreeError("KeyNotString", f"line {line}: expected a text as key, found another type")
            if key in mapping:
                raise RefusedSyntaxError("DuplicateKey", f"line {line}: the key stands twice in its mapping")
            mapping[key] = self._node(next(events), events, depth + 1)
        return mapping


def _is_merge(event: Any) -> bool:
    if not isinstance(event, yaml.ScalarEvent) or event.value != "<<" or event.anchor:
        return False
    return event.tag == f"{_TAG}merge" or (event.tag is None and event.implicit[0])


def _check_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", f"{_TAG}{kind}"):
        _refuse_tag(event, event.start_mark.line + 1)


def _refuse_tag(event: Any, line: int) -> NoReturn:
    tag = str(event.tag).replace(_TAG, "!!")[:60]
    raise RefusedSyntaxError("TagRefused", f"line {line}: the tag {tag} is not read in an encrypted file; remove it")


def _scalar(event: Any, line: int) -> Any:
    text: str = event.value
    if event.tag is None:
        return resolve_plain(text) if event.implicit[0] else text
    match str(event.tag).removeprefix(_TAG):
        case "!" | "str":
            return text
        case "merge" if text == "<<":
            return text  # go-yaml writes the text so where it is a value
        case "binary":
            try:
                return base64.b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, ValueError):
                raise RefusedSyntaxError("TagRefused", f"line {line}: !!binary: expected base64 of text") from None
        case kind if kind in _TAGGED:
            value = resolve_plain(text)
            if kind == "float" and type(value) is int:
                return float(value)
            if isinstance(value, _TAGGED[kind]) and (kind == "bool" or type(value) is not bool):
                return value
    _refuse_tag(event, line)


_TAGGED: dict[str, type] = {"int": int, "float": float, "bool": bool, "null": type(None), "timestamp": Timestamp}


class _Dumper(yaml.CSafeDumper):
    """Writes trees so that every YAML 1.1 and 1.2 reader sees the same values: texts are quoted where in doubt."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump_text(dumper: Any, value: str) -> Any:
    plain = not isinstance(resolve_plain(value), str) or value in _YAML_11 or _odd(value)
    style = (
        '"'
        if plain
        else ("|" if "\n" in value and value.strip("\n") and not value.startswith((" ", "\t", "\n")) else None)
    )
    return dumper.represent_scalar(f"{_TAG}str", value, style=style)


def _dump_float(dumper: Any, value: float) -> Any:
    """Plain, as go-yaml writes it; with the tag that this library gives the text, so that it is written without one."""
    text = go_yaml_float(value)
    return dumper.represent_scalar(dumper.resolve(yaml.ScalarNode, text, (True, False)), text)


_YAML_11 = {"y", "Y", "n", "N"} | {
    f(word) for word in ("yes", "no", "on", "off") for f in (str, str.upper, str.capitalize)
}


def _odd(value: str) -> bool:
    return value in ("=", "<<") or (value[:1].isdigit() and ":" in value)


_Dumper.add_representer(str, _dump_text)
_Dumper.add_representer(MergeKey, lambda dumper, key: dumper.represent_scalar(f"{_TAG}merge", "<<"))
_Dumper.add_representer(float, _dump_float)
_Dumper.add_representer(Timestamp, lambda dumper, moment: dumper.represent_scalar(f"{_TAG}timestamp", moment.text))


def dump_documents(documents: list[Any]) -> bytes:
    """Trees as a YAML stream; keys in their order."""
    text = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**30,
        explicit_start=len(documents) > 1,
    )  # fmt: skip
    return str(text).encode()
