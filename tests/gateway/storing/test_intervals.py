"""The intervals of the statistics on the disk: with the record they ride on, or not at all; and through damage."""

import os
import random
import sqlite3

from parkgate.config.site import Outbox as Limits
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.storing import database
from parkgate.gateway.storing.intervals import Kept
from parkgate.gateway.storing.keeper import Keeper
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader
from parkgate.gateway.storing.retention import Rank, rank_of

HOUR = 3_600_000


def reopen(path):
    return Outbox.open(path, SystemClock(), 1.0, random.Random(2))


def kept(start, revision=0, body=b"x", instrument="a", period="1min"):
    return Kept(instrument, period, start, 7, 8, revision, body)


def encode(seq, _low):
    return b'{"seq":%d}' % seq


async def all_of(box):
    return await box.ask(lambda file: file.intervals.all())


async def test_an_interval_is_kept_with_the_next_record_that_is_stored(outbox):
    outbox.beside.append(kept(0))
    await outbox.commit()
    assert await all_of(outbox) == [], "it waits for a record"
    outbox.store(outbox.series("stats/1min", "a"), 0, encode)
    assert outbox.beside == []
    await outbox.commit()
    assert await all_of(outbox) == [kept(0)]


async def test_a_later_revision_takes_the_place_of_an_earlier_and_those_asked_for_come_in_order(outbox):
    outbox.beside += [kept(60_000), kept(0), kept(0, 1, b"y"), kept(0, period="1h"), kept(0, instrument="b")]
    outbox.store(outbox.series("event", ""), 0, encode)
    await outbox.commit()
    found = await outbox.ask(lambda file: file.intervals.read("a", "1min", 0, 60_001))
    assert found == [kept(0, 1, b"y"), kept(60_000)]
    assert await outbox.ask(lambda file: file.intervals.read("a", "1min", 1, 60_000)) == []
    places = await outbox.ask(lambda file: file.intervals.places())
    assert sorted(places) == [
        ("a", "1h", 0, 7, 8),
        ("a", "1min", 0, 7, 8),
        ("a", "1min", 60_000, 7, 8),
        ("b", "1min", 0, 7, 8),
    ]
    await outbox.ask(lambda file: file.intervals.forget(60_000))
    assert await all_of(outbox) == [kept(60_000)]


async def test_where_the_disk_takes_part_of_the_records_it_takes_the_intervals_of_those(outbox, monkeypatch):
    commit, room = database.Database.commit, [1]

    def narrow(self, records, *about):
        if len(records) > room[0]:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        room[0] -= len(records)
        commit(self, records, *about)

    monkeypatch.setattr(database.Database, "commit", narrow)
    for start in (0, 60_000):
        outbox.beside.append(kept(start))
        outbox.store(outbox.series("stats/1min", "a"), start, encode)
    await outbox.commit()
    assert (outbox.queued, await all_of(outbox)) == (1, [kept(0)])
    room[0] = 9
    await outbox.commit()
    assert (outbox.queued, await all_of(outbox)) == (0, [kept(0), kept(60_000)])


async def test_a_flipped_bit_in_an_interval_is_noticed(tmp_path):
    box = reopen(tmp_path)
    box.beside += [kept(0), kept(60_000)]
    box.store(box.series("event", ""), 0, encode)
    await box.commit()
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    connection.execute("UPDATE interval SET revision = 5 WHERE start = 0")
    connection.close()
    again = reopen(tmp_path)
    assert await all_of(again) == [kept(60_000)]
    await again.close()


async def test_the_intervals_of_a_damaged_file_are_carried_over_the_newest_of_each(tmp_path):
    box = reopen(tmp_path)
    for revision in range(3):
        for start in range(0, 600_000, 60_000):
            box.beside.append(kept(start, revision, os.urandom(2_000)))
            box.store(box.series("stats/1min", "a"), start, encode)
        await box.commit()
    before = await all_of(box)
    await box.close()
    with (tmp_path / "outbox.sqlite").open("r+b") as file:
        file.write(bytes(100))  # the first page: SQLite calls it no database
    again = reopen(tmp_path)
    assert again.epoch > box.epoch
    assert await all_of(again) == before
    await again.close()


async def test_a_statistics_series_is_told_by_its_records_where_its_own_row_is_lost(tmp_path):
    box = reopen(tmp_path)
    body = b'{"source":"s/g/a","epoch":"%s","seq":1,"low":1,"period":"10min","points":{}}'
    box.store(box.series("stats/10min", "a"), 0, lambda _seq, _low: body % box.epoch.encode())
    await box.commit()
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    connection.execute("UPDATE series SET crc = 1")
    connection.close()
    again = reopen(tmp_path)
    assert [(each.kind, each.instrument, each.seq) for each in again.by_id.values()] == [("stats/10min", "a", 1)]
    await again.close()


async def test_statistics_stay_for_as_long_as_stats_are_kept_and_leave_a_full_disk_with_the_values(tmp_path):
    box = reopen(tmp_path)
    reader = Reader(box, box.uplink("park"), [])
    now = 500 * HOUR
    for kind in ("data", "stats/1min", "event"):
        box.store(box.series(kind, "a"), now - 100 * HOUR, encode)
    await box.commit()
    reader.settle([1, 2, 3], now)
    limits = Limits(keep={"data": 10 * HOUR, "stats": 50 * HOUR, "events": 200 * HOUR})
    keeper = Keeper(
        box, limits, [reader], SystemClock(), lambda *_, **__: 0, trusted=lambda: now, safety=(), heart=Heart()
    )
    while await keeper.remove_old():
        pass
    assert [each.series.kind for each in await box.read(0, 9, 9)] == ["event"]
    assert rank_of("stats/1h", safety=False, lacking=("park",), away=()) is Rank.ORDINARY
    await box.close()
