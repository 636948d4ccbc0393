"""Shapes: the same seed gives the same values, and each stays where its description says."""

import statistics
from datetime import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from parkgate.simulator.shapes import (
    DAY_MS,
    SHAPES,
    Correlated,
    Counter,
    Diurnal,
    Noise,
    Ramp,
    Signals,
    Steady,
    Step,
    Toggle,
    in_order,
    leans_on,
)

HOUR = 3_600_000

finite = st.floats(-1e6, 1e6)
sizes = st.floats(0, 1e6)
durations = st.integers(1, DAY_MS)
steps = st.lists(st.integers(1, HOUR), max_size=30)
alone = st.one_of(
    st.builds(Steady, value=finite, jitter=sizes),
    st.builds(Noise, mean=finite, spread=sizes, memory=durations),
    st.builds(Diurnal, mean=finite, swing=finite, peak=st.times(), jitter=sizes),
    st.builds(
        Ramp, from_=finite, to=finite, over=durations, then=st.sampled_from(["hold", "again", "back"]), jitter=sizes
    ),
    st.builds(Step, before=finite, after=finite, at=durations, jitter=sizes),
    st.builds(Counter, rate=sizes, per=durations, start=sizes),
    st.builds(Toggle, off=durations, on=durations),
)


def course(shapes, dts, seed="s", day_ms=0):
    """Give the values of a set of shapes at the start and after each step."""
    signals = Signals(shapes, seed=seed, day_ms=day_ms)
    seen = [dict(signals.values)]
    for dt in dts:
        signals.advance(dt)
        seen.append(dict(signals.values))
    return seen


def only(shape, dts, **where):
    return [values["x"] for values in course({"x": shape}, dts, **where)]


@given(st.dictionaries(st.sampled_from("abcdef"), alone, min_size=1), steps, st.text(max_size=5))
def test_the_same_seed_and_steps_give_the_same_values(shapes, dts, seed):
    assert course(shapes, dts, seed) == course(shapes, dts, seed)


def test_another_seed_gives_other_values():
    noise = Noise(mean=10, spread=3)

    assert only(noise, [1000] * 20, seed="1/a") != only(noise, [1000] * 20, seed="2/a")


@given(alone, alone, steps)
def test_a_shape_does_not_change_because_another_stands_beside_it(shape, other, dts):
    beside = [values["x"] for values in course({"a": other, "x": shape, "z": other}, dts)]

    assert beside == only(shape, dts)


@given(finite, sizes, durations, steps)
def test_noise_never_leaves_its_spread(mean, spread, memory, dts):
    values = only(Noise(mean=mean, spread=spread, memory=memory), dts)

    assert all(mean - spread <= value <= mean + spread for value in values)


def test_noise_wanders_over_its_spread_whatever_the_step_is():
    for dt, count in ((1_000, 20_000), (60_000, 20_000)):
        values = only(Noise(mean=50, spread=9, memory=10_000), [dt] * count)
        assert statistics.fmean(values) == pytest.approx(50, abs=0.5)
        assert statistics.pstdev(values) == pytest.approx(3, abs=0.5)


def test_noise_moves_little_in_a_step_much_shorter_than_its_memory():
    values = only(Noise(mean=50, spread=9, memory=600_000), [1_000] * 1_000)

    assert max(abs(b - a) for a, b in pairwise(values)) < 1.0


def test_a_steady_text_is_given_as_it_is():
    assert only(Steady(value="SN-0042"), [1000]) == ["SN-0042", "SN-0042"]


@given(finite, sizes, steps)
def test_jitter_stays_within_its_size(value, jitter, dts):
    assert all(
        abs(each - value) <= jitter * (1 + 1e-9) + 1e-9 for each in only(Steady(value=value, jitter=jitter), dts)
    )


def test_a_day_peaks_at_its_hour_and_is_lowest_twelve_hours_later():
    shape = Diurnal(mean=20, swing=8, peak=time(14))
    hours = only(shape, [HOUR] * 24, day_ms=6 * HOUR)

    assert hours[8] == pytest.approx(28)
    assert hours[20] == pytest.approx(12)
    assert hours[0] == pytest.approx(hours[24])


