"""Files of the five formats into trees and back: YAML, JSON, dotenv, INI, binary. Pure.

`read` splits a file into documents and its raw `sops` section; `write` gives the plaintext of decrypted documents in
the file's own format. Nothing here knows of keys.
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from .ciphertext import Comment, Timestamp, go_float
from .errors import MetadataError, NeedsBinaryError, RefusedSyntaxError
from .limits import SopsLimits
from .metadata import unflatten
from .tree import Entries
from .yaml_tree import dump_documents, load_documents

FORMATS = ("yaml", "json", "dotenv", "ini", "binary")
_BY_EXTENSION = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini"}
_MARKERS = {
    "json": re.compile(rb'"mac"\s*:\s*"ENC\['),
    "binary": re.compile(rb'"mac"\s*:\s*"ENC\['),
    "dotenv": re.compile(rb"^sops_mac=ENC\[", re.M),
    "ini": re.compile(rb"^\[sops\]", re.M),
    "yaml": re.compile(rb"""mac["']?\s*:\s*["']?ENC\["""),
}


def format_for_path(path: str) -> str:
    """The format that a file name says; `.dockerconfigjson` is JSON, everything unknown is binary."""
    name = posixpath.basename(path)
    if name == ".dockerconfigjson":
        return "json"
    return _BY_EXTENSION.get(posixpath.splitext(name)[1] or (name if name in _BY_EXTENSION else ""), "binary")


def is_encrypted(data: bytes, form: str) -> bool:
    """Does the file carry the mark of a SOPS file of this format? A cheap look, no parse."""
    return _MARKERS[form].search(data) is not None


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A file as read: its documents without the section, and the section."""

    form: str
    documents: list[Any] = field(repr=False)
    section: Any


def read(data: bytes, form: str, limits: SopsLimits) -> Encrypted:
    """Raises RefusedSyntaxError for bytes that are no such file, MetadataError where the section is missing."""
    limits.check_size(data)
    match form:
        case "yaml":
            documents = load_documents(data, limits)
        case "json" | "binary":
            documents = [_json(data, limits)]
        case "dotenv":
            return _dotenv(data)
        case "ini":
            return _ini(data)
        case _:
            raise MetadataError("UnsupportedFormat", f"unknown format {form!r}; expected one of {', '.join(FORMATS)}")
    section = documents[0].get("sops")
    if section is None:
        raise MetadataError("MetadataInvalid", "the file has no sops section: it is not encrypted by sops")
    if not isinstance(section, dict):
        raise MetadataError("MetadataInvalid", "sops: expected a mapping, found a scalar or list")
    stripped = [{key: value for key, value in document.items() if key != "sops"} for document in documents]
    return Encrypted(form, stripped, section)


def write(documents: list[Any], form: str) -> bytes:
    """The plaintext in the file's own format."""
    match form:
        case "yaml":
            return dump_documents(documents)
        case "json":
            return (json.dumps(documents[0], indent="\t", ensure_ascii=False, default=_plain) + "\n").encode()
        case "binary":
            value = documents[0].get("data") if isinstance(documents[0], dict) else None
            if not isinstance(value, str | bytes):
                raise RefusedSyntaxError("SyntaxError", "data: expected the text of a binary file, found none")
            return value if isinstance(value, bytes) else value.encode()
        case "dotenv":
            return "".join(_env_line(key, value) for key, value in documents[0]).encode()
    return _write_ini(documents[0])


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, Timestamp) else value.decode()


# --- JSON ---


