"""Samples of an interval added up column by column, against each looked at by itself."""

import json
import math
from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.averages_bench import instrument, point

from parkgate.config.flag import Flag
from parkgate.config.site import Statistics
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.averager import Averager, figures_of
from parkgate.gateway.processing.periods import periods
from parkgate.gateway.processing.sampled import FOLD, Sampled
from parkgate.gateway.processing.statistics import Plan

PERIODS = periods(Statistics(), "Asia/Shanghai")
START = 1_767_225_600_000
VALUES = st.floats(-1e6, 1e6) | st.integers(-(2**53), 2**53)


def plan_of(about, **rules):
    return Plan.of(about, Statistics(**rules), PERIODS)


def figures(about, snapshots, **rules):
    tally = Sampled(plan_of(about, **rules))
    for each in snapshots:
        tally.take(each)
    return tally.figures(60_000)


def samples(*rows, every=5_000, flags=None):
    return [Snapshot("a", START + number * every, row, flags=flags or {}) for number, row in enumerate(rows)]


@st.composite
def rows(draw):
    """Draw values of two points of some snapshots, each flagged, absent or usable."""
    found = []
    for number in range(draw(st.integers(0, 40))):
        values, flags, absent = [], {}, set()
        for place in range(2):
            kind = draw(st.sampled_from(["usable", "usable", "flagged", "absent"]))
            values.append(draw(VALUES) if kind == "usable" else None)
            if kind == "flagged":
                flags[place] = draw(st.sampled_from([Flag.FAULT, Flag.CALIBRATION, Flag.NO_COMMUNICATION]))
            elif kind == "absent":
                absent.add(place)
        found.append(Snapshot("a", START + number, tuple(values), flags=flags, absent=frozenset(absent)))
    return found


@given(rows(), st.integers(0, 40))
def test_what_is_added_up_is_what_each_sample_says_whether_kept_in_between_or_not(snapshots, cut):
    about = instrument(point("so2", digits=2), point("o2"))
    plan = plan_of(about)
    tally = Sampled(plan)
    for each in snapshots[:cut]:
        tally.take(each)
    tally = Sampled.of(plan, json.loads(json.dumps(tally.state())))
    late = Sampled(plan)
    for each in snapshots[cut:]:
        late.take(each)
    tally.merge(late)
    for place, name in enumerate(("so2", "o2")):
        told = tally.figures(60_000)[name]
        named = [each for each in snapshots if place not in each.absent]
        usable = [each.values[place] for each in named if place not in each.flags]
        assert (told.n, told.valid) == (len(named), len(usable))
        assert (told.flag == "") == (len(usable) >= 12)
        if usable:
            assert (told.least, told.most) == (min(usable), max(usable))
            assert told.avg == pytest.approx(fmean(usable), rel=1e-8, abs=0.00051)
        else:
            assert (told.avg, told.least, told.most) == (None, None, None)
        counts = Counter(each.flags[place].value for each in named if place in each.flags)
        counts["no-communication"] += max(0, 12 - len(named))
        assert not told.flag or counts[told.flag] == max(counts.values())


def test_a_mean_has_one_digit_more_than_its_point_and_without_digits_nine():
    about = instrument(point("so2", digits=1), point("o2"))
    told = figures(about, samples((0.1, 1 / 3), (0.2, 1 / 3), (0.2, 2 / 3)))
    assert (told["so2"].avg, told["o2"].avg) == (0.17, 0.444444444)


def test_of_two_flags_that_stood_as_long_the_one_that_is_told_first_is_told():
    about = instrument(point("so2"))
    some = [Snapshot("a", START, (None,), flags={0: flag}) for flag in [Flag.FAULT, Flag.CALIBRATION] * 6]
    assert figures(about, some)["so2"].flag == "calibration"


def test_what_did_not_come_counts_as_no_communication():
    about = instrument(point("so2"))
    some = samples(*[(1.0,)] * 4, flags={0: Flag.CALIBRATION})
    assert figures(about, some)["so2"].flag == "no-communication"
    assert figures(about, some * 2)["so2"].flag == "calibration"


@pytest.mark.parametrize(
    ("every", "needed", "base"),
    [(1_000, 12, "1min"), (5_000, 12, "1min"), (7_000, 8, "1min"), (10_000, 6, "1min"), (60_000, 1, "1min"),
     (90_000, 6, "10min"), (600_000, 1, "10min"), (900_000, 4, "1h"), (3_600_000, 1, "1h")],
)  # fmt: skip
def test_who_is_asked_rarely_must_give_all_that_he_can(every, needed, base):
    plan = plan_of(instrument(point("so2"), every=every))
    assert (plan.needed, plan.base.name) == (needed, base)


