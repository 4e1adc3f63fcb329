"""Stores of `spec.provider.aws`: their region and prefix, as whom they read, and whether that works.

A namespaced store reads ServiceAccounts and Secrets of its own namespace only; a cluster store those that it names, or
of the namespace that uses it. Session tags say which namespace asks, so that IAM can decide by them; before IAM
TenantPolicy decides: no call is made for a role that the namespace was not granted.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from controllers.api.core import SECRETS, SERVICE_ACCOUNTS
from controllers.api.meta import SecretKeySelector
from controllers.api.resource import Key, Manifest, Resource
from controllers.api.secret_stores import AWSAuth, AWSProvider, SecretStoreProvider
from controllers.api.tenancy import UseRole
from controllers.aws.errors import AwsError, Throttled, Unreachable
from controllers.aws.identity import (
    OWN,
    ROLE_ANNOTATION,
    STS_AUDIENCE,
    Identity,
    RoleStep,
    ServiceAccountIdentity,
    StaticKeys,
)
from controllers.external_secrets.providers.provider import (
    Clients,
    StoreAccess,
    StoreError,
    StoreSettings,
    Validation,
)
from controllers.external_secrets.providers.reads import ReadingIdentity
from controllers.external_secrets.values.entries import LocalValues, StoreRef
from controllers.runtime.sensitive import Sensitive

REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}")
AUTOMATIC_TAGS = ("esoNamespace", "esoStoreName", "esoStoreKind")


class AwsStores:
    """The store side of a provider whose stores have `spec.provider.aws` with `service: <name>`."""

    field = "aws"
    name = ""

    def serves(self, spec: SecretStoreProvider) -> bool:
        return spec.aws is not None and spec.aws.service == self.name

    def settings(self, spec: SecretStoreProvider) -> StoreSettings:
        aws = _aws(spec)
        check_region(aws.region, "spec.provider.aws.region")
        return StoreSettings(aws.region, aws.prefix)

    async def identity(self, access: StoreAccess, namespace: str, ref: StoreRef, spec: SecretStoreProvider) -> Identity:
        return await _identity(access, namespace, ref, _aws(spec))

    def caller_identity(self, spec: SecretStoreProvider) -> Identity:
        return OWN

    async def validate(
        self, access: StoreAccess, clients: Clients, namespace: str, ref: StoreRef, spec: SecretStoreProvider
    ) -> Validation:
        if not namespace:
            return Validation()  # whose credentials a cluster store uses depends on the namespace that asks
        aws = _aws(spec)
        reader = await _identity(access, namespace, ref, aws)
        try:
            if reader != OWN:
                await clients.identities.session(reader, aws.region)
        except (Throttled, Unreachable) as error:
            raise StoreError("ValidationFailed", error.message, lasting=False) from None
        except AwsError as error:
            raise StoreError("InvalidProviderConfig", error.message) from None
        return Validation()

    def depends_on(self, store: Manifest) -> list[tuple[Resource, Key]]:
        aws = ((store.get("spec") or {}).get("provider") or {}).get("aws") or {}
        auth, home = aws.get("auth") or {}, store["metadata"].get("namespace", "")
        account = (auth.get("jwt") or {}).get("serviceAccountRef") or {}
        refs = [(SERVICE_ACCOUNTS, account), *((SECRETS, ref) for ref in (auth.get("secretRef") or {}).values())]
        found = [(kind, Key(home or ref.get("namespace") or "", ref.get("name") or "")) for kind, ref in refs if ref]
        return [(kind, key) for kind, key in found if key.namespace and key.name]

    def local(self, spec: SecretStoreProvider) -> LocalValues | None:
        return None

    def reading_identity(
        self, namespace: str, ref: StoreRef, spec: SecretStoreProvider, roles_of: Mapping[Key, str]
    ) -> ReadingIdentity:
        return reading_identity(namespace, ref, _aws(spec), roles_of)


def _aws(spec: SecretStoreProvider) -> AWSProvider:
    if spec.aws is None:
        raise StoreError("InvalidProviderConfig", "spec.provider.aws: found nothing, expected region and service")
    return spec.aws


def check_region(region: str, where: str) -> None:
    """A region is part of the address that is called. Raises StoreError for anything else."""
    if not REGION.fullmatch(region):
        raise StoreError("InvalidProviderConfig", f"{where}: found no region's name, expected one as eu-west-1")


def session_tags(namespace: str, ref: StoreRef, provider: AWSProvider) -> dict[str, str]:
    """Tags of the session, by which IAM may decide. Raises StoreError where a store would forge who asks."""
    given = {tag.key: tag.value for tag in provider.session_tags}
    if provider.session_tags_policy == "Custom":
        given |= dict(provider.custom_session_tags)
    automatic = {"esoNamespace": namespace, "esoStoreName": ref.name, "esoStoreKind": ref.kind}
    for key in AUTOMATIC_TAGS:
        if key in given and given[key] != automatic[key]:
            message = f"{ref.kind} {ref.name}: session tag {key} says who asks and cannot be set to another value"
            raise StoreError("InvalidStoreConfiguration", message)
    return given if provider.session_tags_policy == "None" else {**automatic, **given}


# --- identities


async def identity(
    access: StoreAccess, namespace: str, ref: StoreRef, auth: AWSAuth, chain: tuple[RoleStep, ...]
) -> Identity:
    """Where credentials come from, when `namespace` uses `ref`: those of `auth`, then each role of `chain` in turn.
    Raises StoreError, ApiError."""
    account = await _account(access, namespace, ref, auth)
    static = await _static(access, namespace, ref, auth) if account is None else None
    for arn in [*(step.arn for step in chain), *([account.role] if account else [])]:
        access.allow(namespace, UseRole(arn))
    try:
        return Identity(account, static, chain)
    except ValueError as error:
        raise StoreError("InvalidStoreConfiguration", f"{ref.kind} {ref.name}: {error}") from None


async def _identity(access: StoreAccess, namespace: str, ref: StoreRef, provider: AWSProvider) -> Identity:
    return await identity(access, namespace, ref, provider.auth, role_chain(namespace, ref, provider))


def role_chain(namespace: str, ref: StoreRef, provider: AWSProvider) -> tuple[RoleStep, ...]:
    """The roles that a store assumes, in order; the last one with the session's tags. Raises StoreError."""
    before = tuple(RoleStep(arn) for arn in provider.additional_roles)
    if not provider.role:
        return before
    tags = tuple(sorted(session_tags(namespace, ref, provider).items()))
    return (*before, RoleStep(provider.role, provider.external_id, tags, tuple(provider.transitive_tag_keys)))


