"""Times as Kubernetes writes and reads them: RFC 3339 in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """To the second, as metav1.Time is written: 2026-01-02T03:04:05Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime) -> str:
    """To the microsecond, as metav1.MicroTime is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """With a time zone: UTC where the text names none. Raises ValueError for anything else, TypeError for no text."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def timestamp_or_none(value: object) -> datetime | None:
    """The time of a field that may be absent or unreadable. YAML may have read it as a time already."""
    try:
        return parse_timestamp(str(value)) if value else None
    except ValueError:
        return None
