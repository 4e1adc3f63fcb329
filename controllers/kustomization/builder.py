"""From a Kustomization to its objects: its source's tree, its inputs read as the tenant, and a render if need be.

Errors come out as what a condition says: reasons are upstream's (`ArtifactFailed`, `BuildFailed`, `AccessDenied`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.api.kustomize import KustomizationSpec
from controllers.api.resource import Key, Manifest
from controllers.kustomization.build.cache import RenderCache
from controllers.kustomization.objects.references import source_of
from controllers.kustomization.settings import KustomizationSettings
from controllers.runtime.kube import KubeClient
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Stalled
from controllers.sops.errors import DecryptionError
from controllers.sources.source import Source, SourceState
from controllers.sources.tree import InvalidPathError, Tree

from .build import inputs
from .build.kustomization_file import InvalidSourceError
from .build.kustomize import KustomizeError
from .build.limits import BuildLimitError, BuildLimits
from .build.postbuild import InvalidSubstitutionError
from .build.render import BuildSource, Rendered, Variables, find_source, render, render_key

_RETRY = 30.0
"""Seconds after which a source that is missing or not fetched yet is looked for again."""


@dataclass(slots=True)
class Built:
    """All that a render is made of; `key` equal, render equal. Close it."""

    key: str
    revision: str
    metadata: dict[str, str]
    tree: Tree
    source: BuildSource
    spec: Mapping[str, Any]
    variables: Variables
    keys: inputs.Keys
    artifact: Mapping[str, Any] = field(default_factory=dict)
    """The source's `status.artifact`."""

    def close(self) -> None:
        self.keys.close()


class Builder:
    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        pools: Pools,
        settings: KustomizationSettings,
        decryption: inputs.Decryption | None = None,
    ) -> None:
        """`sources` by kind."""
        self._sources, self._pools, self._settings = sources, pools, settings
        self._decryption = decryption or inputs.Decryption()
        self._limits = _limits_of(settings)
        self._cache = RenderCache(settings.render_cache << 20)

    def source(self, key: Key, manifest: Manifest) -> SourceState:
        """The source as the store has it; it has an artifact. Raises Stalled, NotReady."""
        kind, wanted = source_of(manifest)
        if self._settings.no_cross_namespace_refs and wanted.namespace != key.namespace:
            raise Stalled(
                "AccessDenied", f"source '{kind}/{wanted}' is in another namespace, which is not allowed here"
            )
        if (source := self._sources.get(kind)) is None:
            served = ", ".join(sorted(self._sources))
            raise Stalled("InvalidSpec", f"spec.sourceRef.kind: found {kind!r}, expected one of {served}")
        found = source.find(wanted)
        if found is None:
            raise NotReady("ArtifactFailed", f"source '{kind}/{wanted}' not found", retry_after=_RETRY)
        if not found.revision:
            why = f": {found.message}" if found.message and not found.ready else ""
            retry_after = min(_RETRY, max(1.0, found.interval or _RETRY))
            raise NotReady("ArtifactFailed", f"source '{found}' has no artifact yet{why}", retry_after=retry_after)
        return found

    async def build(
        self, tenant: KubeClient, key: Key, manifest: Manifest, spec: KustomizationSpec, source: SourceState
    ) -> Built:
        """Reads what a render needs, and finds out what it reads. Nothing is built yet. Raises NotReady, Stalled."""
        raw = manifest.get("spec") or {}
        variables = await inputs.variables(tenant, key.namespace, spec)
        keys = await inputs.keys(tenant, key, manifest, spec, source.revision, self._decryption)
        try:
            tree = await self._sources[source.kind].tree(source)
            found = await self._pools.run("other", find_source, tree, spec.path, raw, limits=self._limits)
        except BaseException as error:
            keys.close()
            raise _as_condition(error) from error
        text = render_key(found, raw, variables, keys.fingerprint)
        metadata = {"revision": source.revision} | {
            name: source.metadata[name] for name in ("author", "commitTime") if name in source.metadata
        }
        return Built(text, source.revision, metadata, tree, found, raw, variables, keys, source.artifact)

    async def render(self, built: Built) -> Rendered:
        """The objects, from the cache where nothing that goes into them changed. Raises NotReady."""
        if (known := self._cache.get(built.key)) is not None:
            return known
        decrypt = built.keys.decrypt
        try:
            rendered = await self._pools.run(
                "other", render, built.tree, built.source, built.spec, built.variables, decrypt=decrypt
            )
        except Exception as error:
            raise _as_condition(error) from error
        if not rendered.refused:
            self._cache.put(built.key, rendered, sum(len(repr(each)) for each in rendered.objects) * 4)
        return rendered


def _limits_of(settings: KustomizationSettings) -> BuildLimits:
    return BuildLimits(
        file_size=settings.build_file_size << 20, files=settings.build_files, size=settings.build_size << 20,
        objects=settings.build_objects, output=settings.build_output << 20, timeout=settings.build_timeout,
    )  # fmt: skip


def _as_condition(error: BaseException) -> BaseException:
    """What a condition says of an error of a build; a bug stays what it is."""
    match error:
        case InvalidSourceError() if "kustomization path not found" in str(error):
            return NotReady("ArtifactFailed", str(error))
        case (
            InvalidSourceError()
            | InvalidPathError()
            | InvalidSubstitutionError()
            | KustomizeError()
            | BuildLimitError()
        ):
            return NotReady("BuildFailed", str(error))
        case DecryptionError():
            return NotReady("BuildFailed", f"decryption failed: {error}")
        case _:
            return error
