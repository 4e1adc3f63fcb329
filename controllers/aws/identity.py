"""Who we are towards AWS, for each store and registry: credentials, and the clients that use them.

An `Identity` is where credentials come from: our own (whatever the SDK finds: environment, IRSA, Pod Identity), a
ServiceAccount's token exchanged by AssumeRoleWithWebIdentity, or static keys from a Secret; then a chain of roles, each
assumed with the credentials of the one before. Equal identities share credentials, fetched once (single flight) and
kept until shortly before they expire; a refusal is remembered for a few seconds, so that a thousand objects of one
broken store are one call. boto3 blocks: it runs on the "aws" pool, never on the event loop.

What can go wrong: refused credentials (`CredentialsRefused`, naming the step); a session revoked before its time (one
retry with fresh credentials); a cancelled caller (the fetch goes on for the others).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials

from controllers.runtime.pools import Pools
from controllers.runtime.sensitive import Sensitive

from .errors import AwsError, CredentialsRefused, translate
from .rate_limit import RateLimits
from .settings import AwsSettings

STS_AUDIENCE = "sts.amazonaws.com"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
POOL = "aws"
RATE_LIMITED = frozenset(("secretsmanager", "ssm"))
"""Services whose calls wait for their permit and are tried again by `edge`, not by the SDK."""
_ROLE_ARN = re.compile(r"arn:aws[a-z0-9-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}")
_SESSION_BAD = re.compile(r"[^\w+=,.@-]")
_MAX_KEPT = 2000  # identities; beyond it the expired and then the oldest go
T = TypeVar("T")


class IssuedToken(Protocol):
    @property
    def token(self) -> Sensitive: ...
    @property
    def expires(self) -> dt.datetime: ...


class TokenSource(Protocol):
    """TokenRequest; the kube client is one."""

    async def token_request(
        self, namespace: str, service_account: str, *, audiences: Any, expiration: int = 3600
    ) -> IssuedToken: ...


@dataclass(frozen=True, slots=True)
class ServiceAccountIdentity:
    """A ServiceAccount and the role of its annotation (`ROLE_ANNOTATION`)."""

    namespace: str
    name: str
    role: str
    audiences: tuple[str, ...] = (STS_AUDIENCE,)


@dataclass(frozen=True, slots=True)
class StaticKeys:
    access_key: Sensitive
    secret_key: Sensitive
    session_token: Sensitive | None = None


@dataclass(frozen=True, slots=True)
class RoleStep:
    """One AssumeRole of a chain. `tags` are session tags, in order."""

    arn: str
    external_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Where credentials come from. Neither `service_account` nor `static`: our own."""

    service_account: ServiceAccountIdentity | None = None
    static: StaticKeys | None = None
    chain: tuple[RoleStep, ...] = ()

    def __post_init__(self) -> None:
        roles = [step.arn for step in self.chain]
        if self.service_account is not None:
            roles.append(self.service_account.role)
        for arn in roles:
            if not _ROLE_ARN.fullmatch(arn):
                raise ValueError(f"role {arn!r}: expected arn:aws:iam::<12 digits>:role/<name>")


OWN = Identity()


@dataclass(frozen=True, slots=True)
class _Held:
    credentials: ReadOnlyCredentials | None  # None: refused
    until: dt.datetime  # renew, or ask again, from then on
    error: AwsError | None = None


@dataclass(slots=True)
class _Entry:
    """What is known of one identity: its credentials as the SDK's clients see them, and the fetch under way."""

    current: _Current
    held: _Held | None = None
    fetch: asyncio.Task[_Held] | None = None
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)


class _Current(Credentials):
    """Credentials that can be replaced under a client, all three parts at once."""

    def __init__(self) -> None:
        super().__init__("", "")
        self._frozen = ReadOnlyCredentials("", "", None)

    def replace(self, frozen: ReadOnlyCredentials) -> None:
        self._frozen = frozen

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self._frozen


@dataclass(frozen=True, slots=True)
class _Given:
    """The SDK's credential resolver, short-circuited."""

    credentials: Credentials

    def load_credentials(self) -> Credentials:
        return self.credentials


