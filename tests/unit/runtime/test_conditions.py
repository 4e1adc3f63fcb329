"""Conditions as kstatus, Flux' CLI, External Secrets and Sealed Secrets expect them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.resource import Manifest
from controllers.runtime.conditions import (
    EXTERNAL_SECRETS,
    FLUX,
    SEALED_SECRETS,
    Style,
    find,
    ready,
    set_condition,
    status_patch,
)

OLD, NOW = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"


def thing(status: dict[str, Any] | None = None, generation: int = 3) -> dict[str, Any]:
    return {"metadata": {"name": "a", "generation": generation}, **({"status": status} if status else {})}


def after(style: Style = FLUX, *, before: dict[str, Any] | None = None, **kind: Any) -> dict[str, Any]:
    text = {"status": "True", "reason": "Succeeded", "message": "done", **kind}
    return ready(thing(before), now=NOW, style=style, **text)


def test_success_is_ready_alone_and_for_this_generation() -> None:
    failing = after(before={"observedGeneration": 2}, status="False", reason="Broken")
    status = after(before=failing)
    assert [item["type"] for item in status["conditions"]] == ["Ready"]
    assert status["observedGeneration"] == status["conditions"][0]["observedGeneration"] == 3


def test_what_time_can_mend_is_reconciling_and_what_an_edit_can_is_stalled() -> None:
    waiting = after(status="False", reason="DependencyNotReady", message="b is not ready")
    stuck = after(before=waiting, status="False", reason="InvalidSpec", message="bad", stalled=True)
    assert {item["type"]: item["status"] for item in waiting["conditions"]} == {"Ready": "False", "Reconciling": "True"}
    assert {item["type"]: item["status"] for item in stuck["conditions"]} == {"Ready": "False", "Stalled": "True"}
    assert find(stuck, "Stalled")["reason"] == "InvalidSpec"  # type: ignore[index]


def test_the_transition_time_moves_only_when_the_status_flips() -> None:
    before = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": OLD, "reason": "x"}]}
    same = after(before=before, message="something else")
    flipped = after(before=before, status="False")
    assert find(same, "Ready")["lastTransitionTime"] == OLD  # type: ignore[index]
    assert find(flipped, "Ready")["lastTransitionTime"] == NOW  # type: ignore[index]


def test_external_secrets_have_ready_alone_and_no_observed_generation() -> None:
    status = after(EXTERNAL_SECRETS, status="False", reason="SecretSyncedError")
    assert "observedGeneration" not in status
    assert status["conditions"] == [
        {
            "type": "Ready",
            "status": "False",
            "lastTransitionTime": NOW,
            "reason": "SecretSyncedError",
            "message": "done",
        }
    ]


def test_sealed_secrets_have_synced_with_an_update_time() -> None:
    first = after(SEALED_SECRETS)
    assert first["observedGeneration"] == 3
    condition = first["conditions"][0]
    assert (condition["type"], condition["lastUpdateTime"]) == ("Synced", NOW)
    assert "observedGeneration" not in condition
    later = ready(
        thing(first),
        status="True",
        reason="Succeeded",
        message="done",
        now="2025-01-01T00:00:00Z",
        style=SEALED_SECRETS,
    )
    assert status_patch(first, later) is None
    told = ready(
        thing(first), status="True", reason="Succeeded", message="new", now="2025-01-01T00:00:00Z", style=SEALED_SECRETS
    )
    assert told["conditions"][0]["lastUpdateTime"] == "2025-01-01T00:00:00Z"
    assert told["conditions"][0]["lastTransitionTime"] == NOW


def test_other_conditions_and_fields_stay_and_nothing_is_changed_in_place() -> None:
    before: Manifest = {
        "conditions": [{"type": "Healthy", "status": "True"}, {"type": "Ready", "status": "False"}],
        "x": {"y": 1},
    }
    kept = {"conditions": [dict(item) for item in before["conditions"]], "x": {"y": 1}}
    status = after(before=before)
    assert before == kept
    assert [item["type"] for item in status["conditions"]] == ["Healthy", "Ready"]
    assert status["x"] == {"y": 1}


def test_hostile_conditions_are_survived() -> None:
    status = set_condition(
        {"conditions": ["x", None, {"type": "A"}]}, "Ready", value="True", reason="r", message="m" * 9000, now=NOW
    )
    assert [item["type"] for item in status["conditions"]] == ["A", "Ready"]
    assert len(status["conditions"][1]["message"]) == 4096


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1}, {"a": 1}, None),
        (None, {}, None),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "d": 3}}, {"a": None, "b": {"d": 3}}),
        ({"l": [1]}, {"l": [1, 2]}, {"l": [1, 2]}),
        ({"n": 1}, {"n": True}, {"n": True}),
    ],
)
def test_the_patch_is_the_difference(old: Any, new: Any, patch: Any) -> None:
    assert status_patch(old, new) == patch


JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", max_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("xyz", max_size=1), JSON), st.dictionaries(st.text("xyz", max_size=1), JSON))
def test_a_server_that_merges_the_patch_has_the_new_status(old: Any, new: Any) -> None:
    patch = status_patch(old, new)
    merged = _merge(old, patch or {})
    assert repr(_sorted(merged)) == repr(_sorted(new))


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _merge(out.get(key), value)
    return out


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
