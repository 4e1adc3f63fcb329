"""How the stand-in's registry lets clients in: open, Basic, Bearer tokens from a realm, or ECR's `AWS:<token>`. Pure.

Tokens are our own: HMAC over subject, scopes and expiry. A Bearer token opens exactly the scopes it was issued for, as
on the real ones; a client that asks the realm for too little is answered 401 `insufficient_scope`.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

EcrLogin = Callable[[str], bool]  # may this password of user `AWS` in?


@dataclass(frozen=True, slots=True, repr=False)
class RegistryUser:
    password: str
    pull: tuple[str, ...] = ("*",)  # globs over repository names
    push: tuple[str, ...] = ()

    def may(self, repository: str, action: str) -> bool:
        globs = self.push if action in ("push", "delete") else (*self.pull, *self.push)
        return any(fnmatch.fnmatchcase(repository, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class Scope:
    repository: str
    actions: frozenset[str]

    def __str__(self) -> str:
        return f"repository:{self.repository}:{','.join(sorted(self.actions))}"


def parse_scope(text: str) -> Scope | None:
    """`repository:name:pull,push` → Scope. The name may hold a port's colon; None for other resource types."""
    kind, _, rest = text.partition(":")
    name, _, actions = rest.rpartition(":")
    return Scope(name, frozenset(filter(None, actions.split(",")))) if kind == "repository" and name else None


@dataclass(frozen=True, slots=True)
class Authenticator:
    """`mode`: "none", "basic" or "bearer". `ecr_login` opens every repository to user `AWS` with a good token."""

    mode: str = "none"
    users: Mapping[str, RegistryUser] = field(default_factory=dict)
    anonymous_pull: bool = False
    ecr_login: EcrLogin | None = None
    token_seconds: float = 300
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def allowed(self, authorization: str, repository: str, action: str) -> bool:
        """Whether this Authorization header permits `action` ("pull", "push", "delete"; "" = the /v2/ ping)."""
        if self.mode == "none":
            return True
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.mode == "bearer":
            return self._token_allows(value.strip(), repository, action)
        if self.mode == "bearer":
            return False
        user = self.login(authorization)
        if user is None:
            return self.anonymous_pull and action in ("", "pull") and not authorization
        return not action or user.may(repository, action)

    def login(self, authorization: str) -> RegistryUser | None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if name == "AWS" and self.ecr_login is not None:
            return RegistryUser("", push=("*",)) if self.ecr_login(password) else None
        user = self.users.get(name)
        good = user is not None and hmac.compare_digest(user.password.encode(), password.encode())
        return user if good else None

    def grant(self, authorization: str, scopes: list[str]) -> str | None:
        """The token endpoint: a token for what this client may do of what it asked; None = wrong credentials."""
        user = self.login(authorization)
        if authorization and user is None:
            return None
        granted = {}
        for scope in filter(None, map(parse_scope, scopes)):
            if user is not None:
                actions = [action for action in scope.actions if user.may(scope.repository, action)]
            else:
                actions = ["pull"] if self.anonymous_pull and "pull" in scope.actions else []
            granted[scope.repository] = actions
        body = json.dumps({"exp": time.time() + self.token_seconds, "access": granted}).encode()
        return f"{_b64(body)}.{_b64(self._sign(body))}"

    def _token_allows(self, token: str, repository: str, action: str) -> bool:
        body, _, signature = token.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body)
            if not hmac.compare_digest(self._sign(raw), base64.urlsafe_b64decode(signature)):
                return False
        except (binascii.Error, ValueError):
            return False
        claims = json.loads(raw)
        return claims["exp"] > time.time() and (not action or action in claims["access"].get(repository, ()))

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self.key, body, hashlib.sha256).digest()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
