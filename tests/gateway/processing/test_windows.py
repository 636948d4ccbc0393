"""Windows by the time of the day, of people's, and both together: held against a slow and obvious computation."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.config.window import DAYS, Window
from parkgate.drivers.snapshot import Snapshot, unread
from parkgate.gateway.processing.validity import Judge
from parkgate.gateway.processing.windows import REMEMBERED, SCHEDULE, Span, Windows, starts

HOUR = 3_600_000
SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Santiago", "UTC"]
NAMES = ("so2", "o2")


def instrument(*windows):
    points = tuple(Point(name=name, at=f"input {place}", type="uint16") for place, name in enumerate(NAMES))
    return Instrument(
        name="stack-1", line="l", every=1000, profile="p", protocol="modbus", points=points, windows=windows
    )  # fmt: skip


def window(flag="calibration", at="02:00", lasts="30min", **about):
    return Window.model_validate({"flag": flag, "at": at, "lasts": lasts, **about})


def ms(text, zone=SHANGHAI):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def span(since, until, flag=Flag.MAINTENANCE, points=(), by="Li Wei"):
    return Span(flag, points, since, until, by, "filter changed", since)


def flags(holding):
    return {flag: points for points, flag in holding}


schedules = st.builds(
    window,
    flag=st.sampled_from(["maintenance", "calibration", "out-of-service"]),
    at=st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 30, 59])),
    lasts=st.integers(1, 24 * 60).map(lambda minutes: f"{minutes}min"),
    days=st.lists(st.sampled_from(DAYS), unique=True).map(tuple),
)
YEAR = ms("2025-01-01T00:00", UTC)
times = st.integers(YEAR, YEAR + 730 * 24 * HOUR)
turns = st.sampled_from(
    [
        "2025-03-30T01:00",
        "2025-10-26T01:00",
        "2025-03-09T05:30",
        "2025-11-02T04:30",
        "2025-04-05T15:00",
        "2025-09-07T04:00",
    ]
).flatmap(lambda text: st.integers(-26 * 60, 26 * 60).map(lambda minutes: ms(text, UTC) + minutes * 60_000))


def open_at(schedule, zone, at):
    """Walk over all days of some years around and look whether the window of that day is open."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    first = moment.date() - timedelta(days=5)
    for number in range(10):
        date = first + timedelta(days=number)
        if not schedule.days or DAYS[date.weekday()] in schedule.days:
            hour, minute = map(int, schedule.at.split(":"))
            begins = datetime(date.year, date.month, date.day, hour, minute, tzinfo=zone).astimezone(UTC)
            if begins <= moment < begins + timedelta(milliseconds=schedule.lasts):
                return True
    return False


@given(schedules, st.sampled_from(ZONES), st.lists(times | turns, min_size=1, max_size=8))
@example(window(at="23:59", lasts="24h"), "Europe/Berlin", [ms("2025-03-31T00:30", ZoneInfo("Europe/Berlin"))])
def test_a_scheduled_window_is_open_when_a_walk_over_the_days_says_so(schedule, name, moments):
    zone = ZoneInfo(name)
    windows = Windows(instrument(schedule), zone)
    for at in moments:
        assert bool(windows(at)) is open_at(schedule, zone, at), datetime.fromtimestamp(at / 1000, zone)


@given(schedules, st.sampled_from(ZONES), times | turns)
def test_between_a_time_and_the_next_change_nothing_changes(schedule, name, at):
    windows = Windows(instrument(schedule), ZoneInfo(name))
    before, following = windows(at), windows.next(at)
    assert at < following <= at + 6 * HOUR
    assert Windows(instrument(schedule), ZoneInfo(name))(following - 1) == before


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2025-12-01T01:59:59", False),  # a Monday
        ("2025-12-01T02:00:00", True),
        ("2025-12-01T02:29:59", True),
        ("2025-12-01T02:30:00", False),
        ("2025-12-02T02:10:00", False),
        ("2025-12-04T02:10:00", True),
    ],
)
def test_a_window_of_two_days_a_week(at, open_):
    assert bool(Windows(instrument(window(days=["mon", "thu"])), SHANGHAI)(ms(at))) is open_


def test_a_window_goes_over_midnight_and_belongs_to_the_day_it_began():
    windows = Windows(instrument(window(at="23:30", lasts="1h", days=["sun"])), SHANGHAI)
    assert windows(ms("2025-12-01T00:29"))
    assert not windows(ms("2025-12-01T23:40"))


def test_a_time_that_comes_twice_is_the_first_and_one_that_never_comes_is_later():
    berlin = ZoneInfo("Europe/Berlin")
    twice = ms("2025-10-26T00:30", UTC)  # 02:30 in summer time, again an hour later
    assert twice in starts(window(at="02:30"), berlin, twice)
    assert twice + HOUR not in starts(window(at="02:30"), berlin, twice)
    never = ms("2025-03-30T01:30", UTC)  # 03:30: the clock leaps from 02:00 to 03:00
    assert never in starts(window(at="02:30"), berlin, never)


@pytest.mark.parametrize("at", [-(2**62), -1, 0, 2**48, 2**62])
def test_a_time_that_no_calendar_has_is_in_no_window(at):
    assert Windows(instrument(window(lasts="1min")), SHANGHAI)(at) == []


def test_a_window_covers_its_points_or_all():
    windows = Windows(instrument(window(points=["o2"]), window("maintenance")), SHANGHAI)
    assert flags(windows(ms("2025-12-01T02:10"))) == {Flag.CALIBRATION: (1,), Flag.MAINTENANCE: (0, 1)}


