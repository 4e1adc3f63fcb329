"""Go's time layouts (`2006-01-02 15:04:05 MST`): format and parse, and the sprig functions on dates.

The local zone of a controller is UTC. A time is an aware `datetime`, wrapped as a Struct when a template prints it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from .convert import atoi, wrap64
from .errors import FunctionError
from .goduration import SECOND, duration_text, parse_duration
from .registry import Function, functions
from .values import Int64, Struct, Value

_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|01|02|03|04|05|06|002|2006|Z07:00|Z0700|Z07|-07:00|-0700|-07|15|PM|pm"
    r"|[.,]0+(?![0-9])|[.,]9+(?![0-9])|_2|1|2|3|4|5"
)


class Time(Struct):
    """A Go time.Time in a template."""

    __slots__ = ("moment",)

    def __init__(self, moment: datetime) -> None:
        self.moment = moment
        fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
        shown = format_time(f"2006-01-02 15:04:05{fraction and '.000000'} -0700 MST", moment)
        super().__init__({}, text=shown, type_name="time.Time", marshal=_rfc3339(moment), methods={
            "Unix": lambda: int(moment.timestamp()),
            "Year": lambda: moment.year,
            "Month": lambda: moment.month,
            "Day": lambda: moment.day,
            "Hour": lambda: moment.hour,
            "Minute": lambda: moment.minute,
            "Second": lambda: moment.second,
            "UTC": lambda: Time(moment.astimezone(UTC)),
            "Format": lambda layout: format_time(layout, moment),
        })  # fmt: skip


def _rfc3339(moment: datetime) -> str:
    text = moment.isoformat()
    head, dot, fraction = text.partition(".")
    if dot:
        digits, zone = fraction[:6].rstrip("0"), fraction[6:]
        text = f"{head}.{digits}{zone}" if digits else head + zone
    return text.replace("+00:00", "Z")


def format_time(layout: str, moment: datetime) -> str:
    return _LAYOUT.sub(lambda found: _element(found[0], moment), layout)


def _offset(moment: datetime, separator: str, *, minutes: bool = True) -> str:
    total = int((moment.utcoffset() or timedelta()).total_seconds()) // 60
    sign, total = ("-", -total) if total < 0 else ("+", total)
    return f"{sign}{total // 60:02d}" + (f"{separator}{total % 60:02d}" if minutes else "")


def _element(element: str, moment: datetime) -> str:
    names = {
        "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "01": "%m", "02": "%d", "03": "%I", "04": "%M",
        "05": "%S", "06": "%y", "002": "%j", "15": "%H", "PM": "%p",
    }  # fmt: skip
    if element in names:
        return moment.strftime(names[element])
    if element[0] in ".,":
        digits = f"{moment.microsecond * 1000:09d}"[: len(element) - 1]
        if element[1] == "9":
            digits = digits.rstrip("0")
            return element[0] + digits if digits else ""
        return element[0] + digits
    if element.startswith(("Z", "-")):
        if element.startswith("Z") and not moment.utcoffset():
            return "Z"
        return _offset(moment, ":" if ":" in element else "", minutes=len(element) > 3)
    numbers = {
        "2006": f"{moment.year:04d}", "1": moment.month, "2": moment.day, "_2": f"{moment.day:2d}",
        "3": moment.hour % 12 or 12, "4": moment.minute, "5": moment.second, "pm": moment.strftime("%p").lower(),
        "MST": moment.tzname() or "UTC",
    }  # fmt: skip
    return str(numbers[element])


def parse_time(layout: str, text: str) -> datetime:
    """Raises FunctionError where the text does not have the layout's form."""
    directives = {
        "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "01": "%m", "02": "%d", "03": "%I", "04": "%M",
        "05": "%S", "06": "%y", "002": "%j", "15": "%H", "PM": "%p", "pm": "%p", "2006": "%Y", "1": "%m", "2": "%d",
        "_2": "%d", "3": "%I", "4": "%M", "5": "%S", "MST": "%Z", "Z07:00": "%z", "Z0700": "%z", "-07:00": "%z",
        "-0700": "%z",
    }  # fmt: skip
    pattern = _LAYOUT.sub(lambda found: directives.get(found[0], ".%f"), layout.replace("%", "%%"))
    try:
        parsed = datetime.strptime(text, pattern)
    except ValueError:
        raise FunctionError("parsing time: the text does not have the layout's form") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def _moment(value: Value) -> datetime:
    if isinstance(value, Time):
        return value.moment
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError, ValueError):
            raise FunctionError("time out of range") from None
    raise FunctionError("expected a time or seconds since the epoch")


def _duration(value: Value) -> str:
    """Seconds in a text or an int64, as sprig takes them; anything else, an int among it, is no time at all."""
    seconds = atoi(value) if isinstance(value, str) else value if isinstance(value, Int64) else 0
    return duration_text(wrap64(seconds * SECOND))


def _round(value: Value) -> str:
    """The largest unit, rounded down."""
    nanoseconds = 0
    if isinstance(value, str):
        try:
            nanoseconds = parse_duration(value)
        except FunctionError:
            return "0s"
    elif isinstance(value, Int64):
        nanoseconds = value
    size = abs(nanoseconds)
    for seconds, unit in ((31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if size > seconds * SECOND:
            return f"{size // (seconds * SECOND)}{unit}"
    return "0s"


def _modify(change: str, value: Value) -> Time:
    try:
        return Time(_moment(value) + timedelta(microseconds=parse_duration(change) / 1000))
    except OverflowError:
        raise FunctionError("time out of range") from None


def _in_zone(layout: str, value: Value, zone: str) -> str:
    return format_time(layout, _moment(value).astimezone(_zone(zone)))


def _to_date(layout: str, text: str) -> Time:
    """What has not the layout's form is Go's zero time."""
    try:
        return Time(parse_time(layout, text))
    except FunctionError:
        return Time(datetime(1, 1, 1, tzinfo=UTC))


DATES: dict[str, Function] = functions(
    {
        "date": ("sa", lambda layout, value: _in_zone(layout, value, "Local")),
        "dateInZone": ("sas", _in_zone),
        "date_in_zone": ("sas", _in_zone),
        "dateModify": ("sa", _modify),
        "date_modify": ("sa", _modify),
        "mustDateModify": ("sa", _modify),
        "must_date_modify": ("sa", _modify),
        "duration": ("a", _duration),
        "durationRound": ("a", _round),
        "htmlDate": ("a", lambda value: _in_zone("2006-01-02", value, "Local")),
        "htmlDateInZone": ("as", lambda value, zone: _in_zone("2006-01-02", value, zone)),
        "toDate": ("ss", _to_date),
        "mustToDate": ("ss", lambda layout, text: Time(parse_time(layout, text))),
        "unixEpoch": ("a", lambda value: str(int(_moment(value).timestamp()))),
    }
)
