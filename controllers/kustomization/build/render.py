"""From a tree and a spec to objects: kustomize over the read-set, or in process where that gives the same.

Decryption is injected (`Decrypt`): encrypted files are opened as they lie in Git, before anything is built from them,
for their MAC covers the raw bytes; objects that only the build made are opened after it. Substitution follows, then
common metadata, as upstream orders them.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from controllers.api.kustomize import NAMES
from controllers.api.resource import Manifest
from controllers.kustomization.objects.inventory import entry_of
from controllers.kustomization.objects.labels import describe, with_metadata
from controllers.kustomization.objects.normalize import normalize
from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import InvalidYamlError, YamlLimits, load_all
from controllers.sops.errors import DataKeyError, SopsError, ToolError
from controllers.sources.tree import InvalidPathError, Tree, of_files

from . import kustomize, plain, postbuild
from .kustomization_file import (
    API_VERSION,
    Generated,
    InvalidSourceError,
    generate,
    is_transforming,
    own_file,
    read_manifests,
)
from .limits import DEFAULT_LIMITS, BuildLimits
from .readset import ReadSet, read_set

SPEC_FIELDS = (
    "path", "targetNamespace", "namePrefix", "nameSuffix", "patches", "images", "components", "ignoreMissingComponents",
    "buildMetadata", "commonMetadata", "postBuild",
)  # fmt: skip
"""Fields of a spec that a render depends on, beside the files and the values of variables."""


_OPENED = "internal.inhaul.dev/decrypted"
"""Annotation on what came out of an encrypted file, up to the end of the render: its values are masked everywhere."""


class Decrypt(Protocol):
    """What a render needs of SOPS. `form` is "" where the name of the file tells it."""

    def decrypt_file(self, path: str, data: bytes, form: str = "", *, mark: str = "") -> bytes:
        """The plaintext, or the bytes as they are; `mark` is an annotation that objects of the file are given."""
        ...

    def decrypt_object(self, manifest: Manifest) -> Manifest: ...


@dataclass(frozen=True, slots=True)
class Variables:
    """postBuild's values; `secret` names objects' ids are masked where values of Secrets may be in them."""

    enabled: bool = False
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    from_secret: bool = False


@dataclass(frozen=True, slots=True)
class BuildSource:
    """What a render reads, found without building: the generated kustomization and the read-set (None: plain files)."""

    directory: str
    generated: Generated | None
    reads: ReadSet | None
    plain: tuple[str, ...]  # the manifests of a directory that has no kustomization file
    ids: Mapping[str, str]
    limits: BuildLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects, and the inventory ids of those whose values must be masked everywhere."""

    objects: tuple[Manifest, ...] = field(repr=False)
    masked: frozenset[str] = frozenset()
    refused: tuple[str, ...] = ()
    """Files of plain manifests that were not opened (path and cause): the objects are those of all others."""

    @property
    def digest(self) -> str:
        text = json.dumps(self.objects, sort_keys=True, separators=(",", ":"), default=str)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def find_source(
    tree: Tree,
    path: str,
    spec: Mapping[str, Any],
    *,
    ignored: Callable[[str], bool] = lambda path: False,
    limits: BuildLimits = DEFAULT_LIMITS,
) -> BuildSource:
    """What building `path` of a tree reads. Raises InvalidSourceError (nothing was built)."""
    try:
        directory = tree.resolve(path or "")
    except InvalidPathError as error:
        raise InvalidSourceError(f"kustomization path not found: {error}") from None
    if not tree.is_directory(directory):
        raise InvalidSourceError(f"kustomization path not found: {path} is not a directory")
    own = own_file(tree.nodes, directory)
    if not own:
        plain = _plain(tree, directory, ignored)
        if plain is not None and not is_transforming(spec):
            limits.check_files(f"{directory or '.'}: ", len(plain), sum(tree.nodes[each].size for each in plain))
            return BuildSource(directory, None, None, plain, {each: tree.nodes[each].id for each in plain}, limits)
    names = [own] if own else [each for each in tree.below(directory) if each.endswith((".yaml", ".yml"))]
    known: dict[str, bytes] = dict.fromkeys(tree.entries(directory), b"")
    known |= tree.read([each for each in names if not ignored(each)])
    generated = generate(known, directory, spec, ignored=ignored, exists=tree.has, limits=limits)
    reads = read_set(tree, directory, generated.content, generated.path, limits=limits)
    return BuildSource(directory, generated, reads, (), reads.ids(tree), limits)


def _plain(tree: Tree, directory: str, ignored: Callable[[str], bool]) -> tuple[str, ...] | None:
    """The manifests of a directory in which nothing needs kustomize; None where a sub-directory does."""
    files = [each for each in tree.below(directory) if not ignored(each)]
    if any(own_file(tree.nodes, parent) for parent in {posixpath.dirname(each) for each in files}):
        return None
    return tuple(each for each in files if each.endswith((".yaml", ".yml")))


