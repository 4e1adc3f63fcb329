"""What holds an object back, and who said so: suspension, held drift, held deletions. Pure."""

from __future__ import annotations

from controllers.api.meta import annotations_of
from controllers.api.resource import Manifest
from controllers.kustomization.drift.annotations import InvalidAnnotationError, read_held
from controllers.kustomization.objects.labels import RECONCILE, describe, is_set
from controllers.runtime.conditions import find

REASON, OWNER, UNTIL = (f"suspend.inhaul.dev/{name}" for name in ("reason", "owner", "until"))


def holds(manifest: Manifest) -> list[str]:
    """A line per hold."""
    marks, found = annotations_of(manifest), []
    if (manifest.get("spec") or {}).get("suspend") is True:
        by = f" by {marks[OWNER]}" if marks.get(OWNER) else ""
        why = f": {marks[REASON]}" if marks.get(REASON) else ""
        until = f" (until {marks[UNTIL]})" if marks.get(UNTIL) else ""
        found.append(f"suspended{by}{why}{until}")
    if is_set(manifest, RECONCILE, "disabled"):
        found.append(f"{RECONCILE}: disabled")
    try:
        found += [f"{each.subject} {each.path} held at {each.live} (Git: {each.wanted}) since an edit by "
                  f"{each.manager or 'somebody'}" for each in read_held(marks)]  # fmt: skip
    except InvalidAnnotationError as error:
        found.append(str(error))
    for name in ("PruneHeld", "DeletionHeld"):
        condition = find(manifest.get("status"), name) or {}
        if condition.get("status") == "True":
            found.append(f"{name}: {condition.get('message')}")
    return found


def is_drifted(kustomization: Manifest, manifest: Manifest) -> bool:
    """Does this Kustomization hold a field of the object (or any, where it is asked for itself)?"""
    try:
        subjects = {each.subject for each in read_held(annotations_of(kustomization))}
    except InvalidAnnotationError:
        return False
    return bool(subjects) if manifest is kustomization else describe(manifest) in subjects
