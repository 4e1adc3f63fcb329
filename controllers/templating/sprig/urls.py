"""urlParse and urlJoin as sprig has them over Go's net/url.

Other than Python's: the path is unescaped, the host keeps its case, a scheme without a slash makes the rest opaque,
and what cannot be a URL is an error. Errors never quote the URL: it may hold a password.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

from ..errors import FunctionError
from ..registry import Function, functions
from ..values import Value, to_bytes, to_text, type_name

_PLAIN = frozenset(string.ascii_letters + string.digits + "-_.~")
_PATH = _PLAIN | frozenset("$&+,/:;=@")
_HOST = _PLAIN | frozenset("!$&'()*+,;=:[]<>\"")
_USER = _PLAIN | frozenset("$&+,;=")
_FRAGMENT = _PLAIN | frozenset("$&+,/:;=?@!()*")
_ESCAPE = re.compile("%([0-9a-fA-F]{2})?")
_SCHEME = re.compile("[a-zA-Z][a-zA-Z0-9+.-]*:")
_PORT = re.compile("(:[0-9]*)?")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class _Url:
    scheme: str = ""
    opaque: str = ""
    user: str = ""
    """Escaped; "" for none."""
    host: str = ""
    path: str = ""
    query: str = ""
    fragment: str = ""


def _bad(why: str) -> FunctionError:
    return FunctionError(f"unable to parse url: {why}")


def _escape(text: str, plain: frozenset[str]) -> str:
    chars = to_bytes(text).decode("latin-1")
    return "".join(char if char in plain else f"%{ord(char):02X}" for char in chars)


def _unescape(text: str) -> str:
    def byte(found: re.Match[str]) -> str:
        if found[1] is None:
            raise _bad("invalid URL escape")
        return chr(int(found[1], 16))

    return to_text(_ESCAPE.sub(byte, to_bytes(text).decode("latin-1")).encode("latin-1"))


def _unescape_host(text: str, *, zone: bool = False) -> str:
    """A host may escape what is not ASCII, and the percent sign; a zone more."""
    for found in _ESCAPE.finditer(text):
        if found[1] is None:
            raise _bad("invalid URL escape")
        code = int(found[1], 16)
        if not zone and code < 0x80 and code != 0x25:
            raise _bad("invalid URL escape")
        if zone and code not in (0x25, 0x20) and chr(code) not in _HOST:
            raise _bad("invalid URL escape")
    if any(char.isascii() and char not in _HOST and char != "%" for char in text):
        raise _bad("invalid character in host name")
    return _unescape(text)


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise _bad("invalid IP-literal")
    if bracket == 0:
        return _literal(host)
    colon = host.find(":")
    if colon >= 0 and scheme not in ("http", "https"):
        colon = host.rfind(":")  # a list of hosts, as databases have them
    if colon >= 0 and not _PORT.fullmatch(host[colon:]):
        raise _bad("invalid port after host")
    return _unescape_host(host)


def _literal(host: str) -> str:
    """`[fe80::1%25en0]:80`."""
    close = host.rfind("]")
    if close < 0:
        raise _bad("missing ']' in host")
    port, name = host[close + 1 :], host[1:close]
    if not _PORT.fullmatch(port):
        raise _bad("invalid port after host")
    zone = name.find("%25")
    address = _unescape_host(name[:zone] if zone >= 0 else name)
    behind = _unescape_host(name[zone:], zone=True) if zone >= 0 else ""
    try:
        IPv6Address(address)
    except AddressValueError:
        raise _bad("invalid IP-literal") from None
    if behind == "%":
        raise _bad("invalid IP-literal")
    return f"[{address}{behind}]{port}"


def _authority(scheme: str, authority: str) -> tuple[str, str]:
    """(escaped user, host)."""
    userinfo, at, host = authority.rpartition("@")
    host = _host(scheme, host)
    if not at:
        return "", host
    if not _USERINFO.fullmatch(userinfo):
        raise _bad("invalid userinfo")
    name, colon, password = userinfo.partition(":")
    return _escape(_unescape(name), _USER) + (":" + _escape(_unescape(password), _USER) if colon else ""), host


def parse(text: str) -> _Url:
    """net/url's Parse. Raises FunctionError."""
    head, _, fragment = text.partition("#")
    if _CONTROL.search(head):
        raise _bad("invalid control character in URL")
    if head == "*":
        return _Url(path="*", fragment=_unescape(fragment))
    if head.startswith(":"):
        raise _bad("missing protocol scheme")
    found = _SCHEME.match(head)
    scheme = found[0][:-1].lower() if found else ""
    rest, _, query = head[found.end() if found else 0 :].partition("?")
    user = host = ""
    if not rest.startswith("/"):
        if scheme:
            return _Url(scheme=scheme, opaque=rest, query=query, fragment=_unescape(fragment))
        if ":" in rest.partition("/")[0]:
            raise _bad("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        user, host = _authority(scheme, authority)
    return _Url(scheme, "", user, host, _unescape(rest), query, _unescape(fragment))


def _hostname(host: str) -> str:
    name, colon, port = host.rpartition(":")
    if not colon or not _PORT.fullmatch(colon + port):
        name = host
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def url_parse(text: str) -> dict[str, Value]:
    url = parse(text)
    return {
        "scheme": url.scheme,
        "host": url.host,
        "hostname": _hostname(url.host),
        "path": url.path,
        "query": url.query,
        "opaque": url.opaque,
        "fragment": url.fragment,
        "userinfo": url.user,
    }


def url_join(parts: dict[str, Value]) -> str:
    """The URL of what `urlParse` yields."""
    given = {}
    for name in ("scheme", "host", "path", "query", "opaque", "fragment", "userinfo"):
        value = (parts or {}).get(name, "")
        if not isinstance(value, str):
            raise FunctionError(f"unable to parse {name} key, must be of type string, but {type_name(value)} found")
        given[name] = value
    user = parse(f"proto://{given['userinfo']}@host").user if given["userinfo"] else ""
    has_user = bool(given["userinfo"])
    out = f"{given['scheme']}:" if given["scheme"] else ""
    out += given["opaque"] or _hierarchy(out, user if has_user else None, given["host"], given["path"])
    out += f"?{given['query']}" if given["query"] else ""
    return out + (f"#{_escape(given['fragment'], _FRAGMENT)}" if given["fragment"] else "")


def _hierarchy(scheme: str, user: str | None, host: str, path: str) -> str:
    """Authority and path."""
    out = "//" if (scheme or host or user is not None) and (host or path or user is not None) else ""
    out += f"{user}@" if user is not None else ""
    out += _escape(host, _HOST)
    path = "*" if path == "*" else _escape(path, _PATH)
    if path and not path.startswith("/") and host:
        out += "/"
    if not scheme + out and ":" in path.partition("/")[0]:
        out += "./"
    return out + path


URLS: dict[str, Function] = functions({"urlParse": ("s", url_parse), "urlJoin": ("m", url_join)})
