"""Service account tokens: signed RS256 with a key of the server's directory, verified against it and against the
account that must still exist, published as OIDC discovery documents so that others (AWS) can verify them too."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp

from .. import tls
from ..seams import Answer, Call, Storage, User
from ..ssa.unstored import written_by
from ..status_errors import Cause, bad_request, conflict, invalid, invalid_value, method_not_allowed

_DEFAULT_SECONDS, _LEAST_SECONDS = 3600, 600
BOUND = ("Pod", "Secret", "Node")
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/openid/v1/jwks"


class TokenRefusedError(Exception):
    """A bearer token that is not to be believed."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    namespace: str
    account: str
    uid: str
    audiences: tuple[str, ...]
    identity: str = ""
    bound: tuple[str, str, str] = ("", "", "")
    """Kind, name and uid of the object that the token dies with."""

    def user(self) -> User:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated")
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={self.identity}",)}
        if self.bound[0] == "Pod":
            extra["authentication.kubernetes.io/pod-name"] = (self.bound[1],)
            extra["authentication.kubernetes.io/pod-uid"] = (self.bound[2],)
        return User(f"system:serviceaccount:{self.namespace}:{self.account}", groups, self.uid, extra)


class Tokens:
    """Signs and verifies. `issuer` is the server's URL."""

    def __init__(self, directory: Path, issuer: str, *, clock: Callable[[], float] = time.time) -> None:
        self.issuer = issuer
        self._clock = clock
        self._key = _load_key(directory / "service-account.key")
        public = self._key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._kid = _b64(hashlib.sha256(der).digest())
        self._good: dict[str, tuple[float, Claims]] = {}

    # --- issuing

    def request(self, call: Call) -> Answer:
        """POST serviceaccounts/{name}/token."""
        kind = call.body.get("kind")
        if kind not in (None, "TokenRequest"):
            raise bad_request(f"{kind} cannot be handled as a TokenRequest")
        spec = call.body.get("spec") or {}
        audiences = list(spec.get("audiences") or [self.issuer])
        seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
        problems: list[Cause] = []
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            why = "expirationSeconds must be a whole number of seconds"
            raise bad_request(f'TokenRequest in version "v1" cannot be handled as a TokenRequest: {why}')
        if seconds < _LEAST_SECONDS:
            why = "may not specify a duration less than 10 minutes"
            problems.append(invalid_value("spec.expirationSeconds", seconds, why))
        elif seconds > 1 << 32:
            why = "may not specify a duration larger than 2^32 seconds"
            problems.append(invalid_value("spec.expirationSeconds", seconds, why))
        if problems:
            raise invalid("authentication.k8s.io", "TokenRequest", "", problems)
        account = call.storage.get(call.kind, call.attributes.name, call.attributes.namespace)
        bound = _bound(call, spec.get("boundObjectRef"))
        token, expires = self.sign(account, audiences, seconds, bound)
        stamp = timestamp(datetime.fromtimestamp(expires, UTC))
        meta = {name: account["metadata"][name] for name in ("name", "namespace", "uid")}
        now = timestamp(datetime.fromtimestamp(self._clock(), UTC))
        version = "authentication.k8s.io/v1"
        said = {**call.body, "spec": {**spec, "expirationSeconds": seconds}}
        managers = written_by(call, said, "authentication.v1.TokenRequest", version, "token")
        body: Manifest = {
            "kind": "TokenRequest",
            "apiVersion": version,
            "metadata": {**meta, "creationTimestamp": now, "managedFields": managers},
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": token, "expirationTimestamp": stamp},
        }
        return Answer(body, 201)

    def sign(self, account: Manifest, audiences: list[str], seconds: int, bound: Manifest | None) -> tuple[str, int]:
        """(token, expiry in Unix seconds)."""
        now = int(self._clock())
        meta = account["metadata"]
        own: dict[str, Any] = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        if bound and bound.get("kind") in BOUND:
            own[bound["kind"].lower()] = {"name": bound.get("name"), "uid": bound.get("uid", "")}
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": own,
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        head = _b64(json.dumps({"alg": "RS256", "kid": self._kid}).encode())
        body = _b64(json.dumps(claims).encode())
        signature = self._key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{body}.{_b64(signature)}", now + seconds

    def refuse(self, call: Call) -> Answer:
        """A token is made by POST, and cannot be read."""
        raise method_not_allowed()

    # --- verifying

    def verify(self, token: str, storage: Storage, *, audiences: tuple[str, ...] = ()) -> Claims:
        """The claims of a token for one of `audiences` (default: this server). Raises TokenRefusedError."""
        claims = self._known(token) or self._checked(token)
        wanted = audiences or (self.issuer,)
        if not set(wanted) & set(claims.audiences):
            has, asked = json.dumps(claims.audiences), json.dumps(wanted)
            why = f"token audiences {has} is invalid for the target audiences {asked}"
            raise TokenRefusedError(f"[invalid bearer token, {why}]")
        kind = storage.kind("", "serviceaccounts")
        account = storage.find(kind, claims.account, claims.namespace) if kind else None
        if account is None or account["metadata"]["uid"] != claims.uid:
            raise TokenRefusedError("service account does not exist any more")
        self._check_bound(claims, storage)
        return claims

    @staticmethod
    def _check_bound(claims: Claims, storage: Storage) -> None:
        name, uid = claims.bound[1:]
        kind = storage.kind_for("v1", claims.bound[0]) if claims.bound[0] else None
        if kind is None:
            return
        found = storage.find(kind, name, claims.namespace if kind.namespaced else "")
        if found is None or found["metadata"]["uid"] != uid:
            raise TokenRefusedError(f"the {claims.bound[0]} that the token is bound to does not exist any more")

    def _known(self, token: str) -> Claims | None:
        found = self._good.get(token)
        return found[1] if found and found[0] > self._clock() else None

    def _checked(self, token: str) -> Claims:
        try:
            head, body, signature = token.split(".")
            header, claims = json.loads(_unb64(head)), json.loads(_unb64(body))
            self._key.public_key().verify(
                _unb64(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            own = claims["kubernetes.io"]
            good = header["alg"] == "RS256" and claims["iss"] == self.issuer
            now = self._clock()
            if not good or not claims["nbf"] - 5 <= now < claims["exp"]:
                raise TokenRefusedError("token has expired or is of another issuer")
            account = own["serviceaccount"]
            kind = next((kind for kind in BOUND if kind.lower() in own), "")
            bound = (kind, own[kind.lower()]["name"], own[kind.lower()]["uid"]) if kind else ("", "", "")
            audiences = tuple(claims["aud"])
            found = Claims(own["namespace"], account["name"], account["uid"], audiences, str(claims["jti"]), bound)
        except (ValueError, KeyError, TypeError, InvalidSignature, binascii.Error):
            raise TokenRefusedError("invalid bearer token") from None
        if len(self._good) > 2000:
            self._good.clear()
        self._good[token] = (claims["exp"], found)
        return found

    # --- documents

    def jwks(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        key = {
            "use": "sig",
            "kty": "RSA",
            "kid": self._kid,
            "alg": "RS256",
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        return {"keys": [key]}

    async def serve_jwks(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(self.jwks(), content_type="application/jwk-set+json")

    async def serve_discovery(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(
            {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}{JWKS}",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def review(self, call: Call) -> Answer:
        """POST tokenreviews."""
        spec = call.body.get("spec") or {}
        token = spec.get("token")
        if not isinstance(token, str) or not token:
            raise bad_request("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or (self.issuer,))
        try:
            claims = self.verify(token, call.storage, audiences=audiences)
        except TokenRefusedError as refused:
            status: Manifest = {"error": str(refused), "user": {}}
        else:
            user = claims.user()
            status = {
                "authenticated": True,
                "audiences": [item for item in audiences if item in claims.audiences],
                "user": {
                    "username": user.name,
                    "uid": user.uid,
                    "groups": list(user.groups),
                    "extra": {name: list(values) for name, values in user.extra.items()},
                },
            }
        managers = written_by(call, call.body, "authentication.v1.TokenReview", call.kind.api_version)
        head = {"metadata": {**(call.body.get("metadata") or {}), "managedFields": managers}}
        return Answer({**call.body, **head, "status": status}, 201)


def _bound(call: Call, reference: Any) -> Manifest | None:
    """The object a token is to be bound to, with its uid. Raises StatusError 400, 404, 409."""
    if not reference:
        return None
    kind, name = reference.get("kind"), reference.get("name") or ""
    info = call.storage.kind_for("v1", kind) if kind in BOUND else None
    if info is None:
        raise bad_request(f"cannot bind token to object of type /{reference.get('apiVersion', '')}, Kind={kind}")
    found = call.storage.get(info, name, call.attributes.namespace if info.namespaced else "")
    uid = found["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
        raise conflict("", info.plural, name, why)
    return {"kind": kind, "name": name, "uid": uid}


def _load_key(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        tls.write_private(
            path,
            made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path.name} is not an RSA key")
    return key


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _number(value: int) -> str:
    return _b64(value.to_bytes((value.bit_length() + 7) // 8))
