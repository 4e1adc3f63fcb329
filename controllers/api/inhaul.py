"""`inhaul.dev/v1alpha1`: what upstream's kinds have no room for. TenantPolicy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Fields, Format, Implied, Int
from .meta import Condition, LabelSelector
from .resource import Resource

TENANT_POLICIES = Resource("inhaul.dev", "v1alpha1", "tenantpolicies", "TenantPolicy", namespaced=False)

Glob = Annotated[str, Field(min_length=1, max_length=1024)]
"""`*`: any characters but `/`; `**`: any at all; `?`: one but `/`. The rest stands for itself, case included."""

HARMLESS_SECRET_TYPES = (
    "Opaque",
    "kubernetes.io/basic-auth",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/tls",
)
"""Types that no controller of Kubernetes gives a meaning of its own to: they mint no credentials."""


class GitGrant(Fields):
    """Branches and paths of one repository, or of several by globs in the URL's path."""

    url: Annotated[str, Field(min_length=1, max_length=1024)]
    """As in a GitRepository. User, default port, `.git` and a last slash make no difference."""
    branches: tuple[Glob, ...] = ("**",)
    """Branches by name; other references in full: `refs/tags/v*`."""
    paths: tuple[Glob, ...] = ("**",)
    """Files that may be written, from the repository's root."""
    access: Literal["read", "write"] = "read"
    """`write` includes `read`."""


class KindGrant(Fields):
    """A kind of a group; `*` stands for all of them."""

    group: str
    """Empty for the core group."""
    kind: Annotated[str, Field(min_length=1)]


class KindRules(Fields):
    """What a Kustomization may apply, beside what its service account's RBAC says."""

    allow: tuple[KindGrant, ...] = ()
    """Default: all kinds."""
    deny: tuple[KindGrant, ...] = ()
    """Wins over every `allow`, of other policies too."""


class TenantPolicySpec(Fields):
    """What the namespaces of a tenant may reach. All policies that match a namespace add up."""

    namespace_selector: LabelSelector
    """Namespaces by their labels; an empty selector means all."""
    role_arns: Annotated[tuple[Glob, ...], Field(alias="roleARNs")] = ()
    """AWS roles that may be assumed. In ARNs `*` stops at `:` too."""
    secret_keys: tuple[Glob, ...] = ()
    """Names or ARNs at a provider, the store's prefix included; `ParameterStore:/payments/**` for one service only."""
    kms_arns: Annotated[tuple[Glob, ...], Field(alias="kmsARNs")] = ()
    """Keys that may open encrypted files."""
    age_recipients: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    key_services: tuple[Glob, ...] = ()
    """Other key services that may open encrypted files: `hc_vault:vault.example.com:8200/**` (https only),
    `gcp_kms:…`, `azure_kv:…`, `hckms:…`. Without a grant none is asked, for the file itself names the address."""
    git: tuple[GitGrant, ...] = ()
    registries: tuple[Glob, ...] = ()
    """Image repositories: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/payments/**`."""
    secret_types: tuple[Annotated[str, Field(min_length=1)], ...] = HARMLESS_SECRET_TYPES
    """Types of Secrets that may be written."""
    kinds: KindRules = KindRules()


class TenantPolicyStatus(Fields):
    """Whether the policy can be used as it stands."""

    observed_generation: Annotated[Int, Format("int64"), Implied()] = 0
    conditions: tuple[Condition, ...] = ()


PREFIX = "image.inhaul.dev/"