@pytest.mark.parametrize(
    ("then", "expected"),
    [("hold", [2, 5, 8, 8, 8]), ("again", [2, 5, 2, 5, 2]), ("back", [2, 5, 8, 5, 2])],
)
def test_a_ramp_goes_straight_then_holds_or_starts_again_or_comes_back(then, expected):
    assert only(Ramp(**{"from": 2, "to": 8, "over": "1h", "then": then}), [HOUR // 2] * 4) == pytest.approx(expected)


@given(finite, finite, durations, st.sampled_from(["hold", "again", "back"]), steps)
def test_a_ramp_stays_between_its_ends(start, end, over, then, dts):
    values = only(Ramp(**{"from": start, "to": end, "over": over, "then": then}), dts)

    assert all(min(start, end) - 1e-6 <= value <= max(start, end) + 1e-6 for value in values)


def test_a_step_happens_at_its_time():
    assert only(Step(before=1, after=9, at="2s"), [1000, 999, 1, 1000]) == [1, 1, 1, 9, 9]


def test_a_correlated_point_follows_another_of_the_same_step():
    values = course({"no2": Correlated(of="nox", factor=0.1, offset=2), "nox": Noise(mean=50, spread=20)}, [1000] * 50)

    assert all(each["no2"] == pytest.approx(0.1 * each["nox"] + 2) for each in values)


def test_a_correlated_point_follows_a_signal_from_outside():
    load = Signals({"load": Ramp(**{"from": 0, "to": 100, "over": "100s"})}, seed="s")
    signals = Signals({"nox": Correlated(of="load", factor=2)}, seed="s", outside=load)
    load.advance(30_000)
    signals.advance(30_000)

    assert signals.values["nox"] == pytest.approx(60)


def test_a_counter_integrates_its_rate_per_hour():
    assert only(Counter(rate=120, start=7), [HOUR // 2, HOUR]) == pytest.approx([7, 67, 187])


def test_a_counter_integrates_the_value_of_another_point_in_its_own_unit():
    shapes = {"total": Counter(of="flow", per="1s"), "flow": Step(before=2, after=5, at="10s")}

    totals = [values["total"] for values in course(shapes, [5_000, 4_000, 1_000, 1_000])]

    assert totals == pytest.approx([0, 10, 18, 23, 28])


@given(st.lists(st.floats(-1e3, 1e3), min_size=1), steps)
def test_a_totaliser_never_runs_backwards_even_when_the_flow_does(levels, dts):
    shapes = {"total": Counter(of="flow"), "flow": Diurnal(mean=levels[0], swing=levels[-1])}

    totals = [values["total"] for values in course(shapes, dts)]

    assert totals == sorted(totals)


def test_a_counter_begins_again_where_it_wraps():
    assert only(Counter(rate=1, per="1s", start=65_534, wrap=65_536), [1_000] * 3) == [65_534, 65_535, 0, 1]


def test_a_toggle_is_off_then_on():
    assert only(Toggle(off="2s", on="1s"), [1_000] * 5) == [0, 0, 1, 0, 0, 1]


def test_each_shape_stands_after_the_one_it_leans_on():
    shapes = {"a": Correlated(of="b"), "b": Correlated(of="c"), "c": Steady(value=1), "d": Correlated(of="load")}

    order = in_order(shapes)

    assert order.index("c") < order.index("b") < order.index("a")
    assert set(order) == set(shapes)
    assert leans_on(shapes["d"]) == "load"
    assert leans_on(shapes["c"]) is None


def test_shapes_that_lean_on_one_another_in_a_circle_are_refused_by_name():
    with pytest.raises(ValueError, match=r"a -> b -> a|b -> a -> b"):
        in_order({"a": Correlated(of="b"), "b": Correlated(of="a")})


@pytest.mark.parametrize(
    ("shape", "table"),
    [
        ("noise", {"mean": 1, "spread": -1}),
        ("noise", {"mean": float("nan"), "spread": 1}),
        ("counter", {}),
        ("counter", {"rate": 1, "of": "flow"}),
        ("ramp", {"from": 1, "to": 2, "over": "soon"}),
        ("ramp", {"from": 1, "to": 2, "over": 0}),
        ("steady", {"value": 1, "colour": "red"}),
    ],
)
def test_a_table_that_describes_no_shape_is_refused(shape, table):
    with pytest.raises(ValidationError):
        SHAPES[shape].model_validate(table)
