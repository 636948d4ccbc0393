"""The platform's books: what they say of what came, from payloads alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.simulator.books import Account, Books, Verdict
from parkgate.simulator.ranges import Ranges, below

ROOT = "park/v1/xuwei/gw-01"
SOURCE = "xuwei/gw-01/stack-1"


def snapshot(seq, low=1, *, source=SOURCE, epoch="0001-aaaaaa", value=6.2, **more):
    record = {"source": source, "epoch": epoch, "seq": seq, "low": low, "ts": 1763890000123, "rev": "9c1d02aa"}
    return json.dumps({**record, "values": {"o2": value}, **more}).encode()


def live(books, *seqs, low=1, **more):
    for seq in seqs:
        books.take(f"{ROOT}/data/stack-1", snapshot(seq, min(low, seq), **more), retained=False)


def backfill(books, *payloads, separator=b",\n"):
    books.take(f"{ROOT}/backfill/stack-1", b"[" + separator.join(payloads) + b"]", retained=False)


def expired(first, last, *, subject="stack-1", event="expired", epoch="0001-aaaaaa", seq=1):
    detail = {"from": first, "to": last, "count": last - first + 1, "reason": "disk-budget"}
    record = {"source": "xuwei/gw-01", "epoch": epoch, "seq": seq, "ts": 1, "event": event, "subject": subject}
    return json.dumps({**record, "detail": detail}).encode()


def of(books, kind="data", source=SOURCE, epoch="0001-aaaaaa") -> Account:
    (found,) = [each for each in books.account() if (each.kind, each.source, each.epoch) == (kind, source, epoch)]
    return found


def test_everything_from_one_on_is_complete():
    books = Books()
    live(books, 1, 2, 3, low=3)
    account = of(books)
    assert (account.received, account.first, account.last, account.missing) == (3, 1, 3, ())
    assert account.verdict is Verdict.COMPLETE
    assert books.received(SOURCE) == 3


def test_a_hole_at_or_above_low_is_pending():
    books = Books()
    live(books, 1, 2, 5, low=3)
    assert of(books).missing == ((3, 4),)
    assert of(books).lost == ()
    assert of(books).verdict is Verdict.PENDING


def test_a_hole_below_the_newest_low_is_lost():
    books = Books()
    live(books, 1, 2, 5, 6, low=5)
    assert of(books).lost == ((3, 4),)
    assert of(books).verdict is Verdict.LOST


def test_a_hole_that_low_cuts_in_two_is_lost_only_below_it():
    books = Books()
    live(books, 1, 2, 9, low=5)
    assert of(books).missing == ((3, 8),)
    assert of(books).lost == ((3, 4),)


def test_an_older_low_never_lowers_a_newer_one():
    books = Books()
    live(books, 1, 6, low=6)
    live(books, 7, low=2)
    assert of(books).lost == ((2, 5),)


def test_what_never_came_before_the_first_is_missing_since_every_series_starts_at_one():
    books = Books()
    live(books, 4, 5, low=4)
    assert of(books).lost == ((1, 3),)


def test_a_late_snapshot_heals_the_hole():
    books = Books()
    live(books, 1, 4, low=4)
    assert of(books).verdict is Verdict.LOST
    backfill(books, snapshot(2), snapshot(3))
    assert of(books).verdict is Verdict.COMPLETE
    assert of(books).duplicates == 0


@pytest.mark.parametrize("separator", [b",\n", b",", b" , \r\n\t"])
def test_a_backfill_of_any_spacing_counts_each_of_its_snapshots(separator):
    books = Books()
    backfill(books, *(snapshot(seq) for seq in (1, 2, 3)), separator=separator)
    assert of(books).received == 3
    assert books.junk == 0


def test_an_empty_backfill_says_nothing():
    books = Books()
    backfill(books)
    assert books.account() == ()
    assert books.junk == 0


def test_a_resend_with_the_same_bytes_is_a_duplicate_on_either_topic():
    books = Books()
    live(books, 1, 2)
    live(books, 2)
    backfill(books, snapshot(1), snapshot(2))
    assert (of(books).received, of(books).duplicates, of(books).different) == (2, 3, 0)


def test_one_identity_with_different_bytes_is_told_apart_from_a_duplicate():
    books = Books()
    live(books, 1)
    live(books, 1, value=6.3)
    assert (of(books).received, of(books).duplicates, of(books).different) == (1, 0, 1)


def test_a_declared_range_is_neither_lost_nor_pending():
    books = Books()
    live(books, 1, 2, 8, low=8)
    books.take(f"{ROOT}/event", expired(3, 7), retained=False)
    assert of(books).verdict is Verdict.COMPLETE
    assert of(books).declared == 5


def test_what_is_missing_beside_a_declared_range_stays_lost():
    books = Books()
    live(books, 1, 2, 8, low=8)
    books.take(f"{ROOT}/event", expired(3, 6), retained=False)
    assert of(books).lost == ((7, 7),)


@pytest.mark.parametrize(
    "event",
    [
        expired(3, 7, subject="stack-2"),
        expired(3, 7, epoch="0002-bbbbbb"),
        expired(3, 7, event="line-down"),
        expired(7, 3),
    ],
)
def test_an_event_of_another_instrument_epoch_or_kind_declares_nothing_here(event):
    books = Books()
    live(books, 1, 2, 8, low=8)
    books.take(f"{ROOT}/event", event, retained=False)
    assert of(books).lost == ((3, 7),)


def test_a_new_epoch_starts_a_series_of_its_own():
    books = Books()
    live(books, 1, 2)
    live(books, 1, epoch="0002-bbbbbb")
    assert of(books).received == 2
    assert of(books, epoch="0002-bbbbbb").received == 1
    assert [each.duplicates for each in books.account()] == [0, 0]
    assert books.received(SOURCE) == 3


def test_a_retained_copy_is_not_a_receipt():
    books = Books()
    books.take(f"{ROOT}/data/stack-1", snapshot(9, 9), retained=True)
    assert books.account() == ()
    assert books.copies == 1
    assert books.received(SOURCE) == 0


@pytest.mark.parametrize(
    ("topic", "kind", "source"),
    [
        ("alarm/gas-3", "alarm", "xuwei/gw-01/gas-3"),
        ("stats/1min/stack-1", "stats/1min", SOURCE),
        ("stats/1h/stack-1", "stats/1h", SOURCE),
        ("event", "event", "xuwei/gw-01"),
        ("ledger", "ledger", "xuwei/gw-01"),
    ],
)
def test_every_kind_of_record_is_a_series_of_its_own(topic, kind, source):
    books = Books()
    for seq in (1, 3):
        books.take(f"{ROOT}/{topic}", snapshot(seq, low=1, source=source), retained=False)
    assert of(books, kind, source).missing == ((2, 2),)
    assert books.received(source) == 0


@pytest.mark.parametrize("topic", ["status", "meta/stack-1", "meta/stack-1/9c1d02aa", "alarms", "signature", "reply/7"])
def test_topics_without_numbered_records_are_left_alone(topic):
    books = Books()
    books.take(f"{ROOT}/{topic}", b"", retained=False)
    books.take(f"{ROOT}/{topic}", b"not json", retained=True)
    assert (books.account(), books.junk, books.copies) == ((), 0, 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"seq":1',
        snapshot(1, 2),
        snapshot(0),
        snapshot(-1),
        snapshot(2**53),
        snapshot(1.0),
        snapshot(seq=True),
        snapshot("1"),
        snapshot(1, None),
        snapshot(1, epoch=""),
        snapshot(1, epoch=7),
        snapshot(1, source="xuwei/gw-01/stack-2"),
        snapshot(1, value=float("nan")),
        snapshot(1, value=float("inf")),
        snapshot(1) + snapshot(2),
        b"[" * 100_000,
    ],
)
def test_a_payload_that_is_not_what_its_topic_promises_is_counted_as_junk(payload):
    books = Books()
    books.take(f"{ROOT}/data/stack-1", payload, retained=False)
    assert (books.account(), books.junk) == ((), 1)


@pytest.mark.parametrize("payload", [b"", b"[", b"[{}", b"{}", b"[1,]", b"[1]x", b"[1 2]", snapshot(1)])
def test_a_backfill_that_is_not_an_array_is_junk_as_a_whole(payload):
    books = Books()
    books.take(f"{ROOT}/backfill/stack-1", payload, retained=False)
    assert (books.account(), books.junk) == ((), 1)


def test_a_broken_backfill_is_not_entered_in_part():
    books = Books()
    books.take(f"{ROOT}/backfill/stack-1", b"[" + snapshot(1) + b",{", retained=False)
    assert (books.account(), books.junk) == ((), 1)


KINDS = ["data/a", "backfill/a", "stats/1min/a", "stats", "alarm/a", "event", "ledger", "status", "data", ""]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
FIELDS = st.sampled_from(["source", "epoch", "seq", "low", "event", "subject", "detail", "from", "to", "kind"])
RECORDS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=9))


@given(st.sampled_from(KINDS), RECORDS.map(lambda value: json.dumps(value).encode()) | st.binary(), st.booleans())
def test_no_payload_whatsoever_raises(kind, payload, retained):
    books = Books()
    books.take(f"{ROOT}/{kind}", payload, retained=retained)
    assert len(books.account()) <= 1


@given(st.text(max_size=40), st.binary(max_size=10))
def test_no_topic_whatsoever_raises(topic, payload):
    books = Books()
    books.take(topic, payload, retained=False)
    assert books.account() == ()


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), max_size=30), st.lists(st.integers(1, 60)))
def test_missing_lost_and_received_always_agree_with_sets(live_ones, declared):
    books = Books()
    for seq, behind in live_ones:
        books.take(f"{ROOT}/data/stack-1", snapshot(seq, max(1, seq - behind)), retained=False)
    for number, first in enumerate(declared, 1):
        books.take(f"{ROOT}/event", expired(first, first + 2, seq=number), retained=False)
    rows = [each for each in books.account() if each.kind == "data"]
    assert bool(rows) == bool(live_ones)
    for row in rows:
        came = {seq for seq, _ in live_ones}
        low = max(max(1, seq - behind) for seq, behind in live_ones)
        excused = {first + more for first in declared for more in range(3)}
        missing = set(range(1, max(came) + 1)) - came - excused
        assert {each for first, last in row.missing for each in range(first, last + 1)} == missing
        assert {each for first, last in row.lost for each in range(first, last + 1)} == {m for m in missing if m < low}
        assert row.received == len(came)


@given(st.lists(st.tuples(st.integers(1, 80), st.integers(0, 9))), st.integers(1, 90), st.integers(1, 90))
def test_ranges_are_a_set_of_numbers(parts, first, last):
    ranges, expected = Ranges(), set()
    for start, more in parts:
        ranges.add(start, start + more)
        expected |= set(range(start, start + more + 1))
    assert {each for low, high in ranges for each in range(low, high + 1)} == expected
    assert len(ranges) == len(expected)
    assert all(before[1] + 1 < after[0] for before, after in zip(list(ranges), list(ranges)[1:], strict=False))
    assert [each for each in range(1, 95) if each in ranges] == sorted(expected)
    assert (ranges.first, ranges.last) == (min(expected, default=0), max(expected, default=0))
    gaps = ranges.gaps(first, last)
    assert {each for low, high in gaps for each in range(low, high + 1)} == set(range(first, last + 1)) - expected
    assert {each for low, high in below(gaps, 40) for each in range(low, high + 1)} == {
        each for each in set(range(first, last + 1)) - expected if each < 40
    }
