"""What a site may say of derived points, and what it is told where that cannot be."""

from pathlib import Path

import pytest
from support.derived import METER, STACK, entry, instruments, write

from parkgate.config.document import Report
from parkgate.config.load import read_site
from parkgate.config.problem import Problems
from parkgate.config.profile_file import read_profile

RATE = 'derived.rate = { formula = "emission_rate", of = { c = "so2", flow = "meter.flow" } }'
VOLUME = 'derived.volume = { formula = "water_volume", of = { flow = "flow" } }'
SHIPPED = Path(__file__).parents[2] / "config" / "instruments" / "cems-dry-generic.toml"


def problems(folder, *entries, **profiles):
    """Give what is wrong, without the file: line, subject and sentence."""
    path = write(folder, *entries, **profiles)
    with pytest.raises(Problems) as caught:
        read_site(path)
    return [str(each).removeprefix(f"{folder}/") for each in caught.value.problems]


def problem(folder, more, profile="stack", **profiles):
    """Give what is said of the one thing that is wrong with a derived point of one instrument."""
    (found,) = problems(folder, entry(profile, more), **profiles)
    return found


def derived(about, name):
    return next(each for each in about.derived if each.name == name)


def test_a_derived_point_is_given_its_unit_its_numbers_and_where_its_inputs_come_from(tmp_path):
    found = instruments(tmp_path, entry("stack", RATE), entry("meter"))
    rate = derived(found["stack"], "rate")
    assert (rate.unit, rate.type, rate.constants, rate.scale) == ("kg/h", "float64", {}, 1.0)
    c, flow = rate.inputs
    assert (c.instrument, c.point, c.unit, c.factor, c.max_age) == ("", "so2", "mg/m3", 1.0, 0)
    assert (flow.instrument, flow.point, flow.unit, flow.max_age) == ("meter", "flow", "m3/h", 2_000)
    assert derived(found["stack"], "so2_zs").constants == {"reference": 6.0, "limit": 20.0}
    assert derived(found["stack"], "so2_zs").unit == "mg/m3"


def test_the_order_of_the_file_does_not_matter(tmp_path):
    assert [each.name for each in instruments(tmp_path, entry("stack"))["stack"].derived] == ["so2_dry", "so2_zs"]


def test_what_another_instrument_reports_by_changes_counts_for_two_minutes(tmp_path):
    more = 'derived.d = { formula = "difference", of = { a = "total", b = "tank.v" } }'
    tank = 'protocol = "opcua"\n[points]\nv = { at = "ns=1;s=V", type = "double", unit = "L" }'
    found = instruments(tmp_path, entry("meter", more), entry("tank"), tank=tank)["meter"]
    source = derived(found, "d").inputs[1]
    assert (source.max_age, source.factor) == (120_000, 0.001)


def test_a_site_may_say_otherwise_switch_off_and_add(tmp_path):
    more = (
        "derived.so2_zs.with = { reference = 3.5 }\nderived.so2_zs.digits = 0\n"
        'derived.o2_dry = { formula = "wet_to_dry", of = { c = "o2", moisture = "h2o" }, unit = "ppm" }\n'
    )
    found = instruments(tmp_path, entry("stack", more), entry("stack", "derived.so2_zs.enabled = false", name="b"))
    zs, dry = derived(found["stack"], "so2_zs"), derived(found["stack"], "o2_dry")
    assert (zs.constants["reference"], zs.digits, zs.formula) == (3.5, 0, "reference_oxygen")
    assert (dry.unit, dry.scale) == ("ppm", 10_000.0)
    assert [each.name for each in found["b"].derived] == ["so2_dry"]


def test_max_age_of_a_profile_reaches_the_site(tmp_path):
    stack = STACK + 'rate = { formula = "emission_rate", of = { c = "so2", flow = "meter.flow" }, max_age = "90s" }\n'
    found = instruments(tmp_path, entry("stack", "derived.rate.digits = 1"), entry("meter"), stack=stack)["stack"]
    assert (derived(found, "rate").inputs[1].max_age, derived(found, "rate").digits) == (90_000, 1)


def test_a_slice_of_water_is_as_long_as_the_period(tmp_path):
    found = instruments(tmp_path, entry("meter", VOLUME, every="5s"))["meter"]
    assert derived(found, "volume").constants == {"interval": 5.0}


def test_the_molar_mass_is_that_of_the_factor_unless_it_is_said(tmp_path):
    ppm = 'protocol = "modbus"\n[points]\nx = { at = "input 0", type = "float32", unit = "ppm" }\n[derived]\n'
    by_factor = 'a = { formula = "ppm_to_mass", of = { x = "x" }, factor = "a21026" }\n'
    said = 'b = { formula = "ppm_to_mass", of = { x = "x" }, with = { molar = 44.009, at = 25 } }\n'
    found = instruments(tmp_path, entry("stack"), stack=ppm + by_factor + said)["stack"]
    assert derived(found, "a").constants == {"molar": 64.058, "at": 0.0}
    assert derived(found, "b").constants == {"molar": 44.009, "at": 25.0}


