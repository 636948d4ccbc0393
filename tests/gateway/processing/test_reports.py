"""Change reports weighted by time, against a computation that looks at every tenth of a second."""

import json
import math
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.averages_bench import instrument, point

from parkgate.config.flag import Flag
from parkgate.config.site import Statistics
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.averager import Averager, figures_of
from parkgate.gateway.processing.periods import MINUTE, periods
from parkgate.gateway.processing.reports import PROOF
from parkgate.gateway.processing.statistics import Plan

PERIODS = periods(Statistics(), "Asia/Shanghai")
START = 1_767_225_600_000
STEP = 100
SILENT = Flag.NO_COMMUNICATION


def averager(*points, since=START):
    about = instrument(*points, every=1_000)
    return Averager(Plan.of(about, Statistics(), PERIODS, changes=True), since)


def full(at, *values, flag=None, **more):
    flags = dict.fromkeys(range(len(values)), flag) if flag else {}
    return Snapshot("a", START + at, tuple(None if flag else each for each in values), flags=flags, **more)


def change(at, **values):
    """A report of points `p0`, `p1` out of two."""
    told = tuple(values.get(f"p{place}") for place in range(2))
    return Snapshot("a", START + at, told, absent=frozenset(place for place in range(2) if told[place] is None))


def closed(going, minutes, kept=None):
    """Close minutes in order; give their figures."""
    found = []
    for minute in range(minutes):
        body = going.close(going.end(START + minute * MINUTE), (kept or {}).get(minute))
        found.append(body.figures)
        if kept is not None:
            kept[minute] = body.body
    return found


def slowly(events, heard, late, minute):
    """Give avg, least and most of a point, and for how long it was usable: every tenth of a second looked at.

    `events`, `heard` and `late` are (time, value or flag), in order: what changed, what was said live, repeats too, and
    what a history said later.
    """
    usable, flags = [], {}
    for at in range(minute * MINUTE, (minute + 1) * MINUTE, STEP):
        last = bisect_right([time for time, _ in events], at) - 1
        said = events[last][1] if last >= 0 else SILENT
        before = bisect_right([time for time, _ in late], at) - 1
        # A history goes on until somebody says live something else than that nothing is known.
        if said == SILENT and before >= 0:
            known = [time for time, each in heard if time <= at and each != SILENT]
            said = late[before][1] if late[before][0] > max(known, default=-1) else SILENT
        if isinstance(said, Flag):
            flags[said.value] = flags.get(said.value, 0) + STEP
        else:
            usable.append(said)
    return usable, flags


