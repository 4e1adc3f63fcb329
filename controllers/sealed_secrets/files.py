"""Files of SealedSecrets as they lie in Git: found document by document, and edited item by item.

An edit replaces the text of the changed scalars and nothing else: comments, order, quotes, the template and items that
stay are byte for byte what they were, so that a re-seal is a small diff. JSON is read as the YAML that it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from controllers.api.resource import Manifest
from controllers.sops.errors import RefusedSyntaxError, SealedError
from controllers.sops.limits import SopsLimits

from .keys import SealingKey, SealingKeys
from .unseal import reseal

_LIMITS = SopsLimits()
_BLOCK = re.compile(r"([|>][^\n]*\n\s*)\S.*?(\s*)\Z", re.S)


@dataclass(frozen=True, slots=True)
class Document:
    """One SealedSecret of a file, and where the scalars of its items stand (start, end, style)."""

    manifest: Manifest
    items: Mapping[str, tuple[int, int, str]] = field(repr=False)


def documents_of(text: str) -> list[Document]:
    """The SealedSecrets of a file. Raises RefusedSyntaxError; other kinds are passed over."""
    _LIMITS.check_size(text.encode())
    found = []
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
            return []
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        values = list(yaml.load_all(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise RefusedSyntaxError("SyntaxError", f"{line}not valid YAML") from None
    for node, value in zip(nodes, values, strict=True):
        if isinstance(value, dict) and value.get("kind") == "SealedSecret" and _is_whole(value):
            found.append(Document(value, _items(node)))
    return found


def _is_whole(value: dict[str, Any]) -> bool:
    meta, spec = value.get("metadata"), value.get("spec")
    return isinstance(meta, dict) and isinstance(meta.get("name"), str) and isinstance(spec, dict)


def _items(node: Any) -> dict[str, tuple[int, int, str]]:
    data = _child(_child(node, "spec"), "encryptedData")
    if not isinstance(data, yaml.MappingNode):
        return {}
    return {
        key.value: (value.start_mark.index, value.end_mark.index, value.style or "")
        for key, value in data.value
        if isinstance(value, yaml.ScalarNode)
    }


def _child(node: Any, name: str) -> Any:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == name:
            return value
    return None


def replaced(text: str, edits: list[tuple[tuple[int, int, str], str]]) -> str:
    """The text with other values (base64: no quoting of theirs is needed) in the places of scalars."""
    for (start, end, style), value in sorted(edits, reverse=True):
        new = value
        if style in ("'", '"'):
            new = f"{style}{value}{style}"
        elif style in ("|", ">") and (block := _BLOCK.match(text[start:end])):
            new = f"{block[1]}{value}{block[2]}"
        text = text[:start] + new + text[end:]
    return text


def reseal_text(text: str, ring: SealingKeys, key: SealingKey) -> tuple[str, int]:
    """The file with every item under `key`, and how many changed. Raises SealedError naming object and item."""

    def anew(document: Document) -> Mapping[str, str]:
        renewed: Mapping[str, str] = reseal(document.manifest, ring, key)["spec"].get("encryptedData") or {}
        return renewed

    return edited(text, anew)


def edited(text: str, wanted: Callable[[Document], Mapping[str, str]]) -> tuple[str, int]:
    """The file with the items that `wanted` gives per object, and how many changed."""
    edits = []
    for document in documents_of(text):
        meta = document.manifest["metadata"]
        try:
            values = wanted(document)
        except SealedError as error:
            raise SealedError(
                error.reason, f"{meta.get('namespace', '')}/{meta['name']}: {error.message}"
            ) from None  # fmt: skip
        before = document.manifest["spec"].get("encryptedData") or {}
        edits += [
            (document.items[name], value)
            for name, value in values.items()
            if name in document.items and value != before.get(name)
        ]
    return replaced(text, edits), len(edits)
