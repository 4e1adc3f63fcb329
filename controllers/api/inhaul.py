"""`inhaul.dev/v1alpha1`: what upstream's kinds have no room for. TenantPolicy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Fields, Format, Implied, Int
from .meta import Condition, LabelSelector
from .resource import Resource

TENANT_POLICIES = Resource("inhaul.dev", "v1alpha1", "tenantpolicies", "TenantPolicy", namespaced=False)

Glob = Annotated[str, Field(min_length=1, max_length=1024)]
"""`*`: anything but `/`; `**`: anything; `?`: one character but `/`. Everything else stands for itself."""


class GitGrant(Fields):
    """Branches and paths of one repository."""

    url: Annotated[str, Field(min_length=1, max_length=1024)]
    """As in a GitRepository; the last segments may be globs."""
    branches: tuple[Glob, ...] = ("**",)
    paths: tuple[Glob, ...] = ("**",)
    """Files that may be written, from the repository's root."""
    access: Literal["read", "write"] = "read"
    """write includes read."""


class KindGrant(Fields):
    """Kinds by group; `*` stands for all."""

    group: str
    kind: Annotated[str, Field(min_length=1)]


class KindRules(Fields):
    """Which kinds a Kustomization may apply. Without `allow` all but the denied ones; deny wins."""

    allow: tuple[KindGrant, ...] = ()
    deny: tuple[KindGrant, ...] = ()


class TenantPolicySpec(Fields):
    """What the namespaces of a tenant may reach. Policies that match a namespace add up."""

    namespace_selector: LabelSelector
    role_arns: Annotated[tuple[Glob, ...], Field(alias="roleARNs")] = ()
    """AWS roles that stores, generators and registries may use."""
    secret_keys: tuple[Glob, ...] = ()
    """Keys at a provider, prefix included; a service may go before: `ParameterStore:/payments/**`."""
    kms_arns: Annotated[tuple[Glob, ...], Field(alias="kmsARNs")] = ()
    """Keys that SOPS files may be opened with."""
    age_recipients: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    git: tuple[GitGrant, ...] = ()
    registries: tuple[Glob, ...] = ()
    """Image repositories: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/payments/**`."""
    secret_types: tuple[Annotated[str, Field(min_length=1)], ...] = ("Opaque",)
    kinds: KindRules = KindRules()


class TenantPolicyStatus(Fields):
    """Whether the policy can be used as it stands."""

    observed_generation: Annotated[Int, Format("int64"), Implied()] = 0
    conditions: tuple[Condition, ...] = ()
