"""What a route learns, turn by turn, without a wire."""

from hypothesis import given
from hypothesis import strategies as st
from support.modbus_maps import data_of, instrument, instruments, point

from parkgate.config.flag import Flag
from parkgate.config.profile import State
from parkgate.drivers.modbus.route import LONGEST_RETRY_MS, MOST_PIECES, RETRY_MS, Route, Turn


def run(route, answer, now=0):
    """One turn; `answer(block)` is bytes or an exception code. Gives the snapshot and the blocks that were asked."""
    turn, asked = Turn(route, now), []
    while block := turn.next():
        asked.append(block)
        turn.take(block, answer(block))
    return turn.close(now), asked


def strict(refusing, code=2):
    """An instrument that refuses every block that touches one of these (table, register)."""

    def answer(block):
        touched = {(block.table, place) for place in range(block.start, block.start + block.count)}
        return code if touched & refusing else data_of(block, lambda _table, register: register & 1)

    return answer


WILLING = strict(frozenset())
EVERYTHING = frozenset(("holding", register) for register in range(200))


def row(count):
    return instrument(*(point(f"holding {index}") for index in range(count)))


def test_an_instrument_that_refuses_everything_is_asked_one_field_a_turn_and_planned_afresh_when_it_answers():
    route = Route(row(4))
    snapshot, asked = run(route, strict(EVERYTHING))
    assert dict(snapshot.flags) == dict.fromkeys(range(4), Flag.BAD_CONFIGURATION)
    assert len(asked) == 7
    probed = [run(route, strict(EVERYTHING), now)[1] for now in range(1, 5)]
    assert [[block.start for block in blocks] for blocks in probed] == [[0], [1], [2], [3]]
    snapshot, _ = run(route, WILLING, 5)
    assert snapshot.values == (0, None, None, None)
    assert dict(snapshot.flags) == dict.fromkeys((1, 2, 3), Flag.BAD_CONFIGURATION)
    snapshot, asked = run(route, WILLING, 6)
    assert (snapshot.values, dict(snapshot.flags), len(asked)) == ((0, 1, 0, 1), {}, 1)


def test_a_turn_spends_no_more_than_its_share_on_finding_what_is_refused():
    route = Route(row(100))
    flags, turns = {}, 0
    while route.blocks:
        standing = len(route.blocks)
        snapshot, asked = run(route, strict(EVERYTHING), turns)
        assert len(asked) <= MOST_PIECES + standing
        assert set(snapshot.flags) == set(range(100))
        flags, turns = snapshot.flags, turns + 1
    assert turns > 1
    assert set(flags.values()) == {Flag.BAD_CONFIGURATION}


def test_what_a_turn_had_no_share_left_for_is_no_communication_and_asked_in_the_next():
    route = Route(row(100))
    snapshot, asked = run(route, strict(EVERYTHING))
    assert len(asked) == 1 + MOST_PIECES
    assert set(snapshot.flags.values()) == {Flag.BAD_CONFIGURATION, Flag.NO_COMMUNICATION}
    snapshot, _ = run(route, WILLING, 1)
    read = {index for index, value in enumerate(snapshot.values) if value is not None}
    assert read
    assert {index for index, flag in snapshot.flags.items() if flag is Flag.NO_COMMUNICATION} == set()


def asked_again(route, bad, now):
    _, asked = run(route, strict(bad), now)
    return [1] in [[block.start] for block in asked]


def test_a_refused_point_is_asked_again_after_ten_seconds_then_ever_later_and_at_least_every_ten_minutes():
    route, bad = Route(row(3)), frozenset({("holding", 1)})
    now, wait, waits = 1_000_000, RETRY_MS, []
    run(route, strict(bad), now)
    while len(waits) < 9:
        assert not asked_again(route, bad, now + wait - 1)
        assert asked_again(route, bad, now + wait)
        waits.append(wait)
        now, wait = now + wait, min(2 * wait, LONGEST_RETRY_MS)
    assert waits[:3] == [10_000, 20_000, 40_000]
    assert waits[-1] == LONGEST_RETRY_MS


def test_a_refused_point_is_asked_again_when_the_clock_was_set_back():
    route, bad = Route(row(3)), frozenset({("holding", 1)})
    run(route, strict(bad), 1_000_000)
    assert asked_again(route, bad, 0)


def test_a_state_that_is_refused_could_not_be_read_and_its_points_keep_their_values():
    site = instrument(point("holding 0"), states=(State(at="holding 1", equals=1, flag="fault"),))
    snapshot, _ = run(Route(site), strict(frozenset({("holding", 1)})))
    assert (snapshot.values, snapshot.states, dict(snapshot.flags)) == ((0,), (None,), {})


def test_a_refused_function_is_not_split():
    _, asked = run(Route(row(8)), strict(EVERYTHING, code=1))
    assert len(asked) == 1


@given(
    instruments(size=12),
    st.sets(st.tuples(st.sampled_from(["coil", "input", "holding"]), st.integers(0, 300)), max_size=60),
)
def test_in_the_end_exactly_the_points_that_touch_a_refused_register_are_left_out(site, refusing):
    route = Route(site)
    for now in range(20):
        snapshot, asked = run(route, strict(refusing), now)
    fields = {each.index: each for each in fields_of(site) if each.role == "point"}
    bad = {
        index
        for index, each in fields.items()
        if {(each.table, place) for place in range(each.start, each.end)} & refusing
    }
    assert {index for index, flag in snapshot.flags.items() if flag is Flag.BAD_CONFIGURATION} == bad
    assert Flag.NO_COMMUNICATION not in snapshot.flags.values()
    if len(bad) < len(site.points):
        assert not any(touches(block, refusing) for block in asked)


def touches(block, refusing):
    return bool({(block.table, place) for place in range(block.start, block.start + block.count)} & refusing)


def fields_of(site):
    return [field for block in Route(site).blocks for field in block.fields]