def _home(namespace: str, ref: StoreRef, named: str | None) -> str:
    return named or namespace if ref.kind == "ClusterSecretStore" else namespace


async def _account(access: StoreAccess, namespace: str, ref: StoreRef, auth: AWSAuth) -> ServiceAccountIdentity | None:
    selector = auth.jwt.service_account_ref if auth.jwt else None
    if selector is None:
        return None
    home = _home(namespace, ref, selector.namespace)
    manifest = await access.kept(SERVICE_ACCOUNTS, Key(home, selector.name), metadata_only=True)
    if manifest is None:
        message = f"{ref.kind} {ref.name}: ServiceAccount {home}/{selector.name} does not exist"
        raise StoreError("InvalidProviderConfig", message, lasting=False)
    role = (manifest["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION) or ""
    if not role:
        message = f"{ref.kind} {ref.name}: ServiceAccount {home}/{selector.name} has no annotation {ROLE_ANNOTATION}"
        raise StoreError("InvalidProviderConfig", message, lasting=False)
    return ServiceAccountIdentity(home, selector.name, role, (STS_AUDIENCE, *selector.audiences))


async def _static(access: StoreAccess, namespace: str, ref: StoreRef, auth: AWSAuth) -> StaticKeys | None:
    refs = auth.secret_ref
    if refs is None:
        return None
    token = refs.session_token_secret_ref

    async def read(at: SecretKeySelector, field: str) -> Sensitive:
        return await _secret_key(access, _home(namespace, ref, at.namespace), ref, at, field)

    return StaticKeys(
        await read(refs.access_key_id_secret_ref, "accessKeyIDSecretRef"),
        await read(refs.secret_access_key_secret_ref, "secretAccessKeySecretRef"),
        await read(token, "sessionTokenSecretRef") if token else None,
    )


async def _secret_key(access: StoreAccess, home: str, ref: StoreRef, at: SecretKeySelector, field: str) -> Sensitive:
    secret = await access.kept(SECRETS, Key(home, at.name or "")) if at.name else None
    if secret is None:
        message = f"{ref.kind} {ref.name}: {field}: Secret {home}/{at.name or ''} does not exist"
        raise StoreError("InvalidProviderConfig", message, lasting=False)
    value: Any = (secret.get("data") or {}).get(at.key or "")
    if value is None:
        message = f"{ref.kind} {ref.name}: {field}: Secret {home}/{at.name} has no key {at.key}"
        raise StoreError("InvalidProviderConfig", message, lasting=False)
    return Sensitive(base64.b64decode(value).strip())


def reading_identity(
    namespace: str, ref: StoreRef, provider: AWSProvider, roles_of: Mapping[Key, str]
) -> ReadingIdentity:
    """As whom `namespace` reads, as far as manifests say."""
    roles = (*provider.additional_roles, *([provider.role] if provider.role else []))
    base, first = "the controller's own identity", ""
    if provider.auth.jwt and (account := provider.auth.jwt.service_account_ref):
        home = _home(namespace, ref, account.namespace)
        base, first = f"ServiceAccount {home}/{account.name}", roles_of.get(Key(home, account.name or ""), "")
    elif provider.auth.secret_ref:
        at = provider.auth.secret_ref.access_key_id_secret_ref
        base = f"access key in Secret {_home(namespace, ref, at.namespace)}/{at.name}"
    tags: dict[str, str] = {}
    if provider.role:
        tags = {tag.key: tag.value for tag in provider.session_tags}
        if provider.session_tags_policy != "None":
            tags |= {"esoNamespace": namespace, "esoStoreName": ref.name, "esoStoreKind": ref.kind}
        if provider.session_tags_policy == "Custom":
            tags |= dict(provider.custom_session_tags)
    steps = (first, *roles) if first else roles
    return ReadingIdentity(base, steps[:-1], steps[-1] if steps else "", bool(first), tuple(sorted(tags.items())))
