"""ARNs of secrets and parameters, and the forms in which their names are written."""

from __future__ import annotations

import re
from functools import lru_cache

_ARN = re.compile(r"arn:[^:]*:(secretsmanager|ssm):([^:]*):([^:]*):(?:secret:|parameter)(.+)\Z", re.DOTALL)
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")


def arn_parts(text: str) -> tuple[str, str, str] | None:
    """(region, account, name) of a secret's or parameter's ARN; None for anything else."""
    found = _ARN.match(text)
    return (found[2], found[3], found[4]) if found else None


def with_prefix(prefix: str, key: str) -> str:
    """A store's prefix goes before names, not before ARNs."""
    return key if key.startswith("arn:") else prefix + key


def owner(name: str) -> str:
    """The account in an ARN; "" for a name."""
    parts = arn_parts(name)
    return parts[1] if parts else ""


@lru_cache(maxsize=65536)
def spellings(text: str) -> frozenset[str]:
    """A name as it may be written: with and without ARN, random suffix, leading slash."""
    parts = arn_parts(text)
    name = parts[2] if parts else text
    found = {text, name}
    if parts and _SUFFIX.search(name):
        found.add(name[:-7])
    if name.startswith("/") and name.count("/") == 1:
        found.add(name[1:])
    return frozenset(found)


def listed_name(name: str) -> frozenset[str]:
    """A name as AWS lists it; of an ARN's, without the characters that may be random."""
    parts = arn_parts(name)
    if parts is None:
        return frozenset({name})
    plain = parts[2].rpartition("-")[0] or parts[2]
    bare = plain.startswith("/") and plain.count("/") == 1
    return frozenset({plain, plain[1:]}) if bare else frozenset({plain})
