"""The registry client against servers that behave, fail and lie."""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from httpx import Response

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
from controllers.oci.errors import RegistryError
from controllers.runtime.egress import Egress
from controllers.runtime.sensitive import Sensitive
from controllers.runtime.settings import EgressSettings
from controllers.standin.cloud.registry import Authenticator, Faults, RegistryServer, RegistryUser, push_image
from controllers.standin.cloud.tls import Authority
from tests.attacks.test_registry import streamed

LOOPBACK = Egress(EgressSettings(allow_loopback=True))
CI = {"ci": RegistryUser("pw", push=("*",))}


@contextlib.asynccontextmanager
async def _serving(**options: Any) -> AsyncIterator[tuple[RegistryServer, ssl.SSLContext]]:
    authority = Authority.create()
    server = RegistryServer(authority=authority, **options)
    await server.start()
    try:
        yield server, Tls(authority.pem).context()
    finally:
        await server.stop()


async def _nap(_: float) -> None:
    return None


def _client(server: RegistryServer, context: ssl.SSLContext | bool, **options: Any) -> Registry:
    transport = options.pop("egress", LOOPBACK).transport(verify=context)
    return Registry(server.host, transport=transport, sleep=_nap, timeout=10, **options)


@pytest.mark.parametrize("mode", ["none", "basic", "bearer"])
async def test_all_pages_of_tags_and_the_digest_come_through_each_kind_of_login(mode: str) -> None:
    async with _serving(auth=Authenticator(mode, CI), page=2) as (server, context):
        for number in range(5):
            digest = await push_image(server.url, "app", f"v{number}", auth=("ci", "pw"), ca_pem=server.ca_pem)
        async with _client(server, context, login=Login("ci", Sensitive("pw"))) as registry:
            assert await registry.tags("app") == ["v0", "v1", "v2", "v3", "v4"]
            assert await registry.digest("app", "v4") == digest
            found = await registry.manifest("app", digest)
            assert found.digest == digest and json.loads(found.content)["schemaVersion"] == 2


@pytest.mark.parametrize("mode", ["basic", "bearer"])
@pytest.mark.parametrize("login", [Login(), Login("ci", Sensitive("wrong"))])
async def test_a_refused_login_is_said_without_the_password(mode: str, login: Login) -> None:
    async with (
        _serving(auth=Authenticator(mode, CI)) as (server, context),
        _client(server, context, login=login) as registry,
    ):
        with pytest.raises(Unauthorized) as caught:
            await registry.tags("app")
        assert "wrong" not in str(caught.value)


async def test_a_failing_registry_is_asked_again_and_then_given_up() -> None:
    async with _serving() as (server, context), _client(server, context) as registry:
        await push_image(server.url, "app", "v1", ca_pem=server.ca_pem)
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
        (Faults("tags", link='<https://169.254.169.254/v2/app/tags/list>; rel="next"'), RefusedError, "another URL"),
        (Faults("tags", link='</v2/other/tags/list>; rel="next"'), RefusedError, "another URL"),
        (Faults("tags", link='</v2/app/tags/list?n=1000>; rel="next"'), InvalidResponseError, "links to itself"),
    ],
)
async def test_a_link_that_leads_away_or_round_is_refused(
    faults: Faults, error: type[RegistryError], text: str
) -> None:
    async with _serving() as (server, context), _client(server, context) as registry:
        await push_image(server.url, "app", "v1", ca_pem=server.ca_pem)
        server.set_faults(faults)
        with pytest.raises(error, match=text):
            await registry.tags("app")


async def test_loopback_and_metadata_addresses_are_not_reached_by_default() -> None:
    async with _serving() as (server, context), _client(server, context, egress=Egress()) as registry:
        with pytest.raises(RefusedError, match="loopback"):
            await registry.tags("app")
    assert not server.requests


async def test_an_unknown_certificate_is_refused() -> None:
    async with _serving() as (server, _), _client(server, True) as registry:
        with pytest.raises(Unreachable, match="TLS"):
            await registry.tags("app")


