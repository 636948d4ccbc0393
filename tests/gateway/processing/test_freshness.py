"""What no longer moves is told from what lives: heartbeats, values that may not stand, and clocks that jump."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.flag import Flag
from parkgate.config.profile import Heartbeat, Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, unread
from parkgate.gateway.processing.freshness import MOST_PERIODS, Freshness
from parkgate.gateway.processing.validity import Judge

EVERY = 1_000


def instrument(*unchanged, heartbeat=None, states=()):
    points = tuple(
        Point(name=f"p{n}", at=f"input {n}", type="uint16", unchanged=limit) for n, limit in enumerate(unchanged)
    )
    if heartbeat is not None:
        states = (*states, Heartbeat(at="holding 9", limit=heartbeat).state)
    return Instrument(
        name="i", line="l", every=EVERY, profile="p", protocol="modbus", points=points, states=states,
        heartbeat=heartbeat,
    )  # fmt: skip


class Bench:
    """An instrument that is judged turn after turn, by a clock of the test's."""

    def __init__(self, about):
        self.about = about
        self.seconds = 1_000.0
        self.judge = Judge.of(about, lambda: self.seconds)

    def turn(self, *values, states=(), after=1.0, at=0, flags=None):
        self.seconds += after
        return dict(self.judge(Snapshot("i", at, values, flags=flags or {}, states=states)).flags)


def test_a_value_that_stands_for_longer_than_it_may_is_stale_until_it_moves():
    bench = Bench(instrument(5_000, None))
    told = [bench.turn(7, 7) for _ in range(8)]
    assert told == [{}] * 6 + [{0: Flag.STALE}] * 2
    assert bench.turn(8, 7) == {}
    assert [bench.turn(8, 7) for _ in range(6)] == [{}] * 5 + [{0: Flag.STALE}]


def test_a_value_that_moves_and_comes_back_was_not_standing():
    bench = Bench(instrument(3_000))
    assert [bench.turn(n % 2) for n in range(20)] == [{}] * 20


def test_a_heartbeat_that_stops_makes_every_value_stale_however_much_they_move():
    bench = Bench(instrument(None, None, heartbeat=5_000))
    assert [bench.turn(n, n, states=(n,)) for n in range(9)] == [{}] * 9
    told = [bench.turn(n, n, states=(8,)) for n in range(7)]
    assert told == [{}] * 5 + [{0: Flag.STALE, 1: Flag.STALE}] * 2
    assert bench.turn(3, 3, states=(9,)) == {}


def test_a_heartbeat_that_cannot_be_read_is_no_communication_as_any_state_is():
    bench = Bench(instrument(None, heartbeat=5_000))
    assert bench.turn(1, states=(None,)) == {0: Flag.NO_COMMUNICATION}


def test_the_heartbeat_is_the_last_state_and_those_before_judge_as_ever():
    bench = Bench(instrument(None, heartbeat=2_000, states=(State(at="holding 0", equals=(1,), flag="calibration"),)))
    assert bench.turn(1, states=(0, 1)) == {}
    assert bench.turn(1, states=(1, 1)) == {0: Flag.CALIBRATION}
    assert bench.turn(1, states=(1, 2)) == {0: Flag.CALIBRATION}
    assert [bench.turn(1, states=(0, 2)) for _ in range(3)] == [{}, {}, {0: Flag.STALE}]


def test_what_the_instrument_says_of_itself_is_told_before_that_its_value_stands():
    bench = Bench(instrument(1_000))
    told = [bench.turn(7, flags={0: Flag.FAULT}) for _ in range(4)]
    assert told == [{0: Flag.FAULT}] * 4
    assert bench.turn(7) == {0: Flag.STALE}


def test_a_turn_without_an_answer_neither_refreshes_nor_ages_by_more_than_it_may():
    bench = Bench(instrument(5_000))
    assert [bench.turn(7) for _ in range(4)] == [{}] * 4
    silence = [bench.judge(unread(bench.about, 0)).flags for _ in range(600)]
    assert silence == [{0: Flag.NO_COMMUNICATION}] * 600
    assert bench.turn(7, after=600) == {0: Flag.STALE}  # 3 s before, and no more than 3 of the 600
    fresh = Bench(instrument((MOST_PERIODS + 1) * EVERY))
    fresh.turn(7)
    assert fresh.turn(7, after=86_400) == {}
    assert fresh.turn(7) == {}
    assert fresh.turn(7) == {0: Flag.STALE}


