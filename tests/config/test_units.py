"""Units, factors, and what a point's `convert` makes of it."""

import math
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.derived import instruments

from parkgate.config.conversions import convert_findings, converted
from parkgate.config.factors import factors, known_factor
from parkgate.config.flag import Flag
from parkgate.config.profile import Convert, Point
from parkgate.config.unit_checks import factor_unit_warning
from parkgate.config.units import MOLAR_VOLUMES, conversion, known_unit, same_unit, standard_unit, units

ROOM = Path(__file__).parents[2] / "config"
UNIT_IDS = {
    "mg/m3": 18256, "µg/m3": 18257, "mg/L": 19761, "µg/L": 4731449, "ppm": 13625, "ppb": 13873, "%": 20529,
    "°C": 4408652,
    "Pa": 5259596, "kPa": 4935745, "MPa": 5066817, "hPa": 4274487, "m/s": 5067859, "m3/h": 5067080, "m3/s": 5067091,
    "m3": 5067857, "L/s": 4666673, "L/min": 19506, "kg/h": 4536627, "t/h": 4534584, "kg": 4933453, "t": 5525061,
    "µS/cm": 4666418, "mS/cm": 4732465, "pH": 5321520, "dB": 12878, "deg": 17476, "m": 5067858, "mm": 5066068,
    "kW": 4937556, "kWh": 4937544, "kvar": 4937298, "kvarh": 19251, "V": 5655636, "A": 4279632, "Hz": 4740186,
    "W/m2": 4470068, "1": 4404786, "NTU": -1, "%LEL": -1,
}  # fmt: skip
every_unit = st.sampled_from(sorted(units()))


def point(**more):
    return Point(name="x", at="input 0", **{"type": "float32", **more})


def findings(**more):
    convert = Convert(**more.pop("convert"))
    return [text for _, text in convert_findings(point(**more), convert)]


@pytest.mark.parametrize(("unit", "number"), UNIT_IDS.items())
def test_the_unit_id_of_opc_ua_is_made_of_the_common_code(unit, number):
    assert known_unit(unit).unit_id == number


def test_no_two_units_share_a_spelling_or_a_common_code():
    table = tomllib.loads((ROOM / "units.toml").read_text(encoding="utf-8"))
    spellings = [text for name, entry in table.items() for text in (name, *entry.get("also", ()))]
    codes = [entry["unece"] for entry in table.values() if "unece" in entry]
    assert len(spellings) == len(set(spellings)) == len(units())
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch("[A-Z0-9]{2,3}", code) for code in codes)


def test_every_unit_of_a_factor_and_of_a_shipped_profile_is_known():
    used = {unit for each in factors().values() for unit in (each.unit, each.sum, *each.also)}
    for path in (ROOM / "instruments").glob("*.toml"):
        used |= set(re.findall(r'unit = "([^"]*)"', path.read_text(encoding="utf-8")))
    assert {unit for unit in used - {""} if known_unit(unit) is None} == set()


@given(every_unit, every_unit, st.floats(-1e6, 1e6))
def test_a_conversion_and_its_inverse_undo_one_another(one, other, value):
    there, back = conversion(one, other), conversion(other, one)
    assert (there is None) == (back is None) == (known_unit(one).kind != known_unit(other).kind)
    if there and back:
        size = max(1.0, abs(value), abs(there.offset / there.factor))
        again = (value * there.factor + there.offset) * back.factor + back.offset
        assert again == pytest.approx(value, rel=1e-9, abs=1e-9 * size)


@given(st.data())
def test_by_way_of_a_third_unit_a_conversion_is_the_same(data):
    one = data.draw(every_unit)
    like = [each for each in sorted(units()) if known_unit(each).kind == known_unit(one).kind]
    other, third = data.draw(st.sampled_from(like)), data.draw(st.sampled_from(like))
    direct, first, second = conversion(one, third), conversion(one, other), conversion(other, third)
    assert first.factor * second.factor == pytest.approx(direct.factor)


@pytest.mark.parametrize(
    ("one", "other", "factor", "offset"),
    [
        ("kPa", "Pa", 1000.0, 0.0), ("mg/L", "µg/L", 1000.0, 0.0), ("µg/m3", "mg/m3", 0.001, 0.0),
        ("m3/h", "L/s", 1 / 3.6, 0.0), ("m3/h", "m3/s", 1 / 3600, 0.0), ("°C", "K", 1.0, 273.15),
        ("K", "°C", 1.0, -273.15), ("%", "ppm", 10_000.0, 0.0),
        ("mg/L", "mg/m3", 1000.0, 0.0), ("mbar", "hPa", 1.0, 0.0), ("Nm3/h", "Nm3/s", 1 / 3600, 0.0),
    ],
)  # fmt: skip
def test_units_become_one_another(one, other, factor, offset):
    assert conversion(one, other) == pytest.approx((factor, offset))


