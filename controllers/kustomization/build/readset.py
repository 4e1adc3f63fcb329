"""Which files a kustomize build will read, worked out before it runs, and every reference that leaves the tree refused.

`kubectl kustomize` fetches URLs, clones repositories and reads any path it is told to. So it is never shown a tenant's
repository: this module walks every reachable kustomization file, knows each field that can hold a path, refuses fields
it does not know, and returns the files that make up the build. Only those are exported. Kustomization files and
configurations of plugins are exported as *we* read them, so that a second parser cannot see other fields in the same
bytes; their keys are compared exactly, for kustomize's reader folds case (and takes U+017F for an `s`). A text that may
be a path or YAML itself is exported as a file: what kustomize cannot read as YAML it takes for a path, with comments.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from controllers.api.kustomize import NAMES
from controllers.lang.yaml_dump import dump_all
from controllers.lang.yaml_load import InvalidYamlError, load_all
from controllers.lang.yaml_scalars import Version
from controllers.sources.tree import InvalidPathError, Tree

from .components import is_local_relative_path
from .kustomization_file import InvalidSourceError, own_file, problem_of, read_kustomization
from .limits import DEFAULT_LIMITS, BuildLimits

MAX_DEPTH = 50

_PLAIN = {
    "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels",
    "commonAnnotations", "images", "imageTags", "replicas", "vars", "generatorOptions", "buildMetadata", "sortOptions",
}  # fmt: skip
"""Fields that hold no path."""
_REFUSED = {"helmCharts", "helmChartInflationGenerator", "helmGlobals"}
_PATCH_KEYS = {"path", "patch", "target", "options"}
_GENERATOR_KEYS = {
    "name", "namespace", "behavior", "files", "env", "envs", "literals", "options", "type", "kvSources",
}  # fmt: skip
_REPLACEMENT_KEYS = {"path", "source", "targets", "sourceValue"}
_OPENAPI_KEYS = {"path", "version"}
_CONFIGURATION_KEYS = {"apiVersion", "kind", "metadata", "resources"}
"""What the kustomization of a directory of plugins' configurations may hold: nothing that changes them afterwards."""

_BUILTINS = {
    "AnnotationsTransformer", "HashTransformer", "ImageTagTransformer", "LabelTransformer", "NamespaceTransformer",
    "PatchJson6902Transformer", "PatchStrategicMergeTransformer", "PatchTransformer", "PrefixSuffixTransformer",
    "PrefixTransformer", "SuffixTransformer", "ReplacementTransformer", "ReplicaCountTransformer", "ConfigMapGenerator",
    "SecretGenerator",
}  # fmt: skip
_PLUGIN_KEYS = {
    "apiVersion", "kind", "metadata", "annotations", "labels", "fieldSpecs", "imageTag", "unsetOnly",
    "setRoleBindingSubjects", "target", "jsonOp", "path", "paths", "patch", "patches", "options", "prefix", "suffix",
    "replacements", "replica",
} | _GENERATOR_KEYS  # fmt: skip
"""All that the built-in plugins read."""


@dataclass
class ReadSet:
    """What is exported: `copies` are taken from the tree as they are, `texts` are written as given; paths from the
    root."""

    copies: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    env_files: set[str] = field(default_factory=set)
    """Files that generators read (and that may be encrypted), among the copies."""
    sources: set[str] = field(default_factory=set)
    """Files whose content is in `texts`."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Paths as they are referred to, where links made them another: exported path → path in the tree."""

    def ids(self, tree: Tree) -> dict[str, str]:
        """The content ids of all files that were looked at, by path: equal ids, equal build."""
        return {path: tree.nodes[path].id for path in sorted(self.copies | self.sources) if path in tree.nodes}


def read_set(
    tree: Tree, directory: str, root: Mapping[str, Any], root_path: str, *, limits: BuildLimits = DEFAULT_LIMITS
) -> ReadSet:
    """Everything that building `directory` reads; `root` is its kustomization with a spec's fields merged in.

    Raises InvalidSourceError for a reference that is refused or leads nowhere, naming file and field.
    """
    walk = _Walk(tree)
    if root_path in tree.nodes:
        walk.found.sources.add(root_path)
    content = deepcopy(dict(root))
    walk.kustomization(root_path, directory, content, 0)
    walk.found.texts[root_path] = dump_all([content])
    size = sum(tree.nodes[path].size for path in walk.found.copies)
    limits.check_files(f"{directory or '.'}: ", len(walk.found.copies) + len(walk.found.texts), size)
    return walk.found


