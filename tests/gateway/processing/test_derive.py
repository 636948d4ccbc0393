"""What is derived of a snapshot: values, flags, change reports, other instruments, totalisers."""

from math import isfinite

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.derived import entry, instruments, snapshot, told

from parkgate.config.flag import Flag
from parkgate.drivers.snapshot import Snapshot, unread
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.validity import PRECEDENCE

FLOW = 'derived.rate = { formula = "emission_rate", of = { c = "so2_dry", flow = "meter.flow" }, digits = 3 }'
every_flag = st.sampled_from(list(Flag))


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    return instruments(tmp_path_factory.mktemp("site"), entry("stack"))["stack"]


def derived(instrument, given_snapshot):
    return derivers([instrument])[instrument.name](given_snapshot)


def test_derived_points_stand_behind_the_measured_ones_each_behind_what_it_needs(stack):
    assert [each.name for each in stack.quantities] == ["so2", "h2o", "o2", "door", "so2_dry", "so2_zs"]
    found = derived(stack, snapshot(stack, 42.1, 8.6, 8.6, 1))
    assert found.values == (42.1, 8.6, 8.6, 1, 46.06, 55.72)
    assert (dict(found.flags), found.uncertain, found.absent, found.at) == ({}, frozenset(), frozenset(), 1_000)


def test_what_a_driver_said_besides_stays_in_the_snapshot(stack):
    said = snapshot(stack, 42.1, 8.6, 8.6, 1, states=(3,), offsets={1: -250}, late=True)
    found = derived(stack, said)
    assert (found.states, found.offsets, found.late) == ((3,), {1: -250}, True)


def test_an_instrument_without_derived_points_keeps_its_very_snapshot(tmp_path):
    bare = instruments(tmp_path, entry("stack", "derived.so2_zs.enabled = false\nderived.so2_dry.enabled = false"))[
        "stack"
    ]
    said = snapshot(bare, 42.1, 8.6, 8.6, 1)
    assert derived(bare, said) is said


def test_near_the_oxygen_of_air_there_is_no_converted_value_but_a_flag(stack):
    found = told(stack, derived(stack, snapshot(stack, 42.1, 8.6, 20.0, 1)))
    assert found["so2_zs"] is Flag.OUT_OF_RANGE
    assert found["so2_dry"] == 46.06


def test_a_result_out_of_its_own_range_keeps_its_value_beside_the_flag_and_gives_none_to_others(stack):
    found = told(stack, derived(stack, snapshot(stack, 299.0, 8.6, 8.6, 1)))
    assert found["so2_dry"] == (Flag.OUT_OF_RANGE, 327.13)
    assert found["so2_zs"] is Flag.OUT_OF_RANGE


def test_a_flagged_input_gives_its_flag_and_never_its_value(stack):
    found = told(stack, derived(stack, snapshot(stack, 12.3, 8.6, 8.6, 1, flags={0: Flag.CALIBRATION})))
    assert found["so2"] == (Flag.CALIBRATION, 12.3)
    assert (found["so2_dry"], found["so2_zs"]) == (Flag.CALIBRATION, Flag.CALIBRATION)


def test_a_flag_of_a_point_that_is_not_needed_does_not_matter(stack):
    found = told(stack, derived(stack, snapshot(stack, 42.1, 8.6, 8.6, 1, flags={3: Flag.FAULT, 2: Flag.FAULT})))
    assert (found["so2_dry"], found["so2_zs"]) == (46.06, Flag.FAULT)


def test_a_silent_instrument_has_its_derived_points_flagged_too(stack):
    found = derived(stack, unread(stack, 5))
    assert found.values == (None,) * 6
    assert set(found.flags.values()) == {Flag.NO_COMMUNICATION}


def test_an_uncertain_input_makes_what_is_computed_of_it_uncertain(stack):
    found = derived(stack, snapshot(stack, 42.1, 8.6, 8.6, 1, uncertain=frozenset({1})))
    assert found.uncertain == {1, 4, 5}
    found = derived(stack, snapshot(stack, 42.1, 8.6, 8.6, 1, uncertain=frozenset({2})))
    assert found.uncertain == {2, 5}
    found = derived(stack, snapshot(stack, 42.1, 8.6, 20.5, 1, uncertain=frozenset({2})))
    assert found.uncertain == {2}


