"""Manifests on which kustomize would change nothing, read in process. Pure.

A build of kubectl costs a process; most directories without a kustomization file need none, for kustomize gives back
what stands in them. Not always, though: it makes annotations text, drops objects marked local, removes the annotations
of its own tools, opens lists, and reads scalars by other rules than Kubernetes. So a file is read here only where none
of that can occur. For any other `objects` says None, and kustomize itself is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from controllers.api.resource import Manifest
from controllers.lang.yaml_load import load_plain

_ODD = re.compile(r"^(?:%|\.\.\.|---[ \t]*[^\s])|[\r\t\ufeff\x85\u2028\u2029]", re.MULTILINE)
"""Directives, ends of documents, content behind a separator, and line ends that the two parsers take differently."""
_TOOLS = ("config.kubernetes.io/", "config.k8s.io/", "kustomize.")


def objects(files: Mapping[str, bytes]) -> list[Manifest] | None:
    """The objects of all files, or None where kustomize might give others, or an error of its own."""
    found: list[Manifest] = []
    for content in files.values():
        documents = _documents(content)
        if documents is None or not all(_is_kept_as_is(each) for each in documents):
            return None
        found += documents
    return found if _are_distinct(found) else None


def _documents(content: bytes) -> list[Any] | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if _ODD.search(text) else load_plain(text)


def _is_kept_as_is(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    kind, version, meta = document.get("kind"), document.get("apiVersion"), document.get("metadata")
    if not (isinstance(kind, str) and kind and isinstance(version, str) and version and isinstance(meta, dict)):
        return False
    if kind.endswith("List") or version.startswith("kustomize.config.k8s.io/"):
        return False
    if not (_is_name(meta.get("name")) and _is_name(meta.get("namespace", "x"))):
        return False
    return all(_is_text_map(meta[name], name) for name in ("labels", "annotations") if name in meta)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_text_map(value: Any, name: str) -> bool:
    """A map of texts that is not empty; annotations have none of kustomize's own."""
    if not isinstance(value, dict) or not value or not all(isinstance(each, str) for each in value.values()):
        return False
    return name == "labels" or not any(tool in key for key in value for tool in _TOOLS)


def _are_distinct(manifests: Iterable[Manifest]) -> bool:
    """Are there no two with one identity? To kustomize, no namespace is `default`."""
    seen: set[tuple[str, str, str, str]] = set()
    for each in manifests:
        group, _, _ = each["apiVersion"].rpartition("/")
        meta = each["metadata"]
        identity = (group, each["kind"], meta.get("namespace", "default"), meta["name"])
        if identity in seen:
            return False
        seen.add(identity)
    return True
