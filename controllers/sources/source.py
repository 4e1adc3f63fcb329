"""What a Kustomization needs of a source, whatever kind it is.

A kind of source is one module that implements `Source` and has a `register` function, and one entry in `kinds.py`.
GitRepository (`git_repository.py`) is the only one so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controllers.api.duration import parse_duration
from controllers.api.resource import Key, Manifest, key_of
from controllers.runtime import conditions

from .tree import Reads, Tree

Listener = Callable[[Manifest | None, Manifest | None], None]
"""Called with a source object before and after a change; None where it did not exist or no longer does."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source object as it is now. `revision` and `digest` are "" where it has no artifact yet."""

    kind: str
    key: Key
    manifest: Manifest = field(repr=False)
    artifact: Mapping[str, Any]
    """`status.artifact`."""
    revision: str
    digest: str
    """Checksum of the artifact: `sha256:<hex>`."""
    metadata: Mapping[str, str]
    """The artifact's: author, commit time, and the like."""
    ready: bool
    message: str
    """Of the condition Ready; "" where there is none."""
    interval: float | None
    """Seconds until the source is checked again; None where its spec does not say."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"


class Source(Protocol):
    """One kind of source. One instance per process."""

    kind: str

    def find(self, key: Key) -> SourceState | None:
        """A source object as the store has it; None where it does not exist."""

    async def tree(self, state: SourceState) -> Tree:
        """The files of `state.revision`. Raises NotReady, Stalled."""

    async def changed(self, before: Manifest, after: Manifest) -> Reads | None:
        """Directories in which the artifacts differ; None where that is not known. Raises NotReady, Stalled."""

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` with each change of an object of this kind."""


def state_of(kind: str, manifest: Manifest) -> SourceState:
    """The parts of a source's manifest that are the same for every kind."""
    artifact, ready = artifact_of(manifest), conditions.find(manifest.get("status"), "Ready") or {}
    metadata: Any = artifact.get("metadata")
    try:
        interval = parse_duration(str((manifest.get("spec") or {}).get("interval") or ""))
    except ValueError:
        interval = None
    return SourceState(
        kind=kind,
        key=key_of(manifest),
        manifest=manifest,
        artifact=artifact,
        revision=str(artifact.get("revision") or ""),
        digest=str(artifact.get("digest") or ""),
        metadata=metadata if isinstance(metadata, dict) else {},
        ready=ready.get("status") == "True",
        message=str(ready.get("message") or ""),
        interval=interval,
    )


def artifact_of(manifest: Manifest | None) -> Mapping[str, str]:
    """`status.artifact` of a source; empty where it has none."""
    artifact = ((manifest or {}).get("status") or {}).get("artifact")
    return artifact if isinstance(artifact, dict) and artifact.get("revision") else {}
