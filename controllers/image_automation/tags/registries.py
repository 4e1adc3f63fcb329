"""Where an ImageRepository's tags and digests come from: any OCI registry, or ECR's own API.

`Sources.open` turns an object into a `TagSource` with its login found and its right to look checked;
`TagSource.identity`
says as whom, so that objects with the same repository and identity share one scan. ECR answers DescribeImages: tags and
digests in one row, a thousand at a time, and no registry password is needed. A login goes only to the host it is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from controllers.api.core import SECRETS, SERVICE_ACCOUNTS, secret_data
from controllers.api.duration import parse_duration
from controllers.api.image import ImageRepositorySpec
from controllers.api.tenancy import DecryptWith, PullImage, UseRole
from controllers.aws.ecr import Ecr, EcrLogins, EcrRegistry, parse_host, tags_of
from controllers.aws.errors import AccessDenied, AwsError, CredentialsRefused
from controllers.aws.errors import NotFound as AwsNotFound
from controllers.aws.identity import OWN, ROLE_ANNOTATION, Identities, Identity, ServiceAccountIdentity
from controllers.aws.kms import Kms
from controllers.oci import Login, Registry, RegistryError, Tls, login_from_configs
from controllers.oci import NotFound as NoSuchImage
from controllers.runtime.egress import Egress
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.policies import Policies
from controllers.runtime.result import NotReady, ReconcileError, Stalled

from .reference import InvalidReferenceError, Repository, parse_repository

DOCKER_CONFIG = ".dockerconfigjson"


class TagSource(Protocol):
    """One repository as one identity sees it. Raises ReconcileError."""

    identity: str
    repository: Repository

    async def tags(self) -> Mapping[str, int]:
        """All tags, each with the second of its push (0: the registry does not say)."""

    async def digest(self, tag: str) -> str: ...
    async def manifest(self, reference: str) -> bytes | None:
        """By digest or tag; None where there is none."""

    async def blob(self, digest: str, limit: int) -> bytes: ...


class Sources:
    """Opens ImageRepositories. One per process."""

    def __init__(self, kube: KubeClient, identities: Identities, *, egress: Egress, policies: Policies) -> None:
        self._kube, self._identities, self._egress, self._policies = kube, identities, egress, policies
        self._logins = EcrLogins(identities)

    async def open(self, namespace: str, spec: ImageRepositorySpec) -> TagSource:
        """Raises Stalled for what only an edit mends, NotReady else."""
        try:
            repository = parse_repository(spec.image)
        except InvalidReferenceError as error:
            raise Stalled("ImageURLInvalid", str(error)) from None
        decision = self._policies.allowed(namespace, PullImage(repository.name))
        if not decision:
            raise NotReady("AccessDenied", decision.reason)
        try:
            if spec.provider == "aws":
                return await self._aws(namespace, spec, repository)
            return await self._generic(namespace, spec, repository)
        except RegistryError as error:
            raise NotReady("AuthenticationFailed", error.message) from None

    # --- ECR

    async def _aws(self, namespace: str, spec: ImageRepositorySpec, repository: Repository) -> TagSource:
        registry = parse_host(repository.host)
        if registry is None:
            raise Stalled(
                "AuthenticationFailed",
                f"spec.provider: found aws, but {repository.host} is no ECR registry; expected provider generic",
            )
        identity = await self._identity(namespace, spec.service_account_name)

        async def content() -> _RegistrySource:
            try:
                login = await self._logins.login(identity, registry)
            except AwsError as error:
                raise _unready(error) from None
            pinned = Login(login.username, login.password, pinned=True)
            return _RegistrySource(self._egress, spec, repository, pinned, Tls(), _name(identity))

        if registry.public:
            return await content()
        return _EcrSource(self._identities, identity, registry, repository, content)

    async def kms_public_key(self, namespace: str, arn: str) -> bytes:
        """The public half of a KMS key, in DER. Raises AwsError, NotReady."""
        decision = self._policies.allowed(namespace, DecryptWith(kms_arn=arn))
        if not decision:
            raise NotReady("AccessDenied", decision.reason)
        region = arn.split(":")[3] if arn.count(":") >= 5 else ""
        return (await Kms(self._identities, OWN, region).public_key(arn)).der

    async def _identity(self, namespace: str, service_account: str) -> Identity:
        if not service_account:
            return OWN
        where = f"spec.serviceAccountName: ServiceAccount {namespace}/{service_account}"
        try:
            manifest = await self._kube.get(SERVICE_ACCOUNTS, service_account, namespace, metadata_only=True)
        except NotFound:
            raise NotReady("AuthenticationFailed", f"{where} not found") from None
        role = (manifest["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION) or ""
        decision = self._policies.allowed(namespace, UseRole(role))
        if role and not decision:
            raise NotReady("AccessDenied", decision.reason)
        try:
            return Identity(ServiceAccountIdentity(namespace, service_account, role))
        except ValueError:
            raise NotReady("AuthenticationFailed", f"{where}: no role ARN in annotation {ROLE_ANNOTATION}") from None

    # --- any registry

    async def _generic(self, namespace: str, spec: ImageRepositorySpec, repository: Repository) -> TagSource:
        if spec.proxy_secret_ref is not None:
            raise Stalled("UnsupportedField", "not served yet: spec.proxySecretRef")
        configs: list[bytes] = []
        if spec.secret_ref is not None:
            configs.append(await self._docker_config(namespace, spec.secret_ref.name, "spec.secretRef"))
        if spec.service_account_name:
            configs += await self._pull_secrets(namespace, spec.service_account_name)
        tls = Tls()
        if spec.cert_secret_ref is not None:
            tls = Tls.from_secret(await self._secret(namespace, spec.cert_secret_ref.name, "spec.certSecretRef"))
        login = login_from_configs(configs, repository.host, repository.path)
        digest = hashlib.sha256(login.basic.encode() + b"\0" + tls.ca + b"\0" + tls.certificate)
        return _RegistrySource(self._egress, spec, repository, login, tls, digest.hexdigest())

    async def _pull_secrets(self, namespace: str, name: str) -> list[bytes]:
        try:
            account = await self._kube.get(SERVICE_ACCOUNTS, name, namespace)
        except NotFound:
            where = f"spec.serviceAccountName: ServiceAccount {namespace}/{name}"
            raise NotReady("AuthenticationFailed", f"{where} not found") from None
        names = [str(one.get("name") or "") for one in account.get("imagePullSecrets") or ()]
        return [await self._docker_config(namespace, one, "imagePullSecrets") for one in names if one]

    async def _docker_config(self, namespace: str, name: str, field: str) -> bytes:
        data = await self._secret(namespace, name, field)
        if DOCKER_CONFIG not in data:
            found = ", ".join(sorted(data)) or "no key"
            raise NotReady(
                "AuthenticationFailed",
                f"{field}: Secret {namespace}/{name}: found {found}, expected key {DOCKER_CONFIG}",
            )
        return data[DOCKER_CONFIG]

    async def _secret(self, namespace: str, name: str, field: str) -> Mapping[str, bytes]:
        try:
            return secret_data(await self._kube.get(SECRETS, name, namespace))
        except NotFound:
            raise NotReady("AuthenticationFailed", f"{field}: Secret {namespace}/{name} not found") from None
        except ValueError:
            raise NotReady(
                "AuthenticationFailed", f"{field}: Secret {namespace}/{name}: found data that is not base64"
            ) from None


def _name(identity: Identity) -> str:
    account = identity.service_account
    return f"aws {account.namespace}/{account.name} {account.role}" if account else "aws"


def _unready(error: AwsError) -> ReconcileError:
    denied = isinstance(error, AccessDenied | CredentialsRefused)
    return NotReady("AuthenticationFailed" if denied else "ReadOperationFailed", error.message)


class _EcrSource:
    """DescribeImages of one private repository; what is inside an image, over the registry's own API."""

    def __init__(
        self,
        identities: Identities,
        identity: Identity,
        registry: EcrRegistry,
        repository: Repository,
        content: Callable[[], Awaitable[_RegistrySource]],
    ) -> None:
        self.identity, self.repository, self._content = _name(identity), repository, content
        self._ecr = Ecr(identities, identity, registry.region)
        self._account = registry.account

    async def tags(self) -> Mapping[str, int]:
        try:
            images = tags_of(await self._ecr.images(self.repository.path, registry=self._account))
        except AwsError as error:
            raise _unready(error) from None
        return {tag: int(image.pushed.timestamp()) if image.pushed else 0 for tag, image in images.items()}

    async def manifest(self, reference: str) -> bytes | None:
        return await (await self._content()).manifest(reference)

    async def blob(self, digest: str, limit: int) -> bytes:
        return await (await self._content()).blob(digest, limit)

    async def digest(self, tag: str) -> str:
        try:
            return (await self._ecr.image(self.repository.path, tag=tag, registry=self._account)).digest
        except AwsNotFound:
            raise NotReady("ReadOperationFailed", f"{self.repository.name}:{tag}: not found") from None
        except AwsError as error:
            raise _unready(error) from None