class _Walk:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.found = ReadSet()
        self.visited: set[str] = set()

    def kustomization(self, path: str, directory: str, content: Mapping[str, Any], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InvalidSourceError(f"{path}: more than {MAX_DEPTH} nested kustomizations")
        for name, value in content.items():
            where = f"{path}: {name}"
            if name in _REFUSED:
                raise InvalidSourceError(f"{where}: Helm charts are not supported")
            if name in _PLAIN or value is None:
                continue
            handler = getattr(self, f"field_{name}", None)
            if handler is None:
                raise InvalidSourceError(f"{where}: unknown field, refused because it could hold a path")
            handler(where, directory, value, depth)

    def field_resources(self, where: str, directory: str, value: Any, depth: int) -> None:
        for index, path in enumerate(_texts(where, value)):
            self.file_or_directory(f"{where}[{index}]", directory, path, depth)

    field_bases = field_resources
    field_components = field_resources

    def field_crds(self, where: str, directory: str, value: Any, depth: int) -> None:
        for index, path in enumerate(_texts(where, value)):
            self.file(f"{where}[{index}]", directory, path)

    field_configurations = field_crds

    def field_openapi(self, where: str, directory: str, value: Any, depth: int) -> None:
        for _, entry in _entries(where, [value], _OPENAPI_KEYS):
            if entry.get("path"):
                self.file(f"{where}.path", directory, entry["path"])

    def field_patches(self, where: str, directory: str, value: Any, depth: int) -> None:
        self.pathed(where, directory, value, _PATCH_KEYS)

    field_patchesJson6902 = field_patches

    def field_replacements(self, where: str, directory: str, value: Any, depth: int) -> None:
        self.pathed(where, directory, value, _REPLACEMENT_KEYS)

    def pathed(self, where: str, directory: str, value: Any, keys: set[str]) -> None:
        for place, entry in _entries(where, value, keys):
            if entry.get("path"):
                self.file(f"{place}.path", directory, entry["path"])

    def field_patchesStrategicMerge(self, where: str, directory: str, value: Any, depth: int) -> None:
        texts = _texts(where, value)
        for index, text in enumerate(texts):
            place = f"{where}[{index}]"
            if self.is_inline(directory, text):
                texts[index] = self.inline(directory, self.documents(place, text))
            else:
                self.file(place, directory, text)

    def inline(self, directory: str, documents: list[Any]) -> str:
        """Exports YAML that stood where a path may stand as a file of its own; its name."""
        taken = self.found.texts
        number = len(taken)
        while (path := posixpath.join(directory, f"inhaul-inline-{number}.yaml")) in taken or path in self.tree.nodes:
            number += 1
        taken[path] = dump_all(documents)
        return posixpath.basename(path)

    def documents(self, where: str, text: str) -> list[Any]:
        try:
            documents = load_all(text, version=Version.V3)  # as kustomize reads what it transforms
        except InvalidYamlError as error:
            raise InvalidSourceError(f"{where}: {error}") from None
        for document in documents:
            if problem := problem_of(document):
                raise InvalidSourceError(f"{where}: {problem}")
        return documents

    def field_configMapGenerator(self, where: str, directory: str, value: Any, depth: int) -> None:
        for place, entry in _entries(where, value, _GENERATOR_KEYS):
            self.generator(place, directory, entry)

    field_secretGenerator = field_configMapGenerator

    def field_generators(self, where: str, directory: str, value: Any, depth: int) -> None:
        """Plugins: built-in ones only, each of their files too."""
        texts = _texts(where, value)
        for index, text in enumerate(texts):
            place = f"{where}[{index}]"
            if self.is_inline(directory, text):
                texts[index] = self.inline(directory, self.plugins(place, directory, text))
            else:
                self.configuration(place, directory, directory, text, depth)

    def configuration(self, where: str, directory: str, base: str, text: str, depth: int) -> None:
        """A file of plugins' configurations, or a directory of such files, named from `base`.

        kustomize resolves a plugin's own paths from the kustomization's `directory`, wherever its file lies.
        """
        real, exported = self.locate(where, base, text)
        if not self.tree.is_directory(real):
            documents = self.plugins(where, directory, self.content(real).decode("utf-8", "replace"))
            self.found.sources.add(real)
            self.found.texts[exported] = dump_all(documents)
            return
        if depth > MAX_DEPTH:
            raise InvalidSourceError(f"{where}: more than {MAX_DEPTH} nested kustomizations")
        own = self.own_file(where, real, text)
        content = read_kustomization(own, self.content(own))
        for key in content:
            if key not in _CONFIGURATION_KEYS:
                raise InvalidSourceError(
                    f"{own}: {key}: a directory of plugins' configurations may list resources only"
                )
        self.found.sources.add(own)
        self.found.texts[posixpath.join(exported, posixpath.basename(own))] = dump_all([content])
        for index, each in enumerate(_texts(f"{own}: resources", content.get("resources") or [])):
            self.configuration(f"{own}: resources[{index}]", directory, exported, each, depth + 1)

    field_transformers = field_generators
    field_validators = field_generators

    def plugins(self, where: str, directory: str, text: str) -> list[Any]:
        documents = self.documents(where, text)
        for document in documents:
            if document.get("apiVersion") != "builtin" or document.get("kind") not in _BUILTINS:
                raise InvalidSourceError(
                    f"{where}: only kustomize's built-in transformers and generators are supported"
                )
            if (document.get("metadata") or {}).get("annotations"):
                raise InvalidSourceError(
                    f"{where}: annotations on a plugin's configuration are refused (they can name programs)"
                )
            self.plugin(where, directory, document)
        return documents

    def plugin(self, where: str, directory: str, document: Mapping[str, Any]) -> None:
        for key in document:
            if key not in _PLUGIN_KEYS:
                raise InvalidSourceError(f"{where}.{key}: unknown field, refused because it could hold a path")
        if str(document["kind"]).endswith("Generator"):
            self.generator(where, directory, document)
            return
        if document.get("path"):
            self.file(f"{where}.path", directory, document["path"])
        self.field_patchesStrategicMerge(f"{where}.paths", directory, document.get("paths") or [], 0)
        self.pathed(f"{where}.replacements", directory, document.get("replacements") or [], _REPLACEMENT_KEYS)

    def generator(self, where: str, directory: str, entry: Mapping[str, Any]) -> None:
        if entry.get("kvSources"):
            raise InvalidSourceError(f"{where}.kvSources: plugins are refused")
        for text in _texts(f"{where}.files", entry.get("files") or []):
            self.env_file(f"{where}.files", directory, text.partition("=")[2] if "=" in text else text)
        single = [entry["env"]] if entry.get("env") else []
        for text in _texts(f"{where}.envs", [*single, *(entry.get("envs") or [])]):
            self.env_file(f"{where}.envs", directory, text)

    def env_file(self, where: str, directory: str, path: str) -> None:
        self.found.env_files.add(self.file(where, directory, path))

    def file(self, where: str, directory: str, path: Any) -> str:
        """One file to copy; returns the path it is exported under."""
        if not isinstance(path, str):
            raise InvalidSourceError(f"{where}: expected a path")
        real, exported = self.locate(where, directory, path)
        if self.tree.is_directory(real):
            raise InvalidSourceError(f"{where}: expected a file, found the directory {path[:200]!r}")
        self.found.copies.add(real)
        if exported != real:
            self.found.aliases[exported] = real
        return exported

    def file_or_directory(self, where: str, directory: str, path: str, depth: int) -> None:
        real, exported = self.locate(where, directory, path)
        if not self.tree.is_directory(real):
            self.file(where, directory, path)
            return
        if exported in self.visited:
            return
        self.visited.add(exported)
        own = self.own_file(where, real, path)
        content = read_kustomization(own, self.content(own))
        self.found.sources.add(own)
        self.kustomization(own, exported, content, depth + 1)
        self.found.texts[posixpath.join(exported, posixpath.basename(own))] = dump_all([content])

    def own_file(self, where: str, real: str, path: str) -> str:
        own = own_file(self.tree.nodes, real)
        if not own:
            raise InvalidSourceError(f"{where}: the directory {path[:200]!r} has no {NAMES[0]}")
        return own

    def locate(self, where: str, directory: str, path: str) -> tuple[str, str]:
        """(path in the tree, path as it is referred to) of a reference. Both differ only by links."""
        local = is_local_relative_path(path) or self.is_file_with_colon(directory, path)
        if not local or len(path) > 1024 or "\\" in path:
            raise InvalidSourceError(f"{where}: found {path[:200]!r}, expected a relative path inside the repository")
        exported = posixpath.normpath(posixpath.join(directory, path))
        if exported == ".":
            exported = ""
        if exported.startswith("../") or exported == "..":
            raise InvalidSourceError(f"{where}: {path[:200]!r} leads out of the source")
        try:
            return self.tree.resolve(exported), exported
        except InvalidPathError as error:
            raise InvalidSourceError(f"{where}: {error}") from None

    def is_file_with_colon(self, directory: str, path: str) -> bool:
        """Is it a file of the tree whose name only looks like a scheme? kustomize looks for a file first."""
        if "://" in path or "::" in path or path.startswith("/"):
            return False
        return posixpath.normpath(posixpath.join(directory, path)) in self.tree.nodes

    def is_inline(self, directory: str, text: str) -> bool:
        """Is it, or could kustomize take it for, YAML itself and not the name of a file?"""
        if any(mark in text for mark in "\n\r{"):
            return True
        return ":" in text and (": " in text or text.endswith(":") or not self.is_file_with_colon(directory, text))

    def content(self, path: str) -> bytes:
        return self.tree.read([path])[path]


def _texts(where: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidSourceError(f"{where}: expected a list of strings")
    return value


def _entries(where: str, value: Any, keys: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a list, with their places; a key that we do not know is refused."""
    if not isinstance(value, list):
        raise InvalidSourceError(f"{where}: expected a list")
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise InvalidSourceError(f"{where}[{index}]: expected an object")
        for key in entry:
            if key not in keys:
                raise InvalidSourceError(f"{where}[{index}].{key}: unknown field, refused because it could hold a path")
        yield f"{where}[{index}]", entry
