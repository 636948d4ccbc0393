"""When instruments are read, with both clocks in the test's hand."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.gateway.collecting.schedule import Schedule

WALL = 1_763_890_000_123
EARLY = 50


def instrument(name, every):
    points = (Point(name="p", at="input 0", type="uint16"),)
    return Instrument(name=name, line="l", every=every, profile="p", protocol="modbus", points=points)


def line(*periods):
    return [instrument(f"i{place}", every) for place, every in enumerate(periods)]


class Clocks:
    """A monotonic and a wall clock; the wall may run at another rate and step."""

    def __init__(self, mono=0.0, wall=WALL):
        self.mono, self.wall = mono, wall

    def pass_(self, milliseconds, rate=1.0):
        self.mono += milliseconds
        self.wall += milliseconds * rate


def start(periods, clocks):
    """A schedule whose first turns, those at the start, were taken."""
    schedule = Schedule(line(*periods), clocks.mono)
    for _ in periods:
        assert schedule.take(clocks.mono, clocks.wall) is not None
    assert schedule.take(clocks.mono, clocks.wall) is None
    return schedule


def turns(schedule, clocks, milliseconds, rate=1.0):
    """Let time flow and take every turn the moment it is due: (instrument, wall clock) of each."""
    taken, end = [], clocks.mono + milliseconds
    while schedule.next() <= end:
        clocks.pass_(max(0.0, schedule.next() - clocks.mono), rate)
        found = schedule.take(clocks.mono, clocks.wall)
        assert found is not None
        taken.append((found.name, clocks.wall))
    clocks.pass_(end - clocks.mono, rate)
    return taken


def test_everything_is_read_once_at_the_start_the_shortest_periods_first():
    clocks = Clocks(mono=77.0)
    schedule = Schedule(line(1_000, 5_000, 1_000), clocks.mono)
    names = [schedule.take(clocks.mono, clocks.wall).name for _ in range(3)]
    assert names == ["i0", "i2", "i1"]
    assert schedule.take(clocks.mono, clocks.wall) is None
    assert schedule.missed == {"i0": 0, "i1": 0, "i2": 0}


def test_then_at_wall_clock_multiples_of_the_period():
    clocks = Clocks()
    taken = turns(start([5_000], clocks), clocks, 20_000)
    assert [wall for _, wall in taken] == [1_763_890_005_000, 1_763_890_010_000, 1_763_890_015_000, 1_763_890_020_000]


def test_instruments_of_one_period_are_spread_evenly_within_it():
    clocks = Clocks(wall=1_763_890_000_999.0)
    taken = turns(start([1_000, 1_000, 4_000, 1_000, 1_000], clocks), clocks, 2_000)
    phases = {name: {wall % 1_000 for other, wall in taken if other == name} for name in ("i0", "i1", "i3", "i4")}
    assert phases == {"i0": {0.0}, "i1": {250.0}, "i3": {500.0}, "i4": {750.0}}


def test_an_instrument_of_another_period_begins_at_its_own_multiple():
    clocks = Clocks()
    taken = turns(start([1_000, 60_000], clocks), clocks, 120_000)
    assert {wall % 60_000 for name, wall in taken if name == "i1"} == {0.0}


@pytest.mark.parametrize(("every", "early"), [(1_000, 50), (5_000, 50), (100, 10), (5, 0.5)])
def test_a_timer_that_fires_early_takes_its_own_turn_and_not_two(every, early):
    clocks = Clocks(wall=float(WALL // every * every))
    schedule = start([every], clocks)
    clocks.mono = schedule.next()
    clocks.wall += every - early  # by the wall clock its multiple is still to come
    assert schedule.take(clocks.mono, clocks.wall) is not None
    assert schedule.next() - clocks.mono == every + early


def test_a_turn_that_is_not_due_is_not_given():
    clocks = Clocks()
    schedule = start([1_000], clocks)
    clocks.mono = math.nextafter(schedule.next(), 0)
    assert schedule.take(clocks.mono, clocks.wall) is None
    clocks.mono = schedule.next()
    assert schedule.take(clocks.mono, clocks.wall).name == "i0"


@pytest.mark.parametrize(
    ("late", "missed"), [(0, 0), (949, 0), (951, 1), (999, 1), (1_000, 1), (2_500, 2), (2_960, 3), (86_400_000, 86_400)]
)
def test_turns_that_passed_while_the_line_was_busy_are_counted_and_not_made_up_for(late, missed):
    clocks = Clocks()
    schedule = start([1_000], clocks)
    clocks.pass_(schedule.next() - clocks.mono + late)
    assert schedule.take(clocks.mono, clocks.wall) is not None
    assert schedule.take(clocks.mono, clocks.wall) is None
    assert schedule.missed == {"i0": missed}


def test_the_longest_overdue_goes_first():
    clocks = Clocks(wall=float(WALL - WALL % 60_000))
    schedule = start([10_000, 1_000], clocks)
    clocks.pass_(12_000)
    assert schedule.take(clocks.mono, clocks.wall).name == "i1"
    assert schedule.take(clocks.mono, clocks.wall).name == "i0"


periods = st.lists(st.sampled_from([100, 250, 1_000, 5_000, 7_000]), min_size=1, max_size=6)
walls = st.floats(WALL, WALL + 100_000)


@given(periods, walls, st.floats(0.9999, 1.0001))
def test_while_time_flows_no_turn_is_lost_or_doubled(every, wall, rate):
    clocks = Clocks(wall=wall)
    schedule = start(every, clocks)
    taken = turns(schedule, clocks, min(20 * max(every), 2 * max(every) + 500 * min(every)), rate)
    for place, period in enumerate(every):
        offset = sum(1 for each in every[:place] if each == period) * period / every.count(period)
        own = [(at - offset) / period for name, at in taken if name == f"i{place}"]
        multiples = [round(each) for each in own]
        assert [later - earlier for earlier, later in pairwise(multiples)] == [1] * (len(own) - 1)
        assert all(abs(each - round(each)) * period <= 0.1 * EARLY + 3 for each in own)
        assert multiples[0] * period + offset - wall <= period + EARLY
    assert set(schedule.missed.values()) == {0}


@given(periods, walls, st.floats(-1e9, 1e9), st.integers(0, 10_000))
def test_after_a_step_of_the_wall_clock_everything_goes_on_within_a_period(every, wall, step, pause):
    clocks = Clocks(wall=wall)
    schedule = start(every, clocks)
    turns(schedule, clocks, pause)
    clocks.wall += step
    stepped = clocks.mono
    waited = schedule.next() - stepped
    assert waited <= max(every) * 1.1
    first: dict[str, float] = {}
    count = 0
    while len(first) < len(every):
        clocks.pass_(max(0.0, schedule.next() - clocks.mono))
        found = schedule.take(clocks.mono, clocks.wall)
        first.setdefault(found.name, clocks.mono)
        count += 1
    for place, period in enumerate(every):
        assert first[f"i{place}"] - stepped <= period * 1.1
    assert count <= sum(max(every) * 1.1 // period + 2 for period in every)
    assert set(schedule.missed.values()) == {0}


steps = st.lists(st.tuples(st.integers(0, 10_000), st.floats(-4e11, 4e11) | st.just(0.0)), max_size=8)


@given(periods, walls, steps, st.sampled_from([0.0, 0.5, 1.0]))
def test_no_step_and_no_stop_of_the_wall_clock_bunches_or_skips_turns(every, wall, steps, rate):
    clocks = Clocks(wall=wall)
    schedule = start(every, clocks)
    at = {f"i{place}": [] for place in range(len(every))}
    for pause, step in [*steps, (10 * max(every), 0.0)]:
        end = clocks.mono + min(pause, 200 * min(every))
        while schedule.next() <= end:
            clocks.pass_(max(0.0, schedule.next() - clocks.mono), rate)
            at[schedule.take(clocks.mono, clocks.wall).name].append(clocks.mono)
        clocks.pass_(end - clocks.mono, rate)
        clocks.wall += step
    for place, period in enumerate(every):
        apart = [later - earlier for earlier, later in pairwise(at[f"i{place}"])]
        assert all(0.49 * period <= each <= 1.11 * period for each in apart)
    assert set(schedule.missed.values()) == {0}


def test_a_wall_clock_that_stands_still_just_before_a_multiple_does_not_make_it_read_all_the_time():
    clocks = Clocks(wall=float(WALL - WALL % 10_000 + 9_900))
    taken = turns(start([10_000], clocks), clocks, 60_000, rate=0.0)
    assert len(taken) <= 12


@given(periods, st.lists(st.floats(0, 30_000), min_size=1, max_size=30))
def test_taken_and_missed_turns_together_are_all_that_there_were(every, delays):
    clocks = Clocks(wall=float(WALL - WALL % 35_000))
    schedule = start(every, clocks)
    taken = dict.fromkeys(schedule.missed, 0)
    due = {}
    for delay in delays:
        clocks.pass_(max(0.0, schedule.next() - clocks.mono) + delay)
        found = schedule.take(clocks.mono, clocks.wall)
        taken[found.name] += 1
        due[found.name] = clocks.wall
    for place, period in enumerate(every):
        name = f"i{place}"
        if name not in due:
            continue
        offset = sum(1 for each in every[:place] if each == period) * period / every.count(period)
        begin = WALL - WALL % 35_000
        early = min(EARLY, period / 10)
        passed = math.floor((due[name] - offset + early) / period) - math.floor((begin - offset + early) / period)
        assert taken[name] + schedule.missed[name] == passed


def test_of_several_that_are_due_the_one_goes_first_whose_next_turn_is_due_soonest():
    clocks = Clocks()
    schedule = Schedule(line(10_000, 1_000, 5_000), clocks.mono)
    assert [schedule.take(clocks.mono, clocks.wall).name for _ in range(3)] == ["i1", "i2", "i0"]
    clocks.pass_(20_000)
    assert schedule.next() <= clocks.mono
    found = [each.name for _ in range(3) if (each := schedule.take(clocks.mono, clocks.wall))]
    assert sorted(found) == ["i0", "i1", "i2"], "nobody starves: who is overdue has the earliest deadline"


def test_within_a_turn_only_instruments_of_a_shorter_period_are_taken():
    clocks = Clocks()
    instruments = line(10_000, 1_000, 5_000)
    schedule = Schedule(instruments, clocks.mono)
    slow, fast, middle = instruments
    assert schedule.take(clocks.mono, clocks.wall, within=middle) is fast
    assert schedule.take(clocks.mono, clocks.wall, within=middle) is None
    assert schedule.take(clocks.mono, clocks.wall, within=slow) is middle
    assert schedule.take(clocks.mono, clocks.wall) is slow