def test_a_persons_window_holds_until_it_is_ended_or_over():
    windows = Windows(instrument(), SHANGHAI)
    assert not windows.any
    first = span(1000, 5000)
    windows.open(first)
    assert windows.any
    assert [bool(windows(at)) for at in (999, 1000, 4999, 5000)] == [False, True, True, False]
    windows.close(first.key, 3000, "Li Wei")
    assert [bool(windows(at)) for at in (1000, 2999, 3000)] == [True, True, False], "late readings know of it"


def test_what_opened_and_closed_by_itself_is_told_once():
    windows = Windows(instrument(window()), SHANGHAI)
    inside, behind = ms("2025-12-01T02:10"), ms("2025-12-01T02:30")
    assert windows.changes(inside - HOUR) == ([], [])
    (opened,), closed = windows.changes(inside)
    assert (opened.by, opened.since, opened.until, closed) == (SCHEDULE, inside - 600_000, behind, [])
    windows.open(opened)
    assert windows.changes(inside + 1) == ([], [])
    assert windows.changes(behind) == ([], [opened])
    windows.close(opened.key, behind, SCHEDULE)
    assert windows.changes(behind) == ([], [])
    assert windows(inside), "what was over stays known to late readings"


def test_a_scheduled_window_that_was_ended_sooner_does_not_open_again():
    windows = Windows(instrument(window()), SHANGHAI)
    at = ms("2025-12-01T02:10")
    (opened,), _ = windows.changes(at)
    windows.open(opened)
    windows.close(opened.key, at, "Li Wei")
    assert windows.changes(at + 1) == ([], [])
    assert not windows(at + 1)
    assert windows(at - 1)
    assert windows(at + 24 * HOUR), "the next day it does"


def test_what_people_opened_lasts_as_long_as_they_said_whatever_becomes_of_the_clock():
    windows = Windows(instrument(), SHANGHAI)
    windows.open(span(1000, 5000))
    over = span(100, 200)
    windows.open(over)
    windows.close(over.key, 200, "Li Wei")
    windows.shift(10**9, 10**9 + 2000)
    assert windows(10**9 + 1000)
    assert windows(10**9 + 4999)
    assert windows(150), "one that was over stays where it was"
    assert windows.changes(10**9 + 2000) == ([], [])
    (still,) = windows.told
    assert (still.key, still.until) == (span(1000, 5000).key, 10**9 + 5000)


def test_what_people_opened_is_open_by_a_clock_that_woke_up_before_it_and_ends_when_it_should():
    windows = Windows(instrument(), SHANGHAI)
    windows.open(span(10**12, 10**12 + 5000))
    windows.see(7)
    assert windows(7)
    assert windows.changes(7) == ([], [])
    windows.shift(10**12 + 2000 - 8, 10**12 + 2000)  # the clock is set right: the window was never wrong
    windows.see(10**12 + 2000)
    assert windows(10**12 + 4999)
    assert not windows(10**12 + 5000)
    assert not windows(7)


def test_a_scheduled_window_that_a_wrong_clock_closed_opens_again_when_it_is_right():
    windows = Windows(instrument(window()), SHANGHAI)
    at = ms("2025-12-01T02:10")
    (opened,), _ = windows.changes(at)
    windows.open(opened)
    _, (closed,) = windows.changes(7 * HOUR)
    windows.close(closed.key, 7 * HOUR, SCHEDULE)
    assert windows.changes(at)[0] == [opened]
    assert windows(at)


def test_what_closed_long_ago_is_forgotten():
    windows = Windows(instrument(), SHANGHAI)
    first, second = span(1000, 5000), span(REMEMBERED, REMEMBERED + 9000)
    windows.open(first)
    windows.close(first.key, 5000, "Li Wei")
    windows.open(second)
    windows.close(second.key, REMEMBERED + 9000, "Li Wei")
    assert not windows(2000)
    assert windows(REMEMBERED + 1)


def judged(windows, at, values, **about):
    return Judge.of(instrument(), windows=windows)(Snapshot("stack-1", at, values, **about))


def test_a_zero_reported_while_calibrated_is_never_clean_air():
    windows = Windows(instrument(), SHANGHAI)
    windows.open(span(1000, 5000, Flag.CALIBRATION, ("so2",)))
    assert judged(windows, 2000, (0, 21)).flags == {0: Flag.CALIBRATION}
    assert judged(windows, 5000, (0, 21)).flags == {}


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (Flag.FAULT, Flag.CALIBRATION),
        (Flag.OUT_OF_RANGE, Flag.CALIBRATION),
        (Flag.MAINTENANCE, Flag.MAINTENANCE),
        (Flag.NO_COMMUNICATION, Flag.NO_COMMUNICATION),
    ],
)
def test_of_several_flags_the_first_by_precedence_is_told(own, told):
    windows = Windows(instrument(), SHANGHAI)
    windows.open(span(1000, 5000, Flag.CALIBRATION))
    assert judged(windows, 2000, (0, 21), flags={0: own}).flags[0] is told


def test_a_window_adds_nothing_to_what_a_report_does_not_name():
    windows = Windows(instrument(), SHANGHAI)
    windows.open(span(1000, 5000))
    found = judged(windows, 2000, (0, None), absent=frozenset({1}), uncertain=frozenset({0}))
    assert (found.flags, found.uncertain) == ({0: Flag.MAINTENANCE}, frozenset())


def test_an_instrument_that_is_silent_in_a_window_is_silent():
    windows = Windows(instrument(), SHANGHAI)
    windows.open(span(1000, 5000))
    silent = unread(instrument(), 2000)
    assert Judge.of(instrument(), windows=windows)(silent) is silent
