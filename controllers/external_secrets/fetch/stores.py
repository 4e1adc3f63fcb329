"""SecretStore and ClusterSecretStore as a refresh sees them: may this namespace use it, and as whom does it read.

A namespaced store reads ServiceAccounts and Secrets of its own namespace only; a cluster store those that it names,
or of the namespace that uses it. Session tags say which namespace asked, so that IAM can decide by them; before IAM
TenantPolicy decides: no outward call is made for a role or key that the namespace was not granted.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

import re2

from controllers.api.base import InvalidSpecError, parse
from controllers.api.core import SECRETS, SERVICE_ACCOUNTS
from controllers.api.duration import parse_duration
from controllers.api.external_secrets import CLUSTER_SECRET_STORES, SECRET_STORES
from controllers.api.meta import SecretKeySelector, selects
from controllers.api.resource import Key, Manifest
from controllers.api.secret_stores import AWSProvider, SecretStoreSpec
from controllers.api.tenancy import ReadKey, Request, UseRole
from controllers.aws.edge import Retry
from controllers.aws.identity import (
    ROLE_ANNOTATION,
    STS_AUDIENCE,
    Identity,
    RoleStep,
    ServiceAccountIdentity,
    StaticKeys,
)
from controllers.external_secrets.values.entries import StoreRef, StoreView
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.runtime.conditions import find as find_condition
from controllers.runtime.policies import Policies
from controllers.runtime.sensitive import Sensitive
from controllers.runtime.store import Store

from .keys import ValueSource
from .object_cache import ObjectCache

CONTROLLER = "inhaul"
REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}")
AUTOMATIC_TAGS = ("esoNamespace", "esoStoreName", "esoStoreKind")
_ATTEMPTS, _MOST_ATTEMPTS, _LONGEST_PAUSE = 3, 20, 60.0


class StoreError(Exception):
    """The store cannot be used now. `reason` is for the store's own condition."""

    def __init__(self, reason: str, message: str, *, lasting: bool = True) -> None:
        super().__init__(message)
        self.reason, self.message, self.lasting = reason, message, lasting


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store, ready to be read by one namespace."""

    view: StoreView
    source: ValueSource
    provider: AWSProvider


def served_provider(manifest: Manifest) -> AWSProvider:
    """The store's AWS provider. Raises StoreProblem for what is not served, InvalidSpecError for what is malformed."""
    spec = parse(SecretStoreSpec, manifest)
    if spec.provider.aws is None:
        name = next(iter((manifest["spec"].get("provider") or {}).keys()), "")
        raise StoreError("InvalidProviderConfig", f"provider {name} is not served; served: aws")
    if spec.provider.aws.service not in ("SecretsManager", "ParameterStore"):
        message = f"service {spec.provider.aws.service} is not served; served: SecretsManager, ParameterStore"
        raise StoreError("InvalidProviderConfig", message)
    check_region(spec.provider.aws.region, "spec.provider.aws.region")
    return spec.provider.aws


def session_tags(namespace: str, ref: StoreRef, provider: AWSProvider) -> dict[str, str]:
    """Tags of the session, by which IAM may decide. Raises StoreProblem where a store would forge who asks."""
    given = {tag.key: tag.value for tag in provider.session_tags}
    if provider.session_tags_policy == "Custom":
        given |= dict(provider.custom_session_tags)
    automatic = {"esoNamespace": namespace, "esoStoreName": ref.name, "esoStoreKind": ref.kind}
    for key in AUTOMATIC_TAGS:
        if key in given and given[key] != automatic[key]:
            message = f"{ref.kind} {ref.name}: session tag {key} says who asks and cannot be set to another value"
            raise StoreError("InvalidStoreConfiguration", message)
    return given if provider.session_tags_policy == "None" else {**automatic, **given}


def check_region(region: str, where: str) -> None:
    """A region is part of the address that is called. Raises StoreProblem for what is none."""
    if not REGION.fullmatch(region):
        raise StoreError("InvalidProviderConfig", f"{where}: found no region's name, expected one as eu-west-1")


def retry_of(spec: SecretStoreSpec) -> Retry | None:
    """retrySettings as upstream means them: `maxRetries` is how often a call is made in all, 3 where it is not given.

    Bounded, for refreshes wait meanwhile. Raises ValueError for an interval that is no duration.
    """
    given = spec.retry_settings
    if given is None or (given.max_retries is None and not given.retry_interval):
        return None
    attempts = _ATTEMPTS if given.max_retries is None else given.max_retries
    pause = parse_duration(given.retry_interval) if given.retry_interval else None
    return Retry(min(max(attempts, 1), _MOST_ATTEMPTS), None if pause is None else min(max(pause, 0.0), _LONGEST_PAUSE))


