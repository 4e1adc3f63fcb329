"""Globs that grant access, and the forms of names that they are compared with.

A glob that matches more than its author meant is a hole, so the language is small and its meaning exact:

- `*` is any run of characters but a separator, `?` one of them, `**` any run at all; `**/` may also be nothing, so that
  `a/**/b` covers `a/b`. Everything else stands for itself, case included; there are no classes and no escapes.
- The separator is `/`. In ARNs it is `:` as well, so that `*` never reaches over a field of the ARN.
- Names with an empty, `.` or `..` segment, with a backslash or a control character match nothing at all: what they
  would mean depends on who reads them.

Matching is linear in the length of the name (RE2): names come from tenants.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import re2

MAX_NAME = 4096
"""Characters of a name; longer ones match nothing."""

_DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22}
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def matches(pattern: str, name: str) -> bool:
    """Whether a glob covers a name. A name that is no plain path or ARN is covered by no glob."""
    if not is_plain(name):
        return False
    return _compiled(pattern, ":/" if name.startswith("arn:") else "/").fullmatch(name) is not None


def is_plain(name: str) -> bool:
    """Not empty, of bounded length, printable, and without segments that a reader could resolve or drop."""
    if not name or len(name) > MAX_NAME or "\\" in name:
        return False
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in name):
        return False
    return not any(segment in ("", ".", "..") for segment in name.removeprefix("/").split("/"))


@lru_cache(maxsize=4096)
def _compiled(pattern: str, separators: str) -> Any:
    one = f"[^{separators}]"
    parts, at = [], 0
    while at < len(pattern):
        starts_segment = at == 0 or pattern[at - 1] == "/"
        if starts_segment and pattern.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            parts.append(".*")
            at += 2
        elif pattern[at] == "*":
            parts.append(f"{one}*")
            at += 1
        elif pattern[at] == "?":
            parts.append(one)
            at += 1
        else:
            parts.append(re2.escape(pattern[at]))
            at += 1
    return re2.compile("(?s)" + "".join(parts))


def normal_git_url(url: str) -> str | None:
    """A Git URL in the one form that is compared: `https://host[:port]/path`; None where its meaning is open.

    User and password, a default port, `.git` and slashes at the end are dropped, the host is lower case, `%` is decoded
    once. Refused: other schemes, query and fragment, encoded slashes, hosts that are not plain ASCII. The path keeps
    its case, though some hosts ignore it: a grant may be narrower than the host, never wider.
    """
    if "://" not in url and "@" in url.partition(":")[0]:
        user_and_host, _, scp_path = url.partition(":")
        url = f"ssh://{user_and_host}/{scp_path.removeprefix('/')}"
    if not url.isprintable() or any(character in url for character in "\\?# "):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _DEFAULT_PORTS or parts.netloc.count("@") > 1:
        return None
    if not host or not host.isascii() or any(mark in host for mark in "*%"):
        return None
    path = _normal_path(parts.path)
    if path is None:
        return None
    shown = f"[{host}]" if ":" in host else host
    suffix = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown}{suffix}{path}"


def _normal_path(raw: str) -> str | None:
    if "%2f" in raw.lower():
        return None
    path = unquote(raw, errors="replace").rstrip("/").removesuffix(".git").rstrip("/")
    if "%" in path or "?" in path or "\ufffd" in path or not path.startswith("/") or not is_plain(path):
        return None
    return path


def git_url_matches(pattern: str, url: str) -> bool:
    """Whether a grant's URL, with globs in its path, covers a repository's URL."""
    wanted, found = normal_git_url(pattern), normal_git_url(url)
    if wanted is None or found is None:
        return False
    wanted_root, _, wanted_path = wanted.partition("://")[2].partition("/")
    found_root, _, found_path = found.partition("://")[2].partition("/")
    same_host = (wanted.partition(":")[0], wanted_root) == (found.partition(":")[0], found_root)
    return same_host and matches(wanted_path, found_path)


def normal_repository(name: str) -> str:
    """An image repository with its registry: `alpine` → `docker.io/library/alpine`; the host in lower case."""
    host, slash, path = name.partition("/")
    is_host = any(mark in host for mark in ".:*") or host.lower() == "localhost" or host != host.lower()
    if not slash or not is_host:
        host, path = "docker.io", name if slash else f"library/{name}"
    host = host.lower()
    return f"{'docker.io' if host in _DOCKER_HUB else host}/{path}"


def repository_matches(pattern: str, name: str) -> bool:
    """Whether a grant covers an image repository; `**` alone covers all."""
    return matches(pattern if pattern == "**" else normal_repository(pattern), normal_repository(name))