def test_the_counts_are_the_sites():
    about = instrument(point("so2"), every=1_000)
    plan = plan_of(about, samples=50, minutes=30, hours=12)
    assert (plan.needed, plan.enough(PERIODS[2], 60), plan.enough(PERIODS[3], 24)) == (50, 30, 12)
    ours = plan_of(about)
    assert [ours.enough(PERIODS[1], 10), ours.enough(PERIODS[2], 60), ours.enough(PERIODS[3], 24)] == [8, 45, 20]
    assert [ours.enough(PERIODS[3], 23), ours.enough(PERIODS[3], 25)] == [20, 21], "days of a summer time"


def test_a_rate_adds_up_over_the_time_in_which_it_was_usable():
    about = instrument(point("flow", unit="L/s", sum="m3"))
    told = figures(about, samples(*[(20.0,)] * 12))["flow"]
    assert told.amount == pytest.approx(20.0 * 60 / 1000)
    some = [*samples(*[(20.0,)] * 6), *samples(*[(99.0,)] * 6, flags={0: Flag.CALIBRATION})]
    assert figures(about, some)["flow"].amount == pytest.approx(0.6)
    assert figures(about, samples(*[(99.0,)] * 6, flags={0: Flag.CALIBRATION}))["flow"].amount is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-5, 50)), min_size=1, max_size=30))
def test_a_mean_weighted_by_a_flow_is_the_mass_by_the_volume(pairs):
    about = instrument(point("cod", weight="flow"), point("flow"))
    told = figures(about, samples(*pairs))["cod"]
    volume = math.fsum(max(flow, 0.0) for _, flow in pairs)
    mass = math.fsum(value * max(flow, 0.0) for value, flow in pairs)
    expected = mass / volume if volume > 0 else fmean(value for value, _ in pairs)
    assert told.avg == pytest.approx(expected, rel=1e-7, abs=1e-9)
    assert told.weight == pytest.approx(volume)


@pytest.mark.parametrize(
    ("directions", "mean"),
    [((350.0, 10.0), 0.0), ((90.0, 180.0), 135.0), ((359.96, 359.97), 0.0), ((270.0,), 270.0), ((0.0, 180.0), None)],
)
def test_a_direction_is_averaged_as_one(directions, mean):
    about = instrument(point("wind", mean="direction", digits=0))
    told = figures(about, samples(*[(each,) for each in directions]))["wind"]
    assert (told.avg, told.least, told.most) == (mean, None, None)


def test_a_boolean_is_averaged_to_the_part_of_the_time_in_which_it_was_true():
    told = figures(instrument(point("pump", type="bool")), samples((1,), (0,), (0,), (1,)))
    assert told["pump"].avg == 0.5


def test_numbers_too_large_to_add_up_have_no_mean_and_are_kept_all_the_same():
    about = instrument(point("so2"))
    averager = Averager(plan_of(about), START)
    for number in range(24):
        averager.take(Snapshot("a", START + number, (1.7e308,)), number + 1)
    kept = averager.close(averager.end(START))
    assert (kept.figures["so2"].avg, kept.figures["so2"].most) == (None, 1.7e308)
    averager.take(Snapshot("a", START + 30, (1.0,)), 30)
    again = averager.close(averager.end(START), kept.body)
    assert again.figures["so2"].n == 25
    assert figures_of(again.body) == again.figures


def test_many_snapshots_are_added_up_before_the_interval_ends():
    tally = Sampled(plan_of(instrument(point("so2"))))
    for number in range(FOLD + 5):
        tally.take(Snapshot("a", START + number, (float(number),)))
    assert len(tally.waiting) == 5
    assert tally.figures(60_000)["so2"].n == FOLD + 5


def test_what_is_no_number_or_is_switched_off_has_no_statistics():
    text, number = point("serial", type="string:8"), point("total", type="uint64", as_="string")
    assert plan_of(instrument(text, number)) is None
    assert plan_of(instrument(point("so2"), statistics=False)) is None
    assert plan_of(instrument(point("so2"), statistics=("1h", "1d"))).sent == {"1h", "1d"}
