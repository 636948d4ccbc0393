"""A gap filled from histories as servers have them: every missed value once, whatever order and pages they give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0, instrument, point, state

from parkgate.config.flag import Flag
from parkgate.drivers.opcua import filling
from parkgate.drivers.opcua.codec import Decoder, Reading
from parkgate.drivers.opcua.filling import Answer, Failed, Fill, Limits, Timeline
from parkgate.drivers.opcua.gaps import Gap
from parkgate.drivers.opcua.plan import plan
from parkgate.gateway.processing.validity import Judge

TANK = instrument(point("a"), point("b"), states=[state()])
A, B, HEALTH = range(3)
ALL = frozenset({A, B, HEALTH})
GOOD_NO_DATA, BAD_UNSUPPORTED, BAD_POINT, BAD_TIMEOUT = 0x00A5_0000, 0x8072_0000, 0x804A_0000, 0x800A_0000
BAD_SENSOR, BAD_NO_BOUND, INTERPOLATED = 0x808C_0000, 0x80D7_0000, 0x0000_0402


class Server:
    """A server's history: `kept` are (time, value) by node. It gives pages of `page` values, in any order, or twice.

    With `points` it goes on at continuation points; without them it cuts off what was not asked for.
    """

    def __init__(self, kept, page=0, *, points=True, shuffle=lambda values: values, bounds=False):
        self.kept, self.page, self.points, self.shuffle, self.bounds = kept, page, points, shuffle, bounds
        self.open = {}
        self.questions = []

    def values(self, place, start, end):
        every = sorted(self.kept.get(place, ()), key=lambda each: each[0])
        inside = [each for each in every if start <= each[0] < end]
        if self.bounds:
            inside = [*[each for each in every if each[0] < start][-1:], *inside,
                      *[each for each in every if each[0] >= end][:1]]  # fmt: skip
        return self.shuffle([Reading(value, 0, time) for time, value in inside])

    def answer(self, question):
        self.questions.append(question)
        return [self._one(*each, question) for each in zip(question.places, question.points, strict=True)]

    def _one(self, place, at, question):
        rest = self.open.pop(at) if at else self.values(place, question.start, question.end)
        size = min(question.count, self.page) if self.page and self.points else question.count
        given, rest = rest[:size], rest[size:]
        if not (rest and self.points):
            return Answer(0, given)
        name = b"%d:%d" % (place, len(self.questions))
        self.open[name] = rest
        return Answer(0, given, name)

    def release(self, unused):
        for name in unused.values():
            self.open.pop(name, None)


def fill_of(gap, keeps=ALL, step=10_000, limits=Limits(), tank=TANK):  # noqa: B008  frozen
    nodes = plan(tank)
    return Fill(gap, keeps, Timeline(gap, keeps, nodes, Decoder(tank, nodes)), step, limits)


def filled(server, fill, most=5_000):
    """Give all snapshots of a gap."""
    snapshots = []
    for _ in range(most):
        if fill.done:
            return snapshots
        question = fill.question()
        unused, there = fill.take(question, server.answer(question))
        server.release(unused)
        if there:
            snapshots += fill.snapshots()
    raise AssertionError("it does not end")


def told(snapshots):
    """Give every (time, point, value) that the snapshots tell."""
    return [
        (each.at, place, value)
        for each in snapshots
        for place, value in enumerate(each.values)
        if place not in each.absent
    ]


SPAN = 60_000
offsets = st.integers(-2_000, SPAN + 2_000)
histories = st.dictionaries(st.sampled_from([A, B]), st.lists(offsets, max_size=60))
edges = st.tuples(st.integers(-1_000, SPAN), st.integers(0, SPAN + 1_000))
ORDERS = {
    "in order": lambda values: values,
    "backwards": lambda values: values[::-1],
    "twice": lambda values: [*values, *values],
    "mixed": lambda values: values[::2] + values[1::2],
}
servers = st.fixed_dictionaries({
    "page": st.integers(0, 12), "points": st.booleans(), "bounds": st.booleans(), "order": st.sampled_from([*ORDERS]),
})  # fmt: skip
limits = st.builds(Limits, nodes=st.integers(0, 3), values=st.sampled_from([0, 15, 1_000]))


@given(histories, st.dictionaries(st.sampled_from([A, B]), edges, min_size=1), servers, st.integers(1, 200_000), limits)
def test_every_missed_value_comes_once_in_time_order_and_no_other_does(history, spans, ways, step, most):
    kept = {place: [(T0 + offset, float(offset)) for offset in each] for place, each in history.items()}
    missed = {place: (T0 + since, T0 + until) for place, (since, until) in spans.items()}
    gap = Gap(T0, T0 + SPAN, missed)
    server = Server(kept, ways["page"], points=ways["points"], shuffle=ORDERS[ways["order"]], bounds=ways["bounds"])
    snapshots = filled(server, fill_of(gap, step=step, limits=most))
    wanted = {
        (time, place, value)
        for place, (since, until) in missed.items()
        for time, value in kept.get(place, ())
        if since < time < until
    }
    assert sorted(told(snapshots)) == sorted(wanted)
    assert [each.at for each in snapshots] == sorted({time for time, *_ in wanted})
    assert all(each.late and not each.offsets for each in snapshots)
    assert not server.open, "every continuation point was used or released"
    assert all(len(each.places) <= (most.nodes or 50) for each in server.questions)


def test_values_of_one_time_are_one_snapshot_and_say_nothing_of_the_others():
    server = Server({A: [(T0 + 10, 1.0), (T0 + 20, 2.0)], B: [(T0 + 20, 3.0)]})
    first, second = filled(server, fill_of(Gap(T0, T0 + 99, {A: (T0, T0 + 99), B: (T0, T0 + 99)})))
    assert (first.at, first.values, first.absent, first.flags) == (T0 + 10, (1.0, None), {B}, {})
    assert (second.at, second.values, second.absent, second.flags) == (T0 + 20, (2.0, 3.0), frozenset(), {})


def test_a_request_is_small_whatever_there_is():
    dense = Server({A: [(T0 + offset, 1.0) for offset in range(1, 20_000)]}, points=False)
    snapshots = filled(dense, fill_of(Gap(T0, T0 + 20_000, {A: (T0, T0 + 20_000)}), step=20_000))
    assert len(snapshots) == 19_999
    assert {each.count for each in dense.questions} == {filling.VALUES}
    assert len(dense.questions) < 120


def test_a_long_quiet_gap_takes_few_questions():
    quiet = Server({A: [(T0 + 80_000_000, 1.0)]})
    assert len(filled(quiet, fill_of(Gap(T0, T0 + 86_400_000, {A: (T0, T0 + 86_400_000)}), step=1_000))) == 1
    assert len(quiet.questions) < 20


def test_nodes_whose_clocks_differ_are_asked_each_for_its_own_time():
    hour = 3_600_000
    kept = {A: [(T0 + 5, 1.0)], B: [(T0 - hour + 5, 2.0)]}
    server = Server(kept)
    spans = {A: (T0, T0 + 100), B: (T0 - hour, T0 - hour + 100)}
    assert told(filled(server, fill_of(Gap(T0, T0 + 100, spans), step=1_000))) == [
        (T0 - hour + 5, B, 2.0),
        (T0 + 5, A, 1.0),
    ]
    assert len(server.questions) == 2, "nobody was missing for the hour between"


def test_many_nodes_are_asked_in_several_requests_and_a_slice_counts_only_when_all_of_it_is_there():
    tank = instrument(*(point(f"p{number}") for number in range(120)))
    everyone = frozenset(range(120))
    server = Server({place: [(T0 + 5, float(place))] for place in everyone})
    gap = Gap(T0, T0 + 10, dict.fromkeys(everyone, (T0, T0 + 10)))
    fill = fill_of(gap, everyone, tank=tank)
    there = [fill.take(question := fill.question(), server.answer(question))[1] for _ in range(3)]
    assert there == [False, False, True]
    assert [len(each.places) for each in server.questions] == [50, 50, 20]
    (snapshot,) = fill.snapshots()
    assert snapshot.values == tuple(map(float, range(120)))
    assert fill.done


@pytest.mark.parametrize("status", [BAD_NO_BOUND, INTERPOLATED])
def test_what_was_not_measured_is_no_value(status):
    fill = fill_of(Gap(T0, T0 + 9, {A: (T0, T0 + 9)}))
    answer = Answer(0, [Reading(None, status, T0 + 1), Reading(1.0, 0, T0 + 2)])
    assert fill.take(fill.question(), [answer]) == ({}, True)
    assert told(fill.snapshots()) == [(T0 + 2, A, 1.0)]


def test_a_status_is_judged_as_that_of_a_live_value():
    fill = fill_of(Gap(T0, T0 + 9, {A: (T0, T0 + 9), B: (T0, T0 + 9)}))
    uncertain = Reading(2.5, 0x4093_0000, T0 + 1)
    fill.take(fill.question(), [Answer(0, [Reading(None, BAD_SENSOR, T0 + 1)]), Answer(0, [uncertain])])
    (snapshot,) = fill.snapshots()
    assert (snapshot.values, snapshot.flags, snapshot.uncertain) == ((None, 2.5), {A: Flag.FAULT}, {B})


def test_a_value_that_came_live_out_of_order_does_not_come_again():
    gap = Gap(T0, T0 + 9, {A: (T0, T0 + 9)})
    fill = fill_of(gap)
    gap.known.add((A, T0 + 2))
    assert told(filled(Server({A: [(T0 + 1, 1.0), (T0 + 2, 2.0)]}), fill)) == [(T0 + 1, A, 1.0)]


def test_a_node_without_data_leaves_the_others_and_one_that_is_refused_is_asked_no_more():
    fill = fill_of(Gap(T0, T0 + 9, {A: (T0, T0 + 9), B: (T0, T0 + 9)}), step=4)
    server = Server({B: [(T0 + 1, 1.0), (T0 + 6, 2.0)]})
    question = fill.question()
    answers = server.answer(question)
    assert fill.take(question, [Answer(BAD_UNSUPPORTED), answers[1]]) == ({}, True)
    snapshots = [*fill.snapshots(), *filled(server, fill)]
    assert told(snapshots) == [(T0 + 1, B, 1.0), (T0 + 6, B, 2.0)]
    assert fill.keeps == {B, HEALTH}
    assert server.questions[-1].places == (B,)
    empty = fill_of(Gap(T0, T0 + 9, {A: (T0, T0 + 9)}))
    assert empty.take(empty.question(), [Answer(GOOD_NO_DATA)]) == ({}, True)
    assert (list(empty.snapshots()), empty.done) == ([], True)


def test_a_node_that_cannot_be_answered_now_costs_the_slice_and_its_points_are_released():
    fill = fill_of(Gap(T0, T0 + 9, {A: (T0, T0 + 9), B: (T0, T0 + 9)}))
    question = fill.question()
    with pytest.raises(Failed) as failed:
        fill.take(question, [Answer(0, [Reading(1.0, 0, T0 + 1)], b"more"), Answer(BAD_TIMEOUT)])
    assert failed.value.unused == {A: b"more"}
    assert fill.question() == question, "it is asked again, from the start"
    assert told(filled(Server({A: [(T0 + 1, 1.0)]}), fill)) == [(T0 + 1, A, 1.0)]


def test_a_continuation_point_that_is_no_more_makes_the_slice_narrower():
    fill = fill_of(Gap(T0, T0 + 101, {A: (T0, T0 + 101)}))
    question = fill.question()
    assert (question.start, question.end) == (T0 + 1, T0 + 101)
    fill.take(question, [Answer(0, [Reading(1.0, 0, T0 + 1)], b"more")])
    assert fill.question().points == (b"more",)
    assert fill.take(fill.question(), [Answer(BAD_POINT)]) == ({}, False)
    again = fill.question()
    assert (again.start, again.end, again.points) == (T0 + 1, T0 + 51, (b"",))


def test_another_session_begins_the_slice_again():
    fill = fill_of(Gap(T0, T0 + 101, {A: (T0, T0 + 101)}))
    question = fill.question()
    fill.take(question, [Answer(0, [Reading(1.0, 0, T0 + 1)], b"of the old session")])
    fill.again()
    assert fill.question() == question
    assert told(filled(Server({A: [(T0 + 1, 1.0)]}), fill)) == [(T0 + 1, A, 1.0)]


def test_a_server_that_goes_on_for_ever_comes_to_an_end():
    class Endless(Server):
        def _one(self, place, at, question):
            return Answer(0, [], b"on")

    snapshots = filled(Endless({}), fill_of(Gap(T0, T0 + 3, {A: (T0, T0 + 3)})))
    assert snapshots == []


def test_a_server_that_finds_a_request_too_large_is_asked_for_fewer_nodes():
    tank = instrument(*(point(f"p{number}") for number in range(40)))
    fill = fill_of(Gap(T0, T0 + 9, dict.fromkeys(range(40), (T0, T0 + 9))), frozenset(range(40)), tank=tank)
    assert len(fill.question().places) == 40
    fill.smaller()
    assert len(fill.question().places) == 25
    for _ in range(9):
        fill.smaller()
    assert len(fill.question().places) == 1


CALM, ALARMED = 0, 1


def judged(gap, kept, keeps=ALL):
    """Give the time and the flag of point a of each snapshot."""
    judge = Judge.of(TANK)
    snapshots = map(judge, filled(Server(kept), fill_of(gap, keeps)))
    return [(each.at - T0, each.flags.get(A)) for each in snapshots]


VALUES = [(T0 + offset, 1.0) for offset in (10, 20, 30, 40)]
WHOLE = (T0, T0 + 50)


def test_a_value_is_judged_by_the_state_in_force_at_its_own_time():
    gap = Gap(
        T0, T0 + 50, {A: WHOLE, HEALTH: WHOLE}, {HEALTH: Reading(CALM, 0, T0)}, {HEALTH: Reading(CALM, 0, T0 + 50)}
    )
    kept = {A: VALUES, HEALTH: [(T0 + 20, ALARMED), (T0 + 35, CALM)]}
    assert judged(gap, kept) == [(10, None), (20, Flag.FAULT), (30, Flag.FAULT), (40, None)]


def test_a_state_that_said_nothing_new_was_in_force_all_along():
    for value, flag in ((CALM, None), (ALARMED, Flag.FAULT)):
        gap = Gap(T0, T0 + 50, {A: WHOLE}, {HEALTH: Reading(value, 0, T0 - 9_000)})
        assert judged(gap, {A: VALUES}, frozenset({A})) == [(offset, flag) for offset in (10, 20, 30, 40)]


def test_a_state_without_a_history_is_unknown_until_it_said_something_again():
    gap = Gap(
        T0,
        T0 + 50,
        {A: WHOLE, HEALTH: (T0, T0 + 30)},
        {HEALTH: Reading(CALM, 0, T0)},
        {HEALTH: Reading(CALM, 0, T0 + 30)},
    )
    unknown = Flag.NO_COMMUNICATION
    assert judged(gap, {A: VALUES}, frozenset({A})) == [(10, unknown), (20, unknown), (30, None), (40, None)]


def test_a_state_that_could_not_be_read_before_is_unknown_until_its_history_says_it():
    gap = Gap(T0, T0 + 50, {A: WHOLE, HEALTH: WHOLE}, {HEALTH: Reading(None, BAD_TIMEOUT, T0)})
    unknown = Flag.NO_COMMUNICATION
    assert judged(gap, {A: VALUES, HEALTH: [(T0 + 25, CALM)]}) == [(10, unknown), (20, unknown), (30, None), (40, None)]


def test_a_state_whose_history_is_refused_after_all_is_unknown():
    gap = Gap(T0, T0 + 50, {A: WHOLE, HEALTH: WHOLE}, {HEALTH: Reading(CALM, 0, T0)})
    fill = fill_of(gap)
    fill.take(fill.question(), [Answer(0, [Reading(1.0, 0, T0 + 10)]), Answer(BAD_UNSUPPORTED)])
    (snapshot,) = map(Judge.of(TANK), fill.snapshots())
    assert snapshot.flags == {A: Flag.NO_COMMUNICATION}


@given(st.lists(st.tuples(st.integers(1, 99), st.sampled_from([CALM, ALARMED])), max_size=12), st.booleans())
def test_no_value_passes_as_valid_unless_its_state_was_known_to_allow_it(changes, state_known):
    told_states = {T0 + offset: value for offset, value in changes}
    held = {HEALTH: Reading(CALM, 0, T0)} if state_known else {}
    gap = Gap(T0, T0 + 100, {A: (T0, T0 + 100), HEALTH: (T0, T0 + 100)}, held)
    kept = {A: [(T0 + offset, 1.0) for offset in range(1, 100, 7)], HEALTH: list(told_states.items())}
    for offset, flag in judged(gap, kept):
        known = [value for time, value in sorted(told_states.items()) if time <= T0 + offset]
        state_then = known[-1] if known else CALM if state_known else None
        assert flag == {CALM: None, ALARMED: Flag.FAULT, None: Flag.NO_COMMUNICATION}[state_then]
