"""A world at a moment: what its instruments show under states and troubles, and who has which trouble."""

import pytest
from support.troubled_site import scenario_in

from parkgate.config.problem import Problems
from parkgate.simulator.world import World

RAMP = '[stack-1.so2]\nshape = "ramp"\nfrom = 0\nto = 100\nover = "100s"\n'


@pytest.fixture
def scenario(tmp_path):
    return lambda text: scenario_in(tmp_path, text)


def entry(table, /, **about):
    return f"[[{table}]]\n" + "".join(f"{name} = {value}\n" for name, value in about.items())


def trouble(kind, whose='instrument = "stack-1"', **more):
    return entry("trouble", kind=f'"{kind}"', at='"10s"', **{"for": '"10s"'}, **more) + whose + "\n"


def state(flag, **more):
    return entry("state", instrument='"stack-1"', flag=f'"{flag}"', at='"10s"', **{"for": '"10s"'}, **more)


def after(world, seconds):
    while world.elapsed_ms < seconds * 1000:
        world.advance(1_000)
    return world


def test_a_state_is_what_the_profile_reads_and_its_values_are_shown_meanwhile(scenario):
    world = World(scenario(RAMP + state("calibration", values="{ so2 = 250 }")))
    device = world.devices["stack-1"]
    assert after(world, 9).devices["stack-1"].flags() == {}
    after(world, 10)
    assert device.values()["so2"] == 250
    assert set(device.flags()) == set(device.values())
    assert device.flags()["so2"] == {"calibration"}
    assert world.units["cems"][1].word("holding", 0) & 0xF == 1
    after(world, 20)
    assert (device.values()["so2"], device.flags()) == (20, {})
    assert world.units["cems"][1].word("holding", 0) == 0


def test_a_state_of_single_points_covers_just_these(scenario):
    device = after(World(scenario(state("fault", points='["dust"]'))), 10).devices["stack-1"]
    assert device.flags() == {"dust": {"fault"}}


def test_what_is_frozen_stands_and_goes_on_where_it_would_be(scenario):
    world = World(scenario(RAMP + trouble("frozen", points='["so2"]')))
    so2 = [after(world, n).devices["stack-1"].values()["so2"] for n in (8, 9, 10, 15, 19, 20, 21)]
    assert so2 == [8, 9, 9, 9, 9, 20, 21]


def test_a_value_beyond_its_range_is_known_as_such(scenario):
    text = '[stack-1.dust]\nshape = "step"\nbefore = 6\nafter = 120\nat = "5s"\n'
    assert after(World(scenario(text)), 5).devices["stack-1"].flags() == {"dust": {"out-of-range"}}


def test_troubles_of_a_line_are_those_of_its_instruments_and_a_cut_reaches_the_neighbours(scenario):
    world = World(scenario(trouble("refuse", 'line = "cems"') + trouble("cut")))
    assert world.words("stack-1") == ()
    after(world, 10)
    assert world.words("stack-1") == ("refuse", "cut")
    assert world.words("stack-2") == ("refuse", "nearby")
    assert world.words("tank-1") == ()
    assert [each.kind for each in world.of_line("cems")] == ["refuse"]
    assert [each.kind for each in world.of_unit("cems", 2)] == ["refuse"]


def test_troubles_of_single_points_flag_these_alone(scenario):
    world = after(World(scenario(trouble("missing", 'instrument = "tank-1"', points='["level"]'))), 10)
    assert world.spoilt("tank-1") == {"level": {"no-communication", "bad-configuration"}}
    assert world.spoilt("stack-1") == {}


def test_somebody_switches_a_trouble_on_and_off_whatever_its_time(scenario):
    world = World(scenario(trouble("silent")))
    world.switch(0)
    assert world.words("stack-1") == ("silent",)
    after(world, 10)
    assert world.words("stack-1") == ()
    world.switch(0)
    assert world.words("stack-1") == ("silent",)


def test_a_clock_is_wrong_by_what_the_trouble_says(scenario):
    world = World(scenario(trouble("wrong-clock", 'instrument = "tank-1"', by='"1h"')))
    assert (world.skew("tank-1"), after(world, 10).skew("tank-1"), world.skew("stack-1")) == (0, 3_600_000, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (trouble("silnt"), 'unknown trouble "silnt"; did you mean "silent"?'),
        (trouble("silent", 'instrument = "stack-3"'), 'unknown instrument "stack-3"'),
        (trouble("refuse", 'line = "cmes"'), 'unknown line "cmes"; did you mean "cems"?'),
        (trouble("link-cut", 'uplink = "prak"'), 'unknown uplink "prak"; did you mean "park"?'),
        (trouble("late"), '"late" needs by'),
        (trouble("silent", 'instrument = "tank-1"'), "write line"),
        (trouble("exception", 'instrument = "tank-1"', code=4), "opcua does not know this trouble"),
        (trouble("bad-crc"), "Modbus TCP has no CRC"),
        (trouble("frozen", points='["so3"]'), 'unknown point "so3"'),
        (state("stale"), 'unknown state "stale"'),
        (state("calibration", values="{ so3 = 1 }"), 'unknown point "so3"'),
        ('[serve.tanks]\nas = "pty"\n', "an OPC UA line"),
        ("[serve.cems]\nsecurity = true\n", "an OPC UA line"),
        ('[serve.cmes]\nas = "pty"\n', 'unknown line "cmes"'),
        ('[serve.cems]\nas = "ptty"\n', '"ptty"'),
        ("trouble = 3\n", "[[trouble]]"),
        ("serve = 3\n", "must be a table"),
    ],
)
def test_what_cannot_happen_is_refused_with_what_to_write(scenario, text, said):
    with pytest.raises(Problems) as told:
        scenario(text)
    assert said in str(told.value)
    assert str(told.value).count("\n") == 0


def test_the_same_words_are_fine_where_they_can_happen(scenario):
    made = scenario('[serve.cems]\nas = "rtu-over-tcp"\n' + trouble("bad-crc") + trouble("silent", 'line = "tanks"'))
    assert made.serve["cems"].as_ == "rtu-over-tcp"
    assert [each.kind for each in made.troubles] == ["bad-crc", "silent"]
