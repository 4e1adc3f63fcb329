"""Events are one set of objects in two wordings: `v1 Event` (stored) and `events.k8s.io/v1 Event`."""

from __future__ import annotations

from controllers.api.resource import Manifest

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_BACK = {new: old for old, new in _RENAMED.items()}


def to_events_v1(obj: Manifest) -> Manifest:
    """A stored event in the wording of events.k8s.io/v1."""
    return {**{_RENAMED.get(name, name): value for name, value in obj.items()}, "apiVersion": "events.k8s.io/v1"}


def to_core_v1(obj: Manifest) -> Manifest:
    """An event of events.k8s.io/v1 as it is stored. The wordings share all other names."""
    return {**{_BACK.get(name, name): value for name, value in obj.items()}, "apiVersion": "v1"}
