"""Finds Secrets that lie in Git in plaintext: manifests with values, and literals of a secretGenerator. Pure.

A look at text that others wrote: bounded, never an exception, and no value in a finding. What is no YAML is no finding
(the build refuses it). A Secret whose values are all empty, or references to be substituted (`${NAME}`), is none
either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from .ciphertext import is_envelope
from .limits import SopsLimits

PLAINTEXT_ANNOTATION = "sops.inhaul.dev/plaintext-secrets"
"""On a Namespace: allow, warn or refuse. On a Kustomization: the same, where it is stricter."""
MODES = ("allow", "warn", "refuse")
_KINDS = re.compile(rb"\bSecret(?:List|Generator)?\b|secretGenerator|\bList\b")
_REFERENCE = re.compile(r"\s*\$\{[^}]*\}\s*")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MAX_DOCUMENTS = 2_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One plaintext Secret: the file, the object and its fields."""

    path: str
    subject: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {self.subject} is in plaintext: {', '.join(self.fields[:5])}"


def mode_of(setting: str, namespace: Mapping[str, Any], kustomization: Mapping[str, Any]) -> str:
    """What is done about plaintext: the namespace's annotation or else the setting; an object's own only tightens."""
    given = [str(annotations.get(PLAINTEXT_ANNOTATION, "")) for annotations in (namespace, kustomization)]
    wanted = given[0] if given[0] in MODES else setting
    return max(wanted, given[1] if given[1] in MODES else "allow", key=MODES.index)


def plaintext_secrets(path: str, data: bytes, limits: SopsLimits | None = None) -> list[Finding]:
    """Every plaintext Secret of a YAML or JSON file."""
    limits = limits or SopsLimits()
    if not _KINDS.search(data) or len(data) > limits.size or not _is_manifest(path):
        return []
    found = []
    try:
        for document in _documents(data, limits):
            for manifest in _manifests(document, 0):
                found += _secret(path, manifest)
            if path.rpartition("/")[2] in _KUSTOMIZATIONS and isinstance(document, dict):
                found += _generators(path, document)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError, TypeError):
        return found
    return found


def _is_manifest(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json")) or path.rpartition("/")[2] in _KUSTOMIZATIONS


def _documents(data: bytes, limits: SopsLimits) -> Iterator[Any]:
    """Documents of a file whose events stay within the limits and hold no alias (a bomb would only be built here)."""
    text = data.decode("utf-8-sig")
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
        if nodes > limits.nodes or depth > limits.depth:
            return
        if isinstance(event, yaml.AliasEvent) and nodes > 10_000:
            return
    for number, document in enumerate(yaml.load_all(text, Loader=yaml.CSafeLoader)):
        if number >= _MAX_DOCUMENTS:
            return
        yield document


def _manifests(document: Any, depth: int) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict) or depth > 3:
        return
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        for item in items:
            yield from _manifests(item, depth + 1)
    elif document.get("kind") == "Secret" and document.get("apiVersion") == "v1":
        yield document


def _secret(path: str, manifest: dict[str, Any]) -> list[Finding]:
    if isinstance(manifest.get("sops"), dict):
        return []
    fields = tuple(
        f"{part}.{name}"
        for part in ("data", "stringData")
        if isinstance(manifest.get(part), dict)
        for name, value in manifest[part].items()
        if _is_plain(value)
    )
    meta = manifest.get("metadata")
    name = meta.get("name", "") if isinstance(meta, dict) else ""
    return [Finding(path, f"Secret {name}", fields)] if fields else []


def _generators(path: str, document: dict[str, Any]) -> list[Finding]:
    found = []
    listed = document.get("secretGenerator")
    for generator in listed if isinstance(listed, list) else []:
        literals = generator.get("literals") if isinstance(generator, dict) else None
        names = tuple(
            f"literals[{str(item).partition('=')[0]}]"
            for item in (literals if isinstance(literals, list) else [])
            if _is_plain(str(item).partition("=")[2])
        )
        if names:
            found.append(Finding(path, f"secretGenerator {generator.get('name', '')}", names))
    return found


def _is_plain(value: Any) -> bool:
    if value is None or value == "":
        return False
    return not (isinstance(value, str) and (is_envelope(value) or _REFERENCE.fullmatch(value)))
