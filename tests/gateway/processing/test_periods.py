"""Intervals as the local clock has them, against the clock itself."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.site import Statistics
from parkgate.gateway.processing.periods import DAY, HOUR, MINUTE, Period, periods

ZONES = ("Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "Africa/Cairo")
YEAR = 1_767_225_600_000


def at(text, zone):
    """Give ms UTC of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def lengths(zone, period, day):
    """Give how many minutes each interval of a local day has."""
    name, length = period
    about = Period(name, length, ZoneInfo(zone))
    first, end = (Period("1d", DAY, ZoneInfo(zone)).start(at(f"{each} 12:00", zone)) for each in day)
    return [(about.end(start) - start) // MINUTE for start in about.starts(first, end)]


@given(st.sampled_from(ZONES), st.sampled_from([MINUTE, 600_000, 1_800_000, HOUR, DAY]), st.integers(0, 400 * DAY))
def test_every_time_lies_in_one_interval_and_one_follows_the_other(zone, length, later):
    period, time = Period("p", length, ZoneInfo(zone)), YEAR + later
    start = period.start(time)
    end = period.end(start)
    assert start <= time < end
    assert period.start(start) == start
    assert period.start(end - 1) == start
    assert period.start(end) == end
    assert list(period.starts(start, end + 1)) == [start, end]


@given(st.sampled_from(ZONES), st.integers(0, 400 * DAY))
def test_a_day_begins_at_local_midnight_or_where_there_is_none_with_its_first_moment(zone, later):
    start = Period("1d", DAY, ZoneInfo(zone)).start(YEAR + later)
    local = datetime.fromtimestamp(start / 1000, ZoneInfo(zone))
    before = datetime.fromtimestamp(start / 1000 - 1, ZoneInfo(zone))
    assert before.date() < local.date()
    assert local.date() == datetime.fromtimestamp((YEAR + later) / 1000, ZoneInfo(zone)).date()


def test_a_day_of_shanghai_begins_at_16_hours_utc():
    day = periods(Statistics(), "Asia/Shanghai")[-1]
    assert datetime.fromtimestamp(day.start(YEAR) / 1000, UTC).isoformat() == "2025-12-31T16:00:00+00:00"


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", ("2026-03-29", "2026-03-30"), [60] * 23),
        ("Europe/Berlin", ("2026-10-25", "2026-10-26"), [60] * 25),
        ("Australia/Lord_Howe", ("2026-10-04", "2026-10-05"), [60, 60, 30, *[60] * 21]),
        ("Australia/Lord_Howe", ("2026-04-05", "2026-04-06"), [60, 90, *[60] * 22]),
        ("Asia/Shanghai", ("2026-06-01", "2026-06-02"), [60] * 24),
    ],
)
def test_a_day_on_which_the_clock_is_changed_has_the_hours_that_people_see(zone, day, hours):
    assert lengths(zone, ("1h", HOUR), day) == hours
    assert sum(lengths(zone, ("10min", 600_000), day)) == sum(hours)


def test_hours_and_tens_begin_with_the_local_clock_also_where_its_offset_is_no_whole_hour():
    for each in periods(Statistics(), "Asia/Kathmandu")[1:3]:
        start = each.start(YEAR)
        local = datetime.fromtimestamp(start / 1000, ZoneInfo("Asia/Kathmandu"))
        assert local.minute % (each.length // MINUTE) == 0


def test_the_period_between_minute_and_hour_is_the_sites():
    assert [each.name for each in periods(Statistics(period=300_000), "UTC")] == ["1min", "5min", "1h", "1d"]
