"""Who is calling: the credentials the facade knows, long-lived (operators) or issued by its STS."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from .aws_http import AwsError, Call, Environ, verify_signature


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal. Without `role` it is an operator's key that may do everything in its account."""

    account: str
    access_key: str
    secret: str = field(repr=False)
    role: str = ""  # ARN
    session: str = ""
    token: str = field(default="", repr=False)
    expires: dt.datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()

    @property
    def arn(self) -> str:
        if not self.role:
            return f"arn:aws:iam::{self.account}:user/ops"
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role.rpartition('/')[2]}/{self.session}"

    @property
    def name(self) -> str:
        """Short and stable, for counters: the role's ARN or "ops"."""
        return self.role or "ops"

    def context(self) -> dict[str, tuple[str, ...]]:
        """Condition keys of IAM that this principal brings to every request."""
        found = {f"aws:principaltag/{key.lower()}": (value,) for key, value in self.tags.items()}
        return {**found, "aws:principalarn": (self.role or self.arn,), "aws:principalaccount": (self.account,)}


@dataclass(slots=True)
class Directory:
    """All credentials. `static` are access key → (secret, account)."""

    static: dict[str, tuple[str, str]]
    _issued: dict[str, Identity] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(
        self,
        *,
        account: str,
        role: str,
        session: str,
        seconds: int,
        tags: Mapping[str, str] | None = None,
        transitive: frozenset[str] = frozenset(),
    ) -> Identity:
        identity = Identity(
            account,
            f"ASIA{secrets.token_hex(8).upper()}",
            secrets.token_urlsafe(30),
            role=role,
            session=session,
            token=secrets.token_urlsafe(60),
            expires=dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=seconds),
            tags=dict(tags or {}),
            transitive=transitive,
        )
        with self._lock:
            self._issued[identity.access_key] = identity
        return identity

    def forget(self) -> None:
        """Revokes everything that was issued."""
        with self._lock:
            self._issued.clear()

    def expire(self) -> None:
        """Lets everything that was issued expire now."""
        now = dt.datetime.now(dt.UTC)
        with self._lock:
            for key, old in list(self._issued.items()):
                self._issued[key] = Identity(
                    old.account, old.access_key, old.secret, old.role, old.session, old.token, now, old.tags
                )

    def authenticate(self, call: Call, environ: Environ, body: bytes) -> Identity:
        """The caller. Raises AwsError for an unknown key, a wrong or expired token, a signature of someone else."""
        identity = self._find(call)
        if identity is None:
            message = "The security token included in the request is invalid."
            status = 403 if call.query else 400
            raise AwsError("UnrecognizedClientException", message, status, "InvalidClientTokenId")
        if identity.expires is not None and identity.expires <= dt.datetime.now(dt.UTC):
            message = "The security token included in the request is expired"
            raise AwsError("ExpiredTokenException", message, 403 if call.query else 400, "ExpiredToken")
        if not verify_signature(environ, body, identity.secret):
            message = "The request signature we calculated does not match the signature you provided."
            status = 403 if call.query else 400
            raise AwsError("InvalidSignatureException", message, status, "SignatureDoesNotMatch")
        return identity

    def _find(self, call: Call) -> Identity | None:
        if call.access_key in self.static:
            secret, account = self.static[call.access_key]
            return Identity(account, call.access_key, secret)
        with self._lock:
            found = self._issued.get(call.access_key)
        return found if found is not None and found.token == call.token else None
