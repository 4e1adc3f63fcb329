"""The kustomization file that is built: the directory's own or a generated one, with the spec's fields merged in. Pure.

Files are given as path → bytes of one directory tree, paths relative to the source's root; nothing is read or written.
A directory without a kustomization file gets one that lists every manifest below it; a sub-directory with a file of its
own is listed as a directory.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controllers.api.kustomize import NAMES
from controllers.api.resource import Manifest
from controllers.lang.yaml_load import InvalidYamlError, YamlLimits, load, load_all, load_typed

from . import root_file
from .components import NotLocalError, merge_components, merge_images
from .limits import DEFAULT_LIMITS, BuildLimits

API_VERSION = "kustomize.config.k8s.io/v1beta1"
PLACEHOLDER = "_placeholder"
"""The namespace of a generated file that lists nothing: kustomize refuses a file without content."""


class InvalidSourceError(ValueError):
    """A directory that cannot be built: the message names file and line."""


@dataclass(frozen=True, slots=True)
class Generated:
    """The kustomization to write at `path`, and whether the directory had one."""

    path: str
    content: Manifest
    existed: bool


def own_file(paths: Iterable[str] | Mapping[str, Any], directory: str) -> str:
    """The directory's kustomization file; "" for none. Raises InvalidSourceError where there are several."""
    names = paths if isinstance(paths, Mapping) else set(paths)
    found = [path for name in NAMES if (path := posixpath.join(directory, name)) in names]
    if len(found) > 1:
        raise InvalidSourceError(f"found several kustomization files, expected one: {', '.join(found)}")
    return found[0] if found else ""


def manifest_files(
    files: Mapping[str, bytes],
    directory: str,
    *,
    ignored: Callable[[str], bool] = lambda path: False,
    limits: BuildLimits = DEFAULT_LIMITS,
) -> list[str]:
    """What a generated file lists: manifests below the directory, and sub-directories that build themselves.

    Paths are relative to the directory, sorted. Raises InvalidSourceError for a file that holds something else than
    manifests.
    """
    prefix = f"{directory}/" if directory else ""
    found: set[str] = set()
    for path in sorted(files):
        if not path.startswith(prefix) or not path.endswith((".yaml", ".yml")):
            continue
        relative = path.removeprefix(prefix)
        if ignored(path):
            continue
        if owner := _own_directory(files, prefix, relative):
            found.add(owner)
        elif posixpath.basename(path) not in NAMES:
            read_manifests(path, files[path], limits=limits)
            found.add(relative)
    limits.check_files(f"{directory or '.'}: ", len(found), 0)
    return sorted(found)


def _own_directory(files: Mapping[str, bytes], prefix: str, relative: str) -> str:
    """The outermost sub-directory on the way to a file that has a kustomization file of its own."""
    parts = relative.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        directory = "/".join(parts[:depth])
        if any(f"{prefix}{directory}/{name}" in files for name in NAMES):
            return directory
    return ""


def read_manifests(path: str, content: bytes, *, limits: BuildLimits = DEFAULT_LIMITS) -> list[Manifest]:
    """The objects of one file, Lists opened. Raises InvalidSourceError naming file, line, what was found and
    expected.
    """
    limits.check_file(path, len(content))
    try:
        documents = load_all(content, limits=YamlLimits(bytes=limits.file_size))
    except InvalidYamlError as error:
        raise InvalidSourceError(f"{path}: {error}") from None
    found: list[Manifest] = []
    for document in documents:
        found += _opened(path, document)
    return found


def _opened(path: str, document: Any) -> list[Manifest]:
    problem = problem_of(document)
    if problem:
        raise InvalidSourceError(f"{path}: {problem}")
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        return [manifest for item in document["items"] for manifest in _opened(path, item)]
    if not (isinstance(document.get("metadata"), dict) and isinstance(document["metadata"].get("name"), str)):
        raise InvalidSourceError(f"{path}: {document['kind']} without metadata.name, expected a Kubernetes object")
    return [document]