def is_ours(manifest: Manifest) -> bool:
    """spec.controller names us, or nobody."""
    return (manifest.get("spec") or {}).get("controller") in (None, "", CONTROLLER)


class StoreResolver:
    """Turns references into open stores. ServiceAccounts and Secrets are read once until they change."""

    def __init__(
        self, reads: ObjectCache, stores: Store, cluster_stores: Store, namespaces: Store, policies: Policies
    ) -> None:
        self._reads, self._stores, self._cluster, self._namespaces = reads, stores, cluster_stores, namespaces
        self._policies = policies

    def manifest(self, namespace: str, ref: StoreRef) -> Manifest:
        """Raises StoreProblem where there is no such store."""
        cluster = ref.kind == "ClusterSecretStore"
        found = self._cluster.get(Key("", ref.name)) if cluster else self._stores.get(Key(namespace, ref.name))
        if found is None:
            where = "" if cluster else f" in namespace {namespace}"
            raise StoreError("StoreNotFound", f"{ref.kind} {ref.name} does not exist{where}", lasting=False)
        return found

    def view(self, namespace: str, ref: StoreRef) -> StoreView:
        """Service and prefix, without any call."""
        return self._view(ref, self.manifest(namespace, ref))

    def _view(self, ref: StoreRef, manifest: Manifest) -> StoreView:
        provider = self._provider(ref, manifest)
        service = "ParameterStore" if provider.service == "ParameterStore" else "SecretsManager"
        return StoreView(ref, service, provider.prefix)  # type: ignore[arg-type]

    def _provider(self, ref: StoreRef, manifest: Manifest) -> AWSProvider:
        try:
            return served_provider(manifest)
        except StoreError as problem:
            raise StoreError(problem.reason, f"{ref.kind} {ref.name}: {problem.message}") from None
        except InvalidSpecError as error:
            raise StoreError("InvalidStoreConfiguration", f"{ref.kind} {ref.name}: {error}") from None

    async def open(self, namespace: str, ref: StoreRef, *, gated: bool = True) -> OpenStore:
        """The store as `namespace` may use it. Raises StoreProblem; ApiError where the API server does not answer."""
        manifest = self.manifest(namespace, ref)
        view, provider = self._view(ref, manifest), self._provider(ref, manifest)
        if ref.kind == "ClusterSecretStore":
            self._check_conditions(namespace, ref, manifest)
        if gated:
            self._check_ready(ref, manifest)
        identity = await self.identity(namespace, ref, provider)
        return OpenStore(
            view, ValueSource(identity, provider.region, view.service, self._retry(ref, manifest)), provider
        )

    def _retry(self, ref: StoreRef, manifest: Manifest) -> Retry | None:
        try:
            return retry_of(parse(SecretStoreSpec, manifest))
        except ValueError as error:
            message = f"{ref.kind} {ref.name}: spec.retrySettings.retryInterval: {error}"
            raise StoreError("InvalidStoreConfiguration", message) from None

    def _check_ready(self, ref: StoreRef, manifest: Manifest) -> None:
        """No refresh hammers a store that was found broken, until its own reconcile finds it mended."""
        ready = find_condition(manifest.get("status") or {}, "Ready")
        if ready is not None and ready.get("status") == "False":
            detail = ready.get("message") or ready.get("reason")
            raise StoreError("StoreNotReady", f"{ref.kind} {ref.name} is not ready: {detail}", lasting=False)

    def _check_conditions(self, namespace: str, ref: StoreRef, manifest: Manifest) -> None:
        conditions = parse(SecretStoreSpec, manifest).conditions
        if not conditions:
            return
        known = self._namespaces.get(Key("", namespace)) or {"metadata": {}}
        labels: Mapping[str, str] = known["metadata"].get("labels") or {}
        for condition in conditions:
            if namespace in condition.namespaces or any(_matches(p, namespace) for p in condition.namespace_regexes):
                return
            if condition.namespace_selector is not None and selects(condition.namespace_selector, labels):
                return
        raise StoreError("StoreRefused", f"ClusterSecretStore {ref.name} does not admit namespace {namespace}")

    def allow(self, namespace: str, request: Request) -> None:
        """Raises StoreProblem where no TenantPolicy grants it."""
        decision = self._policies.allowed(namespace, request)
        if not decision.allowed:
            raise StoreError("Refused", decision.reason)

    def allow_key(self, namespace: str, key: RemoteKey) -> None:
        """Raises EntryError where the namespace may not read this key."""
        decision = self._policies.allowed(namespace, ReadKey(key.service, key.name))
        if not decision.allowed:
            raise EntryError("Refused", decision.reason)

    # --- identities

    async def identity(self, namespace: str, ref: StoreRef, provider: AWSProvider) -> Identity:
        """Where the store's credentials come from, when `namespace` uses it."""
        account = await self._account(namespace, ref, provider)
        static = await self._static(namespace, ref, provider) if account is None else None
        roles = [*provider.additional_roles, *([provider.role] if provider.role else [])]
        chain = tuple(
            self._step(namespace, ref, provider, arn, last=at == len(roles) - 1 and bool(provider.role))
            for at, arn in enumerate(roles)
        )
        for arn in [*roles, *([account.role] if account else [])]:
            self.allow(namespace, UseRole(arn))
        try:
            return Identity(account, static, chain)
        except ValueError as error:
            raise StoreError("InvalidStoreConfiguration", f"{ref.kind} {ref.name}: {error}") from None

    def _step(self, namespace: str, ref: StoreRef, provider: AWSProvider, arn: str, *, last: bool) -> RoleStep:
        if not last:
            return RoleStep(arn)
        tags = session_tags(namespace, ref, provider)
        return RoleStep(arn, provider.external_id, tuple(sorted(tags.items())), tuple(provider.transitive_tag_keys))

    def _namespace_of(self, namespace: str, ref: StoreRef, named: str | None) -> str:
        return named or namespace if ref.kind == "ClusterSecretStore" else namespace

    async def _account(self, namespace: str, ref: StoreRef, provider: AWSProvider) -> ServiceAccountIdentity | None:
        selector = provider.auth.jwt.service_account_ref if provider.auth.jwt else None
        if selector is None:
            return None
        home = self._namespace_of(namespace, ref, selector.namespace)
        manifest = await self._reads.kept(SERVICE_ACCOUNTS, Key(home, selector.name), metadata_only=True)
        if manifest is None:
            message = f"{ref.kind} {ref.name}: ServiceAccount {home}/{selector.name} does not exist"
            raise StoreError("InvalidProviderConfig", message, lasting=False)
        role = (manifest["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION) or ""
        if not role:
            message = (
                f"{ref.kind} {ref.name}: ServiceAccount {home}/{selector.name} has no annotation {ROLE_ANNOTATION}"
            )
            raise StoreError("InvalidProviderConfig", message, lasting=False)
        return ServiceAccountIdentity(home, selector.name, role, (STS_AUDIENCE, *selector.audiences))

    async def _static(self, namespace: str, ref: StoreRef, provider: AWSProvider) -> StaticKeys | None:
        refs = provider.auth.secret_ref
        if refs is None:
            return None
        token = refs.session_token_secret_ref
        return StaticKeys(
            await self._secret_key(namespace, ref, refs.access_key_id_secret_ref, "accessKeyIDSecretRef"),
            await self._secret_key(namespace, ref, refs.secret_access_key_secret_ref, "secretAccessKeySecretRef"),
            await self._secret_key(namespace, ref, token, "sessionTokenSecretRef") if token else None,
        )

    async def _secret_key(self, namespace: str, ref: StoreRef, at: SecretKeySelector, field: str) -> Sensitive:
        home = self._namespace_of(namespace, ref, at.namespace)
        secret = await self._reads.kept(SECRETS, Key(home, at.name or "")) if at.name else None
        if secret is None:
            message = f"{ref.kind} {ref.name}: {field}: Secret {home}/{at.name or ''} does not exist"
            raise StoreError("InvalidProviderConfig", message, lasting=False)
        value = (secret.get("data") or {}).get(at.key or "")
        if value is None:
            message = f"{ref.kind} {ref.name}: {field}: Secret {home}/{at.name} has no key {at.key}"
            raise StoreError("InvalidProviderConfig", message, lasting=False)
        return Sensitive(base64.b64decode(value).strip())


def _matches(pattern: str, text: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options).search(text) is not None
    except re2.error:
        return False


STORE_RESOURCES = {"SecretStore": SECRET_STORES, "ClusterSecretStore": CLUSTER_SECRET_STORES}
