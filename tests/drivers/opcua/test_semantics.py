"""What a server's units and ranges mean, and what of it a profile lacks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import instrument, point

from parkgate.drivers.opcua.semantics import NOTHING, Said, differing, known, span, unit

CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"

# The ids of the UNECE codes as OPC UA servers send them.
CODED = {
    18256: "mg/m3", 18257: "µg/m3", 19761: "mg/L", 4731449: "µg/L", 13625: "ppm", 13873: "ppb", 20529: "%",
    4408652: "°C", 5259596: "Pa", 4935745: "kPa", 5066817: "MPa", 4274487: "hPa", 5067859: "m/s", 5067080: "m3/h",
    5067091: "m3/s", 5067857: "m3", 4666673: "L/s", 19506: "L/min", 4536627: "kg/h", 4534584: "t/h", 4933453: "kg",
    5525061: "t", 4666418: "µS/cm", 4732465: "mS/cm", 5321520: "pH", 12878: "dB", 17476: "deg", 5067858: "m",
    5066068: "mm", 4937556: "kW", 4937544: "kWh", 4937298: "kvar", 19251: "kvarh", 5655636: "V", 4279632: "A",
    4740186: "Hz", 4470068: "W/m2", 4404786: "",
}  # fmt: skip


@pytest.mark.parametrize(("unit_id", "text"), CODED.items())
def test_a_unit_with_a_code_is_ours_whatever_is_displayed(unit_id, text):
    assert unit(CEFACT, unit_id, "anything") == text


@pytest.mark.parametrize(("display", "text"), [
    ("%LEL", "%LEL"), (" NTU ", "NTU"), ("mg/Nm³", "mg/Nm³"), ("㎥/h", "m3/h"), ("m³/h", "m3/h"), ("m^3/h", "m3/h"),
    ("μS/cm", "µS/cm"), ("ug/m3", "µg/m3"), ("℃", "°C"), ("° C", "°C"), ("degC", "°C"), ("l/min", "L/min"),
    ("％", "%"), ("升/分", "升/分"), ("", ""),
])  # fmt: skip
def test_a_unit_without_a_code_is_as_displayed_and_ours_where_it_is_the_same(display, text):
    assert unit(CEFACT, -1, display) == text


def test_a_code_of_another_list_is_not_read_as_unece_s():
    assert unit("urn:vendor:units", 4408652, "K") == "K"


@given(st.integers(-(2**31), 2**31 - 1), st.text())
def test_any_id_and_text_give_a_text_without_space_around(unit_id, display):
    text = unit(CEFACT, unit_id, display)
    assert text == text.strip()


@given(st.floats(), st.floats())
def test_a_range_is_finite_and_goes_up_or_is_none(low, high):
    found = span(low, high)
    if found is None:
        assert not low < high or math.inf in (abs(low), abs(high))
    else:
        assert found == (low, high)
        assert -math.inf < low < high < math.inf


def test_where_the_server_says_nothing_the_instrument_is_the_very_same():
    tank = instrument(point("level"), point("flow"))
    assert known(tank, {}) is tank
    assert known(tank, {0: NOTHING, 1: NOTHING}) is tank


def test_unit_and_range_fill_what_the_profile_leaves_out_and_nothing_else():
    tank = instrument(point("level", digits=3), point("flow", unit="m3/h"), point("count", "uint32", range=(0, 5)))
    filled = known(tank, {0: Said("m", (0, 12)), 1: Said("m3/h", (0, 90)), 2: Said("1/min", (0, 100))})
    level, flow, count = filled.points
    assert (level.unit, level.range, level.digits) == ("m", (0, 12), 3)
    assert (flow.unit, flow.range) == ("m3/h", (0, 90))
    assert (count.unit, count.range) == ("1/min", (0, 5))
    assert filled.model_copy(update={"points": tank.points}) == tank


def test_where_the_units_differ_the_profile_s_is_told_and_the_server_s_range_is_of_no_use():
    tank = instrument(point("level", unit="m"), point("flow", unit="m³/h"), point("gas"))
    said = {0: Said("mm", (0, 12_000)), 1: Said("m3/h"), 2: Said("ppm")}
    assert known(tank, said).points[0] == tank.points[0]
    assert list(differing(tank, said)) == [("level", "mm")]


@pytest.mark.parametrize("held", [
    point("level", scale=0.001), point("level", offset=5), point("level", "bool"), point("level", "string"),
    point("level", "string:8"), point("level", unit="m", scale=0.001),
])  # fmt: skip
def test_what_is_no_number_as_the_server_holds_it_takes_nothing_from_it(held):
    tank = instrument(held)
    assert known(tank, {0: Said("mm", (0, 12_000))}) is tank
    assert list(differing(tank, {0: Said("mm", (0, 12_000))})) == []