def render_key(source: BuildSource, spec: Mapping[str, Any], variables: Variables, extra: str = "") -> str:
    """Equal keys, equal renders: files, the spec's fields, the variables' values (hashed), what decrypts (`extra`)."""
    fields = {name: spec.get(name) for name in SPEC_FIELDS}
    text = json.dumps([source.ids, fields, dict(variables.values), extra], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def render(
    tree: Tree, source: BuildSource, spec: Mapping[str, Any], variables: Variables, *, decrypt: Decrypt | None = None
) -> Rendered:
    """The objects of a source. Raises InvalidSourceError, KustomizeError, InvalidSubstitutionError, and what `decrypt`
    raises.

    Blocking: run it on a thread.
    """
    refused: tuple[str, ...] = ()
    if source.reads is None:
        contents, refused = _opened_each(tree.read(source.plain), decrypt)
        for path, content in contents.items():
            source.limits.check_file(path, len(content))
        plainly = plain.objects(contents)
        objects = _kustomized(contents, source.directory, source.limits) if plainly is None else plainly
    else:
        objects = _built(tree, source, source.reads, decrypt)
    source.limits.check_objects(len(objects))
    return replace(_finished(_checked(objects), spec, variables, decrypt), refused=refused)


def _kustomized(contents: Mapping[str, bytes], directory: str, limits: BuildLimits) -> list[Manifest]:
    """Manifests without a kustomization file, through kustomize by a generated one."""
    if not _checked(
        [each for path, content in contents.items() for each in read_manifests(path, content, limits=limits)]
    ):
        return []
    listed = [f"./{posixpath.relpath(path, directory or '.')}" for path in contents]
    content = {"apiVersion": API_VERSION, "kind": "Kustomization", "resources": listed}
    return _output({**contents, posixpath.join(directory, NAMES[0]): dump(content).encode()}, directory, limits)


def _output(files: Mapping[str, bytes], directory: str, limits: BuildLimits) -> list[Manifest]:
    try:
        output = kustomize.build(files, directory, limits=limits)
        return [document for document in load_all(output, limits=YamlLimits(bytes=limits.output)) if document]
    except InvalidYamlError as error:
        raise InvalidSourceError(f"kustomize's output: {error}") from None


def _built(tree: Tree, source: BuildSource, reads: ReadSet, decrypt: Decrypt | None) -> list[Manifest]:
    contents = tree.read(reads.copies)
    files = dict(contents)
    for exported, real in reads.aliases.items():
        files[exported] = contents[real]
    files = _opened(files, decrypt, reads.env_files)
    files |= {path: text.encode() for path, text in reads.texts.items()}
    if not source.generated or not _lists_anything(source.generated.content):
        return []
    return _output(files, source.directory, source.limits)


def _opened(files: Mapping[str, bytes], decrypt: Decrypt | None, generators: Collection[str] = ()) -> dict[str, bytes]:
    """The files in plaintext; objects of those that were encrypted carry the mark.

    What `generators` read is content and no object: it gets no mark, and what is generated from it is a Secret or of
    the tenant's own choice.
    """
    if decrypt is None:
        return dict(files)
    return {
        path: decrypt.decrypt_file(path, data, mark="" if path in generators else _OPENED)
        for path, data in files.items()
    }


def _opened_each(files: Mapping[str, bytes], decrypt: Decrypt | None) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The same for files that do not depend on each other: one that was tampered with does not hold up the rest.

    A key that is not at hand does: it may be so for every file, and for a moment only.
    """
    opened: dict[str, bytes] = {}
    refused: list[str] = []
    for path, data in files.items():
        try:
            opened |= _opened({path: data}, decrypt)
        except SopsError as error:
            if isinstance(error, DataKeyError | ToolError):
                raise
            refused.append(error.message)
    return opened, tuple(refused)


def _lists_anything(content: Mapping[str, Any]) -> bool:
    """Is there anything to build? A placeholder is not shown to kustomize, which would refuse it."""
    return any(
        content.get(name)
        for name in ("resources", "bases", "components", "configMapGenerator", "secretGenerator", "generators")
    )


def _checked(objects: list[Manifest]) -> list[Manifest]:
    seen: set[tuple[str, str, str, str]] = set()
    for manifest in objects:
        meta = manifest.get("metadata") if isinstance(manifest, dict) else None
        if not isinstance(meta, dict) or not manifest.get("kind") or not manifest.get("apiVersion"):
            raise InvalidSourceError("the build produced something that is not a Kubernetes object")
        if not isinstance(meta.get("name"), str) or not meta["name"]:
            raise InvalidSourceError(f"{manifest['kind']} without metadata.name")
        if (identity := entry_of(manifest).identity) in seen:
            raise InvalidSourceError(f"{describe(manifest)} is defined twice in the source")
        seen.add(identity)
    return objects


def _finished(
    objects: list[Manifest], spec: Mapping[str, Any], variables: Variables, decrypt: Decrypt | None
) -> Rendered:
    masked: set[str] = set()
    done: list[Manifest] = []
    common = spec.get("commonMetadata") or {}
    for manifest in objects:
        manifest, from_file = _unmarked(manifest)
        opened = decrypt.decrypt_object(manifest) if decrypt is not None else manifest
        result = postbuild.substitute_object(opened, variables.values) if variables.enabled else opened
        if from_file or opened is not manifest or (variables.from_secret and result is not opened):
            masked.add(entry_of(result).id)
        done.append(normalize(with_metadata(result, common.get("labels"), common.get("annotations"))))
    return Rendered(tuple(_checked(done)), frozenset(masked))


def _unmarked(manifest: Manifest) -> tuple[Manifest, bool]:
    """The object without the mark, and whether it had it."""
    meta = manifest["metadata"]
    annotations = meta.get("annotations")
    if not isinstance(annotations, dict) or _OPENED not in annotations:
        return manifest, False
    kept = {name: value for name, value in annotations.items() if name != _OPENED}
    rest = {name: value for name, value in meta.items() if name != "annotations"}
    return {**manifest, "metadata": {**rest, "annotations": kept} if kept else rest}, True


def render_files(
    files: Mapping[str, bytes], directory: str, spec: Mapping[str, Any], *, limits: BuildLimits = DEFAULT_LIMITS
) -> list[Manifest]:
    """A render of files in memory without variables and decryption."""
    tree = of_files(files)
    return list(render(tree, find_source(tree, directory, spec, limits=limits), spec, Variables()).objects)
