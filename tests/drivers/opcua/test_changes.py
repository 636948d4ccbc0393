"""What a subscription told, merged into snapshots: each change once, with its own time, and everything now and then."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0, followed, point, state

from parkgate.config.flag import Flag
from parkgate.config.profile import Heartbeat
from parkgate.drivers.opcua import changes
from parkgate.drivers.opcua.changes import Changes
from parkgate.drivers.opcua.codec import Decoder, Reading
from parkgate.drivers.opcua.plan import Pace, pace, plan
from parkgate.drivers.snapshot import onto

NOW = T0 + 60_000
OVERFLOW = 0x0480
NAMES = ("a", "b", "c")


def reading(value, at=0, status=0):
    return Reading(value, status, T0 + at, T0 + at)


class Bench:
    """One instrument, begun with zeros, whose changes the test tells; time stands still unless the test moves it."""

    def __init__(self, *points, states=(), begun=0.0, sampling=100, queue=None, **more):
        points = points or tuple(map(point, NAMES))
        self.asked = followed(*points, states=states, every=1_000, sampling=sampling, **more)
        nodes = plan(self.asked)
        told = pace(self.asked)
        if queue is not None:
            told = Pace(told.publishing, told.sampling, queue, told.keepalives, told.lifetimes)
        self.changes = Changes(self.asked, Decoder(self.asked, nodes), told, len(nodes.nodes))
        self.tick = 0.0
        self.first = self.changes.begin([reading(begun)] * len(points) + [reading(0)] * len(states), NOW, self.tick)

    def tell(self, *told):
        for place, value, *more in told:
            self.changes.note(place, reading(value, *more))
        return self.changes.drain(NOW, self.tick)


def named(snapshot):
    """Give what a snapshot says, by place: the value and when it was measured, as ms behind T0."""
    count = len(snapshot.values)
    return {place: (snapshot.values[place], snapshot.at + snapshot.offsets.get(place, 0) - T0)
            for place in range(count) if place not in snapshot.absent}  # fmt: skip


def test_what_is_read_first_is_a_full_snapshot_and_nothing_new_is_nothing():
    bench = Bench()
    assert (bench.first.values, bench.first.absent, bench.first.at) == ((0.0, 0.0, 0.0), frozenset(), T0)
    assert bench.tell() == []
    assert bench.tell((0, 0.0), (1, 0.0), (2, 0.0)) == [], "the first values of a subscription were read already"


def test_nodes_that_changed_at_one_time_are_one_snapshot_and_the_others_are_absent():
    (told,) = Bench().tell((0, 1.0, 5), (2, 3.0, 5))
    assert (told.at, told.values, told.absent, told.offsets) == (T0 + 5, (1.0, None, 3.0), {1}, {})


def test_several_changes_of_a_node_are_several_snapshots_in_the_order_of_their_time():
    told = Bench().tell((0, 1.0, 5), (0, 2.0, 6), (1, 9.0, 4), (0, 3.0, 7))
    assert [(each.at - T0, named(each)) for each in told] == [
        (4, {1: (9.0, 4)}), (5, {0: (1.0, 5)}), (6, {0: (2.0, 6)}), (7, {0: (3.0, 7)}),
    ]  # fmt: skip


def test_two_changes_of_a_node_within_a_millisecond_are_both_told():
    assert [named(each) for each in Bench().tell((0, 1.0, 5), (0, 2.0, 5), (1, 4.0, 5))] == [
        {0: (1.0, 5), 1: (4.0, 5)}, {0: (2.0, 5)},
    ]  # fmt: skip


def test_a_value_that_comes_back_is_told_again_and_a_repeat_is_not():
    assert [named(each) for each in Bench().tell((0, 1.0, 5), (0, 1.0, 5), (0, 0.0, 6))] == [
        {0: (1.0, 5)}, {0: (0.0, 6)},
    ]  # fmt: skip


def test_a_node_that_turns_bad_is_flagged_alone():
    bench = Bench()
    bench.changes.note(1, Reading(None, 0x808C_0000, T0 + 5))
    (told,) = bench.tell()
    assert (told.flags, told.values, told.absent) == ({1: Flag.FAULT}, (None, None, None), {0, 2})


def test_everything_is_told_in_full_each_minute_and_a_repeat_keeps_its_own_time():
    bench = Bench()
    bench.tell((0, 1.0, 500))
    bench.tick = 59.9
    assert bench.tell() == []
    bench.tick = 60.0
    (full,) = bench.tell()
    assert (full.at, named(full)) == (T0 + 500, {0: (1.0, 500), 1: (0.0, 0), 2: (0.0, 0)})
    bench.tick = 119.9
    assert bench.tell() == []
    bench.tick = 120.0
    (full,) = bench.tell((1, 2.0, 900))
    assert (full.at, named(full)) == (T0 + 900, {0: (1.0, 500), 1: (2.0, 900), 2: (0.0, 0)})
    assert bench.tell() == []


def test_a_state_that_begins_or_ends_to_apply_tells_everything_at_its_own_time():
    bench = Bench(states=[state()])
    assert bench.first.states == (0,)
    before, begins, within = bench.tell((0, 1.0, 5), (3, 1, 7), (1, 2.0, 9))
    assert (before.states, before.absent) == ((0,), {1, 2})
    assert (begins.states, begins.absent, begins.at) == ((1,), frozenset(), T0 + 7)
    assert named(begins) == {0: (1.0, 5), 1: (0.0, 0), 2: (0.0, 0)}
    assert (within.states, within.absent) == ((1,), {0, 2}), "states are always there"
    (ends,) = bench.tell((3, 0, 11))
    assert (ends.states, ends.absent) == ((0,), frozenset())
    bench.changes.note(3, Reading(None, 0x8031_0000, T0 + 12))
    (unread,) = bench.tell()
    assert (unread.states, unread.absent) == ((None,), frozenset())


def test_a_state_that_changes_and_applies_as_before_tells_nothing():
    assert Bench(states=[state(equals=(1, 2))]).tell((3, 5, 1), (3, 7, 2)) == []


def test_a_heartbeat_tells_nothing_by_itself_and_its_instrument_is_told_in_full_before_it_could_be_stale():
    beat = Heartbeat(at="nsu=urn:test:park;s=Beat", limit=20_000)
    bench = Bench(states=[beat.state], heartbeat=20_000)
    assert bench.tell((3, 1, 1), (3, 2, 2)) == []
    bench.tick = 10.0
    (full,) = bench.tell((3, 3, 3))
    assert (full.states, full.absent) == ((3,), frozenset())


def test_what_stands_is_told_in_full_for_the_present_by_the_clock_of_its_source():
    bench, changes = Bench(), Bench().changes
    old = changes.begin([reading(float(place)) for place in range(3)], NOW + 3_600_000, 0.0)
    assert (old.at, named(old)) == (NOW + 3_600_000, {place: (float(place), 0) for place in range(3)}), "an hour old"
    bench.tell((0, 1.0, 40_000))  # its clock, or what tells of it, is 20 s behind
    (full,) = bench.changes.drain(NOW + 60_000, 60.0)
    assert (full.at - T0, named(full)) == (100_000, {0: (1.0, 40_000), 1: (0.0, 0), 2: (0.0, 0)})
    (ahead,) = Bench().tell((0, 1.0, 500_000))
    assert ahead.at == T0 + 500_000
    bench.tell((0, 2.0, 500_000))
    (full,) = bench.changes.drain(NOW + 200_000, 130.0)
    assert full.at == T0 + 500_000, "its clock is ahead: it does not go back"


def test_what_waits_when_the_line_is_left_is_told_and_declared_and_nothing_is_said_to_stand():
    bench = Bench()
    bench.tell((0, 1.0, 1, OVERFLOW))
    bench.changes.note(0, reading(2.0, 2, OVERFLOW))
    bench.tick = 90.0
    (left,) = bench.changes.leave(NOW)
    assert (left.absent, left.values[0], left.dropped) == ({1, 2}, 2.0, 1)
    assert bench.changes.leave(NOW) == []
    assert bench.changes.undeclared == 0


def test_what_is_missing_when_the_line_is_left_and_nothing_else_was_noted_is_still_to_be_declared():
    bench = Bench()
    bench.changes.tear()
    assert bench.changes.leave(NOW) == []
    assert bench.changes.undeclared == 1


def test_a_source_whose_clock_is_set_back_is_told_with_its_times_and_the_newest_stays():
    bench = Bench()
    assert [named(each) for each in bench.tell((0, 1.0, 5_000), (0, 2.0, 50))] == [{0: (2.0, 50)}, {0: (1.0, 5_000)}]
    bench.tick = 60.0
    (full,) = bench.tell()
    assert named(full)[0] == (2.0, 50)


def test_an_overflow_is_declared_at_once_and_then_once_a_minute():
    bench = Bench()
    for place, at in ((0, 1), (1, 2)):
        bench.changes.note(place, Reading(1.0, OVERFLOW, T0 + at))
    told = bench.tell()
    assert [each.dropped for each in told] == [0, 2]
    assert told[-1].flags == {}, "the value itself is as good as any"
    bench.changes.note(0, Reading(2.0, OVERFLOW, T0 + 3))
    assert [each.dropped for each in bench.tell()] == [0]
    bench.tick = 60.0
    assert [each.dropped for each in bench.tell()] == [1]
    bench.tick = 200.0
    assert [each.dropped for each in bench.tell()] == [0]


def test_what_waits_too_long_leaves_from_its_old_end_and_is_counted(monkeypatch):
    monkeypatch.setattr(changes, "MOST_WAITING", 10)
    told = Bench().tell(*((0, float(at), at) for at in range(1, 26)))
    assert [each.values[0] for each in told] == [float(at) for at in range(16, 26)]
    assert sum(each.dropped for each in told) == 15


def test_a_message_that_never_came_is_declared_and_asks_for_a_read():
    bench = Bench()
    bench.changes.tear()
    assert bench.changes.torn
    assert [each.dropped for each in bench.tell((0, 1.0, 5))] == [1]


def test_a_server_that_stamps_each_node_by_itself_makes_a_snapshot_of_each_sampling_interval():
    names = [f"p{number}" for number in range(50)]
    bench = Bench(*map(point, names), queue=20)
    told = bench.tell(*((place, 1.0, 3 * place) for place in range(50)))
    assert [each.at - T0 for each in told] == [99, 147]
    assert [named(each) for each in told] == [
        {place: (1.0, 3 * place) for place in range(34)}, {place: (1.0, 3 * place) for place in range(34, 50)},
    ]  # fmt: skip


TOLD = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 40))


@given(st.lists(st.tuples(st.lists(TOLD, max_size=12), st.integers(0, 40)), max_size=6), st.sampled_from([2, 1_000]))
def test_each_change_is_told_once_with_its_own_time_whatever_comes_and_nothing_else_but_in_full(drains, queue):
    bench = Bench(states=[state(equals=1)], begun=0, sampling=10, queue=queue)
    last = dict.fromkeys(range(4), (0, 0))
    expected, told = Counter(), Counter()
    for drain, seconds in drains:
        for place, value, at in drain:
            if last[place] != (value, at) and place < 3:
                expected[place, value, at] += 1
            last[place] = value, at
        bench.tick += seconds
        snapshots = bench.tell(*drain)
        full = [each for each in snapshots if not each.absent]
        reports = [each for each in snapshots if each.absent]
        assert all(one.at <= other.at for one, other in pairwise(reports))
        for each in snapshots:
            said = {(place, *what) for place, what in named(each).items()}
            assert said, "a report says something"
            if each.absent:
                told.update(said)
        assert all(count <= expected[what] for what, count in told.items())
        in_full = {(place, *what) for each in full for place, what in named(each).items()}
        for what in in_full:
            told[what] = expected[what]
        assert [what for what, count in expected.items() if told[what] != count] == []


@given(st.lists(st.lists(TOLD, max_size=8), max_size=5))
def test_reports_laid_one_over_the_other_say_what_the_nodes_hold_where_times_go_forward(drains):
    bench = Bench(states=[state(equals=1)], begun=0)
    at, seen = 0, bench.first
    held = dict.fromkeys(range(3), (0, 0))
    for drain in drains:
        forward = []
        for place, value, step in drain:
            at += step
            forward.append((place, value, at))
            if place < 3:
                held[place] = value, at
        for each in bench.tell(*forward):
            seen = onto(each, seen)
            assert seen.absent == frozenset()
    assert named(seen) == {place: (value, at) for place, (value, at) in held.items()}


@pytest.mark.parametrize(
    ("every", "sampling", "publishing", "queue"),
    [(1_000, None, 1_000, 20), (1_000, 2_000, 1_000, 2), (50, None, 50, 20), (3_600_000, None, 10_000, 2),
     (1_000, 1, 1_000, 1_000)],
)  # fmt: skip
def test_the_queue_of_a_node_holds_two_periods_of_samples(every, sampling, publishing, queue):
    found = pace(followed(point("a"), every=every, sampling=sampling))
    assert (found.publishing, found.queue) == (publishing, queue)
    assert found.keepalives * found.publishing >= 5_000 or found.publishing > 5_000
    assert found.lifetimes >= 3 * found.keepalives


def test_what_ends_a_gap_is_what_the_subscription_told_first_of_each_node_and_the_read_before_it_was_delivered_too():
    bench = Bench()
    bench.changes.note(0, reading(2.0, 20))
    bench.changes.note(1, reading(0.0))  # as it was read
    bench.changes.note(0, reading(3.0, 30))
    bench.changes.drain(NOW, 1.0)
    opening, first, *rest = bench.changes.told
    assert opening == {0: reading(2.0, 20), 1: reading(0.0), 2: reading(0.0)}
    assert first == dict.fromkeys(range(3), reading(0.0))
    assert rest == [{0: reading(2.0, 20)}, {0: reading(3.0, 30)}]
    bench.changes.note(2, reading(4.0, 40))
    bench.changes.drain(NOW, 2.0)
    assert bench.changes.told == [{2: reading(4.0, 40)}]


def test_before_a_subscription_told_anything_no_gap_ends_unless_the_session_does():
    bench = Bench()
    bench.changes.drain(NOW, 1.0)
    assert not bench.changes.told
    bench.changes.drain(NOW, 2.0, last=True)
    assert list(bench.changes.told) == [dict.fromkeys(range(3), reading(0.0))] * 2


def test_the_nodes_that_mean_something_else_now_are_given_once_though_their_next_value_follows_at_once():
    bench = Bench()
    bench.changes.note(0, reading(2.0, 20, status=0x4000))
    bench.changes.note(0, reading(3.0, 30))
    assert bench.changes.redefined() == {0}
    assert bench.changes.redefined() == set()
