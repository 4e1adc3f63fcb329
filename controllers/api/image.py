"""`image.toolkit.fluxcd.io/v1`: ImageRepository, ImagePolicy, ImageUpdateAutomation."""

from __future__ import annotations

from .resource import Resource

_GROUP = "image.toolkit.fluxcd.io"

IMAGE_REPOSITORIES = Resource(_GROUP, "v1", "imagerepositories", "ImageRepository")
IMAGE_POLICIES = Resource(_GROUP, "v1", "imagepolicies", "ImagePolicy")
IMAGE_UPDATE_AUTOMATIONS = Resource(_GROUP, "v1", "imageupdateautomations", "ImageUpdateAutomation")
