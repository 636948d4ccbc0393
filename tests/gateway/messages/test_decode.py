"""A stored snapshot is read back as it was encoded."""

from dataclasses import replace

from hypothesis import given
from support.records import cases

from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.messages.decode import snapshot_of
from parkgate.gateway.messages.encode import SnapshotEncoder


@given(cases)
def test_what_was_encoded_is_read_back(case):
    instrument, snapshot = case
    body = SnapshotEncoder("s/g/a", "0001-abcdef", "0a1b2c3d", instrument)(snapshot, 1, 1)
    wanted = replace(snapshot, states=(), uncertain=frozenset())  # they are of no use any more
    assert snapshot_of(instrument, body) == wanted


def instrument_of(*names):
    points = tuple(Point(name=name, at="input 0", type="float32") for name in names)
    return Instrument(name="a", line="l", every=1_000, profile="p", protocol="opcua", points=points)


def test_a_change_report_leaves_out_what_it_says_nothing_about():
    about = instrument_of("so2", "o2", "co")
    report = Snapshot("a", 5, (1.0, None, None), flags={2: Flag.FAULT}, absent=frozenset({1}), offsets={0: -3})
    for each in (report, replace(report, late=True)):
        body = SnapshotEncoder("s/g/a", "0001-abcdef", "0a1b2c3d", about)(each, 1, 1)
        assert snapshot_of(about, body) == each, "what came out of a history is still that"


def test_a_point_that_is_new_is_absent_and_one_that_is_gone_is_left_out():
    body = SnapshotEncoder("s/g/a", "0001-abcdef", "0a1b2c3d", instrument_of("so2", "o2"))(
        Snapshot("a", 5, (1.0, 2.0), offsets={1: -7}), 1, 1
    )
    found = snapshot_of(instrument_of("co", "so2"), body)
    assert (found.values, found.absent, found.offsets) == ((None, 1.0), frozenset({0}), {})