class Identities:
    """All identities of this process. For one event loop."""

    def __init__(
        self,
        pools: Pools,
        tokens: TokenSource | None = None,
        *,
        settings: AwsSettings | None = None,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        observe: Callable[[Identity, str, str], None] = lambda identity, call, result: None,
    ) -> None:
        """`observe` hears of each call: who, "service:Action", and "ok" or the class of its error."""
        self.settings = settings or AwsSettings()
        self.rate_limits = RateLimits()
        self.observe = observe
        self._pools, self._tokens, self._clock = pools, tokens, clock
        self._entries: dict[Identity, _Entry] = {}
        self._own: Any = None
        self._own_clients: dict[tuple[str, str], Any] = {}
        self._loader: Any = None
        self._unsigned: dict[str, Any] = {}  # STS clients by region, for web identities
        self._building = threading.Lock()  # botocore's sessions are not safe for two threads at once

    async def call(
        self,
        identity: Identity,
        region: str,
        service: str,
        operation: str,
        *,
        pool: str = POOL,
        **parameters: Any,
    ) -> dict[str, Any]:
        """One call, `operation` in boto3's spelling ("get_secret_value"). Raises AwsError."""
        for attempt in (1, 2):
            client = await self.client(identity, region, service)
            try:
                return await self._run(pool, client, operation, service, parameters, identity)
            except CredentialsRefused:
                if attempt == 2 or not self._renewable(identity):
                    raise
                self.forget(identity)  # revoked, or expired by another clock
        raise RuntimeError("unreachable")

    async def _run(
        self, pool: str, client: Any, operation: str, service: str, parameters: dict[str, Any], identity: Identity
    ) -> dict[str, Any]:
        name = f"{service}:{client.meta.method_to_api_mapping.get(operation, operation)}"
        try:
            found: dict[str, Any] = await self._pools.run(pool, getattr(client, operation), **parameters)
        except Exception as error:
            known = translate(error, operation=name)
            self.observe(identity, name, type(known).__name__)
            raise known from None  # the original's text may hold request ids
        self.observe(identity, name, "ok")
        return found

    async def client(self, identity: Identity, region: str, service: str) -> Any:
        """A boto3 client with credentials that are good for some minutes. Use it now, don't keep it."""
        if identity == OWN:
            return await self._own_client(region, service)
        entry = await self._ready(identity, region)
        key = (region, service)
        if key not in entry.clients:
            entry.clients[key] = await self._pools.run(POOL, self._build, entry.current, region, service)
        return entry.clients[key]

    async def session(self, identity: Identity, region: str) -> boto3.Session:
        """A boto3 session with these credentials, for what has no edge of its own."""
        if identity == OWN:
            return boto3.Session(region_name=region)
        frozen = (await self._ready(identity, region)).current.get_frozen_credentials()
        return boto3.Session(frozen.access_key, frozen.secret_key, frozen.token, region_name=region)

    def forget(self, identity: Identity) -> None:
        """Drops what is known of an identity: the next call asks anew. Use it when what it is made of has changed."""
        if (entry := self._entries.get(identity)) is not None:
            entry.held = None

    def _renewable(self, identity: Identity) -> bool:
        return identity.service_account is not None or bool(identity.chain)

    # --- credentials

    async def _ready(self, identity: Identity, region: str) -> _Entry:
        entry = self._entries.get(identity)
        if entry is None:
            self._make_room()
            entry = self._entries[identity] = _Entry(_Current())
        held = entry.held
        if held is None or held.until <= self._clock():
            if entry.fetch is None:
                entry.fetch = asyncio.create_task(self._fetch(identity, region, entry))
                entry.fetch.add_done_callback(
                    lambda task: task.cancelled() or task.exception()
                )  # seen, whoever still waits
            held = await asyncio.shield(entry.fetch)
        if held.error is not None:
            raise held.error.with_traceback(None)
        return entry

    async def _fetch(self, identity: Identity, region: str, entry: _Entry) -> _Held:
        try:
            held = await self._obtain(identity, region)
        except AwsError as error:
            seconds = self.settings.refused if isinstance(error, CredentialsRefused) else 0
            held = _Held(None, self._clock() + dt.timedelta(seconds=seconds), error)
        finally:
            entry.fetch = None
        if held.credentials is not None:
            entry.current.replace(held.credentials)
        entry.held = held
        return held

    async def _obtain(self, identity: Identity, region: str) -> _Held:
        """The credentials at the end of the identity's chain."""
        if identity.chain:
            step, before = identity.chain[-1], Identity(identity.service_account, identity.static, identity.chain[:-1])
            return await self._assume(before, step, region)
        if identity.static is not None:
            keys = identity.static
            token = keys.session_token.reveal_text() if keys.session_token else None
            frozen = ReadOnlyCredentials(keys.access_key.reveal_text(), keys.secret_key.reveal_text(), token)
            return _Held(frozen, dt.datetime.max.replace(tzinfo=dt.UTC))
        if identity.service_account is None:
            raise RuntimeError("the controller's own credentials come from the SDK")
        return await self._web_identity(identity.service_account, region)

    async def _web_identity(self, account: ServiceAccountIdentity, region: str) -> _Held:
        if self._tokens is None:
            raise CredentialsRefused("no source of ServiceAccount tokens is configured")
        issued = await self._tokens.token_request(account.namespace, account.name, audiences=list(account.audiences))
        if region not in self._unsigned:
            self._unsigned[region] = await self._pools.run(POOL, self._build, None, region, "sts")
        parameters = {
            "RoleArn": account.role,
            "RoleSessionName": session_name("inhaul", account.namespace, account.name),
            "WebIdentityToken": issued.token.reveal_text(),
            "DurationSeconds": self.settings.session,
        }
        client, call = self._unsigned[region], "assume_role_with_web_identity"
        try:
            answer = await self._run(POOL, client, call, "sts", parameters, Identity(account))
        except AwsError as error:
            raise _of(error, f"role {account.role} for ServiceAccount {account.namespace}/{account.name}") from None
        return self._held(answer["Credentials"])

    async def _assume(self, before: Identity, step: RoleStep, region: str) -> _Held:
        parameters: dict[str, Any] = {"RoleArn": step.arn, "RoleSessionName": _chain_session(before)}
        parameters["DurationSeconds"] = min(self.settings.session, 3600)
        if step.external_id:
            parameters["ExternalId"] = step.external_id
        if step.tags:
            parameters["Tags"] = [{"Key": key, "Value": value} for key, value in step.tags]
        if step.transitive:
            parameters["TransitiveTagKeys"] = list(step.transitive)
        try:
            answer = await self.call(before, region, "sts", "assume_role", **parameters)
        except AwsError as error:
            raise _of(error, f"role {step.arn}") from None
        return self._held(answer["Credentials"])

    def _held(self, answer: dict[str, Any]) -> _Held:
        frozen = ReadOnlyCredentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
        now, expires = self._clock(), answer["Expiration"]
        # Short-lived ones are used for half their life at least, or each call would fetch.
        margin = min(dt.timedelta(seconds=self.settings.renew), (expires - now) / 2)
        return _Held(frozen, expires - margin)

    def _make_room(self) -> None:
        if len(self._entries) < _MAX_KEPT:
            return
        now = self._clock()
        idle = [key for key, entry in self._entries.items() if entry.fetch is None]
        expired = [key for key in idle if (held := self._entries[key].held) is None or held.until <= now]
        for key in expired or idle[: _MAX_KEPT // 10]:
            del self._entries[key]

    # --- clients

    async def _own_client(self, region: str, service: str) -> Any:
        key = (region, service)
        if key not in self._own_clients:
            self._own_clients[key] = await self._pools.run(POOL, self._build_own, region, service)
        return self._own_clients[key]

    def _build_own(self, region: str, service: str) -> Any:
        with self._building:
            if self._own is None:
                self._own = botocore.session.Session()
            return self._create(self._own, region, service, self._config(service))

    def _build(self, credentials: Credentials | None, region: str, service: str) -> Any:
        """A client with these credentials; None: unsigned (AssumeRoleWithWebIdentity proves itself by the token)."""
        with self._building:
            session = botocore.session.Session()
            if self._loader is None:
                with _named(service):
                    self._loader = session.get_component("data_loader")
            session.register_component("data_loader", self._loader)  # or each session reads the service models anew
            if credentials is None:
                unsigned = self._config(service).merge(Config(signature_version=UNSIGNED))
                return self._create(session, region, service, unsigned)
            session.register_component("credential_provider", _Given(credentials))
            return self._create(session, region, service, self._config(service))

    def _create(self, session: Any, region: str, service: str, config: Config) -> Any:
        """Raises AwsError: the own identity's credentials are looked for here."""
        endpoint = self.settings.endpoint_for(service)
        with _named(service):
            return session.create_client(service, region_name=region or None, endpoint_url=endpoint, config=config)

    def _config(self, service: str) -> Config:
        attempts = 1 if service in RATE_LIMITED else self.settings.attempts
        return Config(
            connect_timeout=self.settings.connect,
            read_timeout=self.settings.read,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=self.settings.connections,
            user_agent_extra="inhaul",
        )


@contextmanager
def _named(service: str) -> Iterator[None]:
    """What the SDK raises before there is a client, as an AwsError: the process's own settings are at fault."""
    try:
        yield
    except Exception as error:
        raise translate(error, operation=f"{service}: credentials") from None


def _of(error: AwsError, role: str) -> AwsError:
    """The same error; its text says which role it is about, where AWS did not."""
    if role.split()[1] in error.message and "ServiceAccount" not in role:
        return error
    return type(error)(f"{error.message}; {role}", operation=error.operation, code=error.code)


def session_name(*parts: str) -> str:
    """A role session's name: what CloudTrail shows of who asked. At most 64 characters of those allowed."""
    return _SESSION_BAD.sub("-", "-".join(part for part in parts if part))[:64]


def _chain_session(before: Identity) -> str:
    account = before.service_account
    return session_name("inhaul", account.namespace, account.name) if account else "inhaul"