def _lying(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> Registry:
    return Registry("r.example.com", transport=streamed(handler), sleep=_nap, **options)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(200, text="{"), InvalidResponseError),
        (httpx.Response(200, text="[" * 3_900), InvalidResponseError),
        (httpx.Response(200, json={"tags": ["a", 1]}), InvalidResponseError),
        (httpx.Response(200, json={"tags": "abc"}), InvalidResponseError),
        (httpx.Response(200, json=[]), InvalidResponseError),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example.com"}), RefusedError),
        (httpx.Response(302), RefusedError),
        (httpx.Response(200, json={"tags": [f"t{n}" for n in range(50)]}), TooLarge),
        (httpx.Response(200, content=b"x" * 5000), TooLarge),
        (httpx.Response(418), InvalidResponseError),
    ],
)
async def test_an_answer_that_is_none_is_refused(response: Response, error: type[RegistryError]) -> None:
    async with _lying(lambda _: response, limits=RegistryLimits(tags=40, answer=4000)) as registry:
        with pytest.raises(error):
            await registry.tags("app")


async def test_a_manifest_that_is_not_its_digest_is_refused() -> None:
    answer = httpx.Response(200, content=b"{}", headers={"Docker-Content-Digest": "sha256:" + "0" * 64})
    async with _lying(lambda _: answer) as registry:
        with pytest.raises(InvalidResponseError, match="does not match its digest"):
            await registry.manifest("app", "v1")
    async with _lying(lambda _: httpx.Response(200, headers={"Docker-Content-Digest": "x; y"})) as registry:
        with pytest.raises(InvalidResponseError, match="digest is invalid"):
            await registry.digest("app", "v1")


async def test_a_pinned_login_never_goes_to_another_host_and_no_login_goes_to_a_plain_realm() -> None:
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


def _pages(links: list[str | list[str]], **options: Any) -> Registry:
    """A registry whose pages carry these Link headers, one after the other."""
    answers = iter(enumerate([*links, ""]))

    def handler(_: httpx.Request) -> httpx.Response:
        number, link = next(answers)
        headers = [("Link", each) for each in ([link] if isinstance(link, str) else link) if each]
        return httpx.Response(200, json={"tags": [f"v{number}"]}, headers=headers)

    return _lying(handler, **options)


@pytest.mark.parametrize(
    "link",
    [
        '</v2/app/tags/list?last=v0>; rel="next"',
        "</v2/app/tags/list?last=v0>;rel=next",
        '</v2/app/tags/list?last=v0>; title="a, b; c"; REL="Next"',
        '</v2/app/tags/list?last=v0> ; rel = "prev next"',
        "<?last=v0>; rel=next; rel=prev",
        '</v2/app/tags/list>; rel="first", </v2/app/tags/list?last=v0>; rel="next"',
        ['</v2/app/tags/list>; rel="first"', '</v2/app/tags/list?last=v0>; rel="next"'],
        '<https://r.example.com/v2/app/tags/list?last=v0>; type="x\\"y"; rel=next,',
        '</v2/app/tags/list?last=v0&n=1>; rel="next"; foo',
    ],
)
async def test_a_next_page_is_found_however_its_link_is_written(link: list[str] | str) -> None:
    async with _pages([link]) as registry:
        assert await registry.tags("app") == ["v0", "v1"]


@pytest.mark.parametrize(
    "link",
    [
        "</v2/app/tags/list?last=v0; rel=next",
        "/v2/app/tags/list?last=v0; rel=next",
        '</v2/app/tags/list?last=v0>; rel="next',
        '</v2/app/tags/list?last=a>; rel="next", </v2/app/tags/list?last=b>; rel="next"',
        '</v2/app/tags/list?last=v0>; rel="next"; anchor="#other"',
        "</v2/app/tags/list?last=v0>; rel=",
    ],
)
async def test_a_page_that_cannot_be_told_of_is_an_error_and_never_a_shorter_list(link: str) -> None:
    async with _pages([link]) as registry:
        with pytest.raises(InvalidResponseError, match="Link header"):
            await registry.tags("app")


