"""One line's loop, with a driver and a clock that the test holds."""

import asyncio
import json

import pytest
from support.line_bench import START, Bench, Jumping, Wire, fault

from parkgate.config.flag import Flag
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.collecting.collector import LONGEST_WAIT


async def test_every_turn_of_every_instrument_stores_a_snapshot(outbox):
    bench = Bench(outbox, 10.2, lambda name, now: 12.5)
    stored = await bench.run()
    for name in ("a", "b"):
        mine = [body for instrument, body in stored if instrument == name]
        assert [body["seq"] for body in mine] == list(range(1, len(mine) + 1))
        assert len(mine) == 11
        assert all(body["values"] == {"so2": 12.5} for body in mine)
    assert bench.told == [("line-up", "cems")]
    assert bench.changes == 0


async def test_a_silent_instrument_stands_as_no_communication_and_the_other_goes_on(outbox):
    bench = Bench(outbox, 10.2, lambda name, now: fault(Silent) if name == "a" and 3 < now < 7 else 1.0)
    stored = await bench.run()
    flagged = [body for name, body in stored if body.get("invalid")]
    assert {body["invalid"]["so2"]["flag"] for body in flagged} == {"no-communication"}
    assert {name for name, body in stored if body.get("invalid")} == {"a"}
    assert len(flagged) == 3
    assert len([1 for name, _ in stored if name == "b"]) == 11
    assert bench.told == [("line-up", "cems"), ("silent", "a"), ("answering", "a")]
    assert bench.changes == 2
    assert len(bench.wire.opened) == 1, "one silent instrument does not close the line"


async def test_a_garbled_answer_is_not_used(outbox):
    bench = Bench(outbox, 3.2, lambda name, now: fault(Garbled) if now > 1.5 else 1.0, names=("a",))
    stored = await bench.run()
    assert [sorted(body["values"]) for _, body in stored] == [["so2"], ["so2"], [], []]


async def test_a_value_is_judged_before_it_is_stored(outbox):
    bench = Bench(outbox, 0.5, lambda name, now: 250.0, names=("a",))
    ((_, body),) = await bench.run()
    assert body["invalid"] == {"so2": {"flag": Flag.OUT_OF_RANGE, "value": 250.0}}


async def test_a_line_that_is_lost_is_opened_again_and_no_turn_is_left_out_meanwhile(outbox):
    lost = [False]

    def answer(name, now):
        if now > 5 and not lost[0]:
            lost[0] = True
            return fault(Unreachable)
        return 1.0

    bench = Bench(outbox, 20.2, answer)
    bench.wire.fails_to_open = lambda now: fault(Unreachable) if 5 < now < 12 else None
    stored = await bench.run()
    for name in ("a", "b"):
        assert [body["seq"] for instrument, body in stored if instrument == name] == list(range(1, 22))
    dead = [body["ts"] - START for _, body in stored if body.get("invalid")]
    assert min(dead) >= 5000
    assert 12_000 <= max(dead) <= (12 + LONGEST_WAIT) * 1000
    assert bench.told[:3] == [("line-up", "cems"), ("line-down", "cems"), ("silent", "b")]
    assert bench.told[-1][0] == "answering"
    assert [each for each in bench.told if each[0] == "line-up"] == [("line-up", "cems")] * 2
    assert not bench.wire.open, "leaving the loop leaves the line"


async def test_a_line_that_was_never_up_is_told_once_and_tried_with_back_off(outbox):
    bench = Bench(outbox, 60.2, lambda name, now: 1.0)
    bench.wire.fails_to_open = lambda now: fault(Unreachable)
    stored = await bench.run()
    assert len(stored) == 2 * 61
    assert bench.told == [("line-down", "cems"), ("silent", "a"), ("silent", "b")]
    assert 6 <= len(bench.wire.opened) < 61
    gaps = [later - sooner for sooner, later in zip(bench.wire.opened, bench.wire.opened[1:], strict=False)]
    assert max(gaps) <= LONGEST_WAIT + 1


async def test_status_counts_reads_failures_and_keeps_the_last_snapshot(outbox):
    bench = Bench(outbox, 4.2, lambda name, now: fault(Silent) if now > 2.5 else 7.0, names=("a",))
    await bench.run()
    station = bench.collector.state.stations["a"]
    assert (station.reads, station.failed, station.silent) == (5, 2, True)
    assert station.latest.flags == {0: Flag.NO_COMMUNICATION}
    assert "Look." in station.fault


async def test_a_turn_without_a_change_stores_nothing_and_the_instrument_answers_all_the_same(outbox):
    def answer(name, now):
        return 7.0 if now < 0.5 else []

    bench = Bench(outbox, 4.2, answer, names=("a",))
    assert len(await bench.run()) == 1
    station = bench.collector.state.stations["a"]
    assert (station.reads, station.failed, station.silent) == (5, 0, False)
    assert station.latest.values == (7.0,)