TIMES = st.integers(1, 5 * MINUTE // STEP - 1)
SAID = st.floats(0, 1000) | st.sampled_from([SILENT, Flag.CALIBRATION])


@given(st.dictionaries(TIMES, SAID, max_size=40), st.dictionaries(TIMES, st.floats(0, 1000), max_size=8))
def test_every_minute_is_as_a_look_at_every_tenth_of_a_second_has_it(told, history):
    """A report each 10 s at least repeats what stands; a history fills what nobody knew, told at the end."""
    events = sorted((place * STEP, said) for place, said in told.items())
    late = sorted((place * STEP, said) for place, said in history.items() if place not in told)
    going, kept, row = averager(point("so2")), {}, 0
    standing, own, heard = SILENT, 0, []
    for at in range(STEP, 5 * MINUTE, STEP):
        if at // STEP in told:
            standing, own = told[at // STEP], at
        elif at % 10_000 or standing == SILENT:
            continue
        row += 1
        heard.append((at, standing))
        offsets = {0: own - at} if own != at else {}
        flag = standing if isinstance(standing, Flag) else None
        going.take(full(at, 0.0 if flag else standing, flag=flag, offsets=offsets), row)
    closed(going, 5, kept)
    for at, said in late:
        row += 1
        going.take(full(at, said, late=True), row)
    for minute, said in enumerate(closed(going, 5, kept)):
        usable, flags = slowly(events, heard, late, minute)
        figures = said["so2"]
        if usable:
            assert figures.avg == pytest.approx(math.fsum(usable) / len(usable), rel=1e-7, abs=1e-9)
            assert (figures.least, figures.most) == (min(usable), max(usable))
        else:
            assert figures.avg is None
        assert (figures.flag == "") == (len(usable) * STEP >= 45_000)
        assert not figures.flag or flags[figures.flag] == max(flags.values())
        named = [each for each in (*events, *late) if each[0] // MINUTE == minute]
        assert figures.n == len(named)
        assert figures.valid == len([each for _, each in named if not isinstance(each, Flag)])
        assert figures_of(kept[minute]) == said


def test_a_repeat_in_a_full_snapshot_is_no_sample():
    going = averager(point("p0"), point("p1"))
    going.take(full(0, 1.0, 2.0, offsets={0: -90_000, 1: -5_000}), 1)
    going.take(change(10_000, p0=3.0), 2)
    going.take(full(40_000, 3.0, 2.0, offsets={0: -30_000, 1: -45_000}), 3)
    (figures,) = closed(going, 1)
    assert (figures["p0"].n, figures["p1"].n) == (2, 1)
    assert figures["p0"].avg == pytest.approx((1 * 10 + 3 * 50) / 60)
    assert (figures["p1"].avg, figures["p1"].flag) == (2.0, "")


def test_a_point_that_does_not_change_has_a_mean_in_a_minute_without_a_sample():
    going = averager(point("p0"), point("p1"))
    for minute in range(3):
        going.take(full(minute * MINUTE, 1.0, 2.0, offsets={0: -minute * MINUTE, 1: -minute * MINUTE}), minute + 1)
    *_, last = closed(going, 3)
    assert (last["p0"].n, last["p0"].valid, last["p0"].avg, last["p0"].flag) == (0, 0, 1.0, "")


def test_a_value_stands_no_longer_than_a_report_proves_it():
    going = averager(point("so2"))
    going.take(full(0, 1.0), 1)
    found = closed(going, 6)
    assert [each["so2"].flag for each in found] == [*[""] * (PROOF // MINUTE), *["no-communication"] * 3]


def test_a_change_that_is_reported_in_the_next_minute_counts_there_and_weighs_where_it_was():
    going = averager(point("so2"))
    going.take(full(0, 10.0), 1)
    going.take(full(60_200, 20.0, offsets={0: -15_200}), 2)
    first, second = closed(going, 2)
    assert (first["so2"].n, second["so2"].n) == (1, 1)
    assert first["so2"].avg == pytest.approx((10 * 45 + 20 * 15) / 60)
    assert second["so2"].avg == 20.0


def test_what_comes_late_goes_on_into_the_minutes_behind_it():
    going, kept = averager(point("so2")), {}
    going.take(full(0, 1.0), 1)
    for second in range(30, 200):
        going.take(full(second * 1000, 0.0, flag=SILENT), second)
    closed(going, 4, kept)
    assert [figures_of(kept[each])["so2"].flag for each in range(4)] == ["no-communication"] * 4
    going.take(full(31_000, 5.0, late=True), 300)
    going.take(full(70_000, 7.0, late=True), 301)
    assert going.waiting() >= {START, START + MINUTE}
    again = closed(going, 4, kept)
    assert [each["so2"].flag for each in again] == [""] * 4
    assert again[0]["so2"].avg == pytest.approx((1 * 30 + 5 * 29) / 59)
    assert again[1]["so2"].avg == pytest.approx((5 * 10 + 7 * 50) / 60)
    assert [each["so2"].avg for each in again[2:]] == [7.0, 7.0]


def test_a_clock_that_is_put_back_counts_its_minute_twice():
    going, kept = averager(point("so2")), {}
    for second in range(0, 180, 5):
        going.take(full(second * 1000, 10.0), second + 1)
    closed(going, 2, kept)
    for second in range(60, 180, 5):
        going.take(full(second * 1000, 20.0 + second / 1000), 200 + second)
    _, again = closed(going, 2, kept)
    assert again["so2"].n == 24
    assert again["so2"].avg == pytest.approx(15.0, abs=0.1)


def test_a_result_of_minutes_ago_puts_no_clock_back():
    going = averager(point("flow", unit="m3/h", sum="m3"))
    for minute in range(6):  # what stands is repeated each minute, as it was sampled at the beginning
        going.take(full(minute * MINUTE, 60.0, offsets={0: -minute * MINUTE} if minute else {}), minute + 1)
    closed(going, 5, kept := {})
    going.take(full(2 * MINUTE, 60.0), 7)  # an analyser's result of a sample of three minutes ago
    assert [each["flow"].amount for each in closed(going, 5, kept)] == [1.0] * 5


@given(
    st.lists(
        st.tuples(st.integers(1, 599), st.floats(0, 100), st.floats(-10, 50)), max_size=12, unique_by=lambda e: e[0]
    )
)
def test_a_mean_weighted_by_a_flow_is_the_mass_by_the_volume_whatever_changes_first(told):
    going = averager(point("p0", weight="p1"), point("p1"))
    values, at = [(0, 1.0, 2.0)], [0]
    going.take(full(0, 1.0, 2.0), 1)
    for row, (place, value, flow) in enumerate(sorted(told)):
        _, before, _ = values[-1]
        report = change(place * STEP, p0=value, p1=flow) if row % 3 else change(place * STEP, p1=flow)
        values.append((place * STEP, value if row % 3 else before, flow))
        at.append(place * STEP)
        going.take(report, row + 2)
    (figures,) = closed(going, 1)
    pieces = [(value, max(flow, 0.0), end - since)
              for (since, value, flow), end in zip(values, [*at[1:], MINUTE], strict=True)]  # fmt: skip
    mass, volume = (math.fsum(each) for each in ((v * w * t for v, w, t in pieces), (w * t for _, w, t in pieces)))
    assert figures["p0"].avg == pytest.approx(mass / volume, rel=1e-7, abs=1e-9)


def test_a_direction_is_averaged_as_one_by_time():
    going = averager(point("wind", mean="direction"))
    going.take(full(0, 350.0), 1)
    going.take(full(30_000, 10.0), 2)
    (figures,) = closed(going, 1)
    assert figures["wind"].avg == pytest.approx(0.0, abs=1e-6) or figures["wind"].avg == pytest.approx(360.0)
    assert figures["wind"].least is None


def test_a_rate_adds_up_by_time():
    going = averager(point("flow", unit="m3/h", sum="m3"))
    going.take(full(0, 60.0), 1)
    going.take(full(30_000, 120.0), 2)
    (figures,) = closed(going, 1)
    assert figures["flow"].amount == pytest.approx(1.5)


@given(st.dictionaries(st.integers(1, 2399), SAID, max_size=60), st.integers(0, 2399))
def test_behind_a_restart_it_goes_on_as_if_there_had_been_none(told, stop):
    """What was kept of the closed minutes, and the reports since, taken again."""
    flags = {place: said if isinstance(said, Flag) else None for place, said in told.items()}
    reports = [full(place * STEP, 0.0 if flags[place] else said, flag=flags[place])
               for place, said in sorted(told.items())]  # fmt: skip
    lived = averager(point("so2"))
    for row, each in enumerate(reports, start=1):
        lived.take(each, row)
    expected = closed(lived, 4)
    going, found, last = averager(point("so2")), [], None
    done = stop * STEP // MINUTE
    for row, each in enumerate(reports, start=1):
        if each.at - START < done * MINUTE:
            going.take(each, row)
    for minute in range(done):
        last = going.close(going.end(START + minute * MINUTE))
        found.append(last.figures)
        last = json.loads(json.dumps(minute)), last.body
    again = averager(point("so2"))
    if last is not None:
        again.resume(START + last[0] * MINUTE, last[1], 1)
    for row, each in enumerate(reports, start=1):
        if each.at - START >= done * MINUTE:
            again.take(each, row)
    found += [again.close(again.end(START + minute * MINUTE)).figures for minute in range(done, 4)]
    assert found == expected
