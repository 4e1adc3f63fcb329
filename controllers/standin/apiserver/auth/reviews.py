"""Access reviews: the authorizer's answers as API objects. Virtual types: they are asked and never stored."""

from __future__ import annotations

from datetime import UTC, datetime

from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp

from ..seams import Answer, Attributes, Call, Handler, KindInfo, User
from ..ssa.unstored import written_by
from ..status_errors import Cause, StatusError, bad_request, invalid, invalid_value
from .authz import Rbac
from .rbac import Rule
from .tokens import Tokens

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"


class Reviews:
    """The handlers of the review types over one authorizer."""

    def __init__(self, rbac: Rbac) -> None:
        self._rbac = rbac

    def subject(self, call: Call) -> Answer:
        spec = call.body.get("spec") or {}
        _check(spec, subject=True)
        return self._decide(call, User(spec.get("user") or "", tuple(spec.get("groups") or ())))

    def local(self, call: Call) -> Answer:
        spec = call.body.get("spec") or {}
        asked = (spec.get("resourceAttributes") or {}).get("namespace")
        _check(spec, subject=True)
        if asked != call.attributes.namespace:
            raise _invalid(invalid_value("spec.resourceAttributes.namespace", asked, "must match metadata.namespace"))
        answer = self.subject(call)
        answer.body["metadata"] = {**answer.body["metadata"], "namespace": call.attributes.namespace}
        return answer

    def own(self, call: Call) -> Answer:
        _check(call.body.get("spec") or {}, subject=False)
        return self._decide(call, call.user)

    def rules(self, call: Call) -> Answer:
        namespace = (call.body.get("spec") or {}).get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        found = [rule for rule, _ in self._rbac.rules(call.user, namespace)]
        status = {
            "incomplete": False,
            "resourceRules": [_resource_rule(rule) for rule in found if rule.resources],
            "nonResourceRules": [
                {"verbs": list(rule.verbs), "nonResourceURLs": list(rule.urls)} for rule in found if rule.urls
            ],
        }
        head = {"kind": call.kind.kind, "apiVersion": call.kind.api_version, "metadata": {}}
        return Answer({**head, "spec": {}, "status": status}, 201)

    def _decide(self, call: Call, user: User) -> Answer:
        decision = self._rbac.authorize(user, _attributes(call.body.get("spec") or {}))
        status: Manifest = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
        return Answer(_answered(call, status), 201)


def _whoami(call: Call) -> Answer:
    user: Manifest = {"username": call.user.name, "groups": list(call.user.groups)}
    if call.user.uid:
        user["uid"] = call.user.uid
    if call.user.extra:
        user["extra"] = {name: list(values) for name, values in call.user.extra.items()}
    stamp = timestamp(datetime.now(UTC))
    head = {"kind": "SelfSubjectReview", "apiVersion": f"{_AUTHENTICATION}/v1"}
    return Answer({**head, "metadata": {"creationTimestamp": stamp}, "status": {"userInfo": user}}, 201)


def virtual_types(rbac: Rbac, tokens: Tokens) -> list[tuple[KindInfo, Handler]]:
    """All review types with their handlers."""
    reviews = Reviews(rbac)
    return [
        (_kind(_AUTHORIZATION, "SubjectAccessReview"), reviews.subject),
        (_kind(_AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True), reviews.local),
        (_kind(_AUTHORIZATION, "SelfSubjectAccessReview"), reviews.own),
        (_kind(_AUTHORIZATION, "SelfSubjectRulesReview"), reviews.rules),
        (_kind(_AUTHENTICATION, "SelfSubjectReview"), _whoami),
        (_kind(_AUTHENTICATION, "TokenReview"), tokens.review),
    ]


def _resource_rule(rule: Rule) -> Manifest:
    found: Manifest = {
        "verbs": list(rule.verbs), "apiGroups": list(rule.groups), "resources": list(rule.resources),
    }  # fmt: skip
    if rule.names:
        found["resourceNames"] = list(rule.names)
    return found


def _answered(call: Call, status: Manifest) -> Manifest:
    head = {"kind": call.kind.kind, "apiVersion": call.kind.api_version, "metadata": {}}
    body = {**head, **call.body, "status": status}
    name = f"{call.kind.group.partition('.')[0]}.v1.{call.kind.kind}"
    managers = written_by(call, call.body, name, call.kind.api_version)
    return {**body, "metadata": {**(body["metadata"] or {}), "managedFields": managers}}


def _invalid(cause: Cause) -> StatusError:
    return invalid(_AUTHORIZATION, "", "", [cause])


def _check(spec: Manifest, *, subject: bool) -> None:
    """Raises 422 where not exactly one of the two kinds of attributes is there, or nobody is asked about."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        why = "cannot be specified in combination with resourceAttributes"
        shown = {"Path": path.get("path", ""), "Verb": path.get("verb", "")}
        raise _invalid(invalid_value("spec.nonResourceAttributes", shown, why))
    if resource is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(invalid_value("spec.resourceAttributes", None, why))
    if subject and not spec.get("user") and not spec.get("groups"):
        raise _invalid(invalid_value("spec.user", "", "at least one of user or group must be specified"))


def _kind(group: str, kind: str, *, namespaced: bool = False) -> KindInfo:
    return KindInfo(group, "v1", f"{kind.lower()}s", kind, namespaced, kind.lower(), f"{kind}List")


def _attributes(spec: Manifest) -> Attributes:
    if path := spec.get("nonResourceAttributes"):
        return Attributes(path.get("verb") or "", path=path.get("path") or "")
    asked = spec.get("resourceAttributes") or {}
    return Attributes(
        asked.get("verb") or "",
        asked.get("group") or "",
        asked.get("version") or "",
        asked.get("resource") or "",
        asked.get("subresource") or "",
        asked.get("namespace") or "",
        asked.get("name") or "",
    )
