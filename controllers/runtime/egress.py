"""Where outward calls may go: never to link-local, loopback or metadata addresses, at no hop.

URLs come from users (registries, Git hosts, webhooks, token realms), so a name may resolve to the node's metadata
service, and may resolve differently a moment later. The check therefore stands at the socket: the transport resolves,
checks every address, and connects to the address that it checked. httpx follows redirects by new requests through the
same transport, so each hop is checked too. Git runs as a child process with its own resolver: `check_url` is what it
gets, which refuses what is bad now and cannot bind a later resolution.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from .sensitive import Sensitive
from .settings import EgressSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "100.100.100.200",
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class EgressDeniedError(Exception):
    """A host that outward calls may not reach. The text names host and rule, not the URL (it may hold secrets)."""


def check_address(address: Address, settings: EgressSettings) -> str:
    """Why this address may not be reached; "" if it may. Looks through IPv4 addresses wrapped in IPv6."""
    plain = _unwrapped(address)
    if plain in _METADATA:
        return "a metadata address"
    if plain.is_loopback:
        return "" if settings.allow_loopback else "a loopback address"
    if plain.is_link_local:
        return "a link-local address"
    if plain.is_multicast or plain.is_unspecified or plain.is_reserved:
        return "not a unicast address"
    if plain.is_private and not settings.allow_private:
        return "a private address"
    return ""


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.ip_address(int(address) & 0xFFFFFFFF)
    return address


async def resolve(host: str, port: int, settings: EgressSettings) -> list[str]:
    """All addresses of a host, each allowed. Raises EgressDeniedError if any is not: a mixed answer is an attack."""
    name = host.strip("[]").rstrip(".").lower()
    if name in _METADATA_NAMES:
        raise EgressDeniedError(f"{name} is a metadata service; outgoing calls to it are not allowed")
    try:
        found: Iterable[Any] = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise EgressDeniedError(f"{name} does not resolve") from None
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    for text in addresses:
        if why := check_address(ipaddress.ip_address(text.partition("%")[0]), settings):
            raise EgressDeniedError(f"{name} resolves to {why}; outgoing calls to it are not allowed")
    if not addresses:
        raise EgressDeniedError(f"{name} does not resolve")
    return addresses


def is_address(url: str) -> bool:
    """Is a URL's host an address and no name? Also the spellings that only a resolver understands (`2852039166`)."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return ":" in host or re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host.rpartition(".")[2].lower()) is not None


async def check_url(
    url: str, settings: EgressSettings | None = None, *, schemes: tuple[str, ...] = ("https", "ssh")
) -> None:
    """Raises EgressDeniedError for a scheme, a host or an address that is not allowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        raise EgressDeniedError("not a URL") from None
    if parts.scheme not in schemes:
        raise EgressDeniedError(f"scheme {parts.scheme!r}: expected {' or '.join(schemes)}")
    if not host:
        raise EgressDeniedError("a URL without a host")
    await resolve(host, port, settings or EgressSettings())


class Egress:
    """The settings' rule, as a check and as clients. One per process."""

    def __init__(self, settings: EgressSettings | None = None) -> None:
        self.settings = settings or EgressSettings()

    async def check_url(self, url: str, *, schemes: tuple[str, ...] = ("https", "ssh")) -> None:
        await check_url(url, self.settings, schemes=schemes)

    async def addresses(self, url: str, *, schemes: tuple[str, ...] = ("https", "ssh")) -> tuple[str, ...]:
        """The addresses of a URL's host, each allowed: for a child process to be bound to. Raises EgressDeniedError."""
        await check_url(url, self.settings, schemes=schemes)
        parts = urlsplit(url)
        return tuple(await resolve(parts.hostname or "", parts.port or 0, self.settings))

    def transport(
        self, *, verify: Any = True, limit: int = 20, proxy: Sensitive | None = None
    ) -> httpx.AsyncBaseTransport:
        """For `httpx.AsyncClient(transport=…)`; `verify` is an SSLContext or as httpx takes it. Raises
        EgressDeniedError.

        `proxy` is a URL, with its login where it needs one. It is what we connect to, so its addresses are checked; it
        resolves names itself, so of the hosts behind it only those given as an address are checked.
        """
        transport = httpx.AsyncHTTPTransport(verify=verify, trust_env=False)
        context = httpx.create_ssl_context(verify=verify, trust_env=False)
        options: dict[str, Any] = {
            "ssl_context": context, "max_connections": limit, "max_keepalive_connections": limit,
            "keepalive_expiry": 30, "network_backend": _CheckedBackend(self.settings),
        }  # fmt: skip
        if proxy is None:
            transport._pool = httpcore.AsyncConnectionPool(**options)
            return transport
        server = httpx.Proxy(proxy.reveal_text())
        transport._pool = httpcore.AsyncHTTPProxy(
            proxy_url=str(server.url), proxy_auth=server.raw_auth, proxy_headers=server.headers.raw, **options
        )
        return _AddressesChecked(transport, self.settings)


class _AddressesChecked(httpx.AsyncBaseTransport):
    """In front of a proxy: a host given as an address is checked here, for nothing resolves it later."""

    def __init__(self, inner: httpx.AsyncBaseTransport, settings: EgressSettings) -> None:
        self._inner, self._settings = inner, settings

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if is_address(str(request.url)):
            await resolve(request.url.host, request.url.port or 0, self._settings)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to an address that was checked, never to a name that could resolve anew in between."""

    def __init__(self, settings: EgressSettings) -> None:
        self._settings = settings
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        error: Exception | None = None
        for address in await resolve(host, port, self._settings):
            try:
                return await self._real.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error or httpcore.ConnectError(f"{host} cannot be reached")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise EgressDeniedError("a Unix socket is not allowed for outgoing calls")

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)
