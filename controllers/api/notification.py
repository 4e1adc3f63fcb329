"""`notification.toolkit.fluxcd.io/v1`: Receiver."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Bool, Fields, ListType, Rule
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
    filter: str = ""
    """CEL over `res` and `req`, beside the spec's `resourceFilter`: an object must pass both."""


class OidcVariable(Fields):
    """A named CEL expression over `claims` and the variables before it."""

    name: str
    expression: str


class OidcValidation(Fields):
    """A CEL expression over `claims` and `vars` that must hold."""

    expression: str
    message: str
    """Returned to the caller where it does not hold."""


class OidcProvider(Fields):
    """An issuer whose tokens authenticate calls of a `generic-oidc` Receiver."""

    issuer_url: Annotated[str, Field(alias="issuerURL", pattern="^https?://")]
    audience: str = ""
    variables: tuple[OidcVariable, ...] = ()
    validations: Annotated[tuple[OidcValidation, ...], Field(min_length=1)]


class ReceiverSpec(Fields):
    """A webhook that starts reconciliations."""

    cel = (
        Rule(
            "self.type != 'generic-oidc' || (has(self.oidcProviders) && size(self.oidcProviders) > 0)",
            "generic-oidc receivers must define at least one oidcProvider",
        ),
        Rule(
            "self.type == 'generic-oidc' || !has(self.oidcProviders) || size(self.oidcProviders) == 0",
            "oidcProviders can only be set when type is generic-oidc",
        ),
        Rule(
            "self.type != 'generic-oidc' || !has(self.secretRef)",
            "secretRef cannot be set when type is generic-oidc",
        ),
        Rule(
            "self.type == 'generic-oidc' || has(self.secretRef)",
            "secretRef is required when type is not generic-oidc",
        ),
    )

    type: Literal[
        "generic",
        "generic-hmac",
        "generic-oidc",
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
    secret_ref: LocalRef | None = None
    """Key `token`. Required for every type but `generic-oidc`."""
    oidc_providers: Annotated[
        tuple[OidcProvider, ...], Field(alias="oidcProviders"), ListType("map", ("issuerURL",))
    ] = ()
    """Of `generic-oidc`: whose tokens are accepted, and what their claims must be."""
    suspend: Bool = False


class ReceiverStatus(FluxStatus):
    """Where the hook is."""

    webhook_path: str = ""
    """`/hook/<sha256>`."""
