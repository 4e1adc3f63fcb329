"""Files of the five formats into trees and back: YAML, JSON, dotenv, INI, binary. Pure.

`read` splits a file into documents and its raw `sops` section; `write` gives the plaintext of decrypted documents in
the file's own format. Nothing here knows of keys.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from .ciphertext import Comment, Timestamp, go_json_float
from .document import EncryptedFile, Entries
from .errors import MetadataError, RefusedSyntaxError
from .flat import flat_section, scalar_text, text_lines
from .ini import read_ini, write_ini
from .limits import SopsLimits
from .yaml_tree import MergeKey, dump_documents, load_documents

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


def read(data: bytes, form: str, limits: SopsLimits | None = None) -> EncryptedFile:
    """Raises RefusedSyntaxError for bytes that are no such file, MetadataError where the section is missing."""
    limits = limits or SopsLimits()
    limits.check_size(data)
    match form:
        case "yaml":
            documents = load_documents(data, limits)
        case "json" | "binary":
            documents = [_json(data, limits)]
        case "dotenv":
            return _dotenv(data)
        case "ini":
            return read_ini(data)
        case _:
            raise MetadataError("UnsupportedFormat", f"unknown format {form!r}; expected one of {', '.join(FORMATS)}")
    section = documents[0].get("sops")
    if section is None:
        raise MetadataError("MetadataInvalid", "the file has no sops section: it is not encrypted by sops")
    if not isinstance(section, dict):
        raise MetadataError("MetadataInvalid", "sops: expected a mapping, found a scalar or list")
    stripped = [{key: value for key, value in document.items() if key != "sops"} for document in documents]
    return EncryptedFile(form, stripped, section, data)


def write(documents: list[Any], form: str) -> bytes:
    """The plaintext in the file's own format."""
    match form:
        case "yaml":
            return dump_documents(documents)
        case "json":
            return (_json_text(documents[0]) + "\n").encode()
        case "binary":
            value = documents[0].get("data") if isinstance(documents[0], dict) else None
            if not isinstance(value, str | bytes):
                raise RefusedSyntaxError("SyntaxError", "data: expected the text of a binary file, found none")
            return value if isinstance(value, bytes) else value.encode()
        case "dotenv":
            return "".join(_env_line(key, value) for key, value in documents[0]).encode()
    return write_ini(documents[0])


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


def _json_text(value: Any, indent: str = "\n") -> str:
    """JSON with tabs, numbers as Go writes them. Raises RefusedSyntaxError for what JSON cannot say."""
    deeper = indent + "\t"
    match value:
        case dict() if value:
            if any(isinstance(key, MergeKey) for key in value):
                raise RefusedSyntaxError("SyntaxError", "a merge key (<<) cannot be written as JSON")
            items = (
                f"{json.dumps(key, ensure_ascii=False)}: {_json_text(each, deeper)}" for key, each in value.items()
            )
            return f"{{{deeper}{f',{deeper}'.join(items)}{indent}}}"
        case list() if value:
            return f"[{deeper}{f',{deeper}'.join(_json_text(each, deeper) for each in value)}{indent}]"
        case Timestamp():
            value = value.text
        case bytes():
            value = value.decode()
        case float():
            try:
                return go_json_float(value)
            except ValueError as error:
                raise RefusedSyntaxError("SyntaxError", f"a number cannot be written: {error}") from None
    return json.dumps(value, ensure_ascii=False)


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


def _dotenv(data: bytes) -> EncryptedFile:
    entries, flat = Entries(), {}
    for number, line in enumerate(text_lines(data), 1):
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
    return EncryptedFile("dotenv", [entries], flat_section(flat), data)


def _env_line(key: str | Comment, value: Any) -> str:
    if isinstance(key, Comment):
        return f"#{key.text}\n"
    return f"{key}={scalar_text(value)}\n".replace("\n", "\\n", scalar_text(value).count("\n"))
