"""What a call of a Receiver's hook means: is it the sender it says, and which objects does it concern. Pure.

The path is secret (it holds the token's hash) but travels in logs of proxies, so types that sign are safer than
`generic`. Every comparison of a secret takes the same time wherever the difference is. A refusal tells the caller its
kind and nothing of what was expected; a call that is refused touches no object.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest
from controllers.lang.cel import CelError, compile_cel
from controllers.runtime.conditions import is_true

MAX_BODY = 3 << 20
_IMAGE, _SOURCE = "image.toolkit.fluxcd.io/v1", "source.toolkit.fluxcd.io/v1"
API_VERSIONS = {
    "ImageRepository": _IMAGE,
    "ImagePolicy": _IMAGE,
    "ImageUpdateAutomation": _IMAGE,
    "GitRepository": _SOURCE,
    "OCIRepository": _SOURCE,
    "Bucket": _SOURCE,
    "HelmRepository": _SOURCE,
    "HelmChart": _SOURCE,
    "ExternalArtifact": _SOURCE,
    "Kustomization": "kustomize.toolkit.fluxcd.io/v1",
    "HelmRelease": "helm.toolkit.fluxcd.io/v2",
}
"""Of the kinds that a Receiver may name without one."""
_HASHES: Mapping[str, Callable[..., Any]] = {
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
}


class RequestRefusedError(Exception):
    """The answer to a call that is not followed. `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True, slots=True)
class Call:
    """`headers` by lower-case name."""

    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises Refused."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise RequestRefusedError(400, "the body is not JSON") from None


@dataclass(frozen=True, slots=True)
class ReceiverTarget:
    """Objects that a Receiver names: one, or (name `*`) all with these labels."""

    api_version: str
    kind: str
    name: str
    namespace: str
    labels: Mapping[str, str]
    filter: str = ""
    """CEL, beside `spec.resourceFilter`: both must hold. `field` names it in errors."""
    field: str = ""

    @property
    def many(self) -> bool:
        return self.name == "*"


def webhook_path(token: str, name: str, namespace: str) -> str:
    """Where the hook of a Receiver is. Who does not know the token cannot know it."""
    return f"/hook/{hashlib.sha256(f'{token}{name}{namespace}'.encode()).hexdigest()}"


def check(
    receiver: Manifest, secret: Mapping[str, bytes] | None, call: Call, *, cross_namespace: bool = True
) -> list[ReceiverTarget]:
    """What the call asks for. Raises Refused: 503 not in service, 400 not its sender, 500 not served as written."""
    spec: Mapping[str, Any] = receiver.get("spec") or {}
    if spec.get("suspend") or not is_true(receiver.get("status") or {}, "Ready"):
        raise RequestRefusedError(503, "the receiver is suspended or not ready")
    token = (secret or {}).get("token", b"")
    if not token:
        raise RequestRefusedError(400, "the receiver's Secret has no token")
    authenticate(str(spec.get("type") or ""), token, call, spec.get("events") or ())
    return targets(receiver, cross_namespace=cross_namespace)


def authenticate(kind: str, token: bytes, call: Call, events: Sequence[str] = ()) -> None:
    """Raises Refused where the call is not what this kind of sender sends with this token."""
    match kind:
        case "generic":
            return
        case "generic-hmac":
            _signed(call, token, "x-signature")
        case "github":
            _signed(call, token, "x-hub-signature-256", "x-hub-signature")
            _event(call, "x-github-event", events)
        case "bitbucket":
            _signed(call, token, "x-hub-signature-256", "x-hub-signature")
            _event(call, "x-event-key", events)
        case "gitlab":
            _same(call.headers.get("x-gitlab-token", ""), token)
            _event(call, "x-gitlab-event", events)
        case "harbor":
            _same(call.headers.get("authorization", ""), token)
        case "nexus":
            wanted = hmac.new(token, call.body, hashlib.sha1).hexdigest().encode()
            _same(call.headers.get("x-nexus-webhook-signature", ""), wanted)
        case "dockerhub":
            _holds(call, "push_data", "repository")
        case "quay":
            _holds(call, "docker_url", "updated_tags")
        case "acr":
            _holds(call, "action", "target")
        case _:
            raise RequestRefusedError(400, "receivers of this type are unsupported")


def _signed(call: Call, token: bytes, *names: str) -> None:
    given = next((call.headers[name] for name in names if call.headers.get(name)), "")
    algorithm, _, signature = given.partition("=")
    if algorithm not in _HASHES or not signature:
        raise RequestRefusedError(400, "the request is not signed")
    _same(signature.lower(), hmac.new(token, call.body, _HASHES[algorithm]).hexdigest().encode())


def _same(given: str, wanted: bytes) -> None:
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), wanted):
        raise RequestRefusedError(400, "the token or signature is invalid")


def _event(call: Call, header: str, events: Sequence[str]) -> None:
    event = call.headers.get(header, "")
    if events and event.lower() not in {one.lower() for one in events}:
        raise RequestRefusedError(400, "the event is not in spec.events")


def _holds(call: Call, *keys: str) -> None:
    document = call.json()
    if not isinstance(document, dict) or any(key not in document for key in keys):
        raise RequestRefusedError(400, "the body does not have the form that this type of receiver expects")


def targets(receiver: Manifest, *, cross_namespace: bool = True) -> list[ReceiverTarget]:
    """Raises Refused for a reference that names nothing."""
    own = str(receiver["metadata"].get("namespace") or "")
    found = []
    for number, one in enumerate((receiver.get("spec") or {}).get("resources") or ()):
        kind, name = str(one.get("kind") or ""), str(one.get("name") or "")
        api_version = str(one.get("apiVersion") or API_VERSIONS.get(kind, ""))
        if not api_version or not kind:
            raise RequestRefusedError(
                500, f"spec.resources[{number}].apiVersion: found nothing, expected the group of {kind}"
            )
        labels = {str(key): str(value) for key, value in (one.get("matchLabels") or {}).items()}
        if name == "*" and not labels:
            raise RequestRefusedError(
                500, f"spec.resources[{number}].matchLabels: found nothing, expected labels beside *"
            )
        if not name:
            raise RequestRefusedError(500, f"spec.resources[{number}].name: found nothing, expected a name or *")
        namespace = str(one.get("namespace") or own)
        if namespace != own and not cross_namespace:
            raise RequestRefusedError(
                500, f"spec.resources[{number}].namespace: references to other namespaces are not allowed"
            )
        field = f"spec.resources[{number}].filter"
        found.append(ReceiverTarget(api_version, kind, name, namespace, labels, str(one.get("filter") or ""), field))
    return found


def matching(target: ReceiverTarget, objects: Iterable[Manifest]) -> list[Manifest]:
    """Of given objects, those that a target names."""
    found = []
    for one in objects:
        meta = one.get("metadata") or {}
        if one.get("kind") != target.kind or str(meta.get("namespace") or target.namespace) != target.namespace:
            continue
        labels = meta.get("labels") or {}
        if (target.many and all(labels.get(key) == value for key, value in target.labels.items())) or (
            not target.many and meta.get("name") == target.name
        ):
            found.append(one)
    return found


FILTER_VARIABLES = ("res", "req")


def filtered(
    objects: Sequence[Manifest], expression: str, call: Call, *, field: str = "spec.resourceFilter"
) -> list[Manifest]:
    """The objects for which `field` holds: CEL over `res` (metadata) and `req` (body). Raises RequestRefusedError."""
    if not expression or not objects:
        return list(objects)
    try:
        program = compile_cel(expression, FILTER_VARIABLES)
        request = call.json()
        return [one for one in objects if program.holds({"res": one, "req": request})]
    except CelError as error:
        raise RequestRefusedError(500, f"{field}: {error}") from None


def filters_of(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(field, expression) of each CEL filter that a Receiver's spec sets."""
    resources = enumerate(spec.get("resources") or ())
    found = [(f"spec.resources[{number}].filter", str(one.get("filter") or "")) for number, one in resources]
    return [each for each in [("spec.resourceFilter", str(spec.get("resourceFilter") or "")), *found] if each[1]]


def concerned(
    receiver: Manifest,
    secret: Mapping[str, bytes] | None,
    call: Call,
    objects: Sequence[Manifest],
    *,
    cross_namespace: bool = True,
) -> list[Manifest]:
    """Of given objects, those that a call asks to reconcile. Raises Refused."""
    wanted = check(receiver, secret, call, cross_namespace=cross_namespace)
    found = [
        one for target in wanted for one in filtered(matching(target, objects), target.filter, call, field=target.field)
    ]
    return filtered(found, str((receiver.get("spec") or {}).get("resourceFilter") or ""), call)
