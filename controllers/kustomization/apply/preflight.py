"""What is refused before anything of a render is applied, and what is held before anything is deleted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.api.kustomize import KustomizationSpec
from controllers.api.meta import annotations_of
from controllers.api.plural import counted
from controllers.api.resource import Manifest
from controllers.api.tenancy import MINTING_SECRET_TYPES, ApplyKind, Decision, Request, WriteSecretType
from controllers.kustomization.drift.detect import rules_of
from controllers.kustomization.health.expressions import ExpressionError, HealthExpressions, check
from controllers.kustomization.objects.inventory import Entry, difference, entry_of
from controllers.kustomization.objects.labels import bad_labels, describe
from controllers.kustomization.objects.order import group_of
from controllers.runtime.policies import Policies
from controllers.runtime.result import NotReady, Stalled
from controllers.sops.decryptor import is_encrypted_object

ALLOW_EMPTY = "kustomize.inhaul.dev/allow-empty"
MAX_DELETES = "kustomize.inhaul.dev/max-deletes"
"""A number, or a percentage of what is owned: `10`, `25%`."""


def check_spec(manifest: Manifest, spec: KustomizationSpec) -> None:
    """Raises Stalled for what only an edit of the spec can mend, before anything is fetched or applied."""
    try:
        rules_of((manifest.get("spec") or {}).get("ignore") or ())
    except ValueError as error:
        raise Stalled("InvalidSpec", str(error)) from None
    for index, each in enumerate(spec.health_check_exprs):
        try:
            HealthExpressions(each.current, each.in_progress, each.failed)
        except ExpressionError as error:
            raise Stalled("InvalidCELExpression", f"spec.healthCheckExprs[{index}] ({each.kind}): {error}") from None
    for index, dependency in enumerate(spec.depends_on):
        try:
            check("readyExpr", dependency.ready_expr)
        except ExpressionError as error:
            text = f"spec.dependsOn[{index}] ({dependency.name}): {error}"
            raise Stalled("InvalidCELExpression", text) from None


def check_objects(objects: Sequence[Manifest], namespace: str, policies: Policies) -> None:
    """Raises NotReady: a label that none can be, a Secret that is still encrypted, a kind that policies deny."""
    if problems := bad_labels(objects):
        raise NotReady("ReconciliationFailed", "; ".join(problems[:10]))
    encrypted = [describe(manifest) for manifest in objects if is_encrypted_object(manifest)]
    if encrypted:
        text = f"{', '.join(encrypted[:10])}: still encrypted with SOPS; set spec.decryption"
        raise NotReady("BuildFailed", text)
    decisions: dict[Request, Decision] = {}
    refused = []
    for manifest in objects:
        for request in _requests(manifest):
            decision = decisions.setdefault(request, policies.allowed(namespace, request))
            if not decision:
                refused.append(f"{describe(manifest)}: {decision.reason}")
    if refused:
        raise NotReady("AccessDenied", "; ".join(refused[:10]))


def _requests(manifest: Manifest) -> list[Request]:
    """What a TenantPolicy is asked for one object. Other types of Secrets are left to RBAC, as upstream leaves them."""
    found: list[Request] = [ApplyKind(group_of(manifest), str(manifest["kind"]))]
    if manifest["kind"] == "Secret" and not group_of(manifest) and manifest.get("type") in MINTING_SECRET_TYPES:
        found.append(WriteSecretType(manifest["type"]))
    return found


def check_deletions(owner: Manifest, owned: Sequence[Entry], objects: Sequence[Manifest], *, prune: bool) -> None:
    """Raises Stalled for a render that would delete everything, or more than the owner's annotation allows."""
    stale = difference(owned, [entry_of(manifest) for manifest in objects]) if prune else []
    if not stale:
        return
    marks = annotations_of(owner)
    if not objects and marks.get(ALLOW_EMPTY, "").lower() != "true":
        text = (
            f"build produced no objects; refusing to prune {counted(len(stale), 'object')}. "
            f"To allow it: annotation {ALLOW_EMPTY}: 'true'"
        )
        raise Stalled("ReconciliationFailed", text)
    limit = _limit(marks.get(MAX_DELETES, ""), len(owned))
    if limit is not None and len(stale) > limit:
        names = ", ".join(map(str, stale[:10]))
        text = f"{counted(len(stale), 'object')} would be deleted, but {MAX_DELETES} allows {limit}: {names}"
        raise Stalled("ReconciliationFailed", text)


def _limit(text: str, owned: int) -> int | None:
    if not text:
        return None
    number = text.strip().removesuffix("%")
    if not number.isdecimal():
        raise Stalled("ReconciliationFailed", f"annotation {MAX_DELETES}: expected a number or a percentage")
    return int(number) * owned // 100 if text.strip().endswith("%") else int(number)