class _RegistrySource:
    """Any registry, over its own API."""

    def __init__(
        self, egress: Egress, spec: ImageRepositorySpec, repository: Repository, login: Login, tls: Tls, identity: str
    ) -> None:
        self.identity, self.repository = f"{'http' if spec.insecure else 'https'} {identity}", repository
        self._egress, self._login, self._tls, self._insecure = egress, login, tls, spec.insecure
        self._timeout = parse_duration(spec.timeout or spec.interval)

    def _client(self) -> Registry:
        return Registry(
            self.repository.host,
            transport=self._egress.transport(verify=self._tls.context()),
            login=self._login,
            insecure=self._insecure,
            timeout=min(max(self._timeout, 1.0), 120.0),
        )

    async def tags(self) -> Mapping[str, int]:
        try:
            async with self._client() as registry:
                return dict.fromkeys(await registry.tags(self.repository.path), 0)
        except RegistryError as error:
            raise NotReady(error.reason, error.message) from None

    async def digest(self, tag: str) -> str:
        try:
            async with self._client() as registry:
                return await registry.digest(self.repository.path, tag)
        except RegistryError as error:
            raise NotReady(error.reason, error.message) from None

    async def manifest(self, reference: str) -> bytes | None:
        try:
            async with self._client() as registry:
                return (await registry.manifest(self.repository.path, reference)).content
        except NoSuchImage:
            return None
        except RegistryError as error:
            raise NotReady(error.reason, error.message) from None

    async def blob(self, digest: str, limit: int) -> bytes:
        try:
            async with self._client() as registry:
                return await registry.blob(self.repository.path, digest, limit=limit)
        except RegistryError as error:
            raise NotReady(error.reason, error.message) from None
