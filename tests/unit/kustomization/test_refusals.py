"""What a spec or an annotation says in vain is refused by name, before anything is done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controllers.api.base import parse
from controllers.api.kustomize import KustomizationSpec
from controllers.api.resource import Manifest
from controllers.kustomization.apply.preflight import check_spec
from controllers.kustomization.drift.annotations import RULES, InvalidAnnotationError
from controllers.kustomization.drift.policy import foreign, policy_of
from controllers.runtime.result import Stalled


def kustomization(**spec: Any) -> Manifest:
    needed = {"interval": "1m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "fleet"}}
    return {"metadata": {"name": "app", "namespace": "n"}, "spec": {**needed, **spec}}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"mode": "Alert", "target": {"kin": "X"}}, r"\[0\]: target: unknown field 'kin', expected some of .*kind"),
        ({"mode": "Alert", "target": {"name": "("}}, r"\[0\]: target: name: regular expression '\(': missing \)"),
        ({"mode": "Alert", "target": {"labelSelector": "a in ("}}, r"\[0\]: target: labelSelector: selector 'a in \('"),
        ({"mode": "Alert", "paths": ["spec/x"]}, r"\[0\]: paths: JSON pointer 'spec/x': expected a slash"),
        ({"mode": "Never"}, r"\[0\]: mode: found 'Never', expected Revert, Alert or Ignore"),
    ],
)
def test_a_drift_rule_that_cannot_be_read_is_named_by_place_and_field(rule: Any, told: str) -> None:
    owner = {"metadata": {"annotations": {RULES: json.dumps([rule])}}}
    with pytest.raises(InvalidAnnotationError, match=told):
        policy_of(owner)


@pytest.mark.parametrize(
    ("spec", "reason", "told"),
    [
        ({"ignore": [{"paths": ["x"]}]}, "InvalidSpec", r"spec\.ignore\[0\]\.paths\[0\]: JSON pointer 'x'"),
        (
            {"ignore": [{"paths": ["/x"], "target": {"name": "["}}]},
            "InvalidSpec",
            r"ignore\[0\]\.target\.name: regular",
        ),
        (
            {"ignore": [{"paths": ["/x"], "target": {"labelSelector": "a=b=c"}}]},
            "InvalidSpec",
            r"ignore\[0\]\.target\.labelSelector",
        ),
        (
            {"healthCheckExprs": [{"apiVersion": "x/v1", "kind": "X", "current": "a ="}]},
            "InvalidCELExpression",
            r"spec\.healthCheckExprs\[0\] \(X\): failed to parse the expression Current",
        ),
        (
            {"dependsOn": [{"name": "a"}, {"name": "b", "readyExpr": "dep."}]},
            "InvalidCELExpression",
            r"spec\.dependsOn\[1\] \(b\): failed to parse the expression readyExpr",
        ),
    ],
)
def test_what_only_an_edit_of_the_spec_can_mend_stalls_and_names_the_field(
    spec: dict[str, Any], reason: str, told: str
) -> None:
    manifest = kustomization(**spec)
    with pytest.raises(Stalled, match=told) as caught:
        check_spec(manifest, parse(KustomizationSpec, manifest))
    assert caught.value.reason == reason


def test_a_field_that_git_speaks_of_is_no_addition_of_others() -> None:
    fields: list[tuple[str, Manifest]] = [
        ("kustomize-controller", {"f:data": {"f:a": {}}}),
        ("k9s", {"f:data": {"f:b": {}, "f:c": {}}}),
    ]
    entries = [{"manager": name, "operation": "Update", "fieldsV1": found} for name, found in fields]
    live = {"metadata": {"managedFields": entries}, "data": {"a": "1", "b": "2", "c": "3"}}
    ours = "kustomize-controller"
    assert foreign(live, ours=ours) == ("/data/b (k9s, Update)", "/data/c (k9s, Update)")
    assert foreign(live, ours=ours, drifted=["/data/b"]) == ("/data/c (k9s, Update)",)
