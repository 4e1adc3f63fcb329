"""`notification.toolkit.fluxcd.io/v1`: Receiver."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Bool, Fields
from .meta import Duration, FluxStatus, LocalRef, Strings
from .resource import Resource

RECEIVERS = Resource("notification.toolkit.fluxcd.io", "v1", "receivers", "Receiver")

NotifiedKind = Literal[
    "Bucket",
    "GitRepository",
    "Kustomization",
    "HelmRelease",
    "HelmChart",
    "HelmRepository",
    "ImageRepository",
    "ImagePolicy",
    "ImageUpdateAutomation",
    "OCIRepository",
    "ArtifactGenerator",
    "ExternalArtifact",
]


class NotifiedRef(Fields):
    """An object to reconcile when the hook is called; `*` names all of its kind."""

    api_version: str = ""
    kind: NotifiedKind
    name: Annotated[str, Field(min_length=1, max_length=253)]
    namespace: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    match_labels: Strings = {}
    """With the name `*`: only objects that have these labels."""


class ReceiverSpec(Fields):
    """A webhook that starts reconciliations."""

    type: Literal[
        "generic",
        "generic-hmac",
        "github",
        "gitlab",
        "bitbucket",
        "harbor",
        "dockerhub",
        "quay",
        "gcr",
        "nexus",
        "acr",
        "cdevents",
    ]
    """The sender: how its call is authenticated and read."""
    interval: Duration = "10m"
    events: tuple[str, ...] = ()
    """The sender's events to act on; default: all."""
    resources: tuple[NotifiedRef, ...]
    resource_filter: str = ""
    """CEL over `res` and `req`: which of the resources a call concerns."""
    secret_ref: LocalRef
    """Key `token`."""
    suspend: Bool = False


class ReceiverStatus(FluxStatus):
    """Where the hook is."""

    webhook_path: str = ""
    """`/hook/<sha256>`."""