@given(st.dictionaries(st.integers(0, 3), every_flag))
def test_the_worst_flag_of_the_inputs_is_told(stack, flags):
    found = derived(stack, snapshot(stack, 42.1, 8.6, 8.6, 1, flags=flags))
    for place, inputs in ((4, {0, 1}), (5, {0, 1, 2})):
        theirs = [flags[each] for each in inputs if each in flags]
        assert found.flags.get(place) == (min(theirs, key=PRECEDENCE.index) if theirs else None)
        assert (found.values[place] is None) == bool(theirs)


@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3))
def test_whatever_is_read_what_is_derived_is_a_finite_number_or_a_flag(stack, numbers):
    found = derived(stack, snapshot(stack, *numbers, 1))
    for place in (4, 5):
        value = found.values[place]
        assert value is None or isfinite(value)
        assert (value is None) <= (place in found.flags)


def test_units_of_inputs_and_results_are_converted(tmp_path):
    more = 'derived.rate = { formula = "emission_rate", of = { c = "so2", flow = "flow" }, unit = "t/h" }\n'
    stack = """
so2 = { at = "input 0", type = "float32", unit = "µg/m3" }
flow = { at = "input 2", type = "float32", unit = "m3/s" }
"""
    about = instruments(tmp_path, entry("stack", more), stack=f'protocol = "modbus"\n[points]\n{stack}')["stack"]
    found = derived(about, snapshot(about, 42_100.0, 100.0))
    assert found.values[2] == pytest.approx(42.1 * 360_000 * 1e-9)


def test_a_result_without_digits_has_seven_that_count(tmp_path):
    more = 'derived.r = { formula = "ratio", of = { a = "h2o", b = "o2" } }'
    about = instruments(tmp_path, entry("stack", more))["stack"]
    assert told(about, derived(about, snapshot(about, 0.0, 1.0, 3.0, 0)))["r"] == 0.3333333
    assert told(about, derived(about, snapshot(about, 0.0, 1.0, 0.0, 0)))["r"] is Flag.OUT_OF_RANGE


# Inputs from another instrument


@pytest.fixture
def pair(tmp_path):
    """A stack that takes its flow from a meter."""
    return instruments(tmp_path, entry("stack", FLOW), entry("meter"))


def meter(pair, flow, at=1_000, **more):
    return snapshot(pair["meter"], flow, 5.0, at=at, **more)


def stacked(pair, at=1_000, **more):
    return snapshot(pair["stack"], 42.1, 8.6, 8.6, 1, at=at, **more)


def rate(pair, derive, at=1_000, **more):
    return told(pair["stack"], derive["stack"](stacked(pair, at, **more)))["rate"]


def test_the_newest_value_of_another_instrument_is_taken(pair):
    derive = derivers(pair.values())
    derive["meter"](meter(pair, 100_000.0))
    derive["meter"](meter(pair, 200_000.0, at=1_500))
    assert rate(pair, derive, at=2_000) == 9.212


@pytest.mark.parametrize(("at", "fresh"), [(3_000, True), (3_001, False), (-1_000, True), (-1_001, False)])
def test_a_value_of_another_instrument_counts_for_twice_its_period_before_and_behind(pair, at, fresh):
    derive = derivers(pair.values())
    derive["meter"](meter(pair, 100_000.0))
    assert rate(pair, derive, at=at) == (4.606 if fresh else Flag.NO_COMMUNICATION)


def test_max_age_says_how_long_instead(tmp_path):
    pair = instruments(tmp_path, entry("stack", FLOW.replace("digits", 'max_age = "1min", digits')), entry("meter"))
    derive = derivers(pair.values())
    derive["meter"](meter(pair, 100_000.0))
    assert rate(pair, derive, at=61_000) == 4.606
    assert rate(pair, derive, at=61_001) is Flag.NO_COMMUNICATION


def test_an_instrument_that_has_said_nothing_yet_is_no_communication(pair):
    assert rate(pair, derivers(pair.values())) is Flag.NO_COMMUNICATION


def test_the_flag_of_another_instruments_value_counts_as_an_own_ones(pair):
    derive = derivers(pair.values())
    derive["meter"](meter(pair, 100_000.0, flags={0: Flag.MAINTENANCE}))
    assert rate(pair, derive) is Flag.MAINTENANCE
    assert rate(pair, derive, flags={0: Flag.OUT_OF_SERVICE}) is Flag.OUT_OF_SERVICE
    derive["meter"](unread(pair["meter"], 1_000))
    assert rate(pair, derive) is Flag.NO_COMMUNICATION
    derive["meter"](meter(pair, 100_000.0, uncertain=frozenset({0})))
    found = derive["stack"](stacked(pair))
    assert found.uncertain == {6}


