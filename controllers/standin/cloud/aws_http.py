"""AWS requests and answers as they look on the wire: which call it is, who signed it, how each protocol says no.

Pure: environ and body in, values out. Knows the JSON protocols (X-Amz-Target), the query protocol (form fields, XML
answers) and Signature Version 4.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

Environ = Mapping[str, Any]
_TARGETS = {
    "secretsmanager": "secretsmanager",
    "AmazonSSM": "ssm",
    "TrentService": "kms",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
}
_QUERY = ("sts", "iam")


@dataclass(frozen=True, slots=True)
class Call:
    service: str
    action: str
    region: str
    params: dict[str, Any]  # JSON members, or form fields
    access_key: str = ""  # empty: unsigned
    token: str = ""

    @property
    def name(self) -> str:
        return f"{self.service}:{self.action}"

    @property
    def query(self) -> bool:
        return self.service in _QUERY


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def json(self) -> dict[str, Any]:
        found = json.loads(self.body or b"{}")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class AwsError(Exception):
    """An error answer of AWS. `query_code` is its name in the query protocol where that differs."""

    code: str
    message: str
    status: int = 400
    query_code: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())


def parse(environ: Environ, body: bytes) -> Call:
    """The call in a request. Raises AwsError for what is no request of AWS's protocols."""
    scope = _credential(environ)
    access_key, _, region, service = (*scope, "", "", "", "")[:4] if scope else ("", "", "us-east-1", "")
    token = str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        prefix, _, action = target.rpartition(".")
        try:
            params = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            params = None
        if not isinstance(params, dict):
            raise AwsError("SerializationException", "expected a JSON object")
        return Call(_TARGETS.get(prefix, service), action, region, params, access_key, token)
    if "x-www-form-urlencoded" in str(environ.get("CONTENT_TYPE", "")):
        fields = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=5000))
        return Call(service or "sts", fields.get("Action", ""), region, dict(fields), access_key, token)
    action = f"{environ.get('REQUEST_METHOD', '')}{environ.get('PATH_INFO', '')}"
    return Call(service, action, region, {}, access_key, token)


def answer_json(value: Any, *, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), (("Content-Type", "application/x-amz-json-1.1"),))


def answer_sts(action: str, xml: str) -> Answer:
    body = (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{xml}</{action}Result>'
        f"<ResponseMetadata><RequestId>{'0' * 8}-0000-4000-8000-{'0' * 12}</RequestId></ResponseMetadata>"
        f"</{action}Response>"
    )
    return Answer(200, body.encode(), (("Content-Type", "text/xml"),))


def answer_error(error: AwsError, call: Call | None) -> Answer:
    """The error in the protocol of the call's service."""
    if call is not None and call.query:
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{escape(error.query_code or error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
            "<RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>"
        )
        return Answer(error.status, body.encode(), (("Content-Type", "text/xml"), *error.headers))
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", error.code), *error.headers]
    if call is not None and call.service == "sqs" and error.query_code:
        headers.append(("x-amzn-query-error", f"{error.query_code};Sender"))
    content = json.dumps({"__type": error.code, "message": error.message, "Message": error.message})
    return Answer(error.status, content.encode(), tuple(headers))


def denied(call: Call, *, arn: str, action: str, resource: str, explicit: bool = False) -> AwsError:
    """AccessDenied as IAM words it."""
    why = "with an explicit deny in an identity-based policy"
    if not explicit:
        why = f"because no identity-based policy allows the {action} action"
    message = f"User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
    status = 403 if call.query or call.service == "sqs" else 400
    return AwsError("AccessDeniedException", message, status, "AccessDenied")


def verify_signature(environ: Environ, body: bytes, secret: str) -> bool:
    """Whether `secret` made the Signature Version 4 of this request."""
    fields = _authorization(environ)
    scope = fields.get("Credential", "").split("/")[1:]
    stamp = str(environ.get("HTTP_X_AMZ_DATE", ""))
    if len(scope) != 4 or not stamp:
        return False
    signed = fields.get("SignedHeaders", "").split(";")
    path, _, query = str(environ.get("REQUEST_URI") or environ.get("RAW_URI") or "/").partition("?")
    payload = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")) or hashlib.sha256(body).hexdigest()
    canonical = "\n".join(
        [
            str(environ.get("REQUEST_METHOD", "")),
            quote(path, safe="/~"),
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{_header(environ, name)}" for name in signed),
            "",
            ";".join(signed),
            payload,
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), fields.get("Signature", "").encode())


def members(params: Mapping[str, Any], prefix: str) -> Iterable[str]:
    """`Prefix.member.1`, `.2` … of a query request."""
    number = 1
    while f"{prefix}.member.{number}" in params:
        yield str(params[f"{prefix}.member.{number}"])
        number += 1


def _authorization(environ: Environ) -> dict[str, str]:
    scheme, _, rest = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return {}
    pairs = (item.strip().partition("=") for item in rest.split(","))
    return {name: value for name, _, value in pairs}


def _credential(environ: Environ) -> list[str]:
    found = _authorization(environ).get("Credential", "")
    return found.split("/") if found.count("/") == 4 else []


def _header(environ: Environ, name: str) -> str:
    key = name.upper().replace("-", "_")
    value = environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", "")
    return " ".join(str(value).split())