async def test_a_registry_that_redirects_every_answer_is_read_with_its_pages() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.url.host}{request.url.path}")
        if request.url.host == "r.example.com":
            path = request.url.path.replace("/v2/app", "/v2/mirror/app")
            return httpx.Response(
                307, headers={"Location": f"https://region.example.com{path}?{request.url.query.decode()}"}
            )
        if "last" in request.url.params:
            return httpx.Response(200, json={"tags": ["v2"]})
        return httpx.Response(200, json={"tags": ["v1"]}, headers={"Link": '<?last=v1>; rel="next"'})

    async with _lying(handler) as registry:
        assert await registry.tags("app") == ["v1", "v2"]
    assert seen == ["r.example.com/v2/app/tags/list"] + 2 * ["region.example.com/v2/mirror/app/tags/list"]

    moved = {"/v2/app/tags/list": "/v2/team/app/tags/list"}

    def on_the_same_host(request: httpx.Request) -> httpx.Response:
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": "Basic"})
        if there := moved.get(request.url.path):
            return httpx.Response(301, headers={"Location": there})
        return httpx.Response(200, json={"tags": ["v1"]})

    async with _lying(on_the_same_host, login=Login("u", Sensitive("pw"))) as registry:
        assert await registry.tags("app") == ["v1"]
    async with _lying(lambda request: httpx.Response(302, headers={"Location": str(request.url)})) as registry:
        with pytest.raises(RefusedError, match="more than 5 redirects"):
            await registry.tags("app")


@pytest.mark.parametrize(
    "challenges",
    [
        ['Bearer realm="https://r.example.com/token",service="s",scope="repository:app:pull"'],
        ['Negotiate, Bearer service=s, realm="https://r.example.com/token"'],
        ["Negotiate", 'bearer REALM="https://r.example.com/token", Service="s"'],
        ['Digest realm="a, b", nonce="x", Bearer realm="https://r.example.com/token",service="s"'],
    ],
)
async def test_a_token_is_fetched_for_whichever_challenge_can_be_answered(challenges: list[str]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            assert request.url.params["service"] == "s"
            assert request.url.params["scope"] == "repository:app:pull"
            return httpx.Response(200, json={"token": "t"})
        if request.headers.get("Authorization") == "Bearer t":
            return httpx.Response(200, json={"name": "app"})
        return httpx.Response(401, headers=[("WWW-Authenticate", each) for each in challenges])

    async with _lying(handler) as registry:
        assert await registry.tags("app") == [], "an answer without tags is an empty list"


async def test_an_identity_token_is_exchanged_and_sent_as_nothing_else() -> None:
    forms: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            forms.append(request.content.decode())
            return httpx.Response(200, json={"access_token": "t"}) if request.method == "POST" else httpx.Response(405)
        if request.headers.get("Authorization") == "Bearer t":
            return httpx.Response(200, json={"tags": ["v1"]})
        return httpx.Response(
            401, headers={"WWW-Authenticate": 'Bearer realm="https://r.example.com/token",service="s"'}
        )

    async with _lying(handler, login=Login(identity_token=Sensitive("refresh me"))) as registry:
        assert await registry.tags("app") == ["v1"]
    assert forms == [
        "grant_type=refresh_token&refresh_token=refresh+me&client_id=inhaul&service=s&scope=repository%3Aapp%3Apull"
    ]


async def test_a_gzip_answer_to_an_identity_request_is_read() -> None:
    packed = gzip.compress(b'{"tags": ["v1"]}')
    answer = httpx.Response(200, stream=httpx.ByteStream(packed), headers={"Content-Encoding": "gzip"})
    async with _lying(lambda _: answer) as registry:
        assert await registry.tags("app") == ["v1"]
