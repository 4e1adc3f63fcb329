"""ECR: what is in a repository, and the password that its registry takes.

DescribeImages gives digest, tags, size and push time in one row, which the registry's own tag list does not. The login
token is a credential of the whole registry: it goes to hosts that `parse_host` matches in full, to nobody else, and is
kept per identity and registry until four fifths of its life.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from controllers.runtime.sensitive import Sensitive

from .edge import Edge
from .errors import InvalidRequest
from .identity import Identities, Identity

PAGE = 1000
_PUBLIC_REGION = "us-east-1"  # the one region of ECR Public's API
_SUFFIXES = (
    r"amazonaws\.com(?:\.cn)?",
    r"amazonaws\.eu",
    r"c2s\.ic\.gov",
    r"sc2s\.sgov\.gov",
    r"cloud\.adc-e\.uk",
    r"csp\.hci\.ic\.gov",
)
_PRIVATE = re.compile(
    rf"(\d{{12}})\.dkr\.ecr(-fips)?\.([a-z]{{2,4}}(?:-[a-z]+)+-\d)\.(?:{'|'.join(_SUFFIXES)})", re.ASCII
)
_DUAL_STACK = re.compile(
    r"(\d{12})\.dkr-ecr(-fips)?\.([a-z]{2,4}(?:-[a-z]+)+-\d)\.on\.(?:aws|amazonwebservices\.(?:com\.cn|eu))", re.ASCII
)
_PUBLIC = ("public.ecr.aws", "ecr-public.aws.com")


@dataclass(frozen=True, slots=True)
class EcrRegistry:
    """A registry of AWS, from its host name. `account` is empty for the public one."""

    host: str
    account: str
    region: str
    public: bool = False
    fips: bool = False


def parse_host(host: str) -> EcrRegistry | None:
    """The registry behind a host name (no port, no scheme), or None when it is not AWS's, whatever it looks like."""
    if host in _PUBLIC:
        return EcrRegistry(host, "", _PUBLIC_REGION, public=True)
    found = _PRIVATE.fullmatch(host) or _DUAL_STACK.fullmatch(host)
    if found is None:
        return None
    return EcrRegistry(host, found[1], found[3], fips=bool(found[2]))


@dataclass(frozen=True, slots=True)
class EcrImage:
    digest: str
    tags: tuple[str, ...]
    pushed: dt.datetime | None  # of the digest: a new tag on an old image keeps the old time
    size: int = 0
    media_type: str = ""
    artifact_type: str = ""


@dataclass(frozen=True, slots=True)
class EcrLogin:
    username: str
    password: Sensitive
    expires: dt.datetime
    endpoint: str = ""  # the registry's URL; the public one has none


class Ecr(Edge):
    service: ClassVar[str] = "ecr"

    async def images(self, repository: str, *, registry: str = "", tagged_only: bool = True) -> list[EcrImage]:
        """All images of a repository, to the last page. `registry` is the account that owns it."""
        answers = await self.pages(
            "describe_images",
            token="nextToken",  # noqa: S106
            repositoryName=repository,
            registryId=registry,
            filter={"tagStatus": "TAGGED"} if tagged_only else None,
            maxResults=PAGE,
        )
        return [_image(item) for answer in answers for item in answer.get("imageDetails", [])]

    async def image(self, repository: str, *, tag: str, registry: str = "") -> EcrImage:
        """One image by tag. Raises NotFound."""
        answer = await self.call(
            "describe_images", repositoryName=repository, registryId=registry, imageIds=[{"imageTag": tag}]
        )
        return _image(answer["imageDetails"][0])


@dataclass(slots=True)
class EcrLogins:
    """Login tokens of all identities, fetched once each (single flight)."""

    identities: Identities
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    _kept: dict[tuple[Identity, EcrRegistry], tuple[dt.datetime, EcrLogin]] = field(default_factory=dict)
    _asked: dict[tuple[Identity, EcrRegistry], asyncio.Task[EcrLogin]] = field(default_factory=dict)

    async def login(self, identity: Identity, registry: EcrRegistry) -> EcrLogin:
        """User name and password for a registry. Raises AwsError."""
        key = (identity, dataclasses.replace(registry, host=""))  # one token for all host names of a registry
        renew, login = self._kept.get(key, (None, None))
        if login is not None and renew is not None and renew > self.clock():
            return login
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._fetch(key))
            self._asked[key].add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._asked[key])

    def forget(self, identity: Identity, registry: EcrRegistry) -> None:
        """The registry refused it: ask anew next time."""
        self._kept.pop((identity, dataclasses.replace(registry, host="")), None)

    async def _fetch(self, key: tuple[Identity, EcrRegistry]) -> EcrLogin:
        identity, registry = key
        service = "ecr-public" if registry.public else "ecr"
        try:
            answer = await self.identities.call(identity, registry.region, service, "get_authorization_token")
            login = _login(answer, service)
            now = self.clock()
            for old in [old for old, (renew, _) in self._kept.items() if renew <= now]:
                del self._kept[old]
            self._kept[key] = (now + (login.expires - now) * 0.8, login)
            return login
        finally:
            del self._asked[key]


def _login(answer: dict[str, Any], service: str) -> EcrLogin:
    data = answer.get("authorizationData")
    item = data[0] if isinstance(data, list) and data else data  # ECR gives a list, ECR Public one object
    operation = f"{service}:GetAuthorizationToken"
    if not isinstance(item, dict):
        raise InvalidRequest(f"{operation}: the response contains no token", operation=operation)
    try:
        name, separator, password = base64.b64decode(item.get("authorizationToken", ""), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        name, separator, password = b"", b"", b""
    if not separator:
        raise InvalidRequest(f"{operation}: the token is not user:password", operation=operation)
    endpoint = str(item.get("proxyEndpoint") or "")
    return EcrLogin(name.decode(errors="replace"), Sensitive(password), item["expiresAt"], endpoint)


def _image(item: dict[str, Any]) -> EcrImage:
    return EcrImage(
        digest=str(item["imageDigest"]),
        tags=tuple(item.get("imageTags") or ()),
        pushed=item.get("imagePushedAt"),
        size=int(item.get("imageSizeInBytes") or 0),
        media_type=str(item.get("imageManifestMediaType") or ""),
        artifact_type=str(item.get("artifactMediaType") or ""),
    )


def tags_of(images: Iterable[EcrImage]) -> dict[str, EcrImage]:
    """Tag → image."""
    return {tag: image for image in images for tag in image.tags}
