"""The truth of a park: the same each time, and one row a point."""

import sqlite3
from contextlib import closing

import pytest

from parkgate.simulator.scenario import load_scenario
from parkgate.simulator.truth import NoTruth, Truth, TruthWriter
from parkgate.simulator.world import World


def lived(path, steps=400, scenario="bad-day"):
    world = World(load_scenario(scenario))
    with TruthWriter(path, world) as truth:
        for _ in range(steps):
            truth.note(world.now_ms)
            world.advance(1_000)
    return world


def rows(path, query, *about):
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query, about).fetchall()


def test_the_same_scenario_and_steps_give_the_same_file_byte_for_byte(tmp_path):
    for name in ("a", "b"):
        lived(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_point_has_its_time_value_state_and_trouble(tmp_path):
    world = lived(tmp_path / "t")
    start = world.scenario.start_ms
    points = sum(len(device.instrument.points) for device in world.devices.values())
    assert rows(tmp_path / "t", "SELECT count(*) FROM truth") == [(400 * points,)]
    query = "SELECT state, trouble FROM truth WHERE instrument = ? AND point = ? AND time = ?"
    assert rows(tmp_path / "t", query, "gas-1", "gas", start + 119_000) == [("", "")]
    assert rows(tmp_path / "t", query, "gas-1", "gas", start + 120_000) == [("warm-up", "")]
    assert rows(tmp_path / "t", query, "stack-1", "so2", start + 300_000) == [("", "silent")]
    assert rows(tmp_path / "t", query, "stack-1", "so2", start + 299_000) == [("", "")]


def test_it_is_read_as_it_was_written(tmp_path):
    world = lived(tmp_path / "t", 130)
    with Truth(tmp_path / "t") as truth:
        shown = list(truth.shown("gas-1"))
        assert truth.instruments["gas-1"] == 1_000
    assert [each.time for each in shown] == [world.scenario.start_ms + 1_000 * n for n in range(130)]
    assert shown[125].flags["gas"] == {"warm-up"}
    assert set(shown[0].values) == {"gas", "temperature", "heartbeat", "low_alarm", "high_alarm"}


def test_a_truth_is_not_written_over_and_what_is_none_is_said(tmp_path):
    (tmp_path / "t").write_text("my notes")
    with pytest.raises(NoTruth, match="not written over"), TruthWriter(tmp_path / "t", World(load_scenario("demo"))):
        pass
    assert (tmp_path / "t").read_text() == "my notes"
    with pytest.raises(NoTruth, match="no truth file"):
        Truth(tmp_path / "t")
    with pytest.raises(NoTruth, match="is not there"):
        Truth(tmp_path / "nowhere")
    with (
        pytest.raises(NoTruth, match="cannot be made"),
        TruthWriter(tmp_path / "no" / "t", World(load_scenario("demo"))),
    ):
        pass
