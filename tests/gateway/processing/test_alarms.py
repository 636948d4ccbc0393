"""Alarms of one instrument: the states of ISA-18.2, and what a reading has to do with them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.alarm_bench import START, Bench, alarm, instrument

from parkgate.config.derived import Derived, Input
from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.alarms import TABLE, Happening, Restored, State, Watch, after
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.levels import FAULTS

HIGH, NORMAL = 50.0, 5.0

ISA = {
    ("normal", "raised"): ("unacknowledged", "unacknowledged"),
    ("unacknowledged", "returned"): ("normal", "latched"),
    ("unacknowledged", "acknowledged"): ("acknowledged", "acknowledged"),
    ("acknowledged", "returned"): ("normal", "normal"),
    ("latched", "raised"): ("unacknowledged", "unacknowledged"),
    ("latched", "acknowledged"): ("normal", "normal"),
}
"""ISA-18.2-2016 figure 5, without shelving and suppression: state and happening -> state, not latching and latching."""
INTO = {
    "normal": [],
    "unacknowledged": ["raised"],
    "acknowledged": ["raised", "acknowledged"],
    "latched": ["raised", "returned"],
}
HAPPENINGS = {
    "raised": lambda bench: bench.read(HIGH),
    "returned": lambda bench: bench.read(NORMAL),
    "acknowledged": lambda bench: bench.acknowledge(),
}
EVERY = [(state, happening, latch) for state in INTO for happening in HAPPENINGS for latch in (False, True)]


@pytest.mark.parametrize(("state", "happening", "latch"), EVERY)
def test_every_state_and_happening_does_what_the_standard_says_and_nothing_else(state, happening, latch):
    if state == "latched" and not latch:
        found = after(State.LATCHED, Happening(happening), latch=False)
    else:
        bench = Bench(alarm(above=10, latch=latch))
        for each in INTO[state]:
            HAPPENINGS[each](bench)
        assert bench.state == state
        records = HAPPENINGS[happening](bench)
        found = bench.state if records else None
        assert len(records) == ((state, happening) in ISA)
        assert bench.state == (found or state)
    wanted = ISA.get((state, happening))
    assert found == (wanted[latch] if wanted else None)


def test_the_table_is_the_standards():
    assert {(state.value, happening.value): (plain.value, latching.value)
            for (state, happening), (plain, latching) in TABLE.items()} == ISA  # fmt: skip


def test_the_records_of_a_latching_alarm_from_its_raising_to_its_end():
    bench = Bench(alarm(above=10, latch=True, priority="urgent"))
    said = [*bench.read(12.0), *bench.read(NORMAL), *bench.acknowledge()]
    same = {
        "point": "gas", "alarm": "high", "kind": "above", "latched": True, "limit": 10, "priority": "urgent",
        "since": START + 1000,
    }  # fmt: skip
    assert said == [
        {**same, "state": "active", "acknowledged": False, "value": 12.0},
        {**same, "state": "active", "acknowledged": False, "value": 5.0, "returned": True},
        {**same, "state": "cleared", "acknowledged": True, "value": 5.0},
    ]


def test_an_alarm_that_was_acknowledged_in_time_says_so_when_it_ends():
    bench = Bench(alarm(above=10))
    bench.read(HIGH)
    (acknowledged,) = bench.acknowledge()
    (ended,) = bench.read(NORMAL)
    assert (acknowledged["state"], acknowledged["acknowledged"]) == ("active", True)
    assert (ended["state"], ended["acknowledged"]) == ("cleared", True)
    (raised,) = bench.read(HIGH)
    assert not raised["acknowledged"]
    assert raised["since"] == bench.at


def test_a_latched_alarm_that_is_raised_again_stands_since_it_was_raised_first():
    bench = Bench(alarm(above=10, latch=True))
    (first,) = bench.read(HIGH)
    bench.read(NORMAL)
    (again,) = bench.read(HIGH)
    assert (again["state"], again["acknowledged"], again["since"]) == ("active", False, first["since"])
    assert "returned" not in again


def test_a_value_at_the_limit_counts_and_returns_only_beyond_the_deadband():
    bench = Bench(alarm(above=35, deadband=1))
    assert bench.read(34.99) == []
    assert [each["state"] for each in bench.read(35.0)] == ["active"]
    assert bench.read(34.5) == bench.read(34.0) == []
    assert [each["state"] for each in bench.read(33.99)] == ["cleared"]


def test_below_is_the_same_downwards():
    bench = Bench(alarm("low", below=19.5, deadband=0.5))
    assert bench.read(19.6) == []
    assert [each["state"] for each in bench.read(19.5)] == ["active"]
    assert bench.read(20.0) == []
    assert [each["state"] for each in bench.read(20.1)] == ["cleared"]


@pytest.mark.parametrize(("equals", "calm", "raised"), [(True, 0, 1), (False, 1, 0), (3, 2, 3)])
def test_a_contact_or_a_code_alarms_where_it_equals(equals, calm, raised):
    bench = Bench(alarm("trip", equals=equals), kind="uint16", span=None)
    assert bench.read(calm) == []
    (said,) = bench.read(raised)
    assert (said["kind"], said["limit"], said["value"]) == ("equals", int(equals), raised)
    assert [each["state"] for each in bench.read(calm)] == ["cleared"]


def test_two_levels_are_two_alarms():
    bench = Bench(alarm(above=10), alarm("high_high", above=20))
    assert [each["alarm"] for each in bench.read(12.0)] == ["high"]
    assert [each["alarm"] for each in bench.read(25.0)] == ["high_high"]
    assert [each["alarm"] for each in bench.read(1.0)] == ["high", "high_high"]
    assert [each["alarm"] for each in bench.read(99.0)] == ["high", "high_high"]


# What may not be used freezes.

WORKED_ON = sorted(set(Flag) - FAULTS - {Flag.OUT_OF_RANGE})


@pytest.mark.parametrize("flag", sorted({*WORKED_ON, *FAULTS}))
@pytest.mark.parametrize("kind", [{"above": 10}, {"below": 10}, {"equals": 50}, {"rate": 5, "per": "1min"}])
def test_a_value_that_may_not_be_used_raises_nothing_and_clears_nothing(flag, kind):
    calm, raised = (50, 5) if "below" in kind else (5, 50)
    bench = Bench(alarm(**kind), kind="uint16")
    bench.read(calm)
    assert bench.read(raised, flag) == []
    assert bench.state == "normal"
    assert bench.read(raised) != []
    assert bench.read(calm, flag) == bench.read(None, flag) == []
    assert bench.state == "unacknowledged"


def test_a_value_beyond_the_range_alarms_though_it_may_not_be_used():
    bench = Bench(alarm(above=10, latch=True))
    (said,) = bench.read(250.0, Flag.OUT_OF_RANGE)
    assert (said["value"], said["flag"]) == (250.0, "out-of-range")


def test_a_range_that_is_left_without_a_value_counts_as_left_upwards():
    assert Bench(alarm(above=10)).read(None, Flag.OUT_OF_RANGE) != []
    assert Bench(alarm("low", below=10)).read(None, Flag.OUT_OF_RANGE) == []


def test_what_the_instrument_itself_calls_out_of_range_counts_as_above_whatever_it_reads():
    assert Bench(alarm(above=10)).read(0.0, Flag.OUT_OF_RANGE) != []
    assert Bench(alarm(above=10), span=None).read(3.0, Flag.OUT_OF_RANGE) != []
    assert Bench(alarm(above=10)).read(-0.1, Flag.OUT_OF_RANGE) == []
    assert Bench(alarm("low", below=10)).read(50.0, Flag.OUT_OF_RANGE) == []
    assert Bench(alarm("low", below=10)).read(-0.1, Flag.OUT_OF_RANGE) != []


def test_a_value_below_the_range_clears_no_alarm():
    bench = Bench(alarm(above=10))
    bench.read(HIGH)
    assert bench.read(-20.0, Flag.OUT_OF_RANGE) == []
    assert bench.state == "unacknowledged"
    low = Bench(alarm("low", below=10))
    low.read(5.0)
    assert low.read(200.0, Flag.OUT_OF_RANGE) == []
    assert low.state == "unacknowledged"


def test_a_value_below_a_range_that_was_learnt_later_raises_nothing():
    bench = Bench(alarm(above=90, latch=True), span=None)
    bench.watch.describe(instrument(alarm(above=90, latch=True), span=(0, 100)))
    assert bench.read(-0.1, Flag.OUT_OF_RANGE) == []
    assert bench.read(100.1, Flag.OUT_OF_RANGE) != []
    bench.watch.describe(instrument(alarm(above=90, latch=True), span=(0, 200)))
    assert bench.state == "unacknowledged", "what stands is not touched"


@pytest.mark.parametrize("chained", [False, True])
def test_a_computed_point_without_a_result_says_nothing_unless_an_input_is_beyond_its_range(chained):
    """At a stop the oxygen is that of air: the converted concentration is unknown, and no release."""
    high = alarm(above=35, latch=True)
    plain = Derived(
        name="so2_ref", formula="reference_oxygen", unit="mg/m3", digits=2, constants={"reference": 6.0, "limit": 20.0},
        inputs=(Input(quantity="c", point="so2", unit="mg/m3"), Input(quantity="o2", point="o2", unit="%")),
        alarms=() if chained else (high,),
    )  # fmt: skip
    difference = Derived(
        name="twice", formula="difference", unit="mg/m3", constants={}, alarms=(high,),
        inputs=(Input(quantity="a", point="so2_ref", unit="mg/m3"), Input(quantity="b", point="o2", unit="%")),
    )  # fmt: skip
    points = tuple(Point(name=name, at="input 0", type="float32") for name in ("so2", "o2"))
    about = instrument().model_copy(update={"points": points, "derived": (plain, difference) if chained else (plain,)})
    watch, derive = Watch(about, {}), derivers([about])[about.name]

    def read(so2, o2, flags=None):
        found = watch.take(derive(Snapshot(about.name, START, (so2, o2), flags or {})), 0.0)
        for each in found:
            watch.apply(each)
        return [each.state.value for each in found]

    assert read(0.0, 20.9) == []
    assert read(400.0, 5.0, {0: Flag.OUT_OF_RANGE}) == ["unacknowledged"]
    assert read(0.0, 20.9) == [], "and clears nothing"
    assert read(1.0, 5.0) == ["latched"]


def test_a_range_that_becomes_known_later_counts_and_what_stands_goes_on():
    bench = Bench(alarm(above=10), alarm("rise", rate=5, per=60_000), alarm("low", below=2), span=None)
    bench.read(1.0)
    assert bench.states == {"high": "normal", "rise": "normal", "low": "unacknowledged"}
    known = bench.instrument.points[0].model_copy(update={"range": (0.0, 100.0)})
    bench.watch.describe(bench.instrument.model_copy(update={"points": (known,)}))
    assert bench.read(-0.5, Flag.OUT_OF_RANGE) == [], "below the range that its server told it is no gas"
    (rise,) = bench.read(6.5)[:1]
    assert rise["alarm"] == "rise", "its window was not begun anew"


def test_what_the_instrument_was_not_asked_for_changes_nothing():
    bench = Bench(alarm(above=10, delay="2s"))
    bench.read(HIGH)
    assert bench.read(None, absent=frozenset({0}), after=1) == []
    assert [each["state"] for each in bench.wait(1)] == ["active"]
    assert bench.read(None, absent=frozenset({0})) == []
    assert bench.state == "unacknowledged"


def test_what_comes_from_a_history_says_nothing_of_now():
    bench = Bench(alarm(above=10))
    assert bench.read(HIGH, late=True) == []
    bench.read(HIGH)
    assert bench.read(NORMAL, late=True) == []


# The instrument's own fault.


@pytest.mark.parametrize("flag", sorted(FAULTS))
def test_an_instrument_that_fails_for_long_enough_is_an_alarm_of_its_own(flag):
    bench = Bench(alarm("fault", fault=True, delay="10s"))
    assert bench.read(None, flag) == bench.read(None, flag, after=9) == []
    (said,) = bench.read(None, flag)
    assert said["flag"] == flag
    assert not {"limit", "value"} & said.keys()
    (ended,) = bench.read(5.0)
    assert (ended["state"], ended["value"]) == ("cleared", 5.0)
    assert "flag" not in ended


@pytest.mark.parametrize("flag", WORKED_ON)
def test_people_at_work_are_no_fault_and_end_none(flag):
    bench = Bench(alarm("fault", fault=True))
    assert bench.read(None, flag) == []
    bench.read(None, Flag.NO_COMMUNICATION)
    assert bench.read(0.0, flag) == []
    assert bench.state == "unacknowledged"


def test_a_value_beyond_the_range_is_no_fault():
    bench = Bench(alarm("fault", fault=True))
    bench.read(None, Flag.FAULT)
    assert [each["state"] for each in bench.read(250.0, Flag.OUT_OF_RANGE)] == ["cleared"]


# Delays.


def test_an_alarm_counts_once_it_has_lasted_for_its_delay_also_without_a_further_reading():
    bench = Bench(alarm(above=10, delay="10s"))
    assert bench.read(HIGH) == []
    assert bench.watch.next == bench.now + 10
    assert bench.wait(9.9) == []
    (said,) = bench.wait(0.1)
    assert (said["value"], said["since"]) == (HIGH, bench.at)
    assert bench.watch.next == math.inf


def test_a_delay_begins_anew_where_the_value_was_back():
    bench = Bench(alarm(above=10, delay="10s"))
    bench.read(HIGH)
    bench.read(NORMAL, after=9)
    assert bench.watch.next == math.inf
    bench.read(HIGH)
    assert bench.wait(9.9) == []
    assert bench.wait(0.1) != []


def test_an_alarm_returns_once_it_was_over_for_its_off_delay():
    bench = Bench(alarm(above=10, off_delay="5s"), every="5s")
    bench.read(HIGH)
    assert bench.read(NORMAL) == []
    assert bench.read(HIGH, after=4) == []
    assert bench.read(NORMAL) == bench.wait(4.9) == []
    assert [each["state"] for each in bench.wait(0.1)] == ["cleared"]


def test_time_in_which_a_line_hangs_does_not_count_towards_an_off_delay_and_nothing_returns_by_itself():
    bench = Bench(alarm(above=10, off_delay="5s"), alarm("low", below=10, delay="10s"), every="1s")
    bench.read(HIGH)
    bench.read(NORMAL)
    assert [each["alarm"] for each in bench.wait(60)] == ["low"], "what raises one is as true as the last reading"
    assert bench.watch.next == math.inf
    assert bench.read(NORMAL) == [], "two periods of the five seconds have passed"
    assert bench.read(NORMAL) == bench.read(NORMAL) == []
    assert [each["state"] for each in bench.read(NORMAL)] == ["cleared"]


def test_time_in_which_nothing_is_known_counts_towards_neither_delay():
    bench = Bench(alarm(above=10, delay="10s", off_delay="10s"), every="10s")
    bench.read(HIGH)
    bench.read(None, Flag.NO_COMMUNICATION, after=6)
    assert bench.watch.next == math.inf
    assert bench.wait(1000) == []
    bench.read(HIGH)
    assert bench.wait(3.9) == []
    assert bench.wait(0.2) != []
    bench.read(NORMAL)
    bench.read(None, Flag.FAULT, after=9)
    assert bench.wait(1000) == bench.read(NORMAL) == []
    assert bench.wait(1) != []


def test_a_delay_that_was_frozen_begins_anew_behind_a_value_that_is_back():
    bench = Bench(alarm(above=10, delay="10s"))
    bench.read(HIGH)
    bench.read(None, Flag.FAULT, after=9)
    bench.read(NORMAL)
    bench.read(HIGH)
    assert bench.wait(9.9) == []


def test_an_acknowledgement_does_not_touch_the_delay_that_runs():
    bench = Bench(alarm(above=10, off_delay="10s"), every="10s")
    bench.read(HIGH)
    bench.read(NORMAL)
    bench.wait(5)
    bench.acknowledge()
    assert bench.wait(4.9) == []
    assert [each["state"] for each in bench.wait(0.1)] == ["cleared"]


# Rate of change.


def test_a_rise_within_its_time_alarms_and_a_slower_one_does_not():
    fast, slow = (Bench(alarm("rise", rate=5, per="1min")) for _ in range(2))
    said = [fast.read(20 + second) for second in range(6)]
    assert [len(each) for each in said] == [0, 0, 0, 0, 0, 1]
    assert (said[-1][0]["kind"], said[-1][0]["limit"], said[-1][0]["value"]) == ("rate", 5, 25)
    assert [slow.read(20 + minute * 4.9, after=60) for minute in range(10)] == [[]] * 10


def test_a_fall_alarms_where_the_rate_is_negative():
    bench = Bench(alarm("fall", rate=-5, per="1min"))
    bench.read(50.0)
    assert bench.read(90.0) == bench.read(86.0) == []
    assert bench.read(85.0) != []


def test_a_rise_returns_once_its_time_is_over():
    bench = Bench(alarm("rise", rate=5, per="1min"))
    bench.read(20.0)
    bench.read(30.0)
    assert bench.read(30.0, after=59) == []
    assert [each["state"] for each in bench.read(30.0, after=2)] == ["cleared"]


def test_a_gap_without_values_is_no_rise():
    bench = Bench(alarm("rise", rate=5, per="1min"))
    bench.read(20.0)
    bench.read(None, Flag.NO_COMMUNICATION, after=30)
    assert bench.read(90.0, after=60) == []
    assert bench.read(95.0) != []


def test_a_value_that_change_reports_leave_out_is_still_the_last_one():
    bench = Bench(alarm("rise", rate=5, per="1min"), more=(Point(name="other", at="input 9", type="float32"),))
    bench.read(20.0)
    for _ in range(4):
        assert bench.read(None, absent=frozenset({0}), after=30) == []
    assert bench.read(26.0, after=30) != []


@given(values=st.lists(st.tuples(st.floats(0.05, 10), st.integers(0, 100)), min_size=1, max_size=200))
def test_a_rise_is_told_to_a_sixtieth_of_its_time_and_remembers_little(values):
    """Held against every value that was read: none above the rate may be missed, and none within it alarms."""
    bench = Bench(alarm("rise", rate=20, per="30s"))
    read = []
    for after_, value in values:
        was = bench.state
        bench.read(value, after=after_)
        inside = [each for at, each in read if bench.now - at < 30 * 59 / 60]
        most = [each for at, each in read if bench.now - at <= 30]
        read.append((bench.now, value))
        if was == "normal":
            if inside and value - min(inside) >= 20:
                assert bench.state == "unacknowledged"
            if not most or value - min(most) < 20:
                assert bench.state == "normal"
    assert len(bench.watch._watched[0].window._least) <= 61


# Who acknowledges what; what is stored and what is not.


def test_an_acknowledgement_names_an_alarm_a_point_or_the_whole_instrument():
    def bench():
        bench = Bench(
            alarm(above=10), alarm("high_high", above=20),
            more=(Point(name="other", at="input 2", type="uint16", alarms=(alarm("trip", equals=0),)),),
        )  # fmt: skip
        bench.read(HIGH)
        return bench

    def named(said):
        return [(each["point"], each["alarm"]) for each in said]

    assert named(bench().acknowledge("gas", "high")) == [("gas", "high")]
    assert named(bench().acknowledge("gas")) == [("gas", "high"), ("gas", "high_high")]
    assert named(bench().acknowledge()) == [("gas", "high"), ("gas", "high_high"), ("other", "trip")]
    assert bench().acknowledge("nobody") == bench().acknowledge("gas", "trip") == []


def test_what_nobody_stored_has_not_happened_and_comes_again():
    bench = Bench(alarm(above=10, delay="1s"))
    bench.read(HIGH)
    lost = bench.watch.due(bench.now + 1, START)
    assert bench.state == "normal"
    again = bench.watch.due(bench.now + 1, START)
    assert [each.fields() for each in lost] == [each.fields() for each in again]
    assert bench.read(HIGH) != []
    assert bench.watch.acknowledge(START) != []
    assert bench.state == "unacknowledged"


@pytest.mark.parametrize("state", [State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.LATCHED])
def test_what_a_record_says_of_a_standing_alarm_is_where_the_next_start_goes_on(state):
    bench = Bench(alarm(above=10, latch=True))
    bench.read(HIGH)
    if state is State.ACKNOWLEDGED:
        (said,) = bench.acknowledge()
    elif state is State.LATCHED:
        (said,) = bench.read(NORMAL)
    else:
        said = bench.watch.acknowledge(bench.at)[0].fields() | {"acknowledged": False}
    restored = Restored.of(said)
    again = Watch(bench.instrument, {("gas", "high"): restored})
    assert again.states() == {("gas", "high"): state}
    assert restored.since == START + 1000


def test_a_latched_alarm_stays_so_where_the_configuration_latches_no_more():
    bench = Bench(alarm(above=10), standing={("gas", "high"): Restored(State.LATCHED, START)})
    assert bench.read(NORMAL) == []
    assert bench.state == "latched"
    assert [each["state"] for each in bench.acknowledge()] == ["cleared"]


def test_an_instrument_without_alarms_has_nothing_to_watch():
    assert not Watch(instrument(), {})
    assert Watch(instrument(alarm(above=1)), {})


def test_a_number_that_travels_as_text_is_held_against_the_limit_as_a_number():
    bench = Bench(alarm(above=9_007_199_254_740_993), kind="uint64", span=None, as_="string")
    assert bench.read("900") == []
    assert bench.read("18446744073709551615") != []


@given(
    readings=st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=60),
    limit=st.integers(10, 90),
    deadband=st.integers(0, 9),
)
def test_whatever_is_read_the_state_is_that_of_the_last_value_beyond_the_deadband(readings, limit, deadband):
    bench = Bench(alarm(above=limit, deadband=deadband))
    up = False
    for value, usable in readings:
        bench.read(value, None if usable else Flag.CALIBRATION)
        if usable:
            up = value >= limit or (up and value >= limit - deadband)
        assert (bench.state == "unacknowledged") is up


@given(
    steps=st.lists(st.tuples(st.integers(1, 240), st.sampled_from([HIGH, NORMAL, None])), max_size=40),
    delay=st.integers(1, 20),
)
def test_no_delay_ends_before_the_value_was_high_all_the_time(steps, delay):
    """The seconds for which it was known to be high, one after the other, decide; where nothing is known they stand."""
    bench = Bench(alarm(above=10, delay=f"{delay}s"))
    lasted, last = 0.0, None
    for eighths, value in steps:
        seconds = eighths / 8
        due = bench.wait(seconds)
        if last == HIGH:
            lasted += seconds
        if bench.state == "normal" or due:
            assert bool(due) is (last == HIGH and lasted >= delay)
        if bench.state != "normal":
            return
        bench.read(value, Flag.FAULT if value is None else None, after=0)
        if value == NORMAL:
            lasted = 0.0
        last = value


LIMITS = st.builds(
    lambda kind, limit, times, latch: {kind: limit, "deadband": 2.0, "delay": times[0], "off_delay": times[1],
                                       "latch": latch},
    st.sampled_from(["above", "below"]), st.sampled_from([10.0, 20.0, 30.0]),
    st.tuples(*[st.sampled_from([0, 0, 2_000])] * 2), st.booleans(),
)  # fmt: skip
OTHERS = st.sampled_from([{"equals": 12}, {"rate": 15.0, "per": 5_000}, {"fault": True}])
STEPS = st.lists(
    st.sampled_from(["acknowledge", "wait"])
    | st.tuples(*[st.sampled_from([5, 9.0, 12, 19.0, 31.0])] * 2, st.booleans()),
    max_size=20,
)


@given(st.lists(LIMITS | OTHERS, max_size=4), st.lists(LIMITS, max_size=2), STEPS)
def test_what_is_held_against_its_limits_all_at_once_changes_as_each_alone_does(first, second, steps):
    """A flag of a point that has no alarm has each alarm looked at alone."""
    named = [[alarm(f"a{place}", **keys) for place, keys in enumerate(each)] for each in (first, second)]
    about = {"type": "float32", "range": (0, 100)}
    more = (
        Point(name="more", at="input 2", alarms=tuple(named[1]), **about),
        Point(name="none", at="input 4", **about),
    )
    at_once, alone = (Watch(instrument(*named[0], more=more), {}) for _ in range(2))
    for turn, step in enumerate(steps):
        found = []
        for watch, flags in ((at_once, {}), (alone, {2: Flag.FAULT})):
            at = START + turn * 1_000
            if step == "acknowledge":
                changes = watch.acknowledge(at)
            elif step == "wait":
                changes = watch.due(float(turn), at)
            else:
                changes = watch.take(Snapshot("gas-1", at, (*step[:2], 1.0), flags), float(turn))
            if step[2] is not False:  # else their records are refused
                for each in changes:
                    watch.apply(each)
            found.append(([each.fields() for each in changes], watch.states(), watch.next))
        assert found[0] == found[1]
