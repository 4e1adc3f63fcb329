"""ValidatingAdmissionPolicy: CEL rules over writes, as an admission hook.

Served: matchConstraints and a binding's matchResources (rules, exclusions, selectors), matchConditions, variables,
validations with message, messageExpression and reason, failurePolicy. Left out: parameters (`paramRef`), `authorizer`,
audit annotations, and the actions Warn and Audit, which deny nothing and are not told. What can go wrong in a user's
expression is an error of that expression: `failurePolicy: Fail` refuses the write, `Ignore` passes over it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from controllers.api.resource import Manifest
from controllers.lang.cel import CelError, Program, compile_cel

from .seams import Admission, Answer, Call, Handler, KindInfo, Storage
from .status_errors import Cause, StatusError, forbidden, invalid, invalid_value, not_supported, required
from .workloads.defaults import matches

GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
REASONS = {"Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}
ACTIONS = ("Audit", "Deny", "Warn")
VARIABLES = ("object", "oldObject", "request", "params", "namespaceObject", "variables")


def admit(admission: Admission, storage: Storage) -> Manifest | None:
    """An AdmissionHook: furnishes and checks policies themselves, and asks them about every other write."""
    kind = admission.kind
    if kind.group == GROUP:
        return _own(admission) if admission.object is not None else None
    for policy, binding in _bound(storage):
        if _applies(policy, binding, admission, storage):
            _judge(policy, binding, admission, storage)
    return None


def admitted(handler: Handler, kind: KindInfo) -> Handler:
    """A subresource handler behind the policies; `kind` is the kind of its body."""

    def asked(call: Call) -> Answer:
        where = call.attributes
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **call.body}
        subject = Admission(
            "CREATE", call.user, call.kind, where.namespace, where.name, body, None, where.subresource, call.dry_run
        )
        for policy, binding in _bound(call.storage):
            if _applies(policy, binding, subject, call.storage):
                _judge(policy, binding, subject, call.storage, body_kind=kind)
        return handler(call)

    return asked


def _bound(storage: Storage) -> Iterator[tuple[Manifest, Manifest]]:
    policies, bindings = storage.kind(GROUP, POLICIES), storage.kind(GROUP, BINDINGS)
    if policies is None or bindings is None:
        return
    for binding in storage.list(bindings):
        spec = binding.get("spec") or {}
        if "Deny" in (spec.get("validationActions") or ()):
            policy = storage.find(policies, spec.get("policyName", ""))
            if policy is not None:
                yield policy, binding


# --- what a policy is about -------------------------------------------------------------------------------------------


def _applies(policy: Manifest, binding: Manifest, admission: Admission, storage: Storage) -> bool:
    constraints = policy["spec"].get("matchConstraints") or {}
    if not any(rule_matches(rule, admission) for rule in constraints.get("resourceRules") or ()):
        return False
    narrowed = binding["spec"].get("matchResources") or {}
    rules = narrowed.get("resourceRules")
    if rules and not any(rule_matches(rule, admission) for rule in rules):
        return False
    for part in (constraints, narrowed):
        if any(rule_matches(rule, admission) for rule in part.get("excludeResourceRules") or ()):
            return False
        if not _selected(part, admission, storage):
            return False
    return True


def rule_matches(rule: Manifest, admission: Admission) -> bool:
    """Whether one resource rule names the group, version, resource, operation, name and scope of a write."""
    kind = admission.kind
    named = rule.get("resourceNames")
    scope = rule.get("scope") or "*"
    return (
        _listed(kind.group, rule.get("apiGroups"))
        and _listed(kind.version, rule.get("apiVersions"))
        and _listed(admission.operation, rule.get("operations"))
        and any(_resource(pattern, kind.plural, admission.subresource) for pattern in rule.get("resources") or ())
        and (not named or admission.name in named)
        and scope in ("*", "Namespaced" if kind.namespaced else "Cluster")
    )


def _listed(value: str, accepted: list[str] | None) -> bool:
    return "*" in (accepted or ()) or value in (accepted or ())


def _resource(pattern: str, plural: str, subresource: str) -> bool:
    resource, _, part = pattern.partition("/")
    return resource in ("*", plural) and (part == subresource or (part == "*"))


def _selected(part: Manifest, admission: Admission, storage: Storage) -> bool:
    if selector := part.get("objectSelector"):
        candidates = [obj for obj in (admission.object, admission.old) if obj is not None]
        if not any(matches(selector, (obj.get("metadata") or {}).get("labels") or {}) for obj in candidates):
            return False
    if (selector := part.get("namespaceSelector")) and admission.namespace:
        namespace = _namespace(admission, storage) or {"metadata": {}}
        return matches(selector, namespace["metadata"].get("labels") or {})
    return True


def _namespace(admission: Admission, storage: Storage) -> Manifest | None:
    kind = storage.kind("", "namespaces")
    return storage.find(kind, admission.namespace) if kind and admission.namespace else None


# --- what it says -----------------------------------------------------------------------------------------------------


def _judge(
    policy: Manifest, binding: Manifest, admission: Admission, storage: Storage, *, body_kind: KindInfo | None = None
) -> None:
    """Raises StatusError where a validation does not hold."""
    spec = policy["spec"]
    strict = spec.get("failurePolicy", "Fail") == "Fail"
    context = _context(admission, storage, body_kind or admission.kind)

    def refuse(why: str, reason: str = "Invalid") -> StatusError:
        names = policy["metadata"]["name"], binding["metadata"]["name"]
        return refusal(
            admission, f"ValidatingAdmissionPolicy '{names[0]}' with binding '{names[1]}' denied request: {why}", reason
        )

    for condition in spec.get("matchConditions") or ():
        try:
            if not _program(condition["expression"]).holds(context):
                return
        except CelError as error:
            if strict:
                raise refuse(f"match condition '{condition.get('name')}' resulted in error: {error}") from None
            return
    for variable in spec.get("variables") or ():
        try:
            context["variables"][variable["name"]] = _program(variable["expression"]).evaluate(context)
        except CelError:
            continue  # whoever uses it meets an absent key
    for validation in spec.get("validations") or ():
        expression = validation["expression"]
        try:
            holds = _program(expression).holds(context)
        except CelError as error:
            if strict:
                why = f"expression '{expression}' resulted in error: {short_error(error)}"
                raise refuse(why, validation.get("reason") or "Invalid") from None
            continue
        if not holds:
            raise refuse(_message(validation, context), validation.get("reason") or "Invalid")


def _context(admission: Admission, storage: Storage, kind: KindInfo) -> dict[str, Any]:
    user = admission.user
    resource = {"group": admission.kind.group, "version": admission.kind.version, "resource": admission.kind.plural}
    request = {
        "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "resource": resource,
        "requestResource": resource,
        "subResource": admission.subresource,
        "requestSubResource": admission.subresource,
        "name": admission.name,
        "namespace": admission.namespace,
        "operation": admission.operation,
        "dryRun": admission.dry_run,
        "userInfo": {
            "username": user.name,
            "groups": list(user.groups),
            "uid": user.uid,
            "extra": {name: list(values) for name, values in user.extra.items()},
        },
    }
    return {
        "object": admission.object,
        "oldObject": admission.old,
        "request": request,
        "params": None,
        "namespaceObject": _namespace(admission, storage),
        "variables": {},
    }


def _program(expression: str) -> Program:
    return compile_cel(expression, VARIABLES)


def _message(validation: Manifest, context: dict[str, Any]) -> str:
    if expression := validation.get("messageExpression"):
        try:
            text = _program(expression).evaluate(context)
            if isinstance(text, str) and text.strip() and "\n" not in text:
                return text.strip()
        except CelError:
            pass  # the fixed message, then
    return (validation.get("message") or "").strip() or f"failed expression: {validation['expression'].strip()}"


def short_error(error: CelError) -> str:
    """The library's words for an absent key in the server's: `no such key: a`."""
    text = str(error)
    start = text.find("Key not found in map : ")
    if start >= 0:
        return "no such key: " + text[start + len("Key not found in map : ") :].strip('"')
    return text


def refusal(admission: Admission, message: str, reason: str) -> StatusError:
    """As every admission plug-in refuses, with the policy's reason and its code."""
    error = forbidden(
        admission.kind.group, admission.kind.plural, admission.name, message, causes=(Cause("", message),)
    )
    error.reason, error.code = reason, REASONS.get(reason, 422)
    return error


