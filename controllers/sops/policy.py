"""Which keys of a file a namespace may use: the TenantPolicies' answer, before any key service hears of the file.

Everything that a file says about its keys was written by whoever can push to Git, and credentials would follow it: to a
KMS key and role of another team, to a Vault at an address of the attacker's choice. age and PGP keys cannot lead
anywhere (they open with what the tenant's Secret holds, or not); age recipients are still asked for, since a policy
lists them.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.api.tenancy import AskKeyService, DecryptWith, Request, UseRole
from controllers.runtime.policies import Policies

from .decrypt import KeyPolicy
from .metadata import MasterKey


def requests_of(key: MasterKey) -> Iterator[Request]:
    """What must be granted before this key may be tried."""
    match key.kind:
        case "age":
            yield DecryptWith(age_recipient=key.identifier)
        case "kms":
            yield DecryptWith(kms_arn=key.identifier)
            if key.role:
                yield UseRole(key.role)
        case "pgp":
            return
        case kind:
            # globs know no empty segments, and what is not https:// is covered by no grant
            yield AskKeyService(f"{kind}:{key.identifier.removeprefix('https://')}")


def key_policy(policies: Policies, namespace: str) -> KeyPolicy:
    """For one namespace: why a key may not be used, "" where it may."""

    def refused(key: MasterKey) -> str:
        for request in requests_of(key):
            decision = policies.allowed(namespace, request)
            if not decision.allowed:
                return decision.reason
        return ""

    return refused


def without_network(key: MasterKey) -> str:
    """A policy for places without tenants: only keys that open by what is at hand."""
    return "" if key.kind in ("age", "pgp", "kms") else f"{key.kind} is asked by policy only"
