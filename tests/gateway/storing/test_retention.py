"""What leaves the outbox."""

from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.storing.retention import BATCH, Expired, Stored, outdated, rows_over, to_remove

rows = st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=40).map(
    lambda drawn: [
        Stored(place, series, sum(1 for each in drawn[:place] if each[0] == series), place, "data", settled)
        for place, (series, settled) in enumerate(drawn, start=1)
    ]
)


def stored(number, *, kind="data", settled=True, ts=0):
    return Stored(number, 1, number, ts, kind, settled)


def test_only_delivered_rows_past_their_kinds_time_are_outdated():
    found = [stored(1, ts=10), stored(2, ts=10, settled=False), stored(3, ts=10, kind="event"), stored(4, ts=95)]
    assert outdated(found, 100, lambda kind: 50 if kind == "data" else 500) == [1]


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(1, 10**7))
def test_rows_go_only_when_the_budget_is_used_and_then_some_go(used, allowed, count):
    over = rows_over(used, allowed, count)
    assert (over > 0) == (used > allowed)
    assert over <= BATCH


@given(rows, st.integers(0, 50))
def test_delivered_rows_go_first_the_oldest_first_and_everything_undelivered_is_declared(found, count):
    gone, expired = to_remove(found, count)
    by_id = {row.id: row for row in found}
    assert len(gone) == min(count, len(found))
    undelivered = [row for row in gone if not by_id[row].settled]
    assert not undelivered or all(row.id in gone for row in found if row.settled)
    for settled in (True, False):
        mine = [row.id for row in found if row.settled is settled]
        kept = len([row for row in gone if by_id[row].settled is settled])
        assert [row for row in gone if by_id[row].settled is settled] == mine[:kept]
    declared = [(run.series, seq) for run in expired for seq in range(run.first, run.last + 1)]
    assert sorted(declared) == sorted((by_id[row].series, by_id[row].seq) for row in undelivered)
    assert sum(run.count for run in expired) == len(undelivered)


def test_a_range_ends_at_a_hole():
    _, expired = to_remove([stored(1, settled=False), stored(2, settled=False), stored(4, settled=False)], 3)
    assert expired == [Expired(1, 1, 2), Expired(1, 4, 4)]