def test_a_late_snapshot_of_another_instrument_is_not_its_newest(pair):
    derive = derivers(pair.values())
    derive["meter"](meter(pair, 100_000.0))
    derive["meter"](meter(pair, 900_000.0, late=True))
    assert rate(pair, derive) == 4.606


def test_a_derived_point_of_another_instrument_may_be_taken(tmp_path):
    chain = 'derived.t = { formula = "difference", of = { a = "o2", b = "stack-2.dry" } }'
    dry = 'derived.dry = { formula = "wet_to_dry", of = { c = "o2", moisture = "h2o" } }'
    both = instruments(tmp_path, entry("stack", chain), entry("stack", dry, name="stack-2"))
    derive = derivers(both.values())
    derive["stack-2"](snapshot(both["stack-2"], 0.0, 50.0, 4.0, 0))
    assert told(both["stack"], derive["stack"](snapshot(both["stack"], 0.0, 0.0, 10.0, 0)))["t"] == 2.0


# Change reports


@pytest.fixture
def tank(tmp_path):
    return instruments(tmp_path, entry("tank"))["tank"]


def report(tank, *values, at=1_000, **more):
    absent = frozenset(place for place, each in enumerate(values) if each is None) - set(more.get("flags", ()))
    return snapshot(tank, *values, at=at, absent=absent, **more)


def test_a_report_that_names_one_input_is_computed_with_what_was_told_last_of_the_others(tank):
    derive = derivers([tank])["tank"]
    assert told(tank, derive(report(tank, 5.0, 2_000.0, 1.0)))["gap"] == 3.0
    assert told(tank, derive(report(tank, 6.0, None, None))) == {"a": 6.0, "b": None, "c": None, "gap": 4.0}
    assert told(tank, derive(report(tank, None, 1_000.0, None)))["gap"] == 5.0


def test_a_report_that_names_no_input_says_nothing_of_what_is_derived_of_them(tank):
    derive = derivers([tank])["tank"]
    derive(report(tank, 5.0, 2_000.0, 1.0))
    assert told(tank, derive(report(tank, None, None, 7.0)))["gap"] is None


def test_what_was_told_last_may_be_a_flag(tank):
    derive = derivers([tank])["tank"]
    derive(report(tank, 5.0, None, 1.0, flags={1: Flag.STALE}))
    assert told(tank, derive(report(tank, 6.0, None, None)))["gap"] is Flag.STALE
    derive(unread(tank, 1_500))
    assert told(tank, derive(report(tank, 6.0, None, None)))["gap"] is Flag.NO_COMMUNICATION


def test_what_was_never_told_is_not_made_up(tank):
    assert told(tank, derivers([tank])["tank"](report(tank, 6.0, None, None)))["gap"] is None


def test_history_is_computed_with_history_and_not_with_what_is_now(tank):
    derive = derivers([tank])["tank"]
    derive(report(tank, 5.0, 2_000.0, 1.0, at=9_000))
    assert told(tank, derive(report(tank, 1.0, None, None, at=1_000, late=True)))["gap"] is None
    assert told(tank, derive(report(tank, None, 500.0, None, at=2_000, late=True)))["gap"] == 0.5
    assert told(tank, derive(report(tank, 6.0, None, None, at=9_500)))["gap"] == 4.0


def test_what_the_history_of_one_outage_said_is_not_computed_with_that_of_the_next(tank):
    derive = derivers([tank])["tank"]
    derive(report(tank, 5.0, 2_000.0, 1.0, at=5_000))
    derive(report(tank, None, 500.0, None, at=1_000, late=True))
    derive(report(tank, 5.0, None, None, at=6_000))
    assert told(tank, derive(report(tank, 1.0, None, None, at=4_000, late=True)))["gap"] == 0.5, "filled by turns"
    derive(unread(tank, 9_000))
    derive(report(tank, 5.0, 2_000.0, 1.0, at=20_000))
    assert told(tank, derive(report(tank, 1.0, None, None, at=8_000, late=True)))["gap"] is None
    assert told(tank, derive(report(tank, None, 250.0, None, at=8_500, late=True)))["gap"] == 0.75


