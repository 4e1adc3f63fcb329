"""`kustomize.toolkit.fluxcd.io/v1`: Kustomization."""

from __future__ import annotations

from .resource import Resource

KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
