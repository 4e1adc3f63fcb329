"""What these commands share beside `runtime.cli.command`: files of manifests, and what `entries.plan` needs of stores.

No command prints a value of the cluster or of AWS; `render` prints what its own input file says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controllers.api.base import InvalidSpecError
from controllers.api.resource import Key, Manifest
from controllers.external_secrets.providers.provider import StoreError
from controllers.external_secrets.providers.registry import store_provider, store_view
from controllers.external_secrets.values.entries import StoreRef, StoreView
from controllers.external_secrets.values.errors import SpecError, TargetTemplateError
from controllers.runtime.cli.command import CommandError

EXPECTED = (SpecError, TargetTemplateError, StoreError)
"""Errors of ours that are answers: `guarded` prints their text."""
MASK = "**redacted**"
MAX_FILE = 4 << 20
MAX_FILES = 20_000
MAX_NODES = 1_000_000
MAX_DEPTH = 100
_YAML = (".yaml", ".yml", ".json")
# libyaml's, where it is: ten times as fast
_TYPED: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXTS: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


# --- files


@dataclass(frozen=True, slots=True)
class Files:
    """The objects of some files, by kind, namespace and name."""

    objects: Mapping[tuple[str, Key], Manifest] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Manifest]:
        return [manifest for (each, _), manifest in sorted(self.objects.items()) if each == kind]

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return self.objects.get((kind, Key(namespace, name)))

    def store(self, namespace: str, ref: StoreRef) -> Manifest | None:
        return self.get(ref.kind, "" if ref.kind.startswith("Cluster") else namespace, ref.name)


def read_files(path: str, *, namespace: str = "default") -> Files:
    """A file, every YAML or JSON file below a directory, or `-` for standard input. Raises CommandError.

    Objects without a namespace get `namespace`. Documents that are no objects are left out.
    """
    found: dict[tuple[str, Key], Manifest] = {}
    for where, text in _texts(path):
        for manifest in _documents(where, text):
            meta = manifest["metadata"]
            if not manifest["kind"].startswith("Cluster"):
                meta.setdefault("namespace", namespace)
            found[manifest["kind"], Key(str(meta.get("namespace") or ""), str(meta["name"]))] = manifest
    return Files(found)


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "standard input", sys.stdin.read(MAX_FILE + 1)
        return
    root = Path(path)
    if not root.exists():
        raise CommandError(f"{path}: no such file or directory")
    files = [root] if root.is_file() else sorted(_below(root))
    for file in files:
        try:
            yield str(file), file.read_bytes()[: MAX_FILE + 1].decode()
        except (OSError, UnicodeDecodeError) as error:
            if root.is_file():
                raise CommandError(f"{file}: {error}") from None


def _below(root: Path) -> Iterator[Path]:
    seen = 0
    for file in root.rglob("*"):
        if file.suffix in _YAML and file.is_file() and not file.is_symlink() and ".git" not in file.parts:
            seen += 1
            if seen > MAX_FILES:
                raise CommandError(f"{root}: found more than {MAX_FILES} files, expected a directory of manifests")
            yield file


def load_yaml(where: str, text: str, *, texts: bool = False) -> list[Any]:
    """All documents; with `texts` every scalar as it is written (`on`, `1.10`). Raises CommandError."""
    if len(text) > MAX_FILE:
        raise CommandError(f"{where}: found more than {MAX_FILE >> 20} MiB, expected manifests")
    try:
        _check_depth(where, text)
        found = list(yaml.load_all(text, Loader=_TEXTS if texts else _TYPED))
        nodes = sum(_size(document, {}) for document in found)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise CommandError(f"{where}{line}: {getattr(error, 'problem', None) or 'cannot be read as YAML'}") from None
    if nodes > MAX_NODES:
        raise CommandError(f"{where}: aliases unfold to more than {MAX_NODES} nodes")
    return found


def _check_depth(where: str, text: str) -> None:
    """Before anything is built: building recurses, in C where there is libyaml, and would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_TYPED):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise CommandError(f"{where}: nests deeper than {MAX_DEPTH} levels")


def _size(value: Any, known: dict[int, int]) -> int:
    """Nodes, aliases unfolded. One that holds itself has no end: more than any limit."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_NODES + 1
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(value)]


def _documents(where: str, text: str) -> Iterator[Manifest]:
    for document in load_yaml(where, text):
        items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else [document]
        for item in items if isinstance(items, list) else ():
            if _is_object(item):
                yield item


def _is_object(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str):
        return False
    meta = item.get("metadata")
    return isinstance(meta, dict) and isinstance(meta.get("name"), str)


def external_secrets(files: Files) -> list[Manifest]:
    """The ExternalSecrets of the files. Raises CommandError where there is none."""
    found = files.of_kind("ExternalSecret")
    if not found:
        raise CommandError("found no ExternalSecret in the files")
    return found


def views(
    namespace: str, refs: Iterable[StoreRef], find: Callable[[StoreRef], Manifest | None]
) -> dict[StoreRef, StoreView]:
    """What `entries.plan` needs of stores. Raises CommandError."""
    out = {}
    for ref in refs:
        manifest = find(ref)
        if manifest is None:
            raise CommandError(
                f"{ref.kind} {ref.name} (namespace {namespace}): not found; "
                "its manifest is needed for service and prefix"
            )
        try:
            out[ref] = store_view(ref, *store_provider(manifest))
        except (StoreError, InvalidSpecError) as problem:
            raise CommandError(f"{ref.kind} {ref.name}: {problem}") from None
    return out


def title(manifest: Manifest) -> str:
    """`namespace/name`."""
    meta = manifest["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}".lstrip("/")


def namespace_flag(parser: argparse.ArgumentParser) -> None:
    """`-n` of a command that asks no cluster."""
    parser.add_argument("-n", "--namespace", default="", help="namespace of objects that have none")
