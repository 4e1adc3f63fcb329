"""Settings of the Kustomization controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class KustomizationSettings:
    prefix: ClassVar[str] = "kustomization"
    default_service_account: str = setting("default", "service account of Kustomizations that name none")
    no_cross_namespace_refs: bool = setting(False, "refuse sources and dependencies in other namespaces")
    concurrent: int = setting(8, "Kustomizations reconciled at once; a health check holds none of these")
    apply_concurrent: int = setting(8, "dry runs of one Kustomization at once")
    stage_timeout: float = setting(60.0, "seconds for definitions and namespaces to settle between two stages")
    health_poll: float = setting(5.0, "seconds between two looks at objects that no watch of ours covers")
    render_cache: int = setting(64, "MiB of rendered manifests kept, so that an unchanged source is not built again")
    mirrors: str = setting("", "directory of the Git mirrors; empty: below the system's place for temporary files")
    repository_size: int = setting(1024, "MiB that one fetch of a repository may bring; more is refused")
    submodule_hosts: str = setting("", "hosts, by comma, that may hold submodules beside a repository's own host")
    mirror_bytes: int = setting(4096, "MiB of all mirrors together")
