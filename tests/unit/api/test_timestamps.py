"""Times are written as Kubernetes writes them, and read back as what they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.timestamps import micro_timestamp, parse_timestamp, timestamp, timestamp_or_none

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1), timezones=ZONES)


@given(MOMENTS)
def test_what_is_written_is_read_back_in_utc(moment: datetime) -> None:
    assert parse_timestamp(micro_timestamp(moment)) == moment
    assert parse_timestamp(timestamp(moment)) == moment.replace(microsecond=0)
    assert timestamp(moment).endswith("Z")
    assert len(timestamp(moment)) == len("2026-01-02T03:04:05Z")


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000000Z", "2026-01-02T05:04:05+02:00", "2026-01-02 03:04:05"],
)
def test_every_form_of_rfc_3339_is_read_and_without_a_zone_as_utc(text: str) -> None:
    assert parse_timestamp(text) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert timestamp_or_none(text) == parse_timestamp(text)


@pytest.mark.parametrize("value", [None, "", "soon", 5, {}, [], "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_none(value: object) -> None:
    assert timestamp_or_none(value) is None
