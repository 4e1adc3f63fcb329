"""Who may read and write which repository of the stand-in's Git server. Pure."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hmac
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class GitUser:
    """`read` and `write` are globs over repository names; write includes read. `keys` are OpenSSH public key lines."""

    name: str
    password: str = ""  # empty: no password login
    read: tuple[str, ...] = ("*",)
    write: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"GitUser({self.name!r})"


@dataclass(frozen=True, slots=True)
class Access:
    users: tuple[GitUser, ...] = ()
    anonymous_read: bool = False

    def login(self, authorization: str) -> GitUser | None:
        """The user of an Authorization header: Basic name and password, or Bearer with the password as token."""
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self._by_password(None, value.strip())
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self._by_password(name, password)

    def _by_password(self, name: str | None, password: str) -> GitUser | None:
        for user in self.users:
            right_name = name is None or user.name == name
            if right_name and user.password and hmac.compare_digest(user.password.encode(), password.encode()):
                return user
        return None

    def may(self, user: GitUser | None, repository: str, *, write: bool) -> bool:
        if user is None:
            return self.anonymous_read and not write
        if _matches(user.write, repository):
            return True
        return not write and (self.anonymous_read or _matches(user.read, repository))


def _matches(globs: Iterable[str], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
