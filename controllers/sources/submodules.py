"""Which repositories a commit's submodules are. Pure.

`.gitmodules` is written by whoever pushed, and its URLs make a controller go where they point. Taken are https and ssh
on the host of the repository itself or on a host that the operator allows; nothing else in the file is looked at: not
`update`, which can be a command, nor names, which git turns into paths.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit, urlunsplit

from controllers.git.errors import RefusedError
from controllers.git.objects import clean_path
from controllers.git.process import check_url

FILE = ".gitmodules"
MAX_BYTES, MAX_MODULES, MAX_DEPTH = 64 << 10, 50, 4
_SECTION = re.compile(r'\[submodule "((?:[^"\\\n]|\\["\\])*)"\]')
_VALUE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*=\s*(.*)")


def urls_of(text: bytes) -> dict[str, str]:
    """Path → URL as it stands in `.gitmodules`. Raises RefusedError."""
    if len(text) > MAX_BYTES:
        raise RefusedError(f"{FILE}: found {len(text)} bytes, expected at most {MAX_BYTES}")
    sections: list[dict[str, str]] = []
    current: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            continue
        if stripped.startswith("["):
            current = {}
            if _SECTION.fullmatch(stripped):
                sections.append(current)
        elif value := _VALUE.fullmatch(stripped):
            if value[2].endswith("\\"):
                raise RefusedError(f"{FILE}: found a value over several lines, expected one line each")
            current[value[1].lower()] = _unquoted(value[2])
    found: dict[str, str] = {}
    for section in sections:
        if path := clean_path(section.get("path", "")):
            found[path] = section.get("url", "")
    return found


def _unquoted(value: str) -> str:
    """git's values may be quoted; a comment ends an unquoted one."""
    if len(value) >= 2 and value[0] == value[-1] == '"' and "\\" not in value:
        return value[1:-1]
    return re.split(r"\s[#;]", value, maxsplit=1)[0].strip()


def resolve(url: str, parent: str) -> str:
    """A submodule's URL, absolute; `./` and `../` count from the repository that holds it. Raises RefusedError."""
    if not url.startswith(("./", "../")):
        return url
    parts = urlsplit(parent)
    path = [each for each in parts.path.strip("/").split("/") if each]
    for step in url.strip("/").split("/"):
        if step in ("", "."):
            continue
        if step == "..":
            if not path:
                raise RefusedError(f"{FILE}: url {url[:200]!r} leads out of the host")
            path.pop()
        else:
            path.append(step)
    return urlunsplit((parts.scheme, parts.netloc, "/" + "/".join(path), "", ""))


def check(path: str, url: str, parent: str, hosts: Collection[str]) -> str:
    """The URL to fetch a submodule from. Raises RefusedError for one that may not be asked, naming path and cause."""
    try:
        found = check_url(resolve(url, parent))
    except RefusedError as error:
        text = error.message.replace("spec.url", "url")
        raise RefusedError(f"submodule {path!r}: {text}") from None
    host = (urlsplit(found).hostname or "").lower()
    own = (urlsplit(parent).hostname or "").lower()
    if host != own and host not in hosts:
        raise RefusedError(
            f"submodule {path!r}: host {host} is not allowed, expected {own} or one of --kustomization-submodule-hosts"
        )
    return found


def same_place(url: str, parent: str) -> bool:
    """May the parent's login be shown there? Only to the same scheme, host and port."""
    one, other = urlsplit(url), urlsplit(parent)
    return (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)


def missing(links: Mapping[str, str], urls: Mapping[str, str]) -> list[str]:
    """Submodules of the tree that `.gitmodules` does not name."""
    return sorted(path for path in links if not urls.get(path))
