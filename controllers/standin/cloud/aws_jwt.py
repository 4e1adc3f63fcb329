"""Verifies web-identity tokens against the keys of registered issuers, as STS does: signature, iss, aud, exp, nbf."""

from __future__ import annotations

import base64
import binascii
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .aws_http import AwsError

MAX_TOKEN = 20_000  # bytes; the limit of WebIdentityToken


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OIDC provider as IAM knows it. Keys come from `jwks` or are fetched from `jwks_url` (trusting `ca_pem`)."""

    issuer: str
    jwks_url: str = ""
    jwks: Mapping[str, Any] | None = None
    ca_pem: str = ""

    @property
    def provider(self) -> str:
        """The issuer as it stands in provider ARNs and condition keys."""
        return self.issuer.removeprefix("https://").removeprefix("http://").rstrip("/")


@dataclass(slots=True)
class Verifier:
    issuers: dict[str, Issuer] = field(default_factory=dict)
    _keys: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def register(self, issuer: Issuer) -> None:
        with self._lock:
            self.issuers[issuer.issuer] = issuer
            self._keys.pop(issuer.issuer, None)

    def verify(self, token: str, *, audiences: tuple[str, ...]) -> tuple[Issuer, dict[str, Any]]:
        """(issuer, claims). Raises AwsError with STS's codes."""
        header, claims, signed, signature = _decode(token)
        issuer = self.issuers.get(str(claims.get("iss", "")))
        if issuer is None:
            raise AwsError("InvalidIdentityToken", "No OpenIDConnect provider found in your account for the issuer")
        key = self._key(issuer, str(header.get("kid", "")))
        if key is None or not _signature_holds(key, str(header.get("alg", "")), signed, signature):
            raise AwsError("InvalidIdentityToken", "Couldn't retrieve verification key, or the signature does not hold")
        now = time.time()
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or expires <= now:
            raise AwsError("ExpiredTokenException", "Token expired: current date/time must be before the expiration")
        if isinstance(claims.get("nbf"), int | float) and claims["nbf"] > now + 30:
            raise AwsError("InvalidIdentityToken", "Token is not valid yet")
        found = claims.get("aud")
        if not set(found if isinstance(found, list) else [found]) & set(audiences):
            raise AwsError("InvalidIdentityToken", "Incorrect token audience")
        return issuer, claims

    def _key(self, issuer: Issuer, kid: str) -> Mapping[str, Any] | None:
        with self._lock:
            fetched, keys = self._keys.get(issuer.issuer, (0.0, {}))
        if kid not in keys and time.monotonic() - fetched > 1:  # a new signing key, but no storm on unknown ones
            keys = _jwks(issuer)
            with self._lock:
                self._keys[issuer.issuer] = (time.monotonic(), keys)
        found: Mapping[str, Any] | None = keys.get(kid)
        return found


def _jwks(issuer: Issuer) -> dict[str, Any]:
    document = issuer.jwks
    if document is None:
        context = ssl.create_default_context(cadata=issuer.ca_pem or None)
        if not issuer.jwks_url.startswith(("https://", "http://")):
            raise AwsError("InvalidIdentityToken", "the issuer has no JWKS URL")
        try:
            with urllib.request.urlopen(issuer.jwks_url, timeout=5, context=context) as answer:  # noqa: S310 checked
                document = json.loads(answer.read(1 << 20))
        except (OSError, ValueError) as error:
            message = "Couldn't retrieve verification key from your identity provider"
            raise AwsError("IDPCommunicationError", message) from error
    if not isinstance(document, Mapping):
        return {}
    return {str(key.get("kid", "")): key for key in document.get("keys", []) if isinstance(key, Mapping)}


def _decode(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    parts = token.split(".")
    if len(parts) == 3 and len(token) <= MAX_TOKEN:
        try:
            header, claims = (json.loads(_b64(part)) for part in parts[:2])
            if isinstance(header, dict) and isinstance(claims, dict):
                return header, claims, f"{parts[0]}.{parts[1]}".encode(), _b64(parts[2])
        except (ValueError, binascii.Error, RecursionError):
            pass
    raise AwsError("InvalidIdentityToken", "The ID Token provided is not a valid JWT")


def _signature_holds(key: Mapping[str, Any], algorithm: str, signed: bytes, signature: bytes) -> bool:
    try:
        if algorithm == "RS256" and key.get("kty") == "RSA":
            public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
            public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            return True
        if algorithm == "ES256" and key.get("kty") == "EC" and len(signature) == 64:
            numbers = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1())
            half = [int.from_bytes(part) for part in (signature[:32], signature[32:])]
            numbers.public_key().verify(encode_dss_signature(*half), signed, ec.ECDSA(hashes.SHA256()))
            return True
    except (InvalidSignature, ValueError, KeyError, binascii.Error):
        return False
    return False


def _number(text: str) -> int:
    return int.from_bytes(_b64(text))


def _b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
