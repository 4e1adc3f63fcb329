"""The switches on an object count as labels and as annotations, in Git and on the live object."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.resource import Manifest
from controllers.commands.holds import holds
from controllers.kustomization.apply.plan import keep_reason, skip_reason
from controllers.kustomization.objects.labels import FORCE, PRUNE, RECONCILE, SSA, is_set

PLAIN: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
FIELDS = ("labels", "annotations")


def having(field: str, switch: str, value: str, **more: dict[str, str]) -> Manifest:
    meta: dict[str, Any] = {**PLAIN["metadata"], **more}
    return {**PLAIN, "metadata": {**meta, field: {**(meta.get(field) or {}), switch: value}}}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("switch", "value"), [(RECONCILE, "disabled"), (RECONCILE, "Disabled"), (SSA, "ignore"),
                                               (SSA, "Ignore")])  # fmt: skip
def test_an_object_that_is_switched_off_in_git_or_in_the_cluster_is_not_applied(
    field: str, switch: str, value: str
) -> None:
    off = having(field, switch, value)
    assert skip_reason(off, None) == skip_reason(off, PLAIN) == skip_reason(PLAIN, off) == keep_reason(off) != ""
    assert skip_reason(off, None).startswith(f"{switch}: ")


@pytest.mark.parametrize("field", FIELDS)
def test_an_object_that_is_applied_once_is_left_when_it_exists(field: str) -> None:
    once = having(field, SSA, "IfNotPresent")
    assert skip_reason(once, None) == "" and skip_reason(once, PLAIN) == f"{SSA}: IfNotPresent"
    assert skip_reason(PLAIN, once) == "", "only what Git says counts here"
    assert keep_reason(once) == ""


@pytest.mark.parametrize("field", FIELDS)
def test_an_object_whose_pruning_is_disabled_is_kept(field: str) -> None:
    assert keep_reason(having(field, PRUNE, "disabled")) == f"{PRUNE}: disabled"
    assert keep_reason(having(field, PRUNE, "enabled")) == "" == keep_reason(PLAIN)


@pytest.mark.parametrize("field", FIELDS)
def test_either_place_is_enough_whatever_the_other_says(field: str) -> None:
    other = FIELDS[1 - FIELDS.index(field)]
    both = having(field, FORCE, "Enabled", **{other: {FORCE: "disabled"}})
    assert is_set(both, FORCE, "enabled") and is_set(both, FORCE, "disabled") and not is_set(both, FORCE, "")


@pytest.mark.parametrize("field", FIELDS)
def test_an_object_that_is_switched_off_says_so_when_asked_what_holds_it(field: str) -> None:
    assert holds(having(field, RECONCILE, "disabled")) == [f"{RECONCILE}: disabled"]


@pytest.mark.parametrize("text", [None, 1, True, ["disabled"], {"disabled": 1}])
def test_what_is_not_text_is_no_switch(text: Any) -> None:
    assert not is_set(having("labels", PRUNE, text), PRUNE, "disabled")
    assert not is_set({"metadata": {"labels": text, "annotations": text}}, PRUNE, "disabled")
