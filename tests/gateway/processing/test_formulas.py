"""The formulas give the worked values to the printed digit, undo one another, and give a number or nothing."""

import inspect
from math import isfinite

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.formulas_document import DOCUMENT, cases, document

from parkgate.config.formulas import formulas
from parkgate.gateway.processing.formulas import (
    FORMULAS,
    actual_to_standard,
    capture_rate,
    emission_rate,
    excess_air,
    ppm_to_mass,
    reference_excess_air,
    reference_oxygen,
    standard_dry_flow,
    totaliser_difference,
    water_mass,
    water_volume,
    wet_to_dry,
)

concentrations = st.floats(0, 1e6)
moistures = st.floats(0, 99)
temperatures = st.floats(-50, 1200)
pressures = st.floats(-50, 500)
oxygens = st.floats(0, 19.99)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['formula']}-{case['result']}")
def test_a_worked_value_is_computed_to_its_printed_digit(case):
    computed = FORMULAS[case["formula"]](**case["given"])
    if case["result"] == "none":
        assert computed is None
    else:
        digits = len(case["result"].partition(".")[2])
        assert f"{computed:.{digits}f}" == case["result"]


def test_every_formula_has_a_worked_value():
    assert {case["formula"] for case in cases()} == set(formulas())


def test_the_document_is_made_of_the_cases_that_are_tested():
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_the_functions_are_the_formulas_of_the_table_and_take_its_quantities_in_its_order():
    assert set(FORMULAS) == set(formulas())
    for name, function in FORMULAS.items():
        wanted = [*formulas()[name].quantities, *(["previous"] if formulas()[name].previous else [])]
        assert list(inspect.signature(function).parameters) == wanted


def test_every_formula_gives_a_unit_or_that_of_a_quantity_it_has():
    for name, formula in formulas().items():
        assert bool(formula.gives) != bool(formula.like), name
        likes = {formula.like, formula.previous, *(each.like for each in formula.quantities.values())} - {""}
        assert likes <= set(formula.quantities), name


@given(concentrations, moistures)
def test_wet_gas_made_dry_and_wet_again_is_the_same(c, moisture):
    assert wet_to_dry(c, moisture) * (1 - moisture / 100) == pytest.approx(c)


@given(concentrations, st.floats(allow_nan=False))
def test_dry_is_never_less_than_wet_and_no_moisture_beyond_a_gas_is_taken(c, moisture):
    dry = wet_to_dry(c, moisture)
    assert (dry is None) == (not 0 <= moisture < 100)
    assert dry is None or dry >= c


@given(concentrations, oxygens, st.floats(0, 19))
def test_converted_to_the_oxygen_it_was_measured_at_it_is_itself_and_back_again_too(c, o2, reference):
    assert reference_oxygen(c, o2, o2, 20) == pytest.approx(c)
    there = reference_oxygen(c, o2, reference, 20)
    assert reference_oxygen(there, reference, o2, 20) == pytest.approx(c)


@given(concentrations, st.floats(0, 100), st.floats(0, 19), st.floats(1, 20.9))
def test_from_the_limit_of_oxygen_on_there_is_no_converted_value(c, o2, reference, limit):
    assert (reference_oxygen(c, o2, reference, limit) is None) == (o2 >= limit)
    assert (excess_air(o2, limit) is None) == (o2 >= limit)


@given(concentrations, oxygens, st.floats(0, 19))
def test_excess_air_and_reference_oxygen_are_one_conversion(c, o2, reference):
    by_air = reference_excess_air(c, excess_air(o2, 20), 21 / (21 - reference))
    assert by_air == pytest.approx(reference_oxygen(c, o2, reference, 20))


@given(concentrations, temperatures, pressures, st.floats(80, 110))
def test_a_flow_and_its_concentration_keep_their_mass_at_standard_conditions(c, temperature, pressure, barometric):
    flow = 504_000.0
    standard = standard_dry_flow(flow, temperature, pressure, 0, barometric)
    assert emission_rate(actual_to_standard(c, temperature, pressure, barometric), standard) == pytest.approx(
        emission_rate(c, flow)
    )


@given(concentrations, temperatures, pressures, moistures)
def test_the_mass_is_the_same_wet_and_dry(c, temperature, pressure, moisture):
    assume(moisture < 90)
    wet = standard_dry_flow(1000, temperature, pressure, 0, 101.325)
    dry = standard_dry_flow(1000, temperature, pressure, moisture, 101.325)
    assert emission_rate(wet_to_dry(c, moisture), dry) == pytest.approx(emission_rate(c, wet))


@given(st.floats(0, 1e6), st.floats(2, 300), st.sampled_from([0, 20, 25]))
def test_warmer_gas_weighs_less(x, molar, at):
    assert ppm_to_mass(x, molar, at) <= ppm_to_mass(x, molar, 0)


@given(st.floats(0, 1e5), st.floats(0.01, 5), st.floats(0, 1e4))
def test_the_mass_of_a_slice_is_its_flow_times_its_concentration(flow, interval, c):
    assert water_mass(water_volume(flow, interval), c) == pytest.approx(flow * interval * c * 1e-6)


@given(st.lists(st.floats(0, 400), min_size=1, max_size=30), st.floats(0, 999))
def test_the_differences_of_a_totaliser_that_runs_over_are_what_was_counted(steps, begin):
    rollover, total, counted = 1000.0, begin, []
    for step in steps:
        previous, total = total, (total + step) % rollover
        counted.append(totaliser_difference(total, rollover, 0, previous))
    assert all(each is not None for each in counted)
    assert sum(counted) == pytest.approx(sum(steps), abs=1e-6)


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_totaliser_never_counts_backwards_and_never_more_than_it_can(total, previous, rollover, largest):
    counted = totaliser_difference(total, rollover, largest, previous)
    assert counted is None or counted >= 0
    assert counted is None or not largest or counted <= largest


def test_nothing_is_captured_where_nothing_comes_in_and_what_leaves_more_is_told():
    assert capture_rate(0, 5) is None
    assert capture_rate(100, 120) == pytest.approx(-20)


@pytest.mark.parametrize("name", list(FORMULAS))
@given(st.data())
def test_a_formula_gives_a_number_or_nothing_whatever_it_is_given(name, data):
    """Infinity may come of numbers near the end of a double; who calls it takes that for nothing. NaN may not."""
    function = FORMULAS[name]
    numbers = [data.draw(st.floats(-1e12, 1e12)) for _ in inspect.signature(function).parameters]
    if name == "ppm_to_mass":
        numbers[2] = data.draw(st.sampled_from([0, 20, 25]))
    if name == "reference_excess_air":
        numbers[2] = data.draw(st.floats(1, 3))  # what it is checked for when the site is read
    if name in {"reference_oxygen", "excess_air"}:
        numbers[-1] = data.draw(st.floats(1, 20.9))
    computed = function(*numbers)
    assert computed is None or isfinite(computed) or abs(computed) == float("inf")
