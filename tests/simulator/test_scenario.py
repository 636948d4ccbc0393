"""Scenario files: what they say, and what is said about the ones that will not do."""

from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parkgate.config.problem import Problems
from parkgate.simulator.scenario import load_scenario, packaged
from parkgate.simulator.shapes import Correlated, Counter, Noise
from parkgate.simulator.world import World

SITE = """
[gateway]
site = "s"
id = "g"
data = "/tmp/s"
[[uplink]]
name = "park"
url = "mqtt://localhost"
[[line]]
name = "one"
url = "modbus-tcp://127.0.0.1:15020"
[[instrument]]
name = "flow-1"
line = "one"
unit = 2
profile = "flow-meter-generic"
every = "1s"
[[instrument]]
name = "label-1"
line = "one"
unit = 3
profile = "label.toml"
every = "1s"
"""

LABEL = """
protocol = "modbus"
[points]
serial = { at = "input 0", type = "string:4" }
weight = { at = "input 4", type = "float32", range = [0, 10] }
"""

SCENARIO = """
title = "A flow"
site = "plant.toml"
seed = 3
start = 2026-03-01T06:30:00+08:00
step = "500ms"

[signals]
rain = { shape = "noise", mean = 5, spread = 2 }

[flow-1.flow]
shape = "correlated"
of = "rain"
factor = 2

[flow-1.total]
shape = "counter"
of = "flow"

[label-1]
serial = { shape = "steady", value = "SN-7" }
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "plant.toml").write_text(SITE, encoding="utf-8")
    (tmp_path / "label.toml").write_text(LABEL, encoding="utf-8")

    def writing(text):
        file = tmp_path / "scenario.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return writing


def mistakes(file):
    with pytest.raises(Problems) as caught:
        load_scenario(file)
    return [str(each).replace(f"{file.parent}/", "") for each in caught.value.problems]


def test_a_scenario_says_which_site_from_when_and_how_values_move(write):
    scenario = load_scenario(write(SCENARIO))

    assert (scenario.head.title, scenario.head.seed, scenario.head.step) == ("A flow", 3, 500)
    assert scenario.head.start == datetime.fromisoformat("2026-03-01T06:30:00+08:00")
    assert scenario.day_ms == (6 * 60 + 30) * 60_000
    assert [each.name for each in scenario.site.instruments] == ["flow-1", "label-1"]
    assert scenario.signals == {"rain": Noise(mean=5, spread=2)}
    assert scenario.shapes["flow-1"] == {"flow": Correlated(of="rain", factor=2), "total": Counter(of="flow")}


def test_a_scenario_needs_no_more_than_a_site(write):
    scenario = load_scenario(write('site = "plant.toml"'))

    assert scenario.head.step == 1000
    assert World(scenario).devices["label-1"].values()["serial"] == "serial"


@pytest.mark.parametrize("name", [name for name in packaged() if name != "bad-day"])  # whose dust passes its range
def test_every_shipped_scenario_loads_and_stays_within_its_ranges_for_a_day(name):
    world = World(load_scenario(name))

    for _ in range(24 * 10):
        world.advance(360_000)
        for device in world.devices.values():
            values = device.values()
            for point in device.instrument.points:
                low, high = point.range or (float("-inf"), float("inf"))
                assert isinstance(values[point.name], str) or low <= values[point.name] <= high, (device, point)


def test_the_demo_moves_every_instrument_and_ties_nox_to_the_load():
    world = World(load_scenario("demo"))
    seen = {name: set() for name in world.devices}
    nox, o2 = [], []
    for _ in range(600):
        world.advance(1_000)
        for name, device in world.devices.items():
            seen[name].add(tuple(device.values().values()))
        nox.append(world.devices["stack-1"].values()["nox"])
        o2.append(world.devices["stack-1"].values()["o2"])

    assert min(len(each) for each in seen.values()) > 100
    high = sorted(range(600), key=nox.__getitem__)[-100:]
    assert sum(o2[n] for n in high) / 100 < sum(o2) / 600


def test_the_same_scenario_and_steps_make_the_same_world(write):
    scenario = load_scenario(write(SCENARIO))
    first, second = World(scenario), World(scenario)
    for _ in range(100):
        first.advance(500)
        second.advance(500)
        assert first.devices["flow-1"].values() == second.devices["flow-1"].values()
        for unit in (2, 3):
            assert first.units["one"][unit].read("input", 0, 1) == second.units["one"][unit].read("input", 0, 1)


def test_five_different_mistakes_are_five_messages_with_their_lines(write):
    text = """
