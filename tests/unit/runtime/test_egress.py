"""Outward calls reach no metadata service, by no disguise, at no hop."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controllers.runtime.egress import Egress, EgressDeniedError, check_address, check_url
from controllers.runtime.sensitive import Sensitive
from controllers.runtime.settings import EgressSettings

STRICT, LOCAL = EgressSettings(), EgressSettings(allow_loopback=True)


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.1.1",
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
def test_an_inward_address_is_refused(text: str) -> None:
    assert check_address(ipaddress.ip_address(text), STRICT)


@pytest.mark.parametrize("text", ["8.8.8.8", "10.0.0.5", "192.168.1.1", "2606:4700::1"])
def test_a_hosts_address_is_allowed(text: str) -> None:
    assert check_address(ipaddress.ip_address(text), STRICT) == ""


def test_private_addresses_and_loopback_are_the_settings_choice() -> None:
    assert check_address(ipaddress.ip_address("10.0.0.5"), EgressSettings(allow_private=False)) == "a private address"
    assert check_address(ipaddress.ip_address("127.0.0.1"), LOCAL) == ""
    assert check_address(ipaddress.ip_address("169.254.169.254"), LOCAL)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest",
        "https://[::ffff:a9fe:a9fe]/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://metadata.google.internal/",
        "https://METADATA.google.internal./",
        "https://localhost/",
        "http://8.8.8.8/",
        "file:///etc/passwd",
        "https:///x",
        "https://[::1/",
        "https://does-not-exist.invalid/",
    ],
)
async def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(EgressDeniedError):
        await check_url(url, STRICT)


async def test_a_good_url_passes() -> None:
    await check_url("https://8.8.8.8:8443/x", STRICT)
    await check_url("ssh://git@10.1.2.3/repo", STRICT)


@pytest.fixture
async def hop() -> AsyncIterator[str]:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["Host"])

    app = web.Application()
    app.router.add_get("/redirect", redirect)
    app.router.add_get("/hello", hello)
    server = TestServer(app)
    await server.start_server()
    yield f"http://localhost:{server.port}"
    await server.close()


async def test_the_transport_refuses_at_the_socket_and_at_each_redirect(hop: str) -> None:
    async with httpx.AsyncClient(transport=Egress(STRICT).transport(), follow_redirects=True) as client:
        with pytest.raises(EgressDeniedError, match="localhost resolves to a loopback address"):
            await client.get(f"{hop}/hello")
    async with httpx.AsyncClient(transport=Egress(LOCAL).transport(), follow_redirects=True) as client:
        answer = await client.get(f"{hop}/hello")
        assert answer.text.startswith("localhost:")  # the name is still the Host header
        with pytest.raises(EgressDeniedError, match="metadata"):
            await client.get(f"{hop}/redirect")


async def test_a_proxy_is_checked_at_the_socket_and_leads_to_no_address_that_is_refused(hop: str) -> None:
    proxy = Sensitive(hop)
    async with httpx.AsyncClient(transport=Egress(STRICT).transport(proxy=proxy)) as client:
        with pytest.raises(EgressDeniedError, match="localhost resolves to a loopback address"):
            await client.get("http://api.example/hello")
    async with httpx.AsyncClient(transport=Egress(LOCAL).transport(proxy=proxy)) as client:
        answer = await client.get("http://api.example/hello")  # a name only the proxy knows
        assert answer.text == "api.example"
        for host in ("169.254.169.254", "2852039166", "[fd00:ec2::254]"):
            with pytest.raises(EgressDeniedError, match="metadata"):
                await client.get(f"http://{host}/latest/meta-data/")
