"""Which values may be used as they are; judged a second time by a slow judge that is plainly right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.flag import Flag
from parkgate.config.profile import Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, unread
from parkgate.gateway.processing.validity import PRECEDENCE, Judge


def instrument(*points, states=()):
    return Instrument(
        name="stack-1", line="cems", every=1_000, profile="p", protocol="modbus", points=points, states=tuple(states)
    )


def point(name, **more):
    return Point(name=name, at="input 0", type=more.pop("type", "float32"), **more)


def state(flag, equals=(1,), points=()):
    return State(at="holding 0", equals=equals, flag=flag, points=points)


def judged(about, values, *, flags=None, states=None):
    given_states = tuple(None for _ in about.states) if states is None else tuple(states)
    return Judge.of(about)(Snapshot("stack-1", 5, tuple(values), flags=flags or {}, states=given_states))


def test_a_value_within_its_range_is_left_as_it_is_and_so_is_the_snapshot():
    about = instrument(point("so2", range=(0.0, 300.0)), point("o2", range=(0.0, 25.0)))
    snapshot = Snapshot("stack-1", 5, (0.0, 25.0))
    assert Judge.of(about)(snapshot) is snapshot


@pytest.mark.parametrize(("value", "fine"), [(-0.01, False), (0.0, True), (300.0, True), (300.01, False)])
def test_the_ends_of_a_range_belong_to_it(value, fine):
    about = instrument(point("so2", range=(0.0, 300.0)), point("free"))
    assert judged(about, (value, 1e30)).flags == ({} if fine else {0: Flag.OUT_OF_RANGE})


def test_a_value_out_of_its_range_keeps_its_value_beside_the_flag():
    found = judged(instrument(point("so2", range=(0.0, 300.0))), (512.5,))
    assert (found.values, found.flags) == ((512.5,), {0: Flag.OUT_OF_RANGE})


def test_a_range_is_judged_also_where_another_point_is_flagged():
    about = instrument(point("so2", range=(0.0, 300.0)), point("o2", range=(0.0, 25.0)), point("co"))
    assert judged(about, (None, 26.0, 1.0), flags={0: Flag.FAULT}).flags == {0: Flag.FAULT, 1: Flag.OUT_OF_RANGE}


def test_a_number_written_as_a_string_has_a_range_too():
    about = instrument(point("total", type="uint64", as_="string", range=(0.0, 100.0)), point("so2", range=(0.0, 1.0)))
    assert judged(about, ("100", 0.5)).flags == {}
    assert judged(about, ("101", 0.5)).flags == {0: Flag.OUT_OF_RANGE}
    assert judged(about, (None, 0.5), flags={0: Flag.FAULT}).flags == {0: Flag.FAULT}


def test_a_state_flags_the_points_it_names_and_without_names_all():
    about = instrument(
        point("so2"), point("nox"), states=[state("maintenance", points=("nox",)), state("calibration", (2, 3))]
    )
    assert judged(about, (1.0, 2.0), states=(0, 0)).flags == {}
    assert judged(about, (1.0, 2.0), states=(1, 0)).flags == {1: Flag.MAINTENANCE}
    assert judged(about, (1.0, 2.0), states=(0, 3)).flags == {0: Flag.CALIBRATION, 1: Flag.CALIBRATION}
    assert judged(about, (1.0, 2.0), states=(1, 2)).flags == {0: Flag.CALIBRATION, 1: Flag.MAINTENANCE}


def test_a_state_that_names_a_disabled_point_too_judges_the_enabled_ones_it_names():
    about = instrument(point("so2"), point("nox"), states=[state("fault", points=("gone", "nox"))])
    assert judged(about, (1.0, 2.0), states=(1,)).flags == {1: Flag.FAULT}


def test_points_whose_state_could_not_be_read_are_no_communication_and_keep_their_value():
    about = instrument(point("so2"), point("nox"), states=[state("fault", points=("nox",))])
    found = judged(about, (1.0, 2.0), states=(None,))
    assert (found.values, found.flags) == ((1.0, 2.0), {1: Flag.NO_COMMUNICATION})


def test_an_unread_instrument_stays_what_it_is():
    about = instrument(point("so2", range=(0.0, 1.0)), states=[state("fault")])
    assert Judge.of(about)(unread(about, 7)).flags == {0: Flag.NO_COMMUNICATION}
    found = Judge.of(about)(unread(about, 7, Flag.BAD_CONFIGURATION))
    assert found.flags == {0: Flag.BAD_CONFIGURATION}


@pytest.mark.parametrize("first", PRECEDENCE)
def test_of_two_reasons_the_first_in_the_order_of_precedence_is_told(first):
    about = instrument(point("so2"), states=[state(each) for each in reversed(PRECEDENCE)])
    index = PRECEDENCE.index(first)
    readings = [1 if PRECEDENCE.index(each.flag) >= index else 0 for each in about.states]
    assert judged(about, (1.0,), states=readings).flags == {0: first}
    assert judged(about, (1.0,), states=readings, flags={0: PRECEDENCE[-1]}).flags == {0: first}


def test_every_flag_has_its_place_in_the_order():
    assert sorted(PRECEDENCE) == sorted(Flag)


flags = st.sampled_from(list(Flag))
numbers = st.floats(-100, 100) | st.integers(-100, 100)
ranges = st.none() | st.tuples(st.floats(-50, 0), st.floats(1, 50))


@st.composite
def cases(draw):
    count = draw(st.integers(1, 6))
    names = [f"p{place}" for place in range(count)]
    points = [point(name, range=draw(ranges)) for name in names]
    covered = st.lists(st.sampled_from([*names, "disabled"]), max_size=count, unique=True).map(tuple)
    states = draw(st.lists(st.builds(state, flags, st.sets(st.integers(0, 3), min_size=1).map(tuple), covered)))
    values, given_flags = [], {}
    for place in range(count):
        values.append(draw(st.none() | numbers))
        if values[-1] is None or draw(st.booleans()):
            given_flags[place] = draw(flags)
    readings = tuple(draw(st.none() | st.integers(0, 4)) for _ in states)
    return instrument(*points, states=states), tuple(values), given_flags, readings


def slow_judge(about, values, given_flags, readings):
    """Every reason of every point, one after the other; the first in the order counts."""
    told = {}
    for place, each in enumerate(about.points):
        reasons = {given_flags[place]} if place in given_flags else set()
        for one, reading in zip(about.states, readings, strict=True):
            if one.points == () or each.name in one.points:
                if reading is None:
                    reasons.add(Flag.NO_COMMUNICATION)
                elif reading in one.equals:
                    reasons.add(one.flag)
        if each.range is not None and values[place] is not None and not each.range[0] <= values[place] <= each.range[1]:
            reasons.add(Flag.OUT_OF_RANGE)
        if reasons:
            told[place] = min(reasons, key=PRECEDENCE.index)
    return told


@given(cases())
def test_it_judges_as_an_obvious_slow_judge_does(case):
    about, values, given_flags, readings = case
    found = judged(about, values, flags=given_flags, states=readings)
    assert dict(found.flags) == slow_judge(about, values, given_flags, readings)
    assert (found.values, found.at, found.states) == (values, 5, readings)


@given(cases())
def test_judging_twice_changes_nothing(case):
    about, values, given_flags, readings = case
    once = judged(about, values, flags=given_flags, states=readings)
    assert Judge.of(about)(once) == once


def test_a_flagged_value_is_no_longer_among_the_uncertain_ones():
    about = instrument(point("so2", range=(0.0, 1.0)), point("o2", range=(0.0, 25.0)))
    found = Judge.of(about)(Snapshot("stack-1", 5, (5.0, 6.0), uncertain=frozenset({0, 1})))
    assert (found.flags, found.uncertain) == ({0: Flag.OUT_OF_RANGE}, frozenset({1}))


def test_a_change_report_judges_what_it_says_and_nothing_else():
    about = instrument(point("so2", range=(0.0, 300.0)), point("o2", range=(0.0, 25.0)), states=[state(Flag.FAULT)])
    judge = Judge.of(about)
    report = Snapshot("stack-1", 5, (None, 26.0), states=(0,), absent=frozenset({0}))
    assert judge(report).flags == {1: Flag.OUT_OF_RANGE}
    assert judge(Snapshot("stack-1", 5, (None, 26.0), states=(1,), absent=frozenset({0}))).flags == {1: Flag.FAULT}
