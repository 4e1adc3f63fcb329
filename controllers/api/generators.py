"""`generators.external-secrets.io/v1alpha1`: values that are made, not read."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from .base import Bool, Fields, Implied, Int, JsonObject, OneOf, SchemaDefault
from .resource import Resource
from .secret_stores import AWSAuth

_GROUP = "generators.external-secrets.io"

ECR_AUTHORIZATION_TOKENS = Resource(_GROUP, "v1alpha1", "ecrauthorizationtokens", "ECRAuthorizationToken")
PASSWORDS = Resource(_GROUP, "v1alpha1", "passwords", "Password")
CLUSTER_GENERATORS = Resource(_GROUP, "v1alpha1", "clustergenerators", "ClusterGenerator", namespaced=False)


GeneratorKind = Literal[
    "ACRAccessToken",
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "CloudsmithAccessToken",
    "CodeArtifactAuthorizationToken",
    "ECRAuthorizationToken",
    "Fake",
    "GCRAccessToken",
    "GithubAccessToken",
    "GitlabDeployToken",
    "Grafana",
    "MFA",
    "Password",
    "QuayAccessToken",
    "SSHKey",
    "STSSessionToken",
    "UUID",
    "VaultDynamicSecret",
    "Webhook",
]
"""What a ClusterGenerator may be: each of these is also a kind in a namespace."""
_SERVED = {ECR_AUTHORIZATION_TOKENS.kind, PASSWORDS.kind}
UNSERVED_GENERATORS = tuple(
    Resource(_GROUP, "v1alpha1", f"{kind.lower()}s", kind) for kind in get_args(GeneratorKind) if kind not in _SERVED
)
"""Admitted and kept as they are. An ExternalSecret that names one is told so; they have no status of their own."""


class UnservedGeneratorSpec(Fields):
    """A generator that is not served: any fields."""

    open: ClassVar[bool] = True


class ECRAuthorizationTokenSpec(Fields):
    """A token for ECR, valid 12 hours: username, password, proxy_endpoint, expires_at."""

    region: str
    auth: AWSAuth = AWSAuth()
    role: str = ""
    """A role's ARN to assume."""
    scope: Annotated[str, Implied()] = "private"
    """private or public."""


class PasswordSpec(Fields):
    """A random password."""

    length: Int = 24
    digits: Int | None = None
    """Default: a quarter of the length."""
    symbols: Int | None = None
    """Default: a quarter of the length."""
    symbol_characters: str | None = None
    no_upper: Annotated[Bool, SchemaDefault(False)] = False
    allow_repeat: Annotated[Bool, SchemaDefault(False)] = False
    secret_keys: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """One password under each key; default: one, under `password`."""
    encoding: Literal["base64", "base64url", "base32", "hex", "raw"] = "raw"


class AnyGeneratorSpec(OneOf):
    """Exactly one generator's spec. We serve two; the others are admitted, kept and reported as not served."""

    ecr_authorization_token_spec: ECRAuthorizationTokenSpec | None = None
    password_spec: PasswordSpec | None = None
    acr_access_token_spec: JsonObject | None = None
    beyondtrust_workload_credentials_dynamic_secret_spec: JsonObject | None = None
    cloudsmith_access_token_spec: JsonObject | None = None
    code_artifact_authorization_token_spec: JsonObject | None = None
    fake_spec: JsonObject | None = None
    gcr_access_token_spec: JsonObject | None = None
    github_access_token_spec: JsonObject | None = None
    gitlab_deploy_token_spec: JsonObject | None = None
    grafana_spec: JsonObject | None = None
    mfa_spec: JsonObject | None = None
    quay_access_token_spec: JsonObject | None = None
    ssh_key_spec: JsonObject | None = None
    sts_session_token_spec: JsonObject | None = None
    uuid_spec: JsonObject | None = None
    vault_dynamic_secret_spec: JsonObject | None = None
    webhook_spec: JsonObject | None = None


class ClusterGeneratorSpec(Fields):
    """A generator for all namespaces."""

    kind: GeneratorKind
    generator: AnyGeneratorSpec
