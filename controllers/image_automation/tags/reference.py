"""Names of images: `[host[:port]/]path[:tag][@digest]`, and what a policy resolved to. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import re2

DEFAULT_REGISTRY = "index.docker.io"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::[0-9]{1,5})?"
)
_IPV6 = re.compile(r"\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
MAX_NAME = 255


class InvalidReferenceError(ValueError):
    """A text that names no image repository."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Where an image lives."""

    host: str
    """With port where it has one."""
    path: str

    @property
    def name(self) -> str:
        """The canonical name: `index.docker.io/library/alpine`."""
        return f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class Ref:
    """What a policy resolved to. `name` is the repository as its ImageRepository writes it."""

    name: str
    tag: str
    digest: str = ""

    @property
    def image(self) -> str:
        return f"{self.name}:{self.tag}{f'@{self.digest}' if self.digest else ''}"


def parse_repository(text: str) -> Repository:
    """`[host[:port]/]path` without scheme, tag or digest, canonicalised. Raises InvalidReferenceError."""
    if "://" in text:
        raise InvalidReferenceError(f"spec.image {text[:200]!r}: found a URL scheme, expected [host[:port]/]path")
    if "@" in text:
        raise InvalidReferenceError(f"spec.image {text[:200]!r}: found a digest, expected [host[:port]/]path")
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host, path = first, rest
    else:
        host, path = DEFAULT_REGISTRY, text
    if host == "docker.io":
        host = DEFAULT_REGISTRY
    if host == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    if ":" in path:
        raise InvalidReferenceError(f"spec.image {text[:200]!r}: found a tag, expected [host[:port]/]path")
    if not (_HOST.fullmatch(host) or _IPV6.fullmatch(host)) or not _PATH.fullmatch(path) or len(path) > MAX_NAME:
        raise InvalidReferenceError(f"spec.image {text[:200]!r}: expected [host[:port]/]path in lower case")
    port = host.rpartition(":")[2] if ":" in host and not host.endswith("]") else ""
    if port and int(port) > 65535:
        raise InvalidReferenceError(f"spec.image {text[:200]!r}: found port {port}, expected one up to 65535")
    return Repository(host, path)


def is_tag(text: str) -> bool:
    """Whether a registry's answer is a tag at all; what is not never becomes part of a commit."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


MAX_PATTERN = 4096


class InvalidPolicyError(ValueError):
    """A policy that cannot be evaluated, whatever the tags."""


_OPTIONS = re2.Options()


def compile_regex(pattern: str, field: str, *, ascii_only: bool = False) -> Any:
    """A compiled RE2 expression. Raises InvalidPolicyError for what RE2 does not take (lookaround, back references).

    `ascii_only`: one for ASCII bytes, None where the pattern itself is more than ASCII. It finds the same and spares
    the wrapper's translation of offsets between bytes and characters, which is two thirds of its time.
    """
    if len(pattern) > MAX_PATTERN:
        raise InvalidPolicyError(f"{field}: found {len(pattern)} characters, expected at most {MAX_PATTERN}")
    try:
        if ascii_only:
            return re2.compile(pattern.encode(), _OPTIONS) if pattern.isascii() else None
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        detail = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise InvalidPolicyError(f"{field}: invalid regular expression pattern {pattern[:200]!r}: {detail}") from None
