"""Cron schedules of sync windows: five fields, `@daily` and its kin, `@every 90m`; in UTC. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controllers.api.duration import parse_duration

_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_MONTHS = dict(
    zip(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], range(1, 13), strict=True)
)
_DAYS = dict(zip(["sun", "mon", "tue", "wed", "thu", "fri", "sat"], range(7), strict=True))
_BOUNDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When windows open. `every` is in seconds, for `@every`; else the five sets of a cron expression."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    every: float = 0.0

    def opens(self, moment: datetime) -> bool:
        """Does a window open in this minute?"""
        return moment.minute in self.minutes and moment.hour in self.hours and self._day(moment)

    def _day(self, moment: datetime) -> bool:
        if moment.month not in self.months:
            return False
        day, weekday = moment.day in self.days, (moment.weekday() + 1) % 7 in self.weekdays
        return day and weekday if self.any_day or self.any_weekday else day or weekday

    def last_opening(self, moment: datetime, within: timedelta) -> datetime | None:
        """The latest opening at or before `moment`, not longer ago than `within`."""
        if self.every:
            seconds = moment.timestamp()
            return datetime.fromtimestamp(seconds - seconds % self.every, UTC)
        at, oldest = moment.replace(second=0, microsecond=0), moment - within
        while at >= oldest:
            if not self._day(at):
                at = at.replace(hour=0, minute=0) - timedelta(minutes=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) - timedelta(minutes=1)
            elif at.minute in self.minutes:
                return at
            else:
                at -= timedelta(minutes=1)
        return None


def parse_schedule(text: str) -> Schedule:
    """Raises ValueError with what was expected."""
    body = text.strip().lower()
    if body.startswith("@every "):
        every = max(float(int(parse_duration(body.removeprefix("@every ").strip()))), 1.0)
        none = frozenset[int]()
        return Schedule(none, none, none, none, none, any_day=True, any_weekday=True, every=every)
    fields = _NAMED.get(body, body).split()
    if len(fields) != 5:
        raise ValueError(f"schedule has {len(fields)} fields; expected 5, @daily and its kin, or @every")
    minutes, hours, days, months, weekdays = (_field(f, *b) for f, b in zip(fields, _BOUNDS, strict=True))
    return Schedule(
        minutes, hours, days, months, weekdays, any_day=fields[2][0] in "*?", any_weekday=fields[4][0] in "*?"
    )


def _field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    out: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _number(first, low, high, names)
            end = _number(last, low, high, names) if dash else high if step else start
        if start > end or (step and (not step.isdecimal() or int(step) < 1)):
            raise ValueError(f"{part!r} is not a range of {low} to {high}")
        out.update(range(start, end + 1, int(step) if step else 1))
    return frozenset(out)


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text, int(text) if text.isdecimal() else -1)
    if not low <= value <= high:
        raise ValueError(f"{text!r} is not a number from {low} to {high}")
    return value
