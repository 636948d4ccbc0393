"""The alarms of a point as they are written: what they become, and the sentence for each mistake."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sites import SITE, edited

from parkgate.config.alarm import Alarm
from parkgate.config.gas_alarms import gas_alarms, gases, standard_alarms
from parkgate.config.load import read_site
from parkgate.config.profile import Point

DIGITS = "points.so2.digits = 1"
PROFILE = """\
protocol = "modbus"
[points]
gas = { at = "input 0", type = "uint16", unit = "ppm", range = [0, 100] }
door = { at = "discrete 0", type = "bool", alarms = [ { name = "open", equals = true } ] }
note = { at = "input 9", type = "string:4" }
scaled = { at = "input 3", type = "uint16", scale = 0.1, alarms = [ { name = "high", above = 5, delay = "10s", priority = "urgent" } ] }
"""  # noqa: E501  # a profile's line


def site_with(alarms, point="so2"):
    return edited(SITE, DIGITS, f"points.{point}.alarms = {alarms}")


def loaded(folder, site, profile=None):
    if profile is not None:
        (folder / "own.toml").write_text(profile, encoding="utf-8")
        site = edited(edited(site, '"cems-generic"', '"own.toml"'), "points.co.enabled = false\n", "")
    (folder / "site.toml").write_text(site, encoding="utf-8")
    return read_site(folder / "site.toml", installed=folder)


def alarms_of(read, name):
    return {point.name: point.alarms for point in read.site.instruments[0].points}[name]


def test_the_example_of_the_contract_is_what_it_says(tmp_path):
    text = '[ { name = "high", above = 35, deadband = 1, delay = "10s", priority = "high" } ]'
    (alarm,) = alarms_of(loaded(tmp_path, site_with(text)), "so2")
    assert alarm == Alarm(name="high", above=35, deadband=1, delay=10_000, priority="high")
    assert (alarm.off_delay, alarm.latch, alarm.kinds, alarm.limit) == (0, False, ("above",), 35)


def test_delay_is_0_and_priority_medium_unless_given(tmp_path):
    (alarm,) = alarms_of(loaded(tmp_path, site_with('[ { name = "low", below = 1 } ]')), "so2")
    assert (alarm.delay, alarm.priority) == (0, "medium")


HIGH = 'name = "high", above = 35'
MISTAKES = [
    ("above = 35", "is missing; add it"),
    ('name = "hi gh", above = 35', '"hi gh" will not do; use a to z, 0 to 9 and _, 1 to 32 of them'),
    ('name = "high"', "an alarm has exactly one of above, below, equals, rate, fault = true or standard"),
    (f"{HIGH}, below = 1", "an alarm has exactly one of above, below, equals, rate, fault = true or standard"),
    (f"{HIGH}, fault = true", "an alarm has exactly one of above, below, equals, rate, fault = true or standard"),
    ('name = "high", above = "35"', "must be a number"),
    (f"{HIGH}, delay = 10", '"10" is not a duration with its unit; write it as "500ms", "5s", "10min", "1h" or "30d"'),
    (f"{HIGH}, dedband = 1", 'unknown key "dedband"; did you mean "deadband"?'),
    (f'{HIGH}, priority = "hgh"', 'unknown priority "hgh"; did you mean "high"?'),
    ('name = "high", above = 301', "301 lies outside the measuring range, 0 to 300: it would never be reached"),
    ('name = "low", below = -1', "-1 lies outside the measuring range, 0 to 300: it would never be reached"),
    (f"{HIGH}, deadband = -1", "must not be negative: it is how far the value must be back from the limit"),
    (f"{HIGH}, deadband = 35", "with it the alarm would never return: nothing in the range is so far from the limit"),
    ('name = "low", below = 290, deadband = 10',
     "with it the alarm would never return: nothing in the range is so far from the limit"),
    ('name = "fault", fault = true, deadband = 1', "goes only with above, below and rate; leave it out"),
    (f'{HIGH}, per = "1min"', "goes only with rate; leave it out"),
    ('name = "rise", rate = 5', 'is missing: the time within which it changes so much, as "1min"'),
    ('name = "rise", rate = 0, per = "1min"', "must not be 0; positive where it rises, negative where it falls"),
    ('name = "rise", rate = 301, per = "1min"', "is more than the whole measuring range: it would never be reached"),
    ('name = "rise", rate = -5, deadband = 5, per = "1min"',
     "must be less than the rate, or the alarm would never return"),
    ('name = "rise", rate = 5, per = "9s"',
     "must be at least 10000 ms: twice the period of the readings, and 1 min on an OPC UA line"),
    ('name = "is", equals = 3', "goes only with a bool or a whole number without scale; take above or below"),
    ('standard = "GB/T 50493", above = 3', "does not go with a standard; write the alarm out, or leave this out"),
    ('standard = "GB 50493"', 'unknown standard "GB 50493"; did you mean "GB/T 50493"?'),
]  # fmt: skip


@pytest.mark.parametrize(("written", "sentence"), MISTAKES, ids=[written for written, _ in MISTAKES])
def test_each_mistake_is_named_with_its_line_and_what_to_write(said, written, sentence):
    found = said(site_with(f"[\n  {{ {written} }},\n]"))
    assert [each.rpartition(": " + sentence)[0].partition(",")[0] for each in found] == [
        'site.toml:35: instrument "stack-1"'
    ]


@pytest.mark.parametrize(
    ("alarms", "point", "sentence"),
    [
        ('[ { name = "x", above = 1 } ]', "door", "does not go with bool: there is no more or less"),
        ('[ { name = "x", rate = 1, per = "1min" } ]', "note",
         "does not go with string:4: there is no more or less"),
        ('[ { name = "x", equals = 2 } ]', "door", "must be true or false, without quotes"),
        ('[ { name = "x", equals = 2 } ]', "scaled",
         "goes only with a bool or a whole number without scale; take above or below"),
        ('"GB/T 50493"', "gas", 'GB/T 50493 needs to know the gas: give the point a factor or gas = "…"; known: '
         + ", ".join(gases())),
    ],
)  # fmt: skip
def test_an_alarm_fits_the_type_of_its_point(said, alarms, point, sentence):
    site = edited(site_with(alarms, point), '"cems-generic"', '"own.toml"')
    site = edited(site, "points.co.enabled = false\n", "")
    (found,) = said(site, own_toml=PROFILE)
    assert found.startswith(f'site.toml:34: instrument "stack-1", points.{point}.alarms')
    assert found.endswith(sentence)


def test_two_alarms_of_one_name_are_a_mistake(said):
    (found,) = said(site_with(f"[ {{ {HIGH} }}, {{ {HIGH} }} ]"))
    assert found.endswith('points.so2.alarms.name: "high" stands there twice; names must differ')


def test_a_rate_on_a_subscription_needs_the_minute_in_which_every_value_is_told(said):
    def written(per):
        return edited(
            SITE, 'node = "T7"\n', f'node = "T7"\npoints.level.alarms = [ {{ name = "r", rate = 1, per = "{per}" }} ]\n'
        )  # fmt: skip

    (found,) = said(written("59s"))
    assert "must be at least 60000 ms" in found
    assert said(written("60s")) == []


def test_a_site_says_the_alarms_of_a_point_anew_and_keeps_those_it_says_nothing_about(tmp_path):
    site = edited(SITE, DIGITS, 'points.door.alarms = [ { name = "shut", equals = false } ]\npoints.scaled.title = "x"')
    read = loaded(tmp_path, site, PROFILE)
    assert [each.name for each in alarms_of(read, "door")] == ["shut"]
    assert alarms_of(read, "scaled") == (Alarm(name="high", above=5, delay=10_000, priority="urgent"),)


def test_a_mistake_in_a_profiles_alarm_is_told_with_the_profiles_line(said):
    site = edited(edited(SITE, '"cems-generic"', '"own.toml"'), "points.co.enabled = false\n", "")
    (found,) = said(edited(site, DIGITS, ""), own_toml=edited(PROFILE, 'name = "open", equals', "equals"))
    assert found == "own.toml:4: points.door.alarms.name: is missing; add it"


def test_a_table_of_points_may_name_the_standard(tmp_path):
    (tmp_path / "points.csv").write_text(
        "name,at,type,unit,gas,alarms\ngas,input 0,uint16,mg/m3,h2s,GB/T 50493\n", encoding="utf-8"
    )
    read = loaded(tmp_path, edited(SITE, DIGITS, ""), 'protocol = "modbus"\npoints = "points.csv"\n')
    assert [each.limit for each in alarms_of(read, "gas")] == [10.0, 20.0, None]


# GB/T 50493.


def standard(tmp_path, written, **about):
    keys = ", ".join(f'{key} = "{value}"' for key, value in about.items())
    site = edited(SITE, DIGITS, f"points.gas = {{ {keys}, alarms = {written} }}")
    return loaded(tmp_path, site, PROFILE)


def test_the_standards_alarms_are_two_latching_levels_and_the_detectors_own_fault(tmp_path):
    high, higher, fault = alarms_of(standard(tmp_path, '"GB/T 50493"', gas="h2s"), "gas")
    assert (high.name, high.latch, high.priority, high.delay) == ("high", True, "high", 0)
    assert (higher.name, higher.latch, higher.priority, higher.delay) == ("high_high", True, "urgent", 0)
    assert (fault.fault, fault.latch) == (True, False)
    assert {each.basis for each in (high, higher, fault)} == {"GB/T 50493-2019"}
    assert math.isclose(high.above, 10 * 24.465 / 34.08, rel_tol=0.002)


def test_a_standards_alarms_may_stand_among_others(tmp_path):
    found = alarms_of(
        standard(tmp_path, '[ "GB/T 50493", { name = "rise", rate = 5, per = "1min" } ]', gas="h2s"), "gas"
    )
    assert [each.name for each in found] == ["high", "high_high", "fault", "rise"]


def test_defaults_are_a_warning_until_somebody_says_that_they_were_confirmed(tmp_path):
    (warning,) = standard(tmp_path, '"GB/T 50493"', gas="h2s").warnings
    assert "GB/T 50493-2019 gives high 7.17, high_high 14.3 ppm, as defaults" in str(warning)
    read = standard(tmp_path, '[ { standard = "GB/T 50493", basis = "HSE 2026-05" } ]', gas="h2s")
    assert read.warnings == ()
    assert {each.basis for each in alarms_of(read, "gas")} == {"GB/T 50493-2019; HSE 2026-05"}


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"gas": "h2so"}, 'points.gas.gas: unknown gas "h2so"; did you mean "h2s"?'),
        ({"gas": "h2s", "unit": "mol"}, 'GB/T 50493 has no set points for h2s in "mol"; use mg/m3, ppm or %LEL'),
        ({"gas": "co", "unit": "ppb"}, "lies outside the measuring range, 0 to 100: it would never be reached"),
    ],
)
def test_a_gas_or_a_unit_that_the_standard_cannot_be_told_in_is_a_mistake(said, about, sentence):
    keys = ", ".join(f'{key} = "{value}"' for key, value in about.items())
    site = edited(SITE, DIGITS, f'points.gas = {{ {keys}, alarms = "GB/T 50493" }}')
    site = edited(edited(site, '"cems-generic"', '"own.toml"'), "points.co.enabled = false\n", "")
    found = said(site, own_toml=PROFILE)
    assert found
    assert all(sentence in each for each in found[:1])


def point(gas=None, unit="mg/m3", factor=None):
    return Point(name="gas", at="input 0", type="float32", unit=unit, gas=gas, factor=factor)


COMMON = {
    "h2s": (10, 20, 7.2), "co": (20, 40, 17.5), "cl2": (1, 2, 0.34), "nh3": (20, 40, 28.7), "so2": (5, 10, 1.9),
    "no2": (5, 10, 2.7), "benzene": (6, 12, 1.9), "hf": (2, 4, 2.4), "hcl": (7.5, 15, 5.0),
}  # fmt: skip
"""mg/m3 of both levels, ppm of the first at 25 °C, as the tables for GB/T 50493-2019 print them."""


@pytest.mark.parametrize("gas", COMMON)
def test_the_set_points_are_those_of_the_standards_tables_never_above_and_hardly_below(gas):
    first, second, ppm = COMMON[gas]
    assert [each.limit for each in standard_alarms(point(gas))[:2]] == [first, second]
    (low, high) = (each.limit for each in standard_alarms(point(gas, "ppm"))[:2])
    assert math.isclose(low, ppm, rel_tol=0.03)
    exact = first * 24.465 / gas_alarms().gas[gas].molar_mass
    assert exact * 0.99 <= low <= exact
    assert 1.98 * exact <= high <= 2 * exact


@pytest.mark.parametrize(
    ("factor", "gas"), [("a21028", "h2s"), ("a21005", "co"), ("a21022", "cl2"), ("a25007", "xylene")]
)
def test_a_factor_code_tells_the_gas(factor, gas):
    assert standard_alarms(point(factor=factor)) == standard_alarms(point(gas)) != ()


def test_a_named_gas_goes_before_the_factor_code():
    assert standard_alarms(point("cl2", factor="a21028")) == standard_alarms(point("cl2"))


@pytest.mark.parametrize("gas", [None, "methanol"])
def test_per_cent_of_the_explosive_limit_is_combustible_whichever_gas_it_is(gas):
    low, high, _ = standard_alarms(point(gas, "%LEL"))
    assert (low.above, high.above, low.deadband) == (25, 50, 1)


def test_oxygen_alarms_both_ways():
    low, high, _ = standard_alarms(point("o2", "%"))
    assert (low.below, high.above) == (19.5, 23.5)


@pytest.mark.parametrize(("gas", "unit"), [(None, "mg/m3"), ("h2s", "%"), ("h2s", ""), ("o2", "ppm")])
def test_what_the_standard_does_not_tell_has_no_alarms(gas, unit):
    assert standard_alarms(point(gas, unit)) == ()


@given(gas=st.sampled_from(sorted(gas_alarms().gas)), unit=st.sampled_from(["mg/m3", "µg/m3", "ppm", "ppb"]))
def test_every_gas_has_two_levels_the_second_twice_the_first_and_can_return(gas, unit):
    first, second, _ = standard_alarms(point(gas, unit))
    assert math.isclose(second.above, 2 * first.above, rel_tol=0.01)
    assert 0 < first.deadband < first.above / 10
