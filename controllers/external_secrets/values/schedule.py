"""When an ExternalSecret is due: refresh policies, sync windows, phases. Pure: the present is an argument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controllers.api.duration import parse_duration
from controllers.api.external_secrets import ExternalSecretSpec, SyncWindows
from controllers.lang.cron import parse_schedule

DEFAULT_INTERVAL = 3600.0
_PASSED = "refresh interval passed"


@dataclass(frozen=True, slots=True)
class Synced:
    """What the last sync left in the status."""

    refresh_time: datetime | None = None
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """`now`: fetch. `wait`: seconds until the timer fires, None: never by the timer."""

    now: bool
    reason: str
    wait: float | None = None

    @property
    def by_timer(self) -> bool:
        """Nothing happened but that its interval passed."""
        return self.now and self.reason == _PASSED


def window_active(schedule: str, duration: str, at: datetime) -> bool:
    """Is a window open? Both ends belong to it. A schedule or duration that cannot be read is no window."""
    try:
        length = timedelta(seconds=parse_duration(duration))
        opened = parse_schedule(schedule).last_opening(at, length)
    except (ValueError, OverflowError):
        return False
    return opened is not None and at - opened <= length


def windows_permit(windows: SyncWindows | None, at: datetime) -> bool:
    """May the timer refresh now? No windows: always."""
    if windows is None or not windows.windows:
        return True
    active = any(window_active(each.schedule, each.duration, at) for each in windows.windows)
    return active is (windows.kind == "allow")


def interval_of(spec: ExternalSecretSpec) -> float:
    """refreshInterval in seconds. Raises ValueError."""
    return parse_duration(spec.refresh_interval) if spec.refresh_interval else DEFAULT_INTERVAL


def phase(uid: str, interval: float) -> float:
    """A share of [0, 10 % of the interval) that is this object's own: what came due together drifts apart."""
    draw = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:6], "big") / 2**48
    return draw * interval * 0.1


def decide(
    spec: ExternalSecretSpec,
    synced: Synced,
    *,
    resource_version: str,
    uid: str,
    target_valid: bool,
    now: datetime,
    renew_at: datetime | None = None,
    stale: str = "",
) -> Due:
    """Is a fetch due, and why; else how long to wait. `resource_version` is of the object as it stands now.

    A changed spec, label or annotation and a broken target count at any time, as does `stale`: what else changed, that
    the target is made of. Windows hold back the timer alone; `renew_at`, when something generated is to be made anew,
    is the timer's. Beyond upstream: with refreshInterval 0 a changed spec or force-sync refreshes too.
    """
    policy = spec.refresh_policy
    if synced.refresh_time is None or not synced.resource_version:
        return Due(True, "never synced")
    if policy == "CreatedOnce":
        return Due(not target_valid, "target is missing or changed" if not target_valid else "synced once")
    if synced.resource_version != resource_version:
        return Due(True, "the ExternalSecret changed")
    if not target_valid:
        return Due(True, "target is missing or changed")
    if stale:
        return Due(True, stale)
    interval = interval_of(spec)
    if policy == "OnChange" or interval <= 0:
        return Due(False, "refreshed on change only")
    return _timer(spec, synced.refresh_time, interval, uid, now, renew_at)


def _timer(
    spec: ExternalSecretSpec, last: datetime, interval: float, uid: str, now: datetime, renew_at: datetime | None
) -> Due:
    elapsed = (now - last).total_seconds()
    if elapsed < 0:
        return Due(True, "the last refresh lies in the future")
    wait = interval - phase(uid, interval) - elapsed
    if renew_at is not None:
        wait = min(wait, (renew_at - now).total_seconds())
    if wait > 0:
        return Due(False, "not due", wait)
    if not windows_permit(spec.sync_windows, now):
        return Due(False, "held by a sync window", min(60.0, interval))
    return Due(True, _PASSED)


def next_wait(spec: ExternalSecretSpec, uid: str) -> float | None:
    """Seconds from a sync to the next by the timer; None: never."""
    if spec.refresh_policy != "Periodic":
        return None
    interval = interval_of(spec)
    return interval - phase(uid, interval) if interval > 0 else None


def store_interval(value: Any) -> float:
    """A store's refreshInterval in seconds: an integer is seconds, a text a Go duration. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return parse_duration(str(value))