# mg/m3 of an alarm level and the ppm that it is at 25 °C (GB/T 50493-2019 set points)
@pytest.mark.parametrize(
    ("code", "mg", "ppm"),
    [("a21028", 10, "7.2"), ("a21005", 20, "17.5"), ("a21022", 1, "0.34"), ("a21001", 20, "28.7"), ("a21026", 5, "1.9"),
     ("a21004", 5, "2.7"), ("a25002", 6, "1.9"), ("a21024", 7.5, "5.0")],
)  # fmt: skip
def test_an_alarm_level_in_ppm_is_the_printed_one(code, mg, ppm):
    linear = conversion("mg/m3", "ppm", molar=known_factor(code).molar, at=25)
    digits = len(ppm.partition(".")[2])
    assert f"{mg * linear.factor:.{digits}f}" == ppm


def test_ten_per_cent_of_carbon_dioxide_do_not_fit_the_format_of_its_factor():
    linear = conversion("%", "mg/m3", molar=known_factor("a05001").molar)
    assert 10 * linear.factor == pytest.approx(196_000, rel=0.003)
    assert known_factor("a05001").formats["2017"] == "N3.3"


def test_spellings_of_a_unit_are_the_same_unit():
    assert same_unit("μg/m³", "µg/m3")  # a Greek mu
    assert same_unit("℃", "°C")
    assert not same_unit("mg/m3", "mg/Nm3")
    assert same_unit("furlong", "furlong")
    assert not same_unit("furlong", "m")
    assert standard_unit("Nm3/h")
    assert not standard_unit("m3/h")
    assert not standard_unit("furlong")


# Factors


def test_a_device_of_a_treatment_process_has_the_factor_of_its_process():
    assert known_factor("e10203") is factors()["e102xx"]
    assert known_factor("g12801").unit == "mg/m3"
    assert known_factor("a99999") is None
    assert known_factor("e999 1") is None
    assert known_factor(None) is None


def test_formats_are_written_as_the_standard_writes_them_and_those_of_2025_have_their_evidence():
    for code, factor in factors().items():
        assert all(re.fullmatch(r"N[0-9](\.[0-9])?", form) for form in factor.formats.values()), code
        assert set(factor.formats) <= {"2017", "2025"}
        if "2025" in factor.formats or "2017" not in factor.formats:
            assert factor.evidence or code == "a34011", code


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [("a34013", "N4", "N4.1"), ("a21002", "N5.1", "N4.2"), ("a19001", "N3.1", "N2.2"), ("a01011", "N5.2", "N2.2"),
     ("a01013", "N5.3", "N2.3"), ("a01014", "N3.1", "N3.2")],
)  # fmt: skip
def test_where_the_versions_differ_both_are_there(code, old, new):
    assert factors()[code].formats == {"2017": old, "2025": new}


@pytest.mark.parametrize(
    ("code", "molar"),
    [
        ("a21002", 46.005),
        ("a21003", 30.006),
        ("a21026", 64.058),
        ("a21005", 28.01),
        ("a05001", 44.009),
        ("a25002", 78.114),
    ],
)
def test_a_molar_mass_is_that_of_the_atomic_weights(code, molar):
    assert factors()[code].molar == pytest.approx(molar)


def test_the_letters_of_2025_are_not_made_up():
    table = tomllib.loads((ROOM / "factors.toml").read_text(encoding="utf-8"))
    assert set(table["flags"]) == {"2017"}
    assert set(table["flags"]["2017"]) - {"normal"} <= set(Flag)


# A point's unit and its factor


@pytest.mark.parametrize(
    ("unit", "code", "said"),
    [
        ("mg/m3", "a21026", None), ("mg/m³", "a21026", None), ("mg/Nm3", "a21026", None), ("", "a21026", None),
        ("mg/m3", None, None), ("pH", "w01001", None), ("µg/m3", "a34004", None), ("mg/m3", "a21001", None),
        ("µg/m3", "a21026", 'convert = { to = "mg/m3" }'), ("ppm", "a21026", 'convert = { to = "mg/m3", at = 0 }'),
        ("ppm", "a24088", "cannot become"), ("°C", "a21026", "cannot become"), ("mg/cbm", "a21026", "nobody knows"),
    ],
)  # fmt: skip
def test_a_unit_that_is_not_its_factors_is_told_with_what_to_do(monkeypatch, unit, code, said):
    monkeypatch.setenv("PARKGATE_LANG", "en")
    warning = factor_unit_warning(unit, code)
    assert warning is None if said is None else said in warning


# convert


def test_ppm_become_mg_m3_by_the_molar_mass_of_the_factor_at_the_temperature_that_is_said():
    for at, volume in MOLAR_VOLUMES.items():
        about = point(unit="ppm", factor="a21026", range=(0.0, 100.0), convert={"to": "mg/m3", "at": at}, digits=2)
        passed_on, done = converted(about)
        assert passed_on.scale == pytest.approx(64.058 / volume)
        assert passed_on.range == (0.0, math.ceil(100 * 6405.8 / volume) / 100)
        assert (passed_on.unit, passed_on.digits, passed_on.convert) == ("mg/m3", 2, None)
        assert (done.unit, done.at, done.molar) == ("ppm", at, 64.058)


