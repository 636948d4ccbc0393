"""What an uplink takes from the outbox, and what `low` then says."""

import asyncio
import random
import zlib

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing import reader as room
from parkgate.gateway.storing.database import Damaged
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader

NOW = 1_000_000


async def handed(reader):
    """Give the ids of the rows that the reader hands out next."""
    rows, _ = await reader.backlog()
    return [row.id for row in rows]


async def fill(outbox, count, names=("a", "b")):
    """Store `count` rows, taking the instruments in turn."""
    for number in range(count):
        outbox.store(outbox.series("data", names[number % len(names)]), NOW, lambda seq, low: b"%d:%d" % (seq, low))
    await outbox.commit()


def reader_of(outbox, name="park", peers=None):
    return Reader(outbox, outbox.uplink(name), [] if peers is None else peers)


async def test_a_new_uplink_begins_with_what_is_stored_from_now_on(outbox):
    await fill(outbox, 4)
    reader = reader_of(outbox)
    assert (reader.waiting, reader.behind, reader.settled) == (0, False, 0)
    assert (reader.state.connections, reader.state.reached, reader.delivered) == (0, 0, 0)
    await fill(outbox, 2)
    assert (reader.waiting, reader.behind) == (2, True)
    reader.settle(await handed(reader), NOW)
    assert (reader.waiting, reader.settled) == (0, 2)
    await fill(outbox, 2)
    reader.settle(await handed(reader), NOW)
    assert (reader.waiting, reader.settled) == (0, 4)


async def test_the_backlog_is_handed_out_once_oldest_first_and_again_after_a_rewind(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 5)
    assert await handed(reader) == [1, 2, 3, 4, 5]
    assert not reader.behind
    reader.settle([1, 2], NOW)
    reader.rewind()
    assert await handed(reader) == [3, 4, 5]


async def test_live_rows_pass_the_backlog_and_are_not_handed_out_again(outbox, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 2)
    reader = reader_of(outbox)
    await fill(outbox, 3)
    outbox.followers.append(reader.take)
    await fill(outbox, 2)
    assert reader.waiting == 5, "what was handed out is not settled yet"
    reader.settle([4, 5], NOW)
    rows = await handed(reader) + await handed(reader)
    assert rows == [1, 2, 3]
    assert not reader.behind
    assert reader.waiting == 3


async def test_low_rises_only_when_everything_below_was_settled(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 6)
    await reader.backlog()
    a, b = outbox.series("data", "a"), outbox.series("data", "b")
    reader.settle([3, 5], NOW)
    assert (a.low, b.low) == (1, 1)
    reader.settle([1], NOW)
    assert (a.low, b.low) == (2, 1)
    reader.settle([2, 4, 6], NOW)
    assert (a.low, b.low) == (4, 4)


async def test_low_is_held_back_by_the_slowest_uplink_that_was_reached_within_the_last_day(outbox):
    peers = []
    fast, slow = reader_of(outbox, "fast", peers), reader_of(outbox, "slow", peers)
    await fill(outbox, 4, names=("a",))
    for reader in (fast, slow):
        await reader.backlog()
    a = outbox.series("data", "a")
    slow.settle([1], NOW)
    fast.settle([1, 2, 3], NOW)
    assert a.low == 2
    fast.settle([4], NOW + room.LATELY + 1)
    assert a.low == 5


async def test_what_was_settled_survives_a_restart_and_the_rest_is_handed_out_again(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    reader = reader_of(box)
    await fill(box, 6)
    await reader.backlog()
    reader.settle([1, 2, 5], NOW)
    await box.commit()
    await box.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(2))
    later = reader_of(again)
    assert await handed(later) == [3, 4]
    assert await handed(later) == [6]
    assert (later.waiting, later.settled) == (3, 3)
    await again.close()


async def test_a_damaged_row_is_told_and_not_handed_out_as_a_record(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 3)
    connection = outbox._database._connection
    connection.execute("UPDATE record SET body = ? WHERE id = 2", (zlib.compress(b"another body"),))
    connection.execute("UPDATE record SET body = x'00' WHERE id = 3")
    rows, _ = await reader.backlog()
    assert [isinstance(row, Damaged) for row in rows] == [False, True, True]


async def test_rows_that_left_while_the_uplink_was_not_configured_are_told_and_expire(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 5)
    outbox._database._connection.execute("DELETE FROM record WHERE id IN (1, 2, 5)")
    rows, gone = await reader.backlog()
    assert [row.id for row in rows] == [3, 4]
    assert gone == [(1, 2), (5, 5)]
    assert reader.expire(gone, NOW) == 3
    assert not reader.behind
    reader.settle([3, 4], NOW)
    assert (reader.waiting, reader.delivered) == (0, 2)


async def test_low_does_not_pass_a_declared_hole_before_its_declaration_was_delivered(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 6, names=("a",))
    await reader.backlog()
    a = outbox.series("data", "a")
    reader.settle([1], NOW)
    assert a.low == 2
    declared = outbox.store(outbox.series("event", ""), NOW, lambda *_: b"{}")
    await outbox.commit()
    reader.bar(declared)
    assert reader.expire([(2, 3)], NOW) == 2
    reader.settle([4, 5, 6], NOW)
    assert a.low == 2
    await reader.backlog()
    reader.settle([declared], NOW)
    assert a.low == 7


