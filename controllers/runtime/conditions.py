"""Conditions: pure functions from an object's status to its next status.

Three shapes are in use by the kinds we serve, named by a `Style`:
- Flux: `Ready`, `Reconciling`, `Stalled`, each with observedGeneration, as kstatus and `flux get` read them.
- External Secrets: `Ready` alone, without observedGeneration.
- Sealed Secrets: `Synced` alone, with lastUpdateTime beside lastTransitionTime.

`lastTransitionTime` moves only when the condition's status flips. Nothing here adds varying text, so an object that
stays as it is gets no patch. Time comes in as a parameter (RFC 3339, seconds, Z).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest

Condition = dict[str, Any]
Status = dict[str, Any]

_SHOWN_MESSAGE = 4_096  # what a human reads and etcd has to keep


@dataclass(frozen=True, slots=True)
class Style:
    """How one family of kinds writes its conditions."""

    ready: str = "Ready"
    progress: bool = True  # Reconciling and Stalled stand beside it
    generation: bool = True  # each condition, and the status, carry observedGeneration
    update_time: bool = False  # lastUpdateTime moves with each change of the condition, and with each generation
    leads: bool = False  # it is conditions[0], where clients of these kinds read it


FLUX = Style()
EXTERNAL_SECRETS = Style(progress=False, generation=False)
SEALED_SECRETS = Style(ready="Synced", progress=False, update_time=True, leads=True)


def find(status: Mapping[str, Any] | None, type_: str) -> Condition | None:
    """The condition of a type in a status (not in a manifest)."""
    conditions = (status or {}).get("conditions")
    for item in conditions if isinstance(conditions, list) else ():
        if isinstance(item, dict) and item.get("type") == type_:
            return item
    return None


def is_true(status: Mapping[str, Any] | None, type_: str) -> bool:
    condition = find(status, type_)
    return condition is not None and condition.get("status") == "True"


def set_condition(
    status: Mapping[str, Any],
    type_: str,
    *,
    value: str,
    reason: str,
    message: str,
    now: str,
    generation: int | None = None,
    update_time: bool = False,
    updated: bool = False,
) -> Status:
    """A status with this condition set; `value` is "True", "False" or "Unknown". The others keep their order.

    `generation` is written as the condition's observedGeneration; None where the kind's schema has no such field.
    `updated` moves lastUpdateTime even where nothing of the condition changes.
    """
    before = find(status, type_) or {}
    flipped = before.get("status") != value
    wanted: Condition = {
        "type": type_,
        "status": value,
        "lastTransitionTime": now if flipped else before.get("lastTransitionTime") or now,
        "reason": reason,
        "message": _bounded(message),
    }
    if generation is not None:
        wanted["observedGeneration"] = generation
    if update_time:
        same = not updated and all(before.get(key) == wanted[key] for key in ("status", "reason", "message"))
        wanted["lastUpdateTime"] = before.get("lastUpdateTime") or now if same else now
    existing = [dict(item) for item in status.get("conditions") or () if isinstance(item, dict)]
    places = [index for index, item in enumerate(existing) if item.get("type") == type_]
    if places:
        existing[places[0]] = wanted
    else:
        existing.append(wanted)
    return {**status, "conditions": existing}


def remove_condition(status: Mapping[str, Any], type_: str) -> Status:
    existing = status.get("conditions") or []
    kept = [item for item in existing if not (isinstance(item, dict) and item.get("type") == type_)]
    return {**status, "conditions": kept} if len(kept) != len(existing) else dict(status)


def ready(
    manifest: Manifest,
    *,
    status: str,
    reason: str,
    message: str,
    now: str,
    style: Style = FLUX,
    stalled: bool = False,
    base: Mapping[str, Any] | None = None,
) -> Status:
    """The status of `manifest` (or `base` in its place) after a reconcile, with `Ready` and what goes with it.

    `status` is "True", "False" or "Unknown". As kstatus reads them: Ready=True has neither Reconciling nor Stalled; a
    failure that time can mend has Reconciling=True; one that only an edit can mend has Stalled=True and no Reconciling.
    observedGeneration follows the manifest's generation in each case: this generation was looked at.
    """
    out: Status = deepcopy(dict(base if base is not None else manifest.get("status") or {}))
    observed = (manifest.get("metadata") or {}).get("generation")
    generation = observed if style.generation else None
    updated = out.get("observedGeneration") != observed
    if style.generation and generation is not None:
        out["observedGeneration"] = generation
    in_condition = generation if style.progress else None
    out = set_condition(
        out,
        style.ready,
        value=status,
        reason=reason,
        message=message,
        now=now,
        generation=in_condition,
        update_time=style.update_time,
        updated=updated,
    )
    if style.leads:
        out["conditions"] = sorted(out["conditions"], key=lambda item: item.get("type") != style.ready)
    if not style.progress:
        return out
    wanted = {"Stalled": stalled and status != "True", "Reconciling": not stalled and status != "True"}
    for type_, on in wanted.items():
        if on:
            why = reason if type_ == "Stalled" else "ProgressingWithRetry"
            out = set_condition(out, type_, value="True", reason=why, message=message, now=now, generation=generation)
        else:
            out = remove_condition(out, type_)
    return out


def status_patch(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any] | None:
    """The merge patch (of the status, not of the object) that turns old into new; None where there is nothing to do."""
    return _merge_patch(old or {}, new) or None


def _merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := _merge_patch(before, value):
                patch[key] = inner
        elif key not in old or before != value or isinstance(before, bool) != isinstance(value, bool):
            patch[key] = value
    return patch


def _bounded(message: str) -> str:
    text = message.strip()
    return text if len(text) <= _SHOWN_MESSAGE else text[: _SHOWN_MESSAGE - 1] + "…"