def _json(data: bytes, limits: SopsLimits) -> dict[str, Any]:
    counter = _Counter(limits)
    try:
        value = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=counter.mapping, parse_constant=_no_constant, parse_int=_int
        )
    except UnicodeDecodeError:
        raise RefusedSyntaxError("SyntaxError", "the file is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise RefusedSyntaxError("SyntaxError", f"line {error.lineno}: not valid JSON") from None
    except RecursionError:
        raise RefusedSyntaxError("TooLarge", "nested too deep") from None
    if not isinstance(value, dict):
        raise RefusedSyntaxError("SyntaxError", "expected an object at the top level")
    counter.check(value)
    return value


class _Counter:
    def __init__(self, limits: SopsLimits) -> None:
        self._limits, self._nodes = limits, 0

    def mapping(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise RefusedSyntaxError("DuplicateKey", "a key stands twice in its object")
        return found

    def check(self, root: Any) -> None:
        todo = [(root, 0)]
        while todo:
            value, depth = todo.pop()
            self._nodes += 1
            if self._nodes > self._limits.nodes or depth > self._limits.depth:
                raise RefusedSyntaxError(
                    "TooLarge", f"more than {self._limits.nodes} nodes or {self._limits.depth} levels"
                )
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            todo.extend((item, depth + 1) for item in inner)


def _no_constant(text: str) -> Any:
    raise RefusedSyntaxError("SyntaxError", f"{text} is not JSON")


def _int(text: str) -> int | float:
    if len(text) > 400:
        raise RefusedSyntaxError("TooLarge", "a number of more than 400 digits")
    value = int(text)
    return value if -(2**63) <= value < 2**63 else float(value)


# --- dotenv ---


def _dotenv(data: bytes) -> Encrypted:
    entries, flat = Entries(), {}
    for number, line in enumerate(_lines(data), 1):
        if not line:
            continue
        if line.startswith("#"):
            entries.append((Comment(line[1:]), None))
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise RefusedSyntaxError("SyntaxError", f"line {number}: expected KEY=VALUE")
        value = value.replace("\\n", "\n")
        if key.startswith("sops_"):
            flat[key.removeprefix("sops_")] = value
        elif any(key == other for other, _ in entries):
            raise RefusedSyntaxError("DuplicateKey", f"line {number}: the key stands twice in the file")
        else:
            entries.append((key, value))
    return Encrypted("dotenv", [entries], _section(flat))


def _env_line(key: str | Comment, value: Any) -> str:
    if isinstance(key, Comment):
        return f"#{key.text}\n"
    return f"{key}={_scalar_text(value)}\n".replace("\n", "\\n", _scalar_text(value).count("\n"))


def _scalar_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return go_float(value)
        case bytes():
            raise RefusedSyntaxError("SyntaxError", "a value is not text: the format cannot hold it")
        case Timestamp():
            return value.text
    return str(value)


def _section(flat: dict[str, str]) -> Any:
    if not flat:
        raise MetadataError("MetadataInvalid", "the file has no sops section: it is not encrypted by sops")
    if len(flat) > 4096:
        raise RefusedSyntaxError("TooLarge", "sops: more than 4096 entries")
    return unflatten(flat)


def _lines(data: bytes) -> list[str]:
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise RefusedSyntaxError("SyntaxError", "the file is not UTF-8 text") from None


# --- INI ---


def _ini(data: bytes) -> Encrypted:
    """The subset that is the same for every INI reader; quotes and continuations are left to the sops binary."""
    sections: dict[str, Entries] = {}
    current, pending = sections.setdefault("DEFAULT", Entries()), Entries()
    lines = iter(enumerate(_lines(data), 1))
    for number, raw in lines:
        line = raw.strip()
        if not line:
            continue
        if line[0] in "#;":
            pending.append((Comment(line[1:].strip()), None))
        elif line[0] == "[" and line[-1] == "]":
            name = line[1:-1].strip()
            if name in sections and name != "DEFAULT":
                raise RefusedSyntaxError("DuplicateKey", f"line {number}: the section stands twice in the file")
            current = sections.setdefault(name, Entries())
            current.extend(pending)
            pending = Entries()
        else:
            current.extend(pending)
            pending = Entries()
            key, value = _ini_entry(line, number, lines)
            if any(key == other for other, _ in current):
                raise RefusedSyntaxError("DuplicateKey", f"line {number}: the key stands twice in its section")
            current.append((key, value))
    flat = {str(key): str(value).replace("\\n", "\n") for key, value in sections.pop("sops", Entries())}
    tree = Entries((name, entries) for name, entries in sections.items() if entries or name != "DEFAULT")
    return Encrypted("ini", [tree], _section(flat))


def _ini_entry(line: str, number: int, lines: Any) -> tuple[str, str]:
    key, mark, value = re.match(r"([^=:]*)([=:]?)(.*)", line, re.S).groups()  # type: ignore[union-attr]
    key, value = key.strip(), value.strip()
    if not mark or not key or key[0] in "\"`'":
        raise RefusedSyntaxError("SyntaxError", f"line {number}: expected key = value")
    if value.startswith('"""'):
        parts = [value[3:]]
        while not parts[-1].rstrip().endswith('"""'):
            following = next(lines, None)
            if following is None:
                raise RefusedSyntaxError("SyntaxError", f'line {number}: the """ is never closed')
            parts.append(following[1])
        return key, "\n".join(parts).rstrip().removesuffix('"""')
    if value[:1] in "\"`'" or value.endswith("\\") or " #" in value or " ;" in value:
        raise NeedsBinaryError(f"line {number}: quotes, continuations and inline comments are read by the sops binary")
    return key, value


def _write_ini(tree: Entries) -> bytes:
    blocks = []
    for name, entries in tree:
        lines = [f"; {key.text}" for key, _ in entries if isinstance(key, Comment)]
        keys = [str(key) for key, _ in entries if not isinstance(key, Comment)]
        width = max(map(len, keys), default=0)
        if name != "DEFAULT":
            lines.append(f"[{name}]")
        lines += [f"{key:<{width}} = {_scalar_text(value)}" for key, value in entries if not isinstance(key, Comment)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks).encode()
