"""Change reports laid over what was said before, and how often an instrument is told in full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import followed, instrument, point, state

from parkgate.config.flag import Flag
from parkgate.config.profile import Heartbeat
from parkgate.drivers.snapshot import FULL_MS, Snapshot, full_every, onto

BEFORE = Snapshot(
    "a", 1_000, (1.0, 2.0, None), flags={1: Flag.FAULT, 2: Flag.STALE}, uncertain=frozenset({0}), offsets={1: -50}
)


def test_what_a_report_says_nothing_about_stays_with_its_flag_and_its_own_time():
    report = Snapshot("a", 1_200, (None, 3.0, None), states=(1,), absent=frozenset({0, 2}))
    assert onto(report, BEFORE) == Snapshot(
        "a", 1_200, (1.0, 3.0, None), flags={2: Flag.STALE}, states=(1,), uncertain=frozenset({0}), offsets={0: -200}
    )


def test_a_report_over_nothing_and_a_full_one_stay_as_they_are():
    report = Snapshot("a", 1_200, (None, 3.0), absent=frozenset({0}))
    assert onto(report, None) is report
    full = Snapshot("a", 1_200, (4.0, 3.0, 5.0))
    assert onto(full, BEFORE) is full


@given(
    st.lists(st.tuples(st.integers(0, 100), st.dictionaries(st.integers(0, 3), st.integers(), min_size=1)), max_size=8)
)
def test_of_any_reports_each_point_keeps_the_last_that_was_said_of_it(reports):
    seen, said = Snapshot("a", 0, (0, 0, 0, 0)), dict.fromkeys(range(4), (0, 0))
    for at, told in reports:
        said |= {place: (value, at) for place, value in told.items()}
        values = tuple(told.get(place) for place in range(4))
        seen = onto(Snapshot("a", at, values, absent=frozenset(range(4)) - told.keys()), seen)
    assert seen.absent == frozenset()
    assert {place: (seen.values[place], seen.at + seen.offsets.get(place, 0)) for place in range(4)} == said


@pytest.mark.parametrize(
    ("asked", "every"),
    [
        (instrument(point("a")), 1_000),
        (followed(point("a"), every=1_000), FULL_MS),
        (followed(point("a"), every=3_600_000), 3_600_000),
        (followed(point("a", unchanged="10s"), point("b", unchanged="1h"), every=1_000), 5_000),
        (followed(point("a"), every=1_000, states=[Heartbeat(at="i=1", limit=30_000).state], heartbeat=30_000), 15_000),
        (followed(point("a"), every=1_000, states=[state()]), FULL_MS),
    ],
    ids=["read", "followed", "slower than a minute", "a value that may not stand", "a heartbeat", "a state"],
)
def test_what_may_not_stand_still_is_told_twice_within_its_time(asked, every):
    assert full_every(asked) == every
