"""What leaves the outbox."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.storing.progress import Progress
from parkgate.gateway.storing.retention import (
    BATCH,
    Expired,
    Rank,
    Stored,
    above,
    merged,
    others,
    outdated,
    rank_of,
    rows_over,
    runs,
    settled_by_all,
    to_remove,
)

NEWEST = 40
rows = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(Rank)), max_size=40).map(
    lambda drawn: [
        Stored(
            place, series, sum(1 for each in drawn[:place] if each[0] == series), place, "data", rank,
            () if rank is Rank.DELIVERED else ("dead",) if rank is Rank.AWAY else ("dead", "park"),
        )
        for place, (series, rank) in enumerate(drawn, start=1)
    ]
)  # fmt: skip
ranges = st.lists(st.tuples(st.integers(1, NEWEST), st.integers(1, NEWEST)).map(sorted), max_size=8)


def stored(number, *, kind="data", rank=Rank.DELIVERED, ts=0, lacking=()):
    return Stored(number, 1, number, ts, kind, rank, lacking)


def progress_of(spans):
    progress = Progress()
    for first, last in spans:
        progress.settle(first, last)
    return progress


@pytest.mark.parametrize(
    ("kind", "safety", "lacking", "expected"),
    [
        ("data", False, (), Rank.DELIVERED),
        ("alarm", True, (), Rank.DELIVERED),
        ("data", True, ("dead",), Rank.AWAY),
        ("event", False, ("dead",), Rank.AWAY),
        ("data", False, ("dead", "park"), Rank.ORDINARY),
        ("stats", False, ("park",), Rank.ORDINARY),
        ("data", True, ("park",), Rank.SAFETY),
        ("stats", True, ("park",), Rank.SAFETY),
        ("alarm", False, ("park",), Rank.SAFETY),
        ("event", False, ("park",), Rank.SAFETY),
    ],
)
def test_safety_alarms_and_declarations_are_the_last_to_go(kind, safety, lacking, expected):
    assert rank_of(kind, safety=safety, lacking=lacking, away={"dead"}) is expected


def test_only_rows_that_nobody_alive_waits_for_and_past_their_kinds_time_are_outdated():
    found = [
        stored(1, ts=10),
        stored(2, ts=10, rank=Rank.ORDINARY),
        stored(3, ts=10, kind="event"),
        stored(4, ts=95),
        stored(5, ts=10, rank=Rank.AWAY),
        stored(6, ts=50),
    ]
    assert [row.id for row in outdated(found, 100, lambda kind: 50 if kind == "data" else 500)] == [1, 5]


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(1, 10**7))
def test_rows_go_only_when_the_budget_is_used_and_then_some_go(used, allowed, count):
    over = rows_over(used, allowed, count)
    assert (over > 0) == (used > allowed)
    assert over <= BATCH


@given(rows, st.integers(0, 50))
def test_lower_ranks_go_first_and_within_a_rank_the_oldest(found, count):
    gone = to_remove(found, count)
    assert len(gone) == min(count, len(found))
    assert [row.id for row in gone] == sorted(row.id for row in gone)
    left = [row for row in found if row not in gone]
    for row in left:
        assert all((each.rank, each.id) < (row.rank, row.id) for each in gone)


@given(rows)
def test_everything_that_goes_undelivered_is_declared_once_to_those_that_lack_it(gone):
    declared = [(run.series, seq, run.lacking) for run in runs(gone) for seq in range(run.first, run.last + 1)]
    assert sorted(declared) == sorted((row.series, row.seq, row.lacking) for row in gone if row.lacking)
    assert sum(run.count for run in runs(gone)) == sum(1 for row in gone if row.lacking)


def test_a_range_ends_at_a_hole_and_where_others_lack_it():
    gone = [stored(n, rank=Rank.ORDINARY, lacking=("a",) if n < 6 else ("a", "b")) for n in (1, 2, 4, 5, 6)]
    assert runs(gone) == [
        Expired(1, ("a",), 1, 2), Expired(1, ("a",), 4, 5), Expired(1, ("a", "b"), 6, 6),
    ]  # fmt: skip


@given(st.lists(ranges, min_size=1, max_size=3), st.integers(0, NEWEST))
def test_what_all_uplinks_have_had_is_the_common_part_and_the_rest_is_waited_for(settled, newest):
    progresses = [progress_of(spans) for spans in settled]
    spans = settled_by_all(progresses, newest)
    common = {row for row in range(1, newest + 1) if all(each.covers(row) for each in progresses)}
    assert [row for first, last in spans for row in range(first, last + 1)] == sorted(common)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(spans))
    rest = [row for first, last in others(spans, newest) for row in range(first, last + 1)]
    assert rest == sorted(set(range(1, newest + 1)) - common)


def test_without_an_uplink_nothing_counts_as_delivered():
    assert settled_by_all([], 9) == []


@given(ranges, st.integers(0, NEWEST))
def test_the_part_of_ranges_above_a_row_begins_behind_it(drawn, row):
    spans = settled_by_all([progress_of(drawn)], NEWEST)
    rows_above = [each for first, last in above(spans, row) for each in range(first, last + 1)]
    assert rows_above == [each for first, last in spans for each in range(first, last + 1) if each > row]


def declared(subject, first, last, **other):
    detail = {"kind": "data", "epoch": "1", "uplinks": ["park"], "reason": "disk-budget"} | other
    return "expired", subject, {**detail, "from": first, "to": last, "count": last - first + 1}


def test_what_declaring_events_say_is_said_in_as_few_as_can_say_it():
    said = [declared("b", 5, 9), declared("a", 4, 6), declared("a", 1, 3), declared("a", 9, 9), declared("b", 7, 12)]
    assert merged(said) == [declared("a", 1, 6), declared("a", 9, 9), declared("b", 5, 12)]


def test_what_differs_in_anything_but_its_range_stays_apart():
    said = [declared("a", 1, 3), declared("a", 4, 5, uplinks=["city"]), declared("a", 6, 7, epoch="2")]
    assert sorted(merged(said), key=str) == sorted(said, key=str)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 40), st.integers(0, 5)), max_size=20))
def test_merging_declares_the_same_numbers(drawn):
    said = [declared(subject, first, first + more) for subject, first, more in drawn]

    def numbers(events):
        return {(subject, seq) for _, subject, detail in events for seq in range(detail["from"], detail["to"] + 1)}

    assert numbers(merged(said)) == numbers(said)
    assert all(each["count"] == each["to"] - each["from"] + 1 for _, _, each in merged(said))
