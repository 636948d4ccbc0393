"""What was missed of an instrument's nodes, node by node: the edges of a gap, and what a restart remembers of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0, instrument, point, state

from parkgate.drivers.driver import Recalled
from parkgate.drivers.opcua.codec import Reading
from parkgate.drivers.opcua.gaps import DAY, LONGEST, MOST_GAPS, Delivered
from parkgate.drivers.opcua.plan import plan

TANK = instrument(point("a"), point("b"), states=[state()])
A, B, HEALTH = range(3)
BAD_NO_COMMUNICATION, BAD_SENSOR, BAD_NODE = 0x8031_0000, 0x808C_0000, 0x8034_0000
LATER = T0 + 300_000


def said(value, time, status=0):
    return Reading(value, status, time)


def delivered(*, a=T0, b=T0, health=T0):
    """Give what is known behind one reading of all nodes."""
    known = Delivered(plan(TANK))
    known.note({A: said(1.0, a), B: said(2.0, b), HEALTH: said(0, health)}, T0)
    return known


def lost(known, a, b, health, **more):
    known.lose()
    known.note({A: said(1.0, a), B: said(2.0, b), HEALTH: said(1, health)}, LATER, **more)
    return known


def test_a_gap_is_between_the_newest_before_and_the_first_behind_of_each_node():
    known = lost(delivered(a=T0, b=T0 - 700), LATER, LATER - 900, T0)
    (gap,) = known.gaps
    assert gap.spans == {A: (T0, LATER), B: (T0 - 700, LATER - 900)}
    assert (gap.start, gap.end) == (T0, LATER)
    assert gap.held[HEALTH].value == 0


def test_nothing_is_missed_of_a_node_that_says_the_same_as_before():
    known = lost(delivered(), LATER, T0, T0)
    assert known.gaps[0].spans.keys() == {A}
    assert not lost(delivered(), T0, T0, T0).gaps
    assert not lost(delivered(), T0 + 1, T0, T0).gaps, "between two milliseconds that follow each other is nothing"


def test_without_a_loss_there_is_no_gap_however_long_nothing_was_said():
    known = delivered()
    known.note({A: said(1.0, LATER)}, LATER)
    assert not known.gaps


def test_a_loss_before_anything_was_delivered_is_none():
    known = Delivered(plan(TANK))
    known.lose()
    known.note({A: said(1.0, LATER)}, LATER)
    assert not known.gaps
    assert known.mark()


@pytest.mark.parametrize("status", [BAD_NO_COMMUNICATION, BAD_NODE])
def test_a_node_that_cannot_be_reached_ends_no_gap_and_is_no_delivered_value(status):
    known = delivered()
    known.lose()
    known.note({place: said(None, LATER - 9, status) for place in (A, B, HEALTH)}, LATER)
    assert not known.gaps
    known.note({A: said(5.0, LATER)}, LATER)
    assert known.gaps[0].spans[A] == (T0, LATER)
    assert known.gaps[0].spans[B] == (T0, LATER), "of a node that is silent still, what is missing is missing as long"


def test_a_value_of_bad_status_that_was_measured_is_delivered():
    known = delivered()
    known.note({A: said(None, T0 + 50, BAD_SENSOR)}, T0 + 50)
    assert lost(known, LATER, T0, T0).gaps[0].spans == {A: (T0 + 50, LATER)}


def test_several_losses_without_a_reading_between_are_one_gap():
    known = delivered()
    for _ in range(3):
        known.lose()
    assert [gap.spans[A] for gap in lost(known, LATER, T0, T0).gaps] == [(T0, LATER)]


def test_losses_with_a_reading_between_are_gaps_of_their_own_and_none_overlaps():
    known = lost(delivered(), T0 + 1_000, T0, T0)
    lost(known, T0 + 5_000, T0, T0)
    assert [gap.spans[A] for gap in known.gaps] == [(T0, T0 + 1_000), (T0 + 1_000, T0 + 5_000)]


def test_where_the_source_gives_no_time_ours_counts():
    known = Delivered(plan(TANK))
    known.note({A: Reading(1.0)}, T0)
    known.lose()
    known.note({A: Reading(2.0)}, LATER)
    assert known.gaps[0].spans == {A: (T0, LATER)}


def test_what_is_older_than_a_week_is_declared_and_the_rest_is_missing():
    known = lost(delivered(), T0 + LONGEST + 5_000, T0, T0)
    assert known.told == [Recalled(T0, T0 + 5_000, reason="too-long")]
    assert (known.gaps[0].start, known.gaps[0].spans) == (T0 + 5_000, {A: (T0 + 5_000, T0 + LONGEST + 5_000)})


def test_a_node_that_moves_once_a_year_is_not_asked_for_the_year():
    known = lost(delivered(b=T0 - 365 * DAY), LATER, LATER, T0)
    assert known.gaps[0].spans == {A: (T0, LATER), B: (LATER - LONGEST, LATER)}
    assert known.told == []


def test_a_clock_that_was_set_back_is_declared_and_nothing_comes_twice():
    known = lost(delivered(), T0 - 60_000, T0, T0)
    assert not known.gaps
    assert known.told == [Recalled(T0, T0, reason="clock-set-back")]
    known.told.clear()
    lost(known, T0 - 10_000, T0, T0)
    assert not known.gaps
    assert len(known.told) == 1, "its times were used before"
    lost(known, T0 + 30_000, T0, T0)
    assert known.gaps[0].spans == {A: (T0, T0 + 30_000)}


def test_a_clock_that_was_years_ahead_is_forgotten():
    known = delivered(a=T0 + 400 * DAY)
    known.note({A: said(1.0, T0 + 10)}, T0 + 10)
    assert lost(known, LATER, T0, T0).gaps[0].spans == {A: (T0 + 10, LATER)}


def test_a_state_that_changed_at_once_has_an_edge_of_its_own():
    known = lost(delivered(), LATER, T0, T0 + 1)
    assert known.gaps[0].spans == {A: (T0, LATER), HEALTH: (T0, T0 + 1)}
    assert known.gaps[0].after[HEALTH].value == 1


def test_a_gap_that_is_filled_in_pieces_ends_with_all_that_filled_it():
    known = lost(delivered(), LATER, T0, T0)
    known.advance(T0 + 1_001, 3)
    assert known.gaps[0].spans[A] == (T0 + 1_000, LATER)
    known.advance(LATER, 4)
    known.fill()
    assert known.told == [Recalled(T0, LATER, 7)]
    assert not known.gaps


def test_a_gap_of_which_the_server_has_nothing_is_told_as_empty():
    known = lost(delivered(), LATER, T0, T0)
    known.fill()
    assert known.told == [Recalled(T0, LATER, reason="empty")]


def test_a_gap_that_is_given_up_half_way_is_told_as_both():
    known = lost(delivered(), LATER, T0, T0)
    known.advance(T0 + 1_001, 3)
    known.give_up("refused")
    assert known.told == [Recalled(T0, T0 + 1_000, 3), Recalled(T0 + 1_000, LATER, reason="refused")]


def test_what_is_missed_while_too_many_gaps_wait_is_declared():
    known = delivered()
    for number in range(1, MOST_GAPS + 2):
        lost(known, T0 + 1_000 * number, T0, T0)
    assert len(known.gaps) == MOST_GAPS
    assert known.told == [Recalled(T0 + 1_000 * MOST_GAPS, T0 + 1_000 * (MOST_GAPS + 1), reason="too-many")]
    known.fill()
    assert lost(known, T0 + 90_000, T0, T0).gaps[-1].spans == {A: (T0 + 1_000 * (MOST_GAPS + 1), T0 + 90_000)}


def resumed(known, tank=TANK):
    again = Delivered(plan(tank))
    again.resume(known.mark())
    return again


def test_a_restart_goes_on_from_the_newest_of_each_node_with_the_states_in_force():
    again = lost(resumed(delivered(b=T0 - 700)), LATER, LATER - 1, LATER)
    assert again.gaps[0].spans == {A: (T0, LATER), B: (T0 - 700, LATER - 1), HEALTH: (T0, LATER)}
    assert again.gaps[0].held == {HEALTH: said(0, T0)}


def test_a_restart_while_a_gap_is_filled_goes_on_where_it_was_and_keeps_the_edge_behind_it():
    known = lost(delivered(), LATER, T0, LATER)
    known.advance(T0 + 2_001, 5)
    again = resumed(known)
    assert list(again.gaps) == list(known.gaps)
    lost(again, LATER + 60_000, T0, LATER)
    assert [gap.spans[A] for gap in again.gaps] == [(T0 + 2_000, LATER), (LATER, LATER + 60_000)]


def test_a_restart_before_anything_was_heard_again_still_begins_where_it_was_lost():
    known = delivered()
    known.lose()
    assert lost(resumed(known), LATER, T0, T0).gaps[0].spans == {A: (T0, LATER)}


def test_a_restart_under_other_points_goes_on_from_the_newest_time_of_all():
    other = instrument(point("new"), point("b"), states=[state()])
    known = lost(delivered(b=T0 - 700), LATER, T0 - 700, T0)
    known.advance(T0 + 1_001, 3)
    again = resumed(known, other)
    assert [set(gap.spans.values()) for gap in again.gaps] == [{(T0 + 1_000, LATER)}]
    assert again.gaps[0].held[2].value == 0
    lost(again, LATER + 60_000, T0 - 700, LATER + 60_000)
    assert again.gaps[1].spans == {0: (LATER, LATER + 60_000), 2: (LATER, LATER + 60_000)}
    assert again.told == [], "what did not move since long is no clock that was set back"


times = st.integers(T0, T0 + 10**7)
turns = st.lists(st.tuples(st.booleans(), st.dictionaries(st.sampled_from([A, B, HEALTH]), times)), max_size=30)


@given(turns)
def test_the_gaps_of_a_node_never_overlap_and_never_hold_what_was_delivered(told):
    known = Delivered(plan(TANK))
    given_times = {A: set(), B: set(), HEALTH: set()}
    for gone, readings in told:
        if gone:
            known.lose()
        known.note({place: said(0, time) for place, time in readings.items()}, T0)
        for place, time in readings.items():
            given_times[place].add(time)
        known = resumed(known) if len(known.gaps) % 2 else known
    for place, instants in given_times.items():
        gaps = [gap for gap in known.gaps if place in gap.spans]
        for sooner, later in itertools.pairwise(gaps):
            assert sooner.spans[place][1] - 1 <= later.spans[place][0], "strictly between, both"
        for gap in gaps:
            since, until = gap.spans[place]
            assert {(place, time) for time in instants if since < time < until} <= gap.known


@given(turns)
def test_a_mark_that_is_resumed_says_the_same_again(told):
    known = Delivered(plan(TANK))
    for gone, readings in told:
        if gone:
            known.lose()
        known.note({place: said(0, time) for place, time in readings.items()}, T0)
    if known.known:
        assert resumed(known).mark() == known.mark()


def test_a_mark_of_a_large_instrument_is_small():
    large = plan(instrument(*(point(f"p{number}") for number in range(500))))
    known = Delivered(large)
    known.note({place: said(1.0, T0 - place * 7919 % 997) for place in range(500)}, T0)
    assert len(known.mark()) < 1_500
    known.note({place: said(1.0, LATER) for place in range(500)}, T0)
    assert len(known.mark()) < 150


def test_a_node_that_was_silent_behind_two_gaps_is_in_both_and_twice_in_none():
    known = delivered()
    for end in (LATER, LATER + 60_000):
        known.lose()
        known.note({A: said(1.0, end)}, end)
        known = resumed(known)
    assert [gap.spans[B] for gap in known.gaps] == [(T0, LATER), (LATER - 1, LATER + 60_000)]
    known.note({B: said(1.0, LATER + 90_000)}, LATER)
    assert lost(known, LATER + 60_000, LATER + 99_000, T0).gaps[-1].spans == {B: (LATER + 90_000, LATER + 99_000)}


def test_a_state_that_cannot_be_read_behind_a_loss_does_not_change_what_was_in_force_before_it():
    known = delivered()
    known.lose()
    known.note({HEALTH: said(None, LATER, BAD_NO_COMMUNICATION)}, LATER)
    assert lost(resumed(known), LATER, T0, LATER).gaps[0].held == {HEALTH: said(0, T0)}
    assert lost(known, LATER, T0, LATER).gaps[0].held == {HEALTH: said(0, T0)}
