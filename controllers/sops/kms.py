"""AWS KMS as a Kustomization may use it: the one place where a data key is asked of AWS.

Whose credentials: static keys of the decryption Secret, else the role of `spec.decryption.serviceAccountName`, else our
own; `kms.role` of the file is assumed from there. Region, key and role come from the file, which is Git data: the
tenant's policy has passed the key and the role before we are asked (`policy.py`), and the account's role is asked for
here, where it becomes known.

Called from worker threads; the calls themselves run on the event loop that made the opener, so that credentials are
shared and fetched once. A thread never waits longer than `_TIMEOUT`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from controllers.api.core import SERVICE_ACCOUNTS
from controllers.api.tenancy import UseRole
from controllers.aws.errors import AwsError
from controllers.aws.identity import (
    ROLE_ANNOTATION,
    Identities,
    Identity,
    RoleStep,
    ServiceAccountIdentity,
    StaticKeys,
)
from controllers.aws.kms import Kms
from controllers.runtime.kube import ApiError, KubeClient, NotFound
from controllers.runtime.policies import Policies
from controllers.runtime.sensitive import Sensitive

from .decrypt import KeyUnavailableError
from .keys import AwsKeys

_ARN = re.compile(r"arn:aws[a-z0-9-]*:kms:([a-z0-9-]{3,40}):\d{12}:(?:key|alias)/[\w/:+=,.@-]{1,256}")
_TIMEOUT = 90.0  # seconds; the SDK's own limits end earlier
T = TypeVar("T")


def region_of(arn: str) -> str:
    """The region of a key's or alias's ARN. Raises KeyUnavailableError."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise KeyUnavailableError("expected the ARN of a KMS key or alias: arn:aws:kms:REGION:ACCOUNT:key/…")
    return match[1]


@dataclass(frozen=True, slots=True)
class KmsAccess:
    """What all openers share. `default_account` is used where a Kustomization names no service account."""

    identities: Identities
    kube: KubeClient
    policies: Policies
    default_account: str = ""

    def opener(self, namespace: str, service_account: str = "") -> AwsKms:
        """For one Kustomization. Call it on the event loop."""
        return AwsKms(self, asyncio.get_running_loop(), namespace, service_account or self.default_account)


class AwsKms:
    """A `KmsOpener`. The identity is found at first use: most builds hold no KMS file."""

    def __init__(
        self, access: KmsAccess, loop: asyncio.AbstractEventLoop, namespace: str, account: str, *,
        given: Identity | None = None,
    ) -> None:  # fmt: skip
        self._access, self._loop, self._namespace, self._account = access, loop, namespace, account
        self._found = given

    def with_keys(self, keys: AwsKeys) -> AwsKms:
        """The same with static credentials, which win over every other identity."""
        static = StaticKeys(Sensitive(keys.access_key_id), keys.secret_access_key, keys.session_token)
        return AwsKms(self._access, self._loop, self._namespace, "", given=Identity(static=static))

    @property
    def identity(self) -> str:
        """Who asks, for cache keys and the audit line: a role, `static keys` or `controller`."""
        found = self._identity()
        if found.service_account is not None:
            account = found.service_account
            return f"{account.namespace}/{account.name} as {account.role}"
        return "static keys" if found.static is not None else "controller"

    def decrypt(self, *, arn: str, ciphertext: bytes, context: Mapping[str, str], role: str) -> bytes:
        """Raises KeyUnavailableError with the cause."""
        region, identity = region_of(arn), self._as(role)

        async def call() -> Sensitive:
            return await Kms(self._access.identities, identity, region).decrypt(ciphertext, key_id=arn, context=context)

        try:
            return self._wait(call()).reveal()
        except (AwsError, ApiError) as error:  # ApiError: no token for the service account
            raise KeyUnavailableError(error.message) from None

    def tool_environment(self, arn: str) -> dict[str, str]:
        """The same identity for the sops binary, as environment: it assumes a role of the file by itself."""
        region, identity = region_of(arn), self._identity()

        async def call() -> dict[str, str]:
            session = await self._access.identities.session(identity, region)
            found = await asyncio.to_thread(session.get_credentials)
            if found is None:
                return {}
            frozen = await asyncio.to_thread(found.get_frozen_credentials)
            env = {"AWS_ACCESS_KEY_ID": frozen.access_key or "", "AWS_SECRET_ACCESS_KEY": frozen.secret_key or ""}
            if frozen.token:
                env["AWS_SESSION_TOKEN"] = frozen.token
            for service in ("kms", "sts"):
                if endpoint := self._access.identities.settings.endpoint_for(service):
                    env[f"AWS_ENDPOINT_URL_{service.upper()}"] = endpoint
            return env

        try:
            return self._wait(call())
        except (AwsError, ApiError) as error:  # ApiError: no token for the service account
            raise KeyUnavailableError(error.message) from None

    def _as(self, role: str) -> Identity:
        identity = self._identity()
        try:
            return replace(identity, chain=(RoleStep(role),)) if role else identity
        except ValueError:
            raise KeyUnavailableError("the file's role: expected arn:aws:iam::<12 digits>:role/<name>") from None

    def _identity(self) -> Identity:
        if self._found is None:
            self._found = self._wait(self._look_up()) if self._account else Identity()
        return self._found

    async def _look_up(self) -> Identity:
        where = f"service account {self._namespace}/{self._account}"
        try:
            manifest = await self._access.kube.get(
                SERVICE_ACCOUNTS, self._account, self._namespace, metadata_only=True
            )  # fmt: skip
        except NotFound:
            raise KeyUnavailableError(f"{where} not found (spec.decryption.serviceAccountName)") from None
        except ApiError as error:
            raise KeyUnavailableError(f"{where}: {error.message}") from None
        role = (manifest["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION) or ""
        if not role:
            raise KeyUnavailableError(f"{where} has no annotation {ROLE_ANNOTATION}")
        decision = self._access.policies.allowed(self._namespace, UseRole(role))
        if not decision.allowed:
            raise KeyUnavailableError(f"{where}: {decision.reason}")
        try:
            return Identity(ServiceAccountIdentity(self._namespace, self._account, role))
        except ValueError as error:
            raise KeyUnavailableError(f"{where}: {error}") from None

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(_TIMEOUT)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise KeyUnavailableError(f"AWS gave no answer within {_TIMEOUT:g} s") from None
