"""What ECR does and moto does not: pages, digests that are the manifest's, login tokens that expire and are checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from .aws_http import Answer, AwsError, Call, answer_json
from .aws_identities import Identity
from .registry_store import digest_of

TOKEN_SECONDS = 12 * 3600
_PAGED = {"DescribeImages": "imageDetails", "ListImages": "imageIds", "DescribeRepositories": "repositories"}


def login_token(key: bytes, account: str, *, now: float | None = None) -> str:
    """A password for user AWS, valid for 12 hours; `login_good` checks it without a table."""
    body = f"{account}.{int((time.time() if now is None else now) + TOKEN_SECONDS)}"
    return f"{body}.{hmac.new(key, body.encode(), hashlib.sha256).hexdigest()}"


def login_good(key: bytes, password: str) -> bool:
    body, _, signature = password.rpartition(".")
    wanted = hmac.new(key, body.encode(), hashlib.sha256).hexdigest()
    expires = body.rpartition(".")[2]
    return hmac.compare_digest(wanted.encode(), signature.encode()) and expires.isdigit() and int(expires) > time.time()


def authorization_token(call: Call, identity: Identity, key: bytes, endpoint: str) -> Answer:
    """GetAuthorizationToken. `endpoint` empty: the host name ECR would have."""
    token = base64.b64encode(f"AWS:{login_token(key, identity.account)}".encode()).decode()
    host = f"https://{identity.account}.dkr.ecr.{call.region}.amazonaws.com"
    data: dict[str, Any] = {"authorizationToken": token, "expiresAt": time.time() + TOKEN_SECONDS}
    if call.service == "ecr-public":
        return answer_json({"authorizationData": data})
    return answer_json({"authorizationData": [{**data, "proxyEndpoint": endpoint or host}]})


def with_digest(params: dict[str, Any]) -> dict[str, Any]:
    """PutImage with the digest of its manifest, which ECR computes and moto only takes when told."""
    manifest = params.get("imageManifest")
    if not isinstance(manifest, str):
        raise AwsError("InvalidParameterException", "imageManifest: expected a string")
    digest = digest_of(manifest.encode())
    if params.get("imageDigest", digest) != digest:
        raise AwsError("ImageDigestDoesNotMatchException", "the digest is not that of the manifest")
    return {**params, "imageDigest": digest}


def page(call: Call, answer: Answer) -> Answer:
    """One page of moto's full answer, by maxResults (100 when not given, at most 1,000) and nextToken."""
    field = _PAGED.get(call.action)
    if field is None or answer.status != 200:
        return answer
    size, token = call.params.get("maxResults", 100), str(call.params.get("nextToken") or "0")
    if not isinstance(size, int) or not 1 <= size <= 1000:
        raise AwsError("InvalidParameterException", "maxResults: expected 1 to 1000")
    if call.params.get("imageIds") and ("maxResults" in call.params or "nextToken" in call.params):
        raise AwsError("InvalidParameterException", "imageIds excludes maxResults and nextToken")
    if not token.isdigit():
        raise AwsError("InvalidParameterException", "nextToken: not one of ours")
    body = answer.json()
    items = body.get(field, [])
    start = int(token)
    body[field] = items[start : start + size]
    body.pop("nextToken", None)
    if start + size < len(items):
        body["nextToken"] = str(start + size)
    return answer_json(body)