# Totalisers


@pytest.fixture
def counter(tmp_path):
    return instruments(tmp_path, entry("meter"))["meter"]


def counted(counter, derive, total, **more):
    return told(counter, derive(snapshot(counter, 0.0, total, **more)))["counted"]


def test_a_totaliser_counts_from_its_last_reading_and_has_none_at_first(counter):
    derive = derivers([counter])["meter"]
    assert counted(counter, derive, 990.0) is Flag.WARM_UP
    assert counted(counter, derive, 995.5) == 5.5
    assert counted(counter, derive, 2.5) == 7.0
    assert counted(counter, derive, 2.5) == 0.0


def test_what_flowed_while_it_was_silent_is_counted_when_it_answers(counter):
    derive = derivers([counter])["meter"]
    counted(counter, derive, 100.0)
    assert told(counter, derive(unread(counter, 5)))["counted"] is Flag.NO_COMMUNICATION
    assert counted(counter, derive, 130.0) == 30.0


def test_one_that_was_set_back_has_no_value_once_and_goes_on_from_there(counter):
    derive = derivers([counter])["meter"]
    counted(counter, derive, 400.0)
    assert counted(counter, derive, 3.0) is Flag.OUT_OF_RANGE
    assert counted(counter, derive, 4.0) == 1.0


def test_history_does_not_count_twice(counter):
    derive = derivers([counter])["meter"]
    counted(counter, derive, 100.0)
    assert counted(counter, derive, 50.0, late=True) is None
    assert counted(counter, derive, 110.0) == 10.0


def test_it_goes_on_from_a_stored_reading_once(counter):
    derive = derivers([counter])["meter"]
    assert derive.remembers
    assert not derive.resume({"flow": 1.0})
    assert derive.resume({"flow": 1.0, "total": 100.0})
    assert counted(counter, derive, 101.0) == 1.0
    derive.resume({"total": 5.0})
    assert counted(counter, derive, 103.0) == 2.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(-1e3, 1e3), st.booleans()), max_size=20))
def test_change_reports_end_where_full_snapshots_would(tank, steps):
    """After any reports, a full snapshot gives what the last report that named an input gave."""
    derive, slow = derivers([tank])["tank"], derivers([tank])["tank"]
    now = {"a": 1.0, "b": 1.0}
    derive(report(tank, 1.0, 1.0, 0.0))
    for name, value, flagged in steps:
        now[name] = value
        flags = {"ab".index(name): Flag.FAULT} if flagged else {}
        values = [value if name == each else None for each in "ab"]
        said = told(tank, derive(report(tank, *values, None, flags=flags)))["gap"]
        if flagged:
            assert said is Flag.FAULT
            now[name] = 0.0
            derive(report(tank, *[0.0 if name == each else None for each in "ab"], None))
        else:
            assert said == told(tank, slow(report(tank, now["a"], now["b"], 0.0)))["gap"]


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plant")
    return list(instruments(folder, entry("stack", FLOW), entry("meter"), entry("tank")).values())


number = st.floats(-1e3, 1e3) | st.integers(-1_000, 1_000) | st.sampled_from([0.0, -0.0, 20.0, 21.0, 100.0])


@given(st.data())
def test_it_makes_no_difference_for_the_others_that_a_point_which_nothing_is_computed_of_is_flagged(plant, data):
    """What is not flagged at all is computed along a shorter way."""
    short, long = derivers(plant), derivers(plant)
    for turn in range(3):
        for each in plant:
            values = data.draw(st.tuples(*(number for _ in each.points)))
            late = data.draw(st.booleans())
            place = {"stack": 3, "meter": 0, "tank": 2}[each.name]
            plain = short[each.name](snapshot(each, *values, at=turn, late=late))
            flagged = long[each.name](snapshot(each, *values, at=turn, late=late, flags={place: Flag.FAULT}))
            one, other = told(each, plain), told(each, flagged)
            needless = [each.points[place].name] + (["rate"] if each.name == "stack" else [])
            assert [one[name] for name in one if name not in needless] == [
                other[name] for name in other if name not in needless
            ]


def test_a_snapshot_of_states_and_absent_points_is_not_changed_by_deriving(tank):
    said = report(tank, 5.0, None, None, states=())
    found = derivers([tank])["tank"](said)
    assert isinstance(found, Snapshot)
    assert found.values[:3] == said.values
