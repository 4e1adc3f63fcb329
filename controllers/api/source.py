"""`source.toolkit.fluxcd.io/v1`: GitRepository."""

from __future__ import annotations

from .resource import Resource

GIT_REPOSITORIES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")
