"""Settings of the Kustomization controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class KustomizationSettings:
    prefix: ClassVar[str] = "kustomization"
    default_service_account: str = setting(
        "default", "service account of Kustomizations without spec.serviceAccountName"
    )
    no_cross_namespace_refs: bool = setting(False, "refuse sources and dependencies in other namespaces")
    concurrent: int = setting(8, "concurrent reconciliations of Kustomizations; a health check occupies none of them")
    apply_concurrent: int = setting(8, "concurrent dry runs per Kustomization")
    stage_timeout: float = setting(60.0, "seconds to wait between stages for CRDs and namespaces to become ready")
    health_poll: float = setting(5.0, "seconds between two health checks of objects that no watch covers")
    render_cache: int = setting(
        64, "size of the cache of rendered manifests, MiB; an unchanged source is not built again"
    )
    build_file_size: int = setting(64, "size limit of one file in a build, MiB; operators ship files of up to 5 MB")
    build_files: int = setting(50_000, "limit on the files that one build may read")
    build_size: int = setting(512, "size limit of all files that one build may read, MiB")
    build_objects: int = setting(50_000, "limit on the objects of one build")
    build_output: int = setting(512, "size limit of the output of kustomize for one build, MiB")
    build_timeout: float = setting(120.0, "seconds that kustomize may take for one build")