def test_what_a_subscription_does_not_tell_stands_and_a_silence_counts_as_one_full_snapshot_at_most():
    about = instrument(10_000, None).model_copy(update={"protocol": "opcua", "acquisition": "subscription"})
    bench = Bench(about)
    seen = Snapshot("i", 0, (None, 7), absent=frozenset({0}))
    assert bench.turn(7, 7) == {}
    for seconds in (2.0, 2.0, 1.0, 5.0, 0.5):
        bench.seconds += seconds
        assert dict(bench.judge(seen).flags) == {}, "a report that does not name it says nothing of it"
    assert bench.turn(7, 7, after=0.0) == {}, "5 s and a period count at most: more was not watched"
    assert bench.turn(7, 7, after=5.0) == {0: Flag.STALE}


def test_the_stamps_of_a_wall_clock_that_is_stepped_age_nothing():
    bench = Bench(instrument(5_000, heartbeat=5_000))
    for at in (0, 10**12, -(10**12), 5, 5, 10**15):
        assert bench.turn(7, states=(7,), at=at) == {}
    assert bench.turn(7, states=(7,), at=5) == {0: Flag.STALE}


def test_a_clock_that_runs_backwards_makes_nothing_younger_or_older():
    bench = Bench(instrument(3_000))
    bench.turn(7)
    assert [bench.turn(7, after=-50) for _ in range(20)] == [{}] * 20
    assert [bench.turn(7) for _ in range(4)] == [{}] * 3 + [{0: Flag.STALE}]


def test_text_may_have_to_change_too():
    bench = Bench(instrument(2_000))
    assert [bench.turn("12:00") for _ in range(4)] == [{}, {}, {}, {0: Flag.STALE}]
    assert bench.turn("12:01") == {}


def test_an_instrument_of_which_nothing_has_to_change_costs_nothing():
    assert Freshness.of(instrument(None), lambda: 0.0) is None
    assert Judge.of(instrument(None), lambda: 0.0) == Judge.of(instrument(None))


def test_who_reads_once_only_sees_no_freshness():
    about = instrument(1, heartbeat=1)
    judge = Judge.of(about)
    assert [judge(Snapshot("i", 0, (7,), states=(1,))).flags for _ in range(9)] == [{}] * 9


TURNS = st.lists(st.tuples(st.none() | st.integers(0, 2), st.integers(1, 5_000)), max_size=60)


@given(TURNS, st.integers(1, 20_000))
def test_it_is_stale_exactly_where_the_time_watched_without_a_change_is_longer_than_the_limit(turns, limit):
    """Judged a second time from the whole history, of which a reading counts only what lies behind the last change."""
    bench, history, now = Bench(instrument(limit)), [], 0
    for value, pause in turns:
        now += pause
        flags = bench.turn(value, after=pause / 1000, flags={} if value is not None else {0: Flag.NO_COMMUNICATION})
        if value is None:
            assert flags == {0: Flag.NO_COMMUNICATION}
            continue
        history.append((now, value))
        same = [each for place, each in enumerate(history) if {v for _, v in history[place:]} == {value}]
        steps = [min(b[0] - a[0], MOST_PERIODS * EVERY) for a, b in pairwise(same)]
        if abs(sum(steps) - limit) > 1:  # the clock is in seconds, and floats
            assert flags == ({0: Flag.STALE} if sum(steps) > limit else {})


@pytest.mark.parametrize("living", [1, 2, 3])
def test_what_changes_in_time_is_never_stale(living):
    bench = Bench(instrument(3_500, heartbeat=3_500))
    assert [bench.turn(n // living, states=(n // living,)) for n in range(50)] == [{}] * 50


def test_what_comes_late_ages_by_its_own_time_and_apart_from_what_is_read_now():
    judge = Judge.of(instrument(5_000), lambda: 7.0)
    late = [judge(Snapshot("i", EVERY * turn, (1,), late=True)).flags for turn in range(9)]
    assert late == [{}] * 6 + [{0: Flag.STALE}] * 3
    assert judge(Snapshot("i", 99_000, (1,))).flags == {}, "seen now for the first time"
    assert judge(Snapshot("i", 9 * EVERY, (2,), late=True)).flags == {}


def test_a_heartbeat_that_stood_in_the_past_makes_stale_what_comes_late():
    judge = Judge.of(instrument(None, heartbeat=3_000), lambda: 7.0)
    late = [judge(Snapshot("i", EVERY * turn, (turn,), states=(4,), late=True)).flags for turn in range(6)]
    assert late == [{}] * 4 + [{0: Flag.STALE}] * 2
