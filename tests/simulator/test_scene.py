"""What people see of a simulated park, and of a judgement; and how they are told to ask its instruments."""

from rich.console import Console

from parkgate.simulator.judgement import as_json, findings, judgement_table, troubles_table
from parkgate.simulator.places import examples, places, places_table
from parkgate.simulator.received import Snapshot
from parkgate.simulator.reconcile import judge
from parkgate.simulator.scenario import load_scenario
from parkgate.simulator.scene import rows, scene
from parkgate.simulator.truth import Shown
from parkgate.simulator.world import World


def printed(*what):
    console = Console(width=150, no_color=True)
    with console.capture() as told:
        console.print(*what)
    return told.get()


def test_the_park_shows_values_troubles_flags_its_time_and_the_keys():
    world = World(load_scenario("bad-day"))
    world.advance(130_000)
    world.switch(0)
    told = printed(scene(world, {"cems": "modbus-tcp://127.0.0.1:1"}, 0, keys=True))
    assert "! silent" in told
    assert "2026-01-05 08:02:10" in told
    assert "5 min + 20 min" in told
    assert "by 1.5 s" in told
    assert "modbus-tcp://127.0.0.1:1" in told
    keyed = [line.split()[:4] for line in told.splitlines() if line.startswith(("1 ", "2 "))]
    assert keyed == [["1", "on", "stack-1", "silent"], ["2", "off", "stack-2", "late"]]
    flags = {row.instrument: {reading.flag for reading in row.readings} for row in rows(world, 0)}
    assert flags["gas-1"] == {"warm-up"}
    assert flags["gas-2"] == {""}


def test_without_a_terminal_there_are_no_keys():
    told = printed(scene(World(load_scenario("link-outage")), {}, 0, keys=False))
    assert "link-cut" in told
    assert not any(line.startswith("1 ") for line in told.splitlines())


def test_each_way_of_serving_has_its_example():
    scenario = load_scenario("demo")
    found = places(scenario, dict.fromkeys(("cems", "gas", "water", "tanks"), "modbus-tcp://127.0.0.1:5"))
    assert "stack-1" in printed(places_table("Park", found))
    assert [command.split()[0] for _, command in examples(found)] == ["mbpoll", "uals"]


def test_a_judgement_is_shown_with_what_is_wrong():
    flagged = frozenset({"calibration"})
    truth = [Shown(n * 1000, {"p": 1.0}, {"p": flagged} if n < 3 else {}, ("slow",)) for n in range(9)]
    snapshots = [
        Snapshot("e", n + 1, n * 1000, n * 1000, live=True, values={"p": 7.0 if n == 8 else 1.0}, flags={"p": ""})
        for n in (0, 1, 2, 8)
    ]
    judged = [judge("gas-1", 1_000, truth, snapshots)]
    table = printed(judgement_table(judged))
    assert table.splitlines()[1].split()[:9] == ["gas-1", "9", "4", "5", "0", "0", "0", "1", "2"]
    assert "usable" in printed(troubles_table(judged))
    lines = findings(judged)
    assert any("calibration" in line for line in lines)
    assert any("7.0, and not 1.0" in line for line in lines)
    assert as_json(judged)["gas-1"]["right"] is False
    assert len(findings(judged, most=1)) == 2  # the first, and how many more