# --- policies as objects ----------------------------------------------------------------------------------------------


def _own(admission: Admission) -> Manifest | None:
    """Defaults and rules of the two types themselves."""
    checks: dict[str, tuple[str, Callable[[Manifest], list[Cause]]]] = {
        POLICIES: ("ValidatingAdmissionPolicy", _policy_causes),
        BINDINGS: ("ValidatingAdmissionPolicyBinding", _binding_causes),
    }
    if admission.kind.plural not in checks or admission.object is None:
        return None
    found = copy.deepcopy(admission.object)
    spec = found.setdefault("spec", {})
    for part in (spec.get("matchConstraints"), spec.get("matchResources")):
        if part is not None:
            part.setdefault("matchPolicy", "Equivalent")
            part.setdefault("namespaceSelector", {})
            part.setdefault("objectSelector", {})
            for rule in [*(part.get("resourceRules") or ()), *(part.get("excludeResourceRules") or ())]:
                rule.setdefault("scope", "*")
    if admission.kind.plural == POLICIES:
        spec.setdefault("failurePolicy", "Fail")
    kind, check = checks[admission.kind.plural]
    if causes := check(spec):
        raise invalid(GROUP, kind, admission.name, causes)
    return found


def _policy_causes(spec: Manifest) -> list[Cause]:
    causes = []
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        why = "validations or auditAnnotations must contain at least one item"
        causes += [required("spec.validations", why), required("spec.auditAnnotations", why)]
    if not (spec.get("matchConstraints") or {}).get("resourceRules"):
        causes.append(required("spec.matchConstraints"))
    for index, validation in enumerate(spec.get("validations") or ()):
        path = f"spec.validations[{index}]"
        causes += _expression_causes(f"{path}.expression", validation.get("expression") or "")
        reason = validation.get("reason")
        if reason and reason not in REASONS:
            causes.append(not_supported(f"{path}.reason", reason, tuple(REASONS)))
    for index, condition in enumerate(spec.get("matchConditions") or ()):
        causes += _expression_causes(f"spec.matchConditions[{index}].expression", condition.get("expression") or "")
    return causes


def _expression_causes(path: str, expression: str) -> list[Cause]:
    if not expression.strip():
        return [required(path)]
    try:
        _program(expression)
    except CelError as error:
        return [invalid_value(path, expression, f"compilation failed: {error}")]
    return []


def _binding_causes(spec: Manifest) -> list[Cause]:
    causes = [] if spec.get("policyName") else [required("spec.policyName")]
    actions = spec.get("validationActions") or []
    if not actions:
        causes.append(required("spec.validationActions"))
    for index, action in enumerate(actions):
        if action not in ACTIONS:
            causes.append(not_supported(f"spec.validationActions[{index}]", action, ACTIONS))
    return causes