async def test_several_changes_of_one_turn_are_stored_in_their_order_and_the_latest_knows_every_point(outbox):
    first = Snapshot("a", START, (1.0,))
    second = Snapshot("a", START + 5, (None,), absent=frozenset({0}))
    past = Snapshot("a", START - 5, (9.0,), late=True)
    bench = Bench(outbox, 0.5, lambda name, now: [first, second, past], names=("a",))
    stored = await bench.run()
    assert [body["ts"] - START for _, body in stored] == [0, 5, -5]
    latest = bench.collector.state.stations["a"].latest
    assert (latest.at - START, latest.values, latest.offsets, latest.absent) == (5, (1.0,), {0: -5}, frozenset())


async def test_changes_that_were_dropped_are_told_and_counted(outbox):
    def answer(name, now):
        return [Snapshot("a", START + round(now), (1.0,), dropped=3 if now > 1.5 else 0)]

    bench = Bench(outbox, 3.2, answer, names=("a",))
    await bench.run()
    assert bench.told == [("line-up", "cems"), ("overflow", "a"), ("overflow", "a")]
    assert bench.details[1:] == [{"count": 3}] * 2
    assert bench.collector.state.stations["a"].dropped == 6


BROKEN = [AttributeError("no such thing"), ZeroDivisionError("of zero"), TypeError("bad \udcff"), TimeoutError()]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
async def test_a_fault_of_ours_in_reading_costs_that_turn_only_and_the_neighbours_go_on(outbox, caplog, error):
    bench = Bench(outbox, 10.2, lambda name, now: error if name == "a" and 3 < now < 7 else 1.0)
    stored = await bench.run()
    flagged = [(name, body["invalid"]) for name, body in stored if body.get("invalid")]
    assert flagged == [("a", {"so2": {"flag": "no-communication"}})] * 3
    for name in ("a", "b"):
        assert [body["seq"] for each, body in stored if each == name] == list(range(1, 12))
    assert bench.told == [("line-up", "cems"), ("silent", "a"), ("answering", "a")]
    assert f"{type(error).__name__}: {error}" in bench.reasons[1]
    assert bench.changes == 2
    assert len(bench.wire.opened) == 1, "the neighbour answers: the line stays open"
    (logged,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert logged.exc_info[1] is error, "once, with its traceback"


async def test_an_instrument_that_breaks_is_silent_in_status_and_says_why(outbox):
    bench = Bench(outbox, 4.2, lambda name, now: KeyError("q") if now > 2.5 else 7.0, names=("a",))
    await bench.run()
    station = bench.collector.state.stations["a"]
    assert (station.reads, station.failed, station.silent) == (5, 2, True)
    assert station.latest.flags == {0: Flag.NO_COMMUNICATION}
    assert 'line "cems", instrument "a"' in station.fault
    assert "KeyError: 'q'" in station.fault


@pytest.mark.parametrize("part", ["judge", "encode"])
async def test_a_fault_of_ours_after_reading_stores_a_flagged_snapshot(outbox, part):
    bench = Bench(outbox, 5.2, lambda name, now: now)
    station = bench.collector.state.stations["a"]
    works = getattr(station, part)

    def breaks(snapshot, *numbers, **about):
        if snapshot.values[0] is not None and snapshot.values[0] > 1.5:
            raise ZeroDivisionError
        return works(snapshot, *numbers)

    setattr(station, part, breaks)
    stored = await bench.run()
    mine = [body for name, body in stored if name == "a"]
    assert [body["seq"] for body in mine] == [1, 2, 3, 4, 5, 6]
    assert [body.get("invalid") for body in mine] == [None] * 2 + [{"so2": {"flag": "no-communication"}}] * 4
    assert [body["seq"] for name, body in stored if name == "b" and "invalid" not in body] == [1, 2, 3, 4, 5, 6]
    assert bench.told == [("line-up", "cems"), ("silent", "a")], "told once: answering the wire is not enough"
    assert station.failed == 4
    assert outbox.collected == outbox.stored == len(stored), "what could not be encoded was never collected"


async def test_a_line_on_which_everything_breaks_is_opened_afresh(outbox):
    """A connection that a library left in a state it cannot work in heals by being made again, and only so."""
    bench = Bench(outbox, 10.2, lambda name, now: AttributeError("stale") if now > 3 and spoilt() else 1.0)

    def spoilt():
        return len(bench.wire.opened) == 1

    stored = await bench.run()
    assert len(bench.wire.opened) == 2
    assert [name for name, body in stored if body.get("invalid")] in (["a", "b"], ["b", "a"])
    assert [each[0] for each in bench.told] == ["line-up", "silent", "silent", "answering", "answering"]


async def test_a_line_whose_opening_breaks_is_down_and_tried_with_back_off(outbox, caplog):
    bench = Bench(outbox, 60.2, lambda name, now: 1.0)
    bench.wire.fails_to_open = lambda now: TypeError("of ours") if now < 40 else None
    stored = await bench.run()
    for name in ("a", "b"):
        assert [body["seq"] for each, body in stored if each == name] == list(range(1, 62))
    assert bench.told == [
        ("line-down", "cems"), ("silent", "a"), ("silent", "b"),
        ("line-up", "cems"), ("answering", bench.told[4][1]), ("answering", bench.told[5][1]),
    ]  # fmt: skip
    assert "TypeError: of ours" in bench.reasons[0]
    assert len([now for now in bench.wire.opened if now < 40]) < 30
    (logged,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert isinstance(logged.exc_info[1], TypeError)


async def test_a_line_whose_leaving_breaks_is_down_all_the_same(outbox):
    bench = Bench(outbox, 8.2, lambda name, now: fault(Unreachable) if 2.5 < now < 3.5 else 1.0, names=("a",))
    leave = bench.wire.__aexit__

    class Sticky(Wire):
        async def __aexit__(self, *_):
            await leave()
            if bench.clock.elapsed < bench.clock.end:
                raise AttributeError("socket")

    bench.wire.__class__ = Sticky
    stored = await bench.run()
    assert [body["seq"] for _, body in stored] == list(range(1, 10))
    assert [each[0] for each in bench.told] == ["line-up", "line-down", "silent", "line-up", "answering"]


async def test_a_stop_in_the_midst_of_a_read_is_no_fault(outbox):
    bench = Bench(outbox, 5, lambda name, now: 1.0)

    async def stopped(instrument, between):
        raise asyncio.CancelledError

    bench.wire.read = stopped
    assert await bench.run() == []
    assert bench.told == []


async def test_what_was_stamped_by_a_clock_that_cannot_be_believed_says_so(outbox):
    bench = Bench(outbox, 3.5, lambda name, now: 1.0, names=("a",))
    bench.wrong |= {START + 1000}
    await bench.run()
    said = [json.loads(each.body) for each in await outbox.read(0, 99, 99) if each.series.kind == "data"]
    assert [(each["ts"] - START, each.get("clock")) for each in said] == [
        (0, None), (1000, "unsynced"), (2000, None), (3000, None),
    ]  # fmt: skip


async def test_a_line_that_waits_for_ever_for_an_answer_is_late_and_one_that_waits_for_its_turn_is_not(outbox):
    bench = Bench(outbox, 100.0, lambda name, now: 1.0, names=("a",))
    late = []

    async def watched(seconds):
        late.append(bench.heart.late)
        await Jumping.sleep(bench.clock, seconds)

    bench.clock.sleep = watched
    await bench.run()
    assert set(late) == {False}
    bench.heart.expect(60)
    bench.clock.elapsed += 61
    assert bench.heart.late


async def test_every_snapshot_is_held_against_the_alarms_behind_its_storing_also_one_without_an_answer(outbox):
    bench = Bench(outbox, 4.2, lambda name, now: fault(Silent) if now > 2.5 else 7.0)
    watched = []
    bench.collector.state.stations["a"].watch = lambda snapshot: watched.append((outbox.collected, snapshot))
    stored = await bench.run()
    assert [(each.instrument, each.values) for _, each in watched] == [("a", (7.0,))] * 3 + [("a", (None,))] * 2
    assert [dict(each.flags) for _, each in watched[3:]] == [{0: Flag.NO_COMMUNICATION}] * 2
    rows = [number for number, (name, _) in enumerate(stored, start=1) if name == "a"]
    assert [count for count, _ in watched] == rows, "its own snapshot is the newest that was stored by then"


async def test_what_is_stored_is_averaged_told_its_row_and_what_is_rejected_is_not(outbox, monkeypatch):
    bench = Bench(outbox, 4.2, lambda name, now: 7.0 if now < 1.5 else fault(Silent), names=("a",))
    stored = await bench.run()
    rows = [each.id for each in await outbox.read(0, 99, 99) if each.series.kind == "data"]
    assert [row for _, row in bench.averaged] == rows
    assert [snapshot.at for snapshot, _ in bench.averaged] == [body["ts"] for _, body in stored]
    assert {flag for snapshot, _ in bench.averaged for flag in snapshot.flags.values()} == {Flag.NO_COMMUNICATION}
    monkeypatch.setattr(outbox, "store", lambda *_, **__: 0)
    bench.collector._store(bench.collector.state.stations["a"], bench.averaged[0][0], unsynced=False)
    assert len(bench.averaged) == len(rows)