def test_a_conversion_goes_into_scale_and_offset_as_their_texts_say():
    passed_on, done = converted(
        point(type="int16", unit="°C", scale=0.1, offset=-40.0, convert={"to": "K"}, range=(-50.0, 50.0))
    )
    assert (passed_on.scale, passed_on.offset, passed_on.range) == (
        0.1,
        233.14999999999998,
        (223.15, 323.15),
    )
    assert (done.factor, done.offset, done.at, done.molar) == (1.0, 273.15, None, None)
    passed_on, _ = converted(point(type="uint16", unit="Pa", scale=0.1, convert={"to": "kPa"}))
    assert passed_on.scale == 0.0001
    assert passed_on.digits == 5


@given(st.floats(-1e4, 1e4), st.floats(0.001, 100), st.floats(-100, 100), every_unit, every_unit)
def test_what_is_passed_on_is_what_the_instrument_gives_converted(raw, scale, offset, unit, to):
    linear = conversion(unit, to)
    if linear is None:
        assert findings(unit=unit, convert={"to": to})
        return
    passed_on, _ = converted(point(unit=unit, scale=scale, offset=offset, convert={"to": to}))
    given_value = raw * scale + offset
    wanted = given_value * linear.factor + linear.offset
    slack = 1e-9 * max(abs(raw * scale * linear.factor), abs(offset * linear.factor), abs(linear.offset))
    assert math.isclose(raw * passed_on.scale + passed_on.offset, wanted, rel_tol=1e-9, abs_tol=slack)


@given(
    st.floats(-1e3, 1e3), st.floats(1, 1e4), st.integers(0, 4) | st.none(), st.sampled_from([0, 20, 25]),
    st.sampled_from([("ppm", "mg/m3"), ("mg/m3", "ppm"), ("%", "mg/m3")]),
)  # fmt: skip
def test_a_full_scale_that_is_rounded_is_still_within_the_range(low, span, digits, at, pair):
    convert = {"to": pair[1], "at": at}
    about = point(unit=pair[0], factor="a21026", range=(low, low + span), convert=convert, digits=digits)
    passed_on, _ = converted(about)
    for end in about.range:
        value = end * passed_on.scale + passed_on.offset
        shown = float(f"{value:.6g}") if digits is None else round(value, digits)
        assert passed_on.range[0] <= shown <= passed_on.range[1]
    wide = passed_on.range[1] - passed_on.range[0]
    assert wide == pytest.approx(span * passed_on.scale, abs=max(2.0, 2.1e-5 * max(map(abs, passed_on.range))))


def test_a_point_that_says_nothing_of_it_is_not_touched():
    about = point(unit="ppm")
    assert converted(about) == (about, None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"unit": "kPa", "convert": {"to": "Pa"}}, None),
        ({"unit": "mg/m³", "convert": {"to": "mg/m3"}}, None),
        ({"unit": "ppm", "convert": {"to": "mg/m3", "at": 25, "molar": 30.0}}, None),
        ({"unit": "ppm", "factor": "a21026", "convert": {"to": "mg/Nm3", "at": 0}}, None),
        ({"unit": "ppm", "factor": "a21026", "convert": {"to": "mg/m3"}}, "at which temperature"),
        ({"unit": "ppm", "convert": {"to": "mg/m3", "at": 0}}, "molar mass is not known"),
        ({"unit": "kPa", "convert": {"to": "Pa", "at": 0}}, "leave them out"),
        ({"unit": "kPa", "convert": {"to": "Pa", "molar": 5.0}}, "leave them out"),
        ({"unit": "kPa", "convert": {"to": "mg/m3"}}, '"kPa" cannot become "mg/m3"'),
        ({"unit": "kPa", "convert": {"to": "kpa"}}, 'did you mean "kPa"?'),
        ({"unit": "", "convert": {"to": "Pa"}}, 'unknown unit ""'),
        ({"unit": "m3/h", "convert": {"to": "Nm3/h"}}, "actual_to_standard"),
        ({"unit": "kPa", "type": "string:4", "convert": {"to": "Pa"}}, "only a number"),
        ({"unit": "kPa", "type": "bool", "convert": {"to": "Pa"}}, "only a number"),
        ({"unit": "m3", "type": "uint64", "as": "string", "convert": {"to": "L"}}, "only a number"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_what_to_write_instead(monkeypatch, more, said):
    monkeypatch.setenv("PARKGATE_LANG", "en")
    found = findings(**more)
    assert found == [] if said is None else [said in text for text in found] == [True]


def test_a_site_may_convert_a_point_of_its_profile(tmp_path):
    more = 'points.so2.convert = { to = "µg/m3" }\npoints.so2.digits = 0\n'
    text = (
        'protocol = "modbus"\n[points]\nso2 = { at = "input 0", type = "float32", unit = "mg/m3", range = [0, 300] }\n'
    )
    line = '\n[[instrument]]\nname = "s"\nline = "cems"\nunit = 3\nprofile = "stack"\nevery = "1s"\n'
    about = instruments(tmp_path, line + more, stack=text)["s"]
    assert (about.points[0].unit, about.points[0].scale, about.points[0].range) == ("µg/m3", 1000.0, (0.0, 300_000.0))
    assert about.conversions["so2"].unit == "mg/m3"
