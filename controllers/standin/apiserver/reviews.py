"""Access reviews: the authorizer's answers as API objects. Virtual types: they are asked and never stored."""

from __future__ import annotations

from controllers.api.resource import Manifest

from .authz import Rbac
from .seams import Answer, Attributes, Call, Handler, KindInfo, User
from .status_errors import bad_request
from .tokens import Tokens

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"


def virtual_types(rbac: Rbac, tokens: Tokens) -> list[tuple[KindInfo, Handler]]:
    """All review types with their handlers."""

    def decide(call: Call, user: User, spec: Manifest) -> Answer:
        decision = rbac.authorize(user, _attributes(spec))
        status: Manifest = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
        return Answer({**call.body, "status": status}, 201)

    def subject(call: Call) -> Answer:
        spec = call.body.get("spec") or {}
        if not spec.get("user") and not spec.get("groups"):
            raise bad_request("spec: at least one of user or group must be specified")
        return decide(call, User(spec.get("user") or "", tuple(spec.get("groups") or ())), spec)

    def local(call: Call) -> Answer:
        spec = call.body.get("spec") or {}
        asked = (spec.get("resourceAttributes") or {}).get("namespace")
        if asked != call.attributes.namespace:
            raise bad_request("spec.resourceAttributes.namespace: must match the namespace of the review")
        return subject(call)

    def own(call: Call) -> Answer:
        return decide(call, call.user, call.body.get("spec") or {})

    def rules(call: Call) -> Answer:
        namespace = (call.body.get("spec") or {}).get("namespace") or ""
        found = [rule for rule, _ in rbac.rules(call.user, namespace)]
        status = {
            "incomplete": False,
            "resourceRules": [
                {
                    "verbs": list(rule.verbs),
                    "apiGroups": list(rule.groups),
                    "resources": list(rule.resources),
                    **({"resourceNames": list(rule.names)} if rule.names else {}),
                }
                for rule in found
                if rule.resources
            ],
            "nonResourceRules": [
                {"verbs": list(rule.verbs), "nonResourceURLs": list(rule.urls)} for rule in found if rule.urls
            ],
        }
        return Answer({**call.body, "status": status}, 201)

    def whoami(call: Call) -> Answer:
        user = {"username": call.user.name, "groups": list(call.user.groups)}
        if call.user.uid:
            user["uid"] = call.user.uid
        return Answer({**call.body, "status": {"userInfo": user}}, 201)

    return [
        (_kind(_AUTHORIZATION, "SubjectAccessReview"), subject),
        (_kind(_AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True), local),
        (_kind(_AUTHORIZATION, "SelfSubjectAccessReview"), own),
        (_kind(_AUTHORIZATION, "SelfSubjectRulesReview"), rules),
        (_kind(_AUTHENTICATION, "SelfSubjectReview"), whoami),
        (_kind(_AUTHENTICATION, "TokenReview"), tokens.review),
    ]


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
