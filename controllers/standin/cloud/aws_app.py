"""The facade before moto: one WSGI application, one URL for all of AWS.

A request is parsed, its signature verified, its caller authorised per resource; then moto does the work, and what moto
leaves out is added: STS that verifies, Pod Identity, ECR's pages, limits, EventBridge events. `/_inhaul/…` is the
control API of the tests and has no authentication: the process listens on loopback only.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import aws_backends, aws_ecr, aws_events, aws_mend
from .aws_access import check, refusal
from .aws_controls import Controls
from .aws_http import Answer, AwsError, Call, Environ, answer_error, answer_json, parse
from .aws_identities import Directory, Identity
from .aws_jwt import Issuer
from .aws_sts import Association, TokenService

log = logging.getLogger(__name__)
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
MAX_BODY = 16 << 20
_BATCH = 20  # ids in one BatchGetSecretValue; moto takes any number


@dataclass(slots=True)
class Facade:
    moto: Wsgi
    directory: Directory
    tokens: TokenService
    ecr_key: bytes = field(repr=False)
    registry: str = ""  # proxyEndpoint of GetAuthorizationToken
    controls: Controls = field(default_factory=Controls)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        call = None
        try:
            body = _body(environ)
            answer = self._special(environ, body)
            if answer is None:
                call = parse(environ, body)
                answer = self._aws(call, environ, body)
        except AwsError as error:
            answer = answer_error(error, call)
        except Exception:
            log.exception("the AWS facade failed at %s", call.name if call else environ.get("PATH_INFO"))
            answer = answer_error(AwsError("InternalFailure", "the stand-in failed; see its log", 500), call)
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} AWS", headers)
        return [answer.body]

    # --- AWS

    def _aws(self, call: Call, environ: Environ, body: bytes) -> Answer:
        if call.name == "sts:AssumeRoleWithWebIdentity":
            self._obey(call)
            self.controls.count(call, str(call.params.get("RoleArn", "")))
            return self.tokens.web_identity(call)[0]
        if not call.access_key:
            message = "Request is missing Authentication Token"
            raise AwsError("MissingAuthenticationTokenException", message, 403, "MissingAuthenticationToken")
        identity = self.directory.authenticate(call, environ, body)
        self.controls.count(call, identity.name)
        self._obey(call)
        if call.name == "sts:AssumeRole":
            return self.tokens.assume_role(call, identity)
        if call.name == "sts:GetCallerIdentity":
            return self.tokens.caller_identity(call, identity)
        check(call, identity)
        answer = self._do(call, identity, environ, body)
        if answer.status == 200:
            for event in aws_events.events_of(call, identity, answer):
                self._publish(event, account=identity.account, region=call.region)
        return answer

    def _obey(self, call: Call) -> None:
        if seconds := self.controls.obey(call):
            time.sleep(seconds)

    def _do(self, call: Call, identity: Identity, environ: Environ, body: bytes) -> Answer:
        if call.name == "secretsmanager:BatchGetSecretValue":
            return self._batch(call, identity, environ)
        if call.name in ("ecr:GetAuthorizationToken", "ecr-public:GetAuthorizationToken"):
            return aws_ecr.authorization_token(call, identity, self.ecr_key, self.registry)
        if call.name == "ecr:PutImage":
            body = json.dumps(aws_ecr.with_digest(call.params)).encode()
        if call.name == "ssm:GetParameters":
            return aws_mend.parameters(
                call, lambda params: self._moto(environ, json.dumps(params).encode(), identity.account)
            )
        answer = self._moto(environ, body, identity.account)
        return aws_ecr.page(call, answer) if call.service == "ecr" else aws_mend.key_arn(call, identity, answer)

    def _batch(self, call: Call, identity: Identity, environ: Environ) -> Answer:
        ids = call.params.get("SecretIdList") or []
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            raise AwsError("SerializationException", "SecretIdList: expected a list of strings")
        if len(ids) > _BATCH:
            message = "1 validation error detected: Value at 'secretIdList' failed to satisfy constraint: "
            raise AwsError("ValidationException", f"{message}Member must have length less than or equal to {_BATCH}")
        refused = {secret: entry for secret in ids if (entry := refusal(call, identity, str(secret)))}
        allowed = [secret for secret in ids if secret not in refused]
        if ids and not allowed:
            return answer_json({"SecretValues": [], "Errors": list(refused.values())})
        params = {**call.params, "SecretIdList": allowed} if ids else call.params
        answer = self._moto(environ, json.dumps(params).encode(), identity.account)
        if answer.status != 200:
            return answer
        found, values = answer.json(), []
        for value in found.get("SecretValues", []):
            entry = None if ids else refusal(call, identity, str(value["ARN"]))
            if entry is None:
                values.append(value)
            else:
                refused[str(value["ARN"])] = entry
        errors = [*found.get("Errors", []), *refused.values()]
        return answer_json({**found, "SecretValues": values, "Errors": errors})

    def _publish(self, event: aws_events.Event, *, account: str, region: str) -> None:
        with self._lock:
            aws_backends.put_event(
                account=account,
                region=region,
                source=event.source,
                kind=event.kind,
                resources=list(event.resources),
                detail=event.detail,
            )

    def _moto(self, environ: Environ, body: bytes, account: str) -> Answer:
        inner = {
            **environ,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_MOTO_ACCOUNT_ID": account,
        }
        seen: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            seen["status"], seen["headers"] = int(status.split()[0]), headers

        content = b"".join(self.moto(inner, start))
        kept = tuple(item for item in seen["headers"] if item[0].lower() != "content-length")
        return Answer(seen["status"], content, kept)

    # --- what is not signed

    def _special(self, environ: Environ, body: bytes) -> Answer | None:
        path, method = str(environ.get("PATH_INFO", "/")), str(environ.get("REQUEST_METHOD", ""))
        if path == "/v1/credentials" and method == "GET":
            return self.tokens.container_credentials(str(environ.get("HTTP_AUTHORIZATION", "")))
        parts = path.strip("/").split("/")
        if len(parts) == 3 and parts[0] == "clusters" and parts[2] == "assume-role-for-pod-identity":
            return self.tokens.eks_auth(parts[1], str(_json(body).get("token", "")))
        if parts[0] == "_inhaul":
            return self._control("/".join(parts[1:]), method, _json(body))
        if parts[0] == "moto-api":
            raise AwsError("NotFound", "use /_inhaul/reset", 404)
        return None

    def _control(self, what: str, method: str, body: dict[str, Any]) -> Answer:
        if what in ("throttle", "latency", "fault") and method == "POST":
            self.controls.set(what, body)
        elif what == "calls":
            if method == "DELETE":
                self.controls.reset_counters()
            return answer_json(self.controls.report())
        elif what == "issuers" and method == "POST":
            self.tokens.verifier.register(Issuer(**body))
        elif what == "associations" and method == "POST":
            self.tokens.associations.append(Association(**body))
        elif what == "expire" and method == "POST":
            self.directory.expire()
        elif what == "registry" and method == "POST":
            self.registry = str(body.get("url", ""))
        elif what == "ecr/image" and method == "POST":
            self._mirror(body)
        elif what == "reset" and method == "POST":
            self._reset()
        elif what != "healthz":
            raise AwsError("NotFound", f"no control {what}", 404)
        return answer_json({})

    def _mirror(self, body: dict[str, Any]) -> None:
        account, region = str(body["account"]), str(body["region"])
        repository, tag, digest = str(body["repository"]), str(body.get("tag", "")), str(body["digest"])
        kind = str(body.get("media_type", ""))
        aws_backends.put_image(
            account=account,
            region=region,
            repository=repository,
            tag=tag,
            digest=digest,
            manifest=str(body["manifest"]),
            kind=kind,
        )
        event = aws_events.image_action(repository, tag, digest, kind=kind)
        self._publish(event, account=account, region=region)

    def _reset(self) -> None:
        self.controls.clear()
        self.directory.forget()
        self.tokens.associations.clear()
        self._moto({"REQUEST_METHOD": "POST", "PATH_INFO": "/moto-api/reset", **_BARE}, b"", "123456789012")


_BARE: dict[str, Any] = {
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "localhost",
    "wsgi.url_scheme": "http",
    "wsgi.version": (1, 0),
    "wsgi.errors": io.StringIO(),
    "QUERY_STRING": "",
    "SCRIPT_NAME": "",
}


def _body(environ: Environ) -> bytes:
    text = str(environ.get("CONTENT_LENGTH") or "0")
    if not text.isdigit() or int(text) > MAX_BODY:
        raise AwsError("RequestEntityTooLarge", f"a body is at most {MAX_BODY} bytes", 413)
    return bytes(environ["wsgi.input"].read(int(text)))


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AwsError("SerializationException", "expected a JSON object")
    return found
