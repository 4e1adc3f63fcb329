"""`status.history`: the last five built states and how they went, newest first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.api.duration import format_duration

LENGTH = 5


def recorded(
    history: Sequence[Mapping[str, Any]] | None,
    *,
    digest: str,
    status: str,
    now: str,
    seconds: float,
    metadata: Mapping[str, str],
) -> list[dict[str, Any]]:
    """The history after one more run of a build (`digest`) that ended as `status` (a reason of Ready)."""
    before = [dict(entry) for entry in history or ()]
    same = (digest, status)
    known = next((each for each in before if (each.get("digest"), each.get("lastReconciledStatus")) == same), None)
    entry = {
        "digest": digest,
        "firstReconciled": known["firstReconciled"] if known else now,
        "lastReconciled": now,
        "lastReconciledDuration": format_duration(round(seconds, 3)),
        "lastReconciledStatus": status,
        "totalReconciliations": int(known["totalReconciliations"]) + 1 if known else 1,
        "metadata": dict(metadata),
    }
    return [entry, *(each for each in before if each is not known)][:LENGTH]
