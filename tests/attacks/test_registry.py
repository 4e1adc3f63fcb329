"""Registries that lie. A transport in place of a server records where each request goes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from controllers.oci import (
    InvalidResponseError,
    Login,
    RefusedError,
    Registry,
    RegistryError,
    RegistryLimits,
    TooLarge,
    Unreachable,
)
from controllers.runtime.egress import Egress
from controllers.runtime.sensitive import Sensitive
from controllers.runtime.settings import EgressSettings
from tests.attacks import attack

METADATA = "169.254.169.254"


def streamed(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """Answers as they come from the wire: not read, not decoded."""

    def handle(request: httpx.Request) -> httpx.Response:
        made = handler(request)
        return httpx.Response(made.status_code, headers=made.headers, stream=made.stream)

    return httpx.MockTransport(handle)


class Liar:
    def __init__(self, *answers: httpx.Response) -> None:
        self.answers, self.requests = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def client(self, **options: object) -> Registry:
        async def nap(_: float) -> None:
            return None

        return Registry("r.example", transport=streamed(self), sleep=nap, **options)  # type: ignore[arg-type]


def tags(*names: str, **headers: str) -> httpx.Response:
    return httpx.Response(200, json={"tags": list(names)}, headers=headers)


@attack(
    "image automation",
    "Registry that redirects to the metadata service, or takes the login along to another host",
    guard="oci/registry.py _redirected, and the transport of runtime/egress.py at each redirect",
    without="a client that follows asks the address, with the login",
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_the_metadata_service_is_not_followed(status: int) -> None:
    liar = Liar(httpx.Response(status, headers={"Location": f"http://{METADATA}/x"}), tags("v1"))
    with pytest.raises(RefusedError, match="redirect"):
        await liar.client().tags("app")
    assert {request.url.host for request in liar.requests} == {"r.example"}
    unguarded = Liar(httpx.Response(status, headers={"Location": f"http://{METADATA}/x"}), tags("v1"))
    async with httpx.AsyncClient(transport=httpx.MockTransport(unguarded), follow_redirects=True) as http:
        await http.get("https://r.example/v2/app/tags/list")
    assert unguarded.requests[-1].url.host == METADATA


@attack(
    "image automation",
    "Registry that redirects so that the login goes to another host",
    guard="oci/authorization.py: a header by origin; _redirected",
    without="the other host reads the password",
)
async def test_a_login_stays_at_home_when_a_registry_redirects() -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.host == "thief.example":
            return httpx.Response(401, headers=challenge)
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers=challenge)
        return httpx.Response(307, headers={"Location": "https://thief.example/v2/app/tags/list"})

    requests: list[httpx.Request] = []

    def recorded(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return serve(request)

    client = Registry("r.example", transport=streamed(recorded), login=Login("u", Sensitive("pw")))
    with pytest.raises(RegistryError, match="requires authentication"):
        await client.tags("app")
    seen = {(request.url.host, "Authorization" in request.headers) for request in requests}
    assert ("r.example", True) in seen and ("thief.example", True) not in seen and ("thief.example", False) in seen
    for bad in ("https://u:p@thief.example/", "http://thief.example/", "https:///x", "ftp://thief.example/"):
        with pytest.raises(RefusedError, match="redirect"):
            await Liar(httpx.Response(302, headers={"Location": bad})).client().tags("app")


@attack(
    "image automation",
    "Registry whose Link leads to another host, port, scheme or repository",
    guard="oci/registry.py _next",
    without="the next request goes there",
)
@pytest.mark.parametrize(
    "link", ["https://evil.invalid/v2/app/tags/list", f"http://{METADATA}/v2/app/tags/list",
             "//evil.invalid/v2/app/tags/list",
             "http://r.example/v2/app/tags/list", "/v2/other/tags/list", "https://r.example:444/v2/app/tags/list",
             "https://r.example@evil.invalid/v2/app/tags/list"],
)  # fmt: skip
async def test_a_link_to_another_place_is_refused(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    liar = Liar(tags("v1", Link=f'<{link}>; rel="next"'))
    with pytest.raises(RefusedError, match="another URL"):
        await liar.client(login=Login("u", Sensitive("pw"))).tags("app")
    assert len(liar.requests) == 1
    challenge = httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    free = Liar(challenge, tags("v1", Link=f'<{link}>; rel="next"'), tags("evil"))
    following = iter([str(httpx.URL("https://r.example/v2/app/tags/list").join(link)), ""])
    monkeypatch.setattr(Registry, "_next", lambda *_: next(following))
    assert await free.client(login=Login("u", Sensitive("pw"))).tags("app") == ["v1", "evil"]
    last = free.requests[-1]
    assert str(last.url) == str(httpx.URL("https://r.example/v2/app/tags/list").join(link)), "without the guard"
    # the second guard: a login is sent to its own origin alone
    sent = last.headers.get("Authorization") == Login("u", Sensitive("pw")).basic
    assert sent == (last.url.host == "r.example" and last.url.scheme == "https" and last.url.port is None)


@attack(
    "image automation",
    "Registry with pages of tags without end",
    guard="oci/registry.py Limits.pages",
    without="more pages are asked for, as many as are allowed",
)
async def test_pages_without_end_and_without_tags_end() -> None:
    count = 0

    def endless(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return tags(Link=f'</v2/app/tags/list?last={count}>; rel="next"')

    with pytest.raises(TooLarge, match="pages"):
        await Registry("r.example", transport=streamed(endless), limits=RegistryLimits(pages=20)).tags("app")
    assert count == 20
    with pytest.raises(TooLarge, match="pages"):
        await Registry("r.example", transport=streamed(endless), limits=RegistryLimits(pages=200)).tags("app")
    assert count == 220
    with pytest.raises(InvalidResponseError, match="itself"):
        await Liar(tags(Link='</v2/app/tags/list?n=1000>; rel="next"')).client().tags("app")


@attack(
    "image automation",
    "Registry that lists a million tags",
    guard="oci/registry.py Limits",
    without="higher limits: all of it is read",
)
@attack(
    "image automation",
    "Registry with a huge manifest",
    guard="oci/registry.py Limits",
    without="higher limits: all of it is read",
)
async def test_a_million_tags_and_huge_answers_are_cut() -> None:
    with pytest.raises(TooLarge):
        await (
            Liar(tags(*(str(number) for number in range(1_000_000))))
            .client(limits=RegistryLimits(answer=1 << 30))
            .tags("app")
        )
    many = Liar(tags(*(str(number) for number in range(2000)))).client
    with pytest.raises(TooLarge):
        await many(limits=RegistryLimits(tags=1000)).tags("app")
    assert len(await many(limits=RegistryLimits(tags=10_000)).tags("app")) == 2000
    huge = Liar(httpx.Response(200, content=b"x" * 5000)).client(limits=RegistryLimits(answer=1 << 30))
    assert len((await huge.manifest("app", "v1")).content) == 5000
    with pytest.raises(TooLarge):
        await (
            Liar(httpx.Response(200, content=b"x" * 5000))
            .client(limits=RegistryLimits(answer=4000))
            .manifest("app", "v1")
        )


@attack(
    "image automation",
    "Registry that answers with a compressed bomb",
    guard="oci/registry.py _unpacker stops at the limit",
    without="the library opens it to a thousand times its size",
)
async def test_a_compressed_answer_is_opened_up_to_the_limit_alone() -> None:
    bomb = httpx.Response(200, content=gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"})
    liar = Liar(bomb)
    with pytest.raises(TooLarge, match="1000000 bytes"):
        await liar.client(limits=RegistryLimits(answer=1_000_000)).tags("app")
    assert liar.requests[0].headers["Accept-Encoding"] == "identity"
    with pytest.raises(InvalidResponseError, match="encoding"):
        await Liar(httpx.Response(200, content=b"{}", headers={"Content-Encoding": "zstd"})).client().tags("app")
    with pytest.raises(InvalidResponseError, match="gzip"):
        await (
            Liar(httpx.Response(200, stream=httpx.ByteStream(b"{}"), headers={"Content-Encoding": "gzip"}))
            .client()
            .tags("app")
        )
    async with httpx.AsyncClient(transport=httpx.MockTransport(Liar(bomb))) as http:
        assert (
            len((await http.get("https://r.example/")).content) == 10_000_000 > 100 * len(gzip.compress(b"x" * 10**7))
        )


@attack(
    "image automation",
    "Registry that answers with bad or bottomless JSON",
    guard="oci/registry.py _tags_of",
    without="the parser raises what is no error of the registry",
)
@pytest.mark.parametrize("content", [b"", b"[]", b'{"tags": [1]}', b"[" * 100_000, b'{"tags": ' + b"9" * 5000 + b"}"])
async def test_bad_json_is_an_error_of_the_registry(content: bytes) -> None:
    with pytest.raises(RegistryError):
        await Liar(httpx.Response(200, content=content)).client().tags("app")
    with pytest.raises((ValueError, TypeError, KeyError, RecursionError, AssertionError)):
        assert all(isinstance(tag, str) for tag in json.loads(content)["tags"])


@attack(
    "image automation",
    "Token realm that is no https host",
    guard="oci/registry.py _token",
    without="the password goes there",
)
@pytest.mark.parametrize(
    "realm", [f"http://{METADATA}/token", "http://evil.invalid/t", "file:///etc/x", "", "https://u@h/t"]
)
async def test_a_token_realm_that_is_no_https_host_gets_no_password(realm: str) -> None:
    liar = Liar(httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))
    with pytest.raises(RefusedError, match="realm"):
        await liar.client(login=Login("u", Sensitive("pw"))).tags("app")
    assert len(liar.requests) == 1
    if realm.startswith("http://"):  # the others are no place to send anything
        free = Liar(*liar.answers, httpx.Response(200, content=b'{"token": "t"}'), tags("v1"))
        await free.client(login=Login("u", Sensitive("pw")), insecure=True).tags("app")
        assert free.requests[1].url.scheme == "http" and "Authorization" in free.requests[1].headers


@attack(
    "image automation",
    "Token realm on another host that asks for a pinned login",
    guard="oci/registry.py: pinned logins stay",
    without="unpinned: the password goes there",
)
async def test_a_pinned_login_is_not_sent_to_another_realm() -> None:
    for pinned in (True, False):
        challenge = httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="https://evil.invalid/t"'})
        liar = Liar(challenge, httpx.Response(200, content=json.dumps({"token": "t"})), tags("v1"))
        await liar.client(login=Login("u", Sensitive("pw"), pinned=pinned)).tags("app")
        assert ("Authorization" in liar.requests[1].headers) is not pinned


@attack(
    "image automation",
    "Image at a metadata or loopback address, by any spelling",
    guard="runtime/egress.py at the socket",
    without="with loopback allowed, it is connected",
)
async def test_the_transport_refuses_the_metadata_address_by_every_name() -> None:
    for host in (METADATA, "2852039166", "[::ffff:a9fe:a9fe]", "localhost:5000"):
        with pytest.raises((RefusedError, Unreachable)):
            await Registry(host, transport=Egress().transport(), limits=RegistryLimits(attempts=1)).tags("app")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(await reader.readline())
        writer.close()

    connected: list[bytes] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for egress in (Egress(), Egress(EgressSettings(allow_loopback=True))):
        assert not connected
        with pytest.raises((RefusedError, Unreachable)):
            transport = egress.transport()
            await Registry(host, transport=transport, limits=RegistryLimits(attempts=1), insecure=True).tags("app")
    assert connected
    server.close()


@attack(
    "image automation",
    "Registry that answers a byte at a time for ever",
    guard="oci/registry.py: time of one call",
    without="a longer time: it is waited for",
)
async def test_a_registry_that_dribbles_is_given_up() -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.02)

    liar = Liar(httpx.Response(200, stream=Slow()))
    with pytest.raises(Unreachable, match="within"):
        await liar.client(timeout=0.2, limits=RegistryLimits(attempts=1)).tags("app")
    with pytest.raises(TimeoutError):  # with more time, it is read on and on
        await asyncio.wait_for(
            Liar(httpx.Response(200, stream=Slow())).client(timeout=600, limits=RegistryLimits(attempts=1)).tags("app"),
            1,
        )


@attack(
    "image automation",
    "Registry that hands out another manifest than was asked for",
    guard="oci/registry.py compares digests",
    without="by tag, where nothing is compared, it is taken",
)
async def test_a_manifest_that_is_not_its_digest_is_refused() -> None:
    with pytest.raises(InvalidResponseError, match="digest"):
        await Liar(httpx.Response(200, content=b"{}")).client().manifest("app", "sha256:" + "0" * 64)
    assert (await Liar(httpx.Response(200, content=b"{}")).client().manifest("app", "v1")).content == b"{}"