def problem_of(document: Any) -> str:
    """Why a document is not a Kubernetes object; "" where it is one."""
    if not isinstance(document, dict):
        return f"found {type(document).__name__}, expected a Kubernetes object"
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            return f"found an object without {field}, expected a Kubernetes object"
    return ""


def generate(
    files: Mapping[str, bytes],
    directory: str,
    spec: Mapping[str, Any],
    *,
    ignored: Callable[[str], bool] = lambda path: False,
    exists: Callable[[str], bool] | None = None,
    limits: BuildLimits = DEFAULT_LIMITS,
) -> Generated:
    """The kustomization of a directory with a Kustomization's spec merged in. Raises InvalidSourceError.

    `files` are those below the directory; `exists` tells of any path from the root whether it leads anywhere (none
    given: whether it is among `files`).
    """
    path = own_file(files, directory)
    if path:
        content = _root(path, files[path])
    else:
        listed = manifest_files(files, directory, ignored=ignored, limits=limits)
        content = {"apiVersion": API_VERSION, "kind": "Kustomization", "resources": [f"./{name}" for name in listed]}
    there = exists or (lambda name: name in files or any(each.startswith(f"{name}/") for each in files))
    merge_spec(content, spec, exists=lambda name: there(posixpath.normpath(posixpath.join(directory, name))))
    if not path and not (content["resources"] or content.get("components")):
        content.pop("resources")
        content.setdefault("namespace", PLACEHOLDER)
    return Generated(path or posixpath.join(directory, NAMES[0]), content, existed=bool(path))


def _root(path: str, content: bytes) -> Manifest:
    """The root's file in kustomize's types. Where it lists no resources, Flux asks for origin annotations."""
    try:
        typed = root_file.typed(read_kustomization(path, content, read=load_typed))
    except root_file.AmbiguousKeyError as error:
        raise InvalidSourceError(f"{path}: {error}") from None
    if not typed.get("resources"):
        typed["buildMetadata"] = ["originAnnotations"]
    return typed


def read_kustomization(path: str, content: bytes, *, read: Callable[[bytes], Any] = load) -> Manifest:
    """A kustomization file. Raises InvalidSourceError."""
    try:
        loaded = read(content)
    except InvalidYamlError as error:
        raise InvalidSourceError(f"{path}: {error}") from None
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, dict):
        raise InvalidSourceError(f"{path}: found {type(loaded).__name__}, expected a kustomization")
    loaded.setdefault("apiVersion", API_VERSION)
    loaded.setdefault("kind", "Kustomization")
    return loaded


def is_transforming(spec: Mapping[str, Any]) -> bool:
    """Does a spec ask for anything that only kustomize does?"""
    names = ("namePrefix", "nameSuffix", "patches", "images", "components", "buildMetadata", "targetNamespace")
    return any(spec.get(name) for name in names)


def merge_spec(content: Manifest, spec: Mapping[str, Any], *, exists: Callable[[str], bool]) -> None:
    """The fields of a Kustomization's spec that kustomize carries out, into a kustomization file's content."""
    for name, field in (("targetNamespace", "namespace"), ("namePrefix", "namePrefix"), ("nameSuffix", "nameSuffix")):
        if spec.get(name):
            content[field] = spec[name]
    if spec.get("patches"):
        content["patches"] = [*_list(content, "patches"), *({**patch} for patch in spec["patches"])]
    if spec.get("images"):
        content["images"] = merge_images(_list(content, "images"), spec["images"])
    if spec.get("buildMetadata"):
        content["buildMetadata"] = list(spec["buildMetadata"])
    if spec.get("components"):
        try:
            content["components"] = merge_components(
                _list(content, "components"),
                spec["components"],
                exists=exists,
                ignore_missing=bool(spec.get("ignoreMissingComponents")),
            )
        except NotLocalError as error:
            raise InvalidSourceError(str(error)) from None


def _list(content: Manifest, field: str) -> list[Any]:
    value = content.get(field)
    if value is not None and not isinstance(value, list):
        raise InvalidSourceError(f"kustomization: {field}: found {type(value).__name__}, expected a list")
    return value or []