site = "plant.toml"
step = "soon"
[flow-1.flow]
shape = "noize"
[flow-1.velocity]
shape = "noise"
mean = "fast"
spread = -1
[flow-2.flow]
shape = "steady"
value = 1
"""
    found = mistakes(write(text))

    assert len(found) == 5
    assert found[0].startswith('scenario.toml:3: step: "soon" is not a duration')
    assert found[1] == 'scenario.toml:5: flow-1.flow.shape: unknown shape "noize"; did you mean "noise"?'
    assert found[2].startswith("scenario.toml:8: flow-1.velocity.mean: ")
    assert found[3] == "scenario.toml:9: flow-1.velocity.spread: must be at least 0.0"
    assert found[4] == 'scenario.toml:10: flow-2: unknown instrument "flow-2"; did you mean "flow-1"?'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1\n", "site: is missing; add it"),
        ('site = "plant.toml"\nstart = 2026-01-01T00:00:00\n', "2: start: "),
        ('site = "plant.toml"\nstep = "0ms"\n', "2: step: "),
        ('site = "plant.toml"\nsead = 1\n', '2: sead: unknown key "sead"; did you mean "seed"?'),
        ('site = "plant.toml"\nsignals = 1\n', "2: signals: must be a table"),
        ('site = "plant.toml"\n[flow-1]\nflow = 3\n', "3: flow-1.flow: must be a table"),
        ('site = "plant.toml"\n[flow-1.flow]\nvalue = 3\n', "flow-1.flow.shape: is missing; add it"),
        ('site = "plant.toml"\n[flow-1.flow]\nshape = 3\n', '3: flow-1.flow.shape: unknown shape "3"'),
        (
            'site = "plant.toml"\n[flow-1.flou]\nshape = "steady"\nvalue = 1\n',
            '2: flow-1.flou: unknown point "flou"; did you mean "flow"?',
        ),
        (
            'site = "plant.toml"\n[flow-l.flow]\nshape = "steady"\nvalue = 1\n',
            '2: flow-l: unknown instrument "flow-l"; did you mean "flow-1"?',
        ),
        (
            """site = "plant.toml"
signals.load = { shape = "steady", value = 1 }
[flow-1]
flow = { shape = "correlated", of = "loud" }
""",
            '4: flow-1.flow.of: unknown of "loud"; did you mean "load"?',
        ),
        (
            """site = "plant.toml"
[flow-1]
flow = { shape = "correlated", of = "velocity" }
velocity = { shape = "correlated", of = "flow" }
""",
            "2: flow-1: these follow one another in a circle: ",
        ),
        (
            'site = "plant.toml"\n[flow-1.flow]\nshape = "steady"\nvalue = "fast"\n',
            "flow-1.flow: a text is for a point of text",
        ),
        (
            'site = "plant.toml"\n[label-1.serial]\nshape = "steady"\nvalue = 7\n',
            "label-1.serial: a text is for a point of text",
        ),
        ('site = "plant.toml"\n[label-1.weight]\nshape = "correlated"\nof = "serial"\n', 'unknown of "serial"'),
        ('site = "plant.toml"\n[signals.x]\nshape = "steady"\nvalue = "x"\n', "signals.x.value: a signal is a number"),
        ('site = "plant.toml"\n[flow-1.total]\nshape = "counter"\n', 'needs "rate" or "of", and not both'),
        ('site = "nowhere.toml"\n', "nowhere.toml: there is no such file"),
        ("site = \n", "scenario.toml:1: this is not TOML"),
        (b"\xff\xfe", "this is not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_place_and_what_was_perhaps_meant(write, text, message):
    found = mistakes(write(text))

    assert len(found) == 1
    assert message in found[0]


def test_the_problems_of_the_site_are_told_with_the_scenario_s(write, tmp_path):
    (tmp_path / "plant.toml").write_text(SITE.replace("unit = 2", 'unit = "two"'), encoding="utf-8")

    found = mistakes(write('site = "plant.toml"\n[flow-1.flow]\nshape = "noize"\n'))

    assert any(each.startswith("plant.toml:") for each in found)
    assert any("noize" in each for each in found)


def test_an_unknown_name_of_a_scenario_suggests_one_that_is_there():
    with pytest.raises(Problems, match='did you mean "demo"'):
        load_scenario("dema")


def test_a_scenario_that_is_not_there_is_said():
    with pytest.raises(Problems, match="there is no such file"):
        load_scenario("nowhere/at-all.toml")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mutilated_scenario_is_a_scenario_or_has_problems_and_nothing_else(write, data):
    raw = bytearray(SCENARIO.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=4))
    with suppress(Problems):
        World(load_scenario(write(bytes(raw)))).advance(500)
