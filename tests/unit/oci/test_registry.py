"""The registry client against servers that behave, fail and lie."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import httpx
import pytest

from controllers.oci import (
    InvalidResponseError,
    Login,
    NotFound,
    RateLimited,
    RefusedError,
    Registry,
    RegistryLimits,
    Tls,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from controllers.runtime.egress import Egress
from controllers.runtime.sensitive import Sensitive
from controllers.runtime.settings import EgressSettings
from controllers.standin.cloud.registry import Authenticator, Faults, RegistryServer, RegistryUser, push_image
from controllers.standin.cloud.tls import Authority

LOOPBACK = Egress(EgressSettings(allow_loopback=True))
CI = {"ci": RegistryUser("pw", push=("*",))}


@contextlib.asynccontextmanager
async def _serving(**options):
    authority = Authority.create()
    server = RegistryServer(authority=authority, **options)
    await server.start()
    try:
        yield server, Tls(authority.pem).context()
    finally:
        await server.stop()


async def _nap(_: float) -> None:
    return None


def _client(server: RegistryServer, context, **options) -> Registry:
    transport = options.pop("egress", LOOPBACK).transport(verify=context)
    return Registry(server.host, transport=transport, sleep=_nap, timeout=10, **options)


@pytest.mark.parametrize("mode", ["none", "basic", "bearer"])
async def test_all_pages_of_tags_and_the_digest_come_through_each_kind_of_login(mode):
    async with _serving(auth=Authenticator(mode, CI), page=2) as (server, context):
        for number in range(5):
            digest = await push_image(server.url, "app", f"v{number}", auth=("ci", "pw"), ca_pem=server.authority.pem)
        async with _client(server, context, login=Login("ci", Sensitive("pw"))) as registry:
            assert await registry.tags("app") == ["v0", "v1", "v2", "v3", "v4"]
            assert await registry.digest("app", "v4") == digest
            found = await registry.manifest("app", digest)
            assert found.digest == digest and json.loads(found.content)["schemaVersion"] == 2


@pytest.mark.parametrize("mode", ["basic", "bearer"])
@pytest.mark.parametrize("login", [Login(), Login("ci", Sensitive("wrong"))])
async def test_a_refused_login_is_said_without_the_password(mode, login):
    async with (
        _serving(auth=Authenticator(mode, CI)) as (server, context),
        _client(server, context, login=login) as registry,
    ):
        with pytest.raises(Unauthorized) as caught:
            await registry.tags("app")
        assert "wrong" not in str(caught.value)


async def test_a_failing_registry_is_asked_again_and_then_given_up():
    async with _serving() as (server, context), _client(server, context) as registry:
        await push_image(server.url, "app", "v1", ca_pem=server.authority.pem)
        server.set_faults(Faults("tags", statuses=(503, 429)))
        assert await registry.tags("app") == ["v1"]
        server.set_faults(Faults("tags", statuses=(429,) * 3))
        with pytest.raises(RateLimited):
            await registry.tags("app")
        server.set_faults(Faults("tags", statuses=(500,) * 3))
        with pytest.raises(Unreachable, match="500"):
            await registry.tags("app")
        server.set_faults(Faults())
        with pytest.raises(NotFound):
            await registry.tags("none")


@pytest.mark.parametrize(
    ("faults", "error", "text"),
    [
        (Faults("tags", link='<https://169.254.169.254/v2/app/tags/list>; rel="next"'), RefusedError, "links stay"),
        (Faults("tags", link='</v2/other/tags/list>; rel="next"'), RefusedError, "links stay"),
        (Faults("tags", link='</v2/app/tags/list?n=1000>; rel="next"'), InvalidResponseError, "links to itself"),
    ],
)
async def test_a_link_that_leads_away_or_round_is_refused(faults, error, text):
    async with _serving() as (server, context), _client(server, context) as registry:
        await push_image(server.url, "app", "v1", ca_pem=server.authority.pem)
        server.set_faults(faults)
        with pytest.raises(error, match=text):
            await registry.tags("app")


async def test_loopback_and_metadata_addresses_are_not_reached_by_default():
    async with _serving() as (server, context), _client(server, context, egress=Egress()) as registry:
        with pytest.raises(RefusedError, match="loopback"):
            await registry.tags("app")
    assert not server.requests


async def test_an_unknown_certificate_is_refused():
    async with _serving() as (server, _), _client(server, True) as registry:
        with pytest.raises(Unreachable, match="TLS"):
            await registry.tags("app")


def _lying(handler: Callable[[httpx.Request], httpx.Response], **options) -> Registry:
    return Registry("r.example.com", transport=httpx.MockTransport(handler), sleep=_nap, **options)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(200, text="{"), InvalidResponseError),
        (httpx.Response(200, text="[" * 3_900), InvalidResponseError),
        (httpx.Response(200, json={"tags": ["a", 1]}), InvalidResponseError),
        (httpx.Response(200, json={"tags": "abc"}), InvalidResponseError),
        (httpx.Response(200, json=[]), InvalidResponseError),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example.com"}), RefusedError),
        (httpx.Response(200, json={"tags": [f"t{n}" for n in range(50)]}), TooLarge),
        (httpx.Response(200, content=b"x" * 5000), TooLarge),
        (httpx.Response(418), InvalidResponseError),
    ],
)
async def test_an_answer_that_is_none_is_refused(response, error):
    async with _lying(lambda _: response, limits=RegistryLimits(tags=40, answer=4000)) as registry:
        with pytest.raises(error):
            await registry.tags("app")


async def test_a_manifest_that_is_not_its_digest_is_refused():
    answer = httpx.Response(200, content=b"{}", headers={"Docker-Content-Digest": "sha256:" + "0" * 64})
    async with _lying(lambda _: answer) as registry:
        with pytest.raises(InvalidResponseError, match="not what its digest says"):
            await registry.manifest("app", "v1")
    async with _lying(lambda _: httpx.Response(200, headers={"Docker-Content-Digest": "x; y"})) as registry:
        with pytest.raises(InvalidResponseError, match="digest is none"):
            await registry.digest("app", "v1")


async def test_a_pinned_login_never_goes_to_another_host_and_no_login_goes_to_a_plain_realm():
    seen: list[tuple[str, str | None]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("Authorization")))
        if request.url.host == "r.example.com":
            return httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})
        return httpx.Response(401)

    realm = "https://thief.example.com/token"
    async with _lying(handler, login=Login("AWS", Sensitive("pw"), pinned=True)) as registry:
        with pytest.raises(Unauthorized):
            await registry.tags("app")
    assert ("thief.example.com", None) in seen and all(header is None for _, header in seen)
    realm = "http://thief.example.com/token"
    async with _lying(handler, login=Login("u", Sensitive("pw"))) as registry:
        with pytest.raises(RefusedError, match="not https"):
            await registry.tags("app")
    assert all(header is None for _, header in seen)
