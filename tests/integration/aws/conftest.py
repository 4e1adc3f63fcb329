"""Identities on the stand-in's AWS."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from controllers.aws.identity import Identities, Identity, ServiceAccountIdentity, StaticKeys
from controllers.aws.settings import AwsSettings
from controllers.runtime.pools import Pools
from controllers.runtime.sensitive import Sensitive
from tests.integration.conftest import Aws

REGION = "eu-west-1"


@dataclass
class Token:
    token: Sensitive
    expires: dt.datetime


@dataclass
class Tokens:
    """TokenRequest with the keys that the stand-in trusts."""

    aws: Aws
    asked: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    async def token_request(
        self, namespace: str, service_account: str, *, audiences: Sequence[str], expiration: int = 3600
    ) -> Token:
        self.asked.append((namespace, service_account, tuple(audiences)))
        text = self.aws.tokens.service_account(f"{namespace}:{service_account}", audience=audiences[0])
        return Token(Sensitive(text), dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Pools()
    yield pools
    pools.close()


@pytest.fixture
def tokens(aws: Aws) -> Tokens:
    return Tokens(aws)


@pytest.fixture
def make(aws: Aws, pools: Pools, tokens: Tokens) -> Callable[..., Identities]:
    def build(**options: Any) -> Identities:
        settings = AwsSettings(endpoint=aws.url, attempts=1, **options.pop("settings", {}))
        return Identities(pools, tokens, settings=settings, **options)

    return build


@pytest.fixture
def identities(make: Callable[..., Identities]) -> Identities:
    return make()


@pytest.fixture
def ops(aws: Aws) -> Identity:
    """The operator, by static keys."""
    access, secret = aws.standin.key()
    return Identity(static=StaticKeys(Sensitive(access), Sensitive(secret)))


def service_account(role: str, subject: str = "team-a:eso") -> Identity:
    namespace, _, name = subject.partition(":")
    return Identity(ServiceAccountIdentity(namespace, name, role))
