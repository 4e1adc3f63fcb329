"""What a generatorRef names: ECRAuthorizationToken and Password, by themselves or inside a ClusterGenerator.

The edge to generators: finds the object in the namespace of the ExternalSecret (a ClusterGenerator in the cluster),
knows its recipe, makes values. An ECR token is a credential of all repositories that its identity may pull; so where it
would be the controller's own identity, a TenantPolicy must grant the whole registry. A generator's service accounts and
Secrets are those of the namespace that uses it, whatever its spec names.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from controllers.api.base import InvalidSpecError, parse
from controllers.api.external_secrets import GeneratorRef
from controllers.api.generators import (
    CLUSTER_GENERATORS,
    ECR_AUTHORIZATION_TOKENS,
    PASSWORDS,
    ClusterGeneratorSpec,
    ECRAuthorizationTokenSpec,
    PasswordSpec,
)
from controllers.api.resource import Key, Manifest
from controllers.api.tenancy import PullImage
from controllers.aws.ecr import EcrLogins, EcrRegistry
from controllers.aws.errors import AwsError
from controllers.aws.identity import OWN, RoleStep
from controllers.external_secrets.fetch.stores import StoreResolver
from controllers.external_secrets.providers.aws.errors import entry_error
from controllers.external_secrets.providers.aws.store import check_region, identity
from controllers.external_secrets.providers.provider import StoreError
from controllers.external_secrets.target.hashing import object_hash
from controllers.external_secrets.values.entries import Fetched, StoreRef
from controllers.external_secrets.values.errors import EntryError
from controllers.runtime.store import Store

from .password import Below, passwords

SERVED = (ECR_AUTHORIZATION_TOKENS, PASSWORDS, CLUSTER_GENERATORS)
_PUBLIC_REGION = "us-east-1"
Spec = ECRAuthorizationTokenSpec | PasswordSpec


@dataclass(frozen=True, slots=True)
class Generated:
    """Values by name, and until when they are good (None: without end)."""

    values: Mapping[str, Fetched]
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A generator, resolved."""

    ref: StoreRef  # its kind and name, for messages and session tags
    spec: Spec
    recipe: str


def generator_name(namespace: str, kind: str, name: str) -> str:
    """How a generator that is named in a namespace is known in indexes."""
    return f"{kind}/{'' if kind == 'ClusterGenerator' else namespace}/{name}"


class Generators:
    """Shared by all reconciles."""

    def __init__(
        self,
        stores: Mapping[str, Store],
        resolver: StoreResolver,
        logins: EcrLogins,
        *,
        below: Below = secrets.randbelow,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`stores` by kind: ECRAuthorizationToken, Password, ClusterGenerator."""
        self._stores, self._resolver, self._logins = stores, resolver, logins
        self._below, self._clock = below, clock

    def recipe(self, namespace: str, ref: GeneratorRef) -> str:
        """A hash of everything that determines the generated values. Raises EntryError."""
        return self._find(namespace, ref).recipe

    async def make(self, namespace: str, ref: GeneratorRef) -> Generated:
        """New values. Raises EntryError, StoreError, ApiError."""
        found = self._find(namespace, ref)
        if isinstance(found.spec, PasswordSpec):
            made = passwords(found.spec, self._below)
            return Generated({name: Fetched(value, name=name, generator=_shown(found)) for name, value in made.items()})
        return await self._token(namespace, found, found.spec)

    async def _token(self, namespace: str, found: _Found, spec: ECRAuthorizationTokenSpec) -> Generated:
        if spec.scope not in ("private", "public"):
            raise EntryError("Generator", f"{_shown(found)}: spec.scope: {spec.scope}; expected private or public")
        public = spec.scope == "public"
        region = _PUBLIC_REGION if public else spec.region
        check_region(region, f"{_shown(found)}: spec.region")
        chain = (RoleStep(spec.role),) if spec.role else ()
        reader = await identity(self._resolver, namespace, found.ref, spec.auth, chain)
        try:
            login = await self._logins.login(reader, EcrRegistry("", "", region, public=public))
        except AwsError as error:
            known = entry_error(error, "").error_class
            name = "Generator" if known == "NotFound" else known  # deletionPolicy is about values, not about tokens
            raise EntryError(name, f"{_shown(found)}: {error.message}") from None
        if reader == OWN:
            host = "public.ecr.aws" if public else urlsplit(login.endpoint).netloc
            try:
                self._resolver.allow(namespace, PullImage(f"{host}/**/**/**"))
            except StoreError as problem:
                raise EntryError("Refused", f"{_shown(found)}, as the controller itself: {problem.message}") from None
        values = {
            "username": login.username.encode(),
            "password": login.password.reveal(),
            "expires_at": str(int(login.expires.timestamp())).encode(),
        }
        if not public:
            values["proxy_endpoint"] = login.endpoint.encode()
        return Generated(
            {name: Fetched(value, name=name, generator=_shown(found)) for name, value in values.items()}, login.expires
        )

    # --- which generator

    def _find(self, namespace: str, ref: GeneratorRef) -> _Found:
        kind, name = ref.kind, ref.name
        store = self._stores.get(kind)
        if store is None:
            served = ", ".join(sorted(self._stores))
            raise EntryError("UnsupportedField", f"generators of kind {kind} are not served; served: {served}")
        cluster = kind == CLUSTER_GENERATORS.kind
        manifest = store.get(Key("" if cluster else namespace, name))
        if manifest is None:
            where = "" if cluster else f" in namespace {namespace}"
            raise EntryError("Generator", f"{kind} {name} does not exist{where}")
        try:
            spec = _cluster_spec(manifest) if cluster else _spec(kind, manifest)
        except InvalidSpecError as error:
            raise EntryError("Generator", f"{kind} {name}: {error}") from None
        text = json.dumps([type(spec).__name__, _inner(manifest, cluster=cluster)], sort_keys=True, default=str)
        return _Found(StoreRef(kind, name), spec, object_hash(text))


def _spec(kind: str, manifest: Manifest) -> Spec:
    return parse(PasswordSpec, manifest) if kind == PASSWORDS.kind else parse(ECRAuthorizationTokenSpec, manifest)


def _cluster_spec(manifest: Manifest) -> Spec:
    spec = parse(ClusterGeneratorSpec, manifest)
    served: dict[str, Spec | None] = {
        ECR_AUTHORIZATION_TOKENS.kind: spec.generator.ecr_authorization_token_spec,
        PASSWORDS.kind: spec.generator.password_spec,
    }
    if spec.kind not in served:
        name = manifest["metadata"]["name"]
        kinds = ", ".join(sorted(served))
        raise EntryError(
            "UnsupportedField", f"ClusterGenerator {name}: kind {spec.kind} is not served; served: {kinds}"
        )
    inner = served[spec.kind]
    if inner is None:
        raise InvalidSpecError("spec.generator", "another kind's spec", f"the spec of kind {spec.kind}")
    return inner


def _inner(manifest: Manifest, *, cluster: bool) -> Any:
    spec = manifest.get("spec") or {}
    return {"kind": spec.get("kind"), "generator": spec.get("generator")} if cluster else spec


def _shown(found: _Found) -> str:
    return f"{found.ref.kind} {found.ref.name}"
