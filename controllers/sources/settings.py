"""Settings of sources. The flags carry the name of the controller that they run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class SourceSettings:
    prefix: ClassVar[str] = "kustomization"
    mirrors: str = setting("", "directory of the Git mirrors; empty: a temporary directory")
    repository_size: int = setting(1024, "maximum size of one fetch of a repository, MiB")
    submodule_hosts: str = setting(
        "", "hosts from which submodules may be fetched besides the repository's own, separated by commas"
    )
    mirror_bytes: int = setting(4096, "maximum size of all mirrors, MiB")