async def test_after_a_restart_low_waits_for_everything_that_waited(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    reader_of(box)
    await fill(box, 4, names=("a",))
    await box.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    reader, a = reader_of(again), again.series("data", "a")
    await reader.backlog()
    reader.settle([1, 2, 3], NOW)
    assert a.low == 1
    reader.settle([4], NOW)
    assert a.low == 5
    await again.close()


async def test_a_rewind_during_a_connection_leaves_out_what_is_in_the_window(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 6)
    await reader.backlog()
    reader.settle([1], NOW)
    assert reader.handed_out(3)
    assert not reader.handed_out(1)
    reader.rewind([3, 4])
    assert await handed(reader) == [2]
    assert await handed(reader) == [5, 6]


async def test_what_a_rewind_takes_back_while_the_backlog_is_read_is_handed_out_before_that(outbox, monkeypatch):
    monkeypatch.setattr(room, "PIECE", 2)
    monkeypatch.setattr(room, "CHUNK", 4)
    reader = reader_of(outbox)
    await fill(outbox, 8)
    assert await handed(reader) == [1, 2, 3, 4]
    reading = asyncio.create_task(handed(reader))
    await asyncio.sleep(0)  # it waits for the file now
    reader.settle([1], NOW)
    reader.rewind()
    assert await reading == []
    assert await handed(reader) == [2, 3, 4, 5]
    assert await handed(reader) == [6, 7, 8]
    assert not reader.behind


async def test_the_trail_of_live_rows_stays_short_and_low_stays_true(outbox, monkeypatch):
    monkeypatch.setattr(room, "_TRAIL", 10)
    reader = reader_of(outbox)
    await fill(outbox, 1)
    outbox.followers.append(reader.take)
    for _ in range(30):
        await fill(outbox, 2)
    reader.settle(range(2, 62), NOW)
    assert len(reader._live) <= 12
    assert outbox.series("data", "a").low == 1
    await reader.backlog()
    reader.settle([1], NOW)
    assert outbox.series("data", "a").low == 32
    assert outbox.series("data", "b").low == 31


async def test_low_rises_with_every_live_row_that_is_settled_though_newer_ones_are_still_out(outbox):
    reader = reader_of(outbox)
    outbox.followers.append(reader.take)
    for _ in range(3):
        await fill(outbox, 2)
    a, b = outbox.series("data", "a"), outbox.series("data", "b")
    reader.settle([1, 2, 3], NOW)
    assert (a.low, b.low) == (3, 2)
    reader.settle([4, 5, 6], NOW)
    assert (a.low, b.low) == (4, 4)


async def test_millions_of_rows_that_are_gone_are_one_range(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 2)
    outbox.newest = 50_000_000
    rows, gone = await reader.backlog()
    assert ([row.id for row in rows], gone) == ([1, 2], [(3, 50_000_000)])
    assert reader.expire(gone, NOW) == 49_999_998
    reader.settle([1, 2], NOW)
    assert (reader.waiting, reader.state.progress.ahead) == (0, "[]")


async def test_the_backlog_is_read_piece_by_piece_and_handed_out_in_whole_chunks(outbox, monkeypatch):
    monkeypatch.setattr(room, "PIECE", 2)
    monkeypatch.setattr(room, "CHUNK", 6)
    reader = reader_of(outbox)
    await fill(outbox, 13)
    for expected in (range(1, 7), range(7, 13), [13], []):
        rows, gone = await reader.backlog()
        assert [row.id for row in rows] == [*expected]
        assert gone == []


async def test_alarms_are_handed_out_before_the_backlog_and_only_once(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 5)
    for name in ("a", "b"):
        outbox.store(outbox.series("alarm", name), NOW, lambda seq, low: b"alarm %d" % seq)
        await fill(outbox, 1)
    assert [each.id for each in await reader.alarms()] == [6, 8]
    assert reader.handed_out(6)
    assert not reader.handed_out(5)
    assert await reader.alarms() == []
    rows = [*await handed(reader), *await handed(reader), *await handed(reader)]
    assert rows == [1, 2, 3, 4, 5, 7, 9]
    reader.settle([6], NOW)
    assert not reader.handed_out(6)
    assert outbox.series("alarm", "a").low == 1
    reader.settle([1, 2, 3, 4, 5], NOW)
    assert outbox.series("alarm", "a").low == 2


async def test_alarms_that_a_rewind_takes_back_while_others_are_read_are_handed_out_behind_these(outbox):
    reader = reader_of(outbox)
    outbox.followers.append(lambda records: reader.take([each for each in records if each.id == 3]))
    for name in ("a", "b", "c"):
        outbox.store(outbox.series("alarm", name), NOW, lambda seq, low: b"alarm %d" % seq)
        await outbox.commit()
    reading = asyncio.create_task(reader.alarms())
    await asyncio.sleep(0)  # it waits for the file now
    reader.rewind()  # a topic was taken again: what was live and not settled goes again, too
    assert await reading == []
    assert [each.id for each in await reader.alarms()] == [1, 2, 3]


async def test_what_expired_was_settled_and_not_delivered(outbox):
    reader = reader_of(outbox)
    await fill(outbox, 9)
    reader.settle([1, 2, 3], NOW)
    assert reader.expire([(3, 4), (6, 8)], NOW) == 4
    assert (reader.settled, reader.delivered, reader.waiting) == (7, 3, 2)