def test_ppm_are_taken_where_the_formula_knows_the_gas(tmp_path):
    ppm = 'protocol = "modbus"\n[points]\nno = { at = "input 0", type = "float32", unit = "ppm" }\n'
    more = 'derived.nox = { formula = "nox_as_no2", of = { no = "no" } }'
    found = instruments(tmp_path, entry("stack", more), stack=ppm)["stack"]
    source = derived(found, "nox").inputs[0]
    assert 100 * source.factor == pytest.approx(100 * 30.006 / 22.4)


WRONG = [
    (
        '{ formula = "wet_to_dri", of = { c = "so2", moisture = "h2o" } }',
        'formula: unknown formula "wet_to_dri"; did you mean',
    ),
    ('{ formula = "wet_to_dry", of = { c = "so2" } }', 'of: the formula needs "moisture" (moisture Xsw)'),
    (
        '{ formula = "reference_oxygen", of = { c = "so2", o2 = "o2" } }',
        'with: the formula needs the number "reference"',
    ),
    ('{ formula = "wet_to_dry", of = { x = "so2", c = "so2", moisture = "h2o" } }', 'of: unknown key "x"'),
    ('{ formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" }, with = { y = 1 } }', 'with: unknown key "y"'),
    (
        '{ formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" }, with = { moisture = 1 } }',
        "stands in of already",
    ),
    ('{ formula = "wet_to_dry", of = { moisture = "h2o" }, with = { c = 1 } }', '"c" is a point: put it in of'),
    ('{ formula = "velocity", of = { v = "so2", kv = "o2" } }', '"kv" is a number: put it in with'),
    (
        '{ formula = "wet_to_dry", of = { c = "so3", moisture = "h2o" } }',
        'there is no point "so3"; did you mean "so2"?',
    ),
    ('{ formula = "wet_to_dry", of = { c = "so2", moisture = "o3.o2" } }', 'there is no instrument "o3"'),
    (
        '{ formula = "wet_to_dry", of = { c = "so2", moisture = "stack.h3o" } }',
        'there is no point "stack.h3o"; did you mean',
    ),
    ('{ formula = "wet_to_dry", of = { c = "so2", moisture = "so2" } }', '"so2" is in mg/m3, which cannot become %'),
    ('{ formula = "wet_to_dry", of = { c = "door", moisture = "h2o" } }', '"door" is a text or a contact'),
    (
        '{ formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" }, unit = "kg/h" }',
        "the formula gives mg/m3, which cannot",
    ),
    ('{ formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" }, factor = "a2" }', 'factor: unknown factor "a2"'),
    (
        '{ formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" }, range = [3, 1] }',
        "range: the lower end must come first",
    ),
    (
        '{ formula = "reference_oxygen", of = { c = "so2", o2 = "o2" }, with = { reference = 21 } }',
        '"reference" must be at most 20',
    ),
    (
        '{ formula = "reference_oxygen", of = { c = "so2", o2 = "o2" }, with = { reference = -1 } }',
        '"reference" must be at least 0',
    ),
    ('{ formula = "excess_air", of = { o2 = "o2" }, with = { limit = 0 } }', '"limit" must be above 0'),
    ('{ formula = "ppm_to_mass", of = { x = "o2" }, with = { at = 10, molar = 5 } }', '"at" must be one of 0, 20, 25'),
    ('{ formula = "ppm_to_mass", of = { x = "o2" } }', 'the formula needs the number "molar"'),
    ('{ formula = "difference", of = { a = "w", b = "so2" } }', "derived points need each other: stack.w → stack.w"),
    ('{ formula = "velocity", with = { v = 1, kv = 1 } }', "must take at least one point of its own instrument"),
    ('{ formula = "wet_to_dry", off = { c = "so2" } }', 'off: unknown key "off"; did you mean "of"?'),
    ('{ formula = "wet_to_dry", of = { c = 1, moisture = "h2o" } }', "of.c: must be text in quotes"),
    ('{ formula = "wet_to_dry", of = { c = "so2" }, with = { moisture = "x" } }', "with.moisture: must be a number"),
    ('{ of = { c = "so2" } }', "formula: is missing"),
    ('{ name = "x", formula = "wet_to_dry" }', 'name: unknown key "name"'),
    ('"wet_to_dry"', "must be a table"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_cannot_be_derived_is_told_where_it_stands(tmp_path, text, said):
    found = problem(tmp_path, f"derived.w = {text}")
    assert found.startswith('site.toml:21: instrument "stack", derived.w')
    assert said in found


@pytest.mark.parametrize(
    ("text", "said"), [each for each in WRONG if "stack" not in each[1] and "o3.o2" not in each[0]]
)
def test_a_profile_is_told_so_in_its_own_file(tmp_path, text, said):
    if '"stack.h3o"' in text:
        return  # only a site knows instruments
    file = tmp_path / "stack.toml"
    file.write_text(f"{STACK}w = {text}\n", encoding="utf-8")
    report = Report()
    assert read_profile(file, report) is None
    (found,) = report.problems
    assert str(found).startswith(f"{file}:12: derived.w")
    assert said in found.text or said in str(found)


def test_what_a_profile_takes_from_another_instrument_is_left_to_the_site(tmp_path):
    stack = STACK + 'rate = { formula = "emission_rate", of = { c = "so2", flow = "meter.flow" } }\n'
    found = problem(tmp_path, "", stack=stack)
    assert 'there is no instrument "meter"' in found
    assert derived(instruments(tmp_path, entry("stack"), entry("meter"), stack=stack)["stack"], "rate").unit == "kg/h"


def test_a_derived_point_cannot_have_the_name_of_a_measured_one(tmp_path):
    more = 'derived.o2 = { formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" } }'
    assert "a point of this name stands there already" in problem(tmp_path, more)


def test_a_point_that_is_needed_cannot_be_switched_off_alone(tmp_path):
    found = problem(tmp_path, "points.h2o.enabled = false")
    assert 'derived.so2_dry.of: there is no point "h2o"' in found


def test_a_water_slice_longer_than_five_seconds_is_refused(tmp_path):
    (found,) = problems(tmp_path, entry("meter", VOLUME, every="10s"))
    assert 'derived.volume.with: "interval" must be at most 5' in found


def test_a_chain_over_two_instruments_that_needs_itself_is_refused_once(tmp_path):
    one = 'derived.x = { formula = "difference", of = { a = "o2", b = "stack-2.y" } }'
    other = 'derived.y = { formula = "difference", of = { a = "o2", b = "stack.x" } }'
    (found,) = problems(tmp_path, entry("stack", one), entry("stack", other, name="stack-2"))
    assert "derived points need each other: " in found
    assert "stack.x → stack-2.y" in found or "stack-2.y → stack.x" in found


def test_a_volume_at_standard_conditions_is_not_brought_there_again(tmp_path):
    meter = METER.replace("m3/h", "Nm3/h")
    more = (
        'derived.q = { formula = "standard_dry_flow", of = { flow = "flow" }, '
        "with = { temperature = 20, pressure = 0, moisture = 0 } }"
    )
    (found,) = problems(tmp_path, entry("meter", more), meter=meter)
    assert '"flow" is at standard conditions already' in found
    assert derived(instruments(tmp_path, entry("meter", more))["meter"], "q").unit == "Nm3/h"


def test_everything_wrong_is_told_at_once_though_another_instrument_is_wrong_too(tmp_path):
    more = 'points.so2.range = [5, 1]\nderived.w = { formula = "wet_to_dri" }'
    other = 'derived.w = { formula = "wet_to_dri" }\n' + RATE
    found = problems(tmp_path, entry("stack", more), entry("stack", other, name="stack-2"))
    assert len(found) == 3
    assert [" derived.w.formula" in each for each in found] == [False, True, True]


def test_a_point_in_another_unit_than_its_factors_is_a_warning_and_runs(tmp_path):
    stack = STACK.replace('unit = "mg/m3"', 'unit = "µg/m3", factor = "a21026"')
    loaded = read_site(write(tmp_path, entry("stack"), entry("stack", name="b"), stack=stack))
    (warning,) = [each for each in loaded.warnings if "factor" in each.text]
    assert warning.subject == 'instrument "stack", points.so2.unit'
    assert 'add convert = { to = "mg/m3" }' in warning.text


def test_a_derived_point_in_another_unit_than_its_factors_is_a_warning_too(tmp_path):
    of = 'of = { c = "so2", moisture = "h2o" }'
    more = f'derived.w = {{ formula = "wet_to_dry", {of}, factor = "a21026", unit = "µg/m3" }}'
    (warning,) = [each for each in read_site(write(tmp_path, entry("stack", more))).warnings if "factor" in each.text]
    assert (warning.line, warning.subject) == (21, 'instrument "stack", derived.w.unit')


def test_the_shipped_profile_gives_what_platforms_ask_of_a_stack():
    report = Report()
    profile = read_profile(SHIPPED, report)
    assert report.problems == []
    factors = {each.factor for each in (*profile.points, *profile.derived)}
    assert factors >= {"a21026", "a21002", "a34013", "a19001", "a01011", "a01012", "a01013", "a01014"}
