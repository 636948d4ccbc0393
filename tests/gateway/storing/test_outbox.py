"""The outbox's rules, on a real file."""

import asyncio
import json
import random
import sqlite3
import threading
from types import SimpleNamespace

import pytest

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing import opening
from parkgate.gateway.storing import outbox as room
from parkgate.gateway.storing.database import Damaged, Database, OutboxFault
from parkgate.gateway.storing.intervals import Kept
from parkgate.gateway.storing.outbox import Outbox


def body(seq, low):
    return json.dumps({"seq": seq, "low": low}).encode()


def reopen(path):
    return Outbox.open(path, SystemClock(), 1.0, random.Random(2))


async def test_records_are_numbered_without_holes_and_handed_on_after_their_commit(outbox):
    seen = []
    outbox.followers.append(seen.extend)
    series = outbox.series("data", "stack-1")
    for _ in range(3):
        outbox.store(series, 1, body)
    assert seen == []
    await outbox.commit()
    assert [(each.id, each.seq, each.body) for each in seen] == [
        (1, 1, b'{"seq": 1, "low": 1}'), (2, 2, b'{"seq": 2, "low": 1}'), (3, 3, b'{"seq": 3, "low": 1}'),
    ]  # fmt: skip
    assert outbox.stored == 3
    assert outbox.collected == 3


async def test_each_instrument_and_kind_has_its_own_numbers(outbox):
    first, second, events = outbox.series("data", "a"), outbox.series("data", "b"), outbox.series("event", "")
    for series in (first, second, first, events):
        outbox.store(series, 1, body)
    assert (first.seq, second.seq, events.seq) == (2, 1, 1)
    assert outbox.series("data", "a") is first


async def test_what_was_stored_is_read_back_byte_for_byte(outbox):
    series = outbox.series("data", "stack-1")
    payloads = [bytes([number]) * 50 for number in range(20)]
    for payload in payloads:
        outbox.store(series, 1, lambda *_, payload=payload: payload)
    await outbox.commit()
    assert [each.body for each in await outbox.read(0, 20, 100)] == payloads
    assert [each.id for each in await outbox.read(5, 9, 100)] == [6, 7, 8, 9]
    assert [each.id for each in await outbox.read(5, 20, 2)] == [6, 7]


async def test_numbers_and_epoch_go_on_after_a_restart(tmp_path):
    box = reopen(tmp_path)
    epoch = box.epoch
    box.store(box.series("data", "a"), 1, body)
    await box.commit()
    await box.close()
    again = reopen(tmp_path)
    again.store(again.series("data", "a"), 2, body)
    await again.commit()
    assert again.epoch == epoch
    assert [(each.id, each.seq) for each in await again.read(0, 9, 9)] == [(1, 1), (2, 2)]
    await again.close()


async def test_a_record_that_was_never_committed_leaves_no_hole(tmp_path):
    box = reopen(tmp_path)
    series = box.series("data", "a")
    box.store(series, 1, body)
    await box.commit()
    box.store(series, 1, body)  # numbered 2, and lost with the process
    await box.close()
    again = reopen(tmp_path)
    again.store(again.series("data", "a"), 2, body)
    await again.commit()
    assert [each.seq for each in await again.read(0, 9, 9)] == [1, 2]
    await again.close()


async def test_another_machine_begins_another_epoch_that_sorts_behind(tmp_path, monkeypatch):
    box = reopen(tmp_path)
    first = box.epoch
    box.store(box.series("data", "a"), 1, body)
    await box.commit()
    await box.close()
    monkeypatch.setattr(opening, "machine", lambda: "another")
    again = reopen(tmp_path)
    assert again.epoch > first
    again.store(again.series("data", "a"), 1, body)
    await again.commit()
    assert [(each.series.epoch, each.seq) for each in await again.read(0, 9, 9)] == [(first, 1), (again.epoch, 1)]
    await again.close()


async def test_a_lost_file_begins_another_epoch_that_sorts_behind(tmp_path):
    box = reopen(tmp_path)
    first = box.epoch
    await box.close()
    (tmp_path / "outbox.sqlite").unlink()
    again = reopen(tmp_path)
    assert again.epoch > first
    assert again.epoch[:4] == "0002"
    await again.close()


async def test_a_commit_that_fails_keeps_its_records_in_order_for_the_next(outbox, monkeypatch):
    series, seen = outbox.series("data", "a"), []
    outbox.followers.append(seen.extend)
    real = outbox._database.commit

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox._database, "commit", full)
    outbox.store(series, 1, body)
    await outbox.commit()
    assert seen == []
    assert "full" in outbox.fault
    assert outbox.queued == 1
    monkeypatch.setattr(outbox._database, "commit", real)
    outbox.store(series, 1, body)
    await outbox.commit()
    assert [each.seq for each in seen] == [1, 2]
    assert outbox.fault == ""
    assert outbox.queued == 0


async def test_what_comes_while_a_commit_fails_goes_behind_what_it_held(outbox, monkeypatch):
    series, seen = outbox.series("data", "a"), []
    outbox.followers.append(seen.extend)
    real, failing = outbox._database.commit, threading.Event()

    def full(*_):
        failing.wait(20)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox._database, "commit", full)
    outbox.store(series, 1, body)
    outbox.store(series, 1, body)
    commit = asyncio.create_task(outbox.commit())
    await asyncio.sleep(0)
    outbox.store(series, 1, body)
    failing.set()
    await commit
    monkeypatch.setattr(outbox._database, "commit", real)
    await outbox.commit()
    assert [each.seq for each in seen] == [1, 2, 3]


async def test_the_newest_committed_row_is_marked_beside_the_file(outbox, tmp_path):
    for count in (1, 2, 3):
        for _ in range(count):
            outbox.store(outbox.series("data", "a"), 1, body)
        await outbox.commit()
        assert int((tmp_path / "outbox.open").read_text().split()[0]) == outbox.newest


async def test_what_is_stored_beside_a_record_that_waits_takes_its_size_too(outbox, monkeypatch):
    monkeypatch.setattr(room, "MAX_QUEUED", 40)
    series = outbox.series("data", "a")
    outbox.beside.append(Kept("a", "minute", 0, 0, 0, 0, b"x" * 50))
    assert [outbox.store(series, 1, lambda *_: b"x" * 5) for _ in range(2)] == [1, 0]


async def test_of_rows_on_a_page_that_cannot_be_read_the_others_are_given(outbox):
    for _ in range(6):
        outbox.store(outbox.series("data", "a"), 1, body)
    await outbox.commit()

    class Torn:
        def __init__(self, real):
            self.real = real

        def execute(self, query, values):
            if "LIMIT" in query or values == (4,):
                raise sqlite3.DatabaseError("database disk image is malformed")
            return self.real.execute(query, values)

    real, outbox._database._connection = outbox._database._connection, Torn(outbox._database._connection)
    several, last = await outbox.read(2, 6, 3), await outbox.read(4, 6, 5)
    outbox._database._connection = real
    assert several[1] == Damaged(4, None, 0)
    assert [each.id for each in several] == [3, 4, 5]
    assert [each.id for each in last] == [5, 6]


async def test_behind_a_page_that_cannot_be_read_what_follows_missing_rows_is_not_taken_for_missing(outbox):
    for _ in range(12):
        outbox.store(outbox.series("data", "a"), 1, body)
    await outbox.commit()
    connection = outbox._database._connection
    await outbox.ask(lambda _: connection.execute("DELETE FROM record WHERE id BETWEEN 3 AND 6"))

    class Torn:
        def execute(self, query, values):
            if "LIMIT" in query and values[0] < 2:
                raise sqlite3.DatabaseError("database disk image is malformed")
            return connection.execute(query, values)

    outbox._database._connection = Torn()
    found = {limit: [each.id for each in await outbox.read(0, 12, limit)] for limit in (1, 4, 5, 20)}
    outbox._database._connection = connection
    assert found == {1: [1], 4: [1, 2, 7, 8], 5: [1, 2, 7, 8, 9], 20: [1, 2, *range(7, 13)]}


async def test_missing_rows_before_a_page_that_cannot_be_read_are_not_looked_for_one_by_one(outbox):
    for _ in range(9):
        outbox.store(outbox.series("data", "a"), 1, body)
    await outbox.commit()
    connection, asked, damaged = outbox._database._connection, [], 1_000_005
    await outbox.ask(lambda _: connection.execute("UPDATE record SET id = id + 1000000 WHERE id > 4"))

    class Torn:
        def execute(self, query, values):
            asked.append(values)
            if values[0] < damaged <= values[1] if "LIMIT" in query else values == (damaged,):
                raise sqlite3.DatabaseError("database disk image is malformed")
            return connection.execute(query, values)

    outbox._database._connection = Torn()
    found = await outbox.read(2, 1_000_009, 200)
    outbox._database._connection = connection
    assert [each.id for each in found] == [3, 4, *range(1_000_005, 1_000_010)]
    assert found[2] == Damaged(damaged, None, 0)
    assert len(asked) < 1_000


async def test_past_the_limit_records_are_rejected_unnumbered_and_counted(outbox, monkeypatch):
    monkeypatch.setattr(room, "MAX_QUEUED", 40)
    series = outbox.series("data", "a")
    assert [outbox.store(series, 1, lambda *_: b"x" * 30) for _ in range(5)] == [1, 2, 0, 0, 0]
    assert (outbox.collected, outbox.queued, outbox.rejected, series.seq) == (5, 2, 3, 2)
    await outbox.commit()
    outbox.store(series, 1, body)
    assert series.seq == 3


async def test_each_record_that_waits_takes_its_own_size_of_the_limit(outbox, monkeypatch):
    monkeypatch.setattr(room, "MAX_QUEUED", 40)
    series = outbox.series("data", "a")
    assert [outbox.store(series, 1, lambda *_, size=size: b"x" * size) for size in (5, 50, 5)] == [1, 2, 0]
    await outbox.commit()
    assert [outbox.store(series, 1, lambda *_, size=size: b"x" * size) for size in (30, 5, 5, 5)] == [3, 4, 5, 6]


async def test_a_disk_that_fails_ends_the_agent(outbox, monkeypatch):
    def broken(*_):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error

    real = outbox._database.commit
    monkeypatch.setattr(outbox._database, "commit", broken)
    outbox.store(outbox.series("data", "a"), 1, body)
    with pytest.raises(OutboxFault, match="SQLITE_IOERR_FSYNC"):
        await outbox.commit()
    monkeypatch.setattr(outbox._database, "commit", real)


async def test_run_waits_as_long_as_the_pace_says_of_these_seconds(tmp_path, monkeypatch):
    asked = []

    class Still(SystemClock):
        def now(self):
            return 1_800_000_000_250

        def monotonic(self):
            return 77.5

    def paced(window, now, paused, *, queued):
        asked.append((window, now, paused, queued))
        return 0.0

    monkeypatch.setattr(room, "until_commit", paced)
    box = Outbox.open(tmp_path, Still(), 2.0, random.Random(1))
    box._last_commit = 70.0
    running, stored = asyncio.create_task(box.run()), asyncio.Event()
    box.followers.append(lambda _: stored.set())
    box.store(box.series("data", "a"), 1, body)
    await asyncio.wait_for(stored.wait(), 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await box.close()
    assert asked[0] == (2.0, 1_800_000_000.25, 7.5, True)


async def test_run_commits_within_the_window_and_urgent_records_at_once(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 3600.0, random.Random(1))
    box._last_commit = box._clock.monotonic()  # a commit just was, so the next one is an hour away
    running, stored = asyncio.create_task(box.run()), asyncio.Event()
    box.followers.append(lambda _: stored.set())
    box.store(box.series("data", "a"), 1, body)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not stored.is_set()
    box.store(box.series("alarm", "a"), 1, body, urgent=True)
    await asyncio.wait_for(stored.wait(), 5)
    assert box.stored == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await box.close()


async def test_usage_counts_from_the_oldest_row_to_the_newest(outbox):
    assert (await outbox.ask(Database.usage))[1] == 0
    for _ in range(7):
        outbox.store(outbox.series("data", "a"), 1, body)
    await outbox.commit()
    await outbox.commit([1, 2, 4])
    used, rows = await outbox.ask(Database.usage)
    assert rows == 5
    assert used == await outbox.ask(Database.size)


async def test_what_left_the_file_no_longer_counts_as_used(outbox):
    for _ in range(100):
        outbox.store(outbox.series("data", "a"), 1, lambda *_: random.Random(1).randbytes(3_000))
    await outbox.commit()
    full, allocated = await outbox.ask(Database.size), await outbox.ask(Database.allocated)
    await outbox.commit(range(1, 51))
    assert 0.4 * full < await outbox.ask(Database.size) < 0.6 * full
    assert await outbox.ask(Database.allocated) == allocated, "its free pages are still the file's"


async def test_the_time_of_the_oldest_row_behind_another_is_known(outbox):
    assert await outbox.ask(lambda file: file.oldest(0)) is None
    for ts in (11, 12, 13):
        outbox.store(outbox.series("data", "a"), ts, body)
    await outbox.commit()
    assert [await outbox.ask(lambda file, row=row: file.oldest(row)) for row in range(4)] == [11, 12, 13, None]


async def test_the_first_record_of_a_series_is_number_1_and_waits_for_none_below(outbox):
    outbox.store(outbox.series("data", "a"), 1, body)
    outbox.store(outbox.series("data", "b"), 1, body)
    await outbox.commit()
    assert [each.body for each in await outbox.read(0, 9, 9)] == [body(1, 1)] * 2
    assert [each.id for each in outbox.by_id.values()] == [1, 2]


async def test_a_second_agent_on_the_same_outbox_is_refused(outbox, tmp_path):
    with pytest.raises(OutboxFault, match="already running"):
        reopen(tmp_path)
    assert outbox.stored == 0


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "outbox.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE future (x); PRAGMA user_version = 99;")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(OutboxFault, match="newer version"):
        reopen(tmp_path)
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "outbox.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE invoices (x);")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(OutboxFault, match="no outbox"):
        reopen(tmp_path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxFault, match="data folder"):
        reopen(tmp_path / "file" / "data")


async def test_the_file_is_synced_at_every_commit_and_gives_space_back(outbox):
    ask = outbox._database._connection.execute
    assert ask("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ask("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert ask("PRAGMA auto_vacuum").fetchone() == (2,)  # INCREMENTAL


async def test_quarantined_rows_are_counted_by_uplink(outbox):
    await outbox.ask(lambda file: file.quarantine("park", [7, 8], "0x99"))
    await outbox.ask(lambda file: file.quarantine("park", [8], "0x99"))
    assert await outbox.ask(Database.quarantined) == {"park": 2}


async def test_descriptions_are_needed_while_rows_may_refer_to_them(outbox):
    async def keep(since, *metas):
        await outbox.ask(lambda file: file.descriptions.keep([(*each, b"{}") for each in metas], since))

    async def needed(position):
        return [each[:2] for each in await outbox.ask(lambda file: file.descriptions.needed(position))]

    await keep(0, ("a", "rev1"), ("b", "rev1"))
    await keep(10, ("a", "rev2"))
    assert await needed(9) == [("a", "rev1"), ("b", "rev1"), ("a", "rev2")]
    assert await needed(10) == [("a", "rev2")]
    await keep(20, ("a", "rev1"))
    assert await needed(15) == [("a", "rev2"), ("a", "rev1")]
    assert await needed(20) == [("a", "rev1")]
    assert len(await outbox.ask(lambda file: file.descriptions.all())) == 3


async def test_a_file_put_back_from_a_copy_begins_another_epoch(tmp_path):
    box = reopen(tmp_path)
    first = box.epoch
    await box.close()
    copy = (tmp_path / "outbox.sqlite").read_bytes()
    (tmp_path / "outbox.sqlite").unlink()
    box = reopen(tmp_path)
    second = box.epoch
    await box.close()
    (tmp_path / "outbox.sqlite").write_bytes(copy)
    again = reopen(tmp_path)
    assert first < second < again.epoch
    await again.close()


async def test_any_flipped_field_of_a_row_makes_it_damaged(outbox):
    outbox.store(outbox.series("data", "a"), 5, body)
    outbox.store(outbox.series("data", "b"), 5, body)
    await outbox.commit()
    execute = outbox._database._connection.execute
    for damage in ("series = 2", "series = 77", "seq = 9", "ts = 6", "body = x'00'", "crc = 1", "body = 'text'"):
        execute("SAVEPOINT damaged")
        execute(f"UPDATE record SET {damage} WHERE id = 1")
        found = await outbox.read(0, 9, 9)
        assert [isinstance(row, Damaged) for row in found] == [True, False], damage
        execute("ROLLBACK TO damaged")
        execute("RELEASE damaged")


async def test_an_instrument_that_comes_back_is_no_longer_cleared(outbox):
    await outbox.ask(lambda file: file.descriptions.note_cleared("park", ["a", "b"]))
    await outbox.ask(lambda file: file.descriptions.keep([("a", "rev1", b"{}")], 0))
    assert await outbox.ask(lambda file: file.descriptions.cleared("park")) == {"b"}


async def test_what_uplinks_have_had_is_written_now_and_then_or_when_asked(outbox, monkeypatch):
    written = []
    real = outbox._database.commit

    def watched(records, uplinks, removed=()):
        written.append((len(records), [row[0] for row in uplinks]))
        real(records, uplinks, removed)

    monkeypatch.setattr(outbox._database, "commit", watched)
    outbox._since -= 3_600  # it has run for an hour
    state, series = outbox.uplink("park"), outbox.series("data", "a")
    for progress in (False, False, True):
        outbox.note(state)
        outbox.store(series, 1, body)
        await outbox.commit(progress=progress)
    outbox.note(state)
    await outbox.commit()
    assert written == [(1, ["park"]), (1, []), (1, ["park"]), (0, ["park"])]


async def test_an_agent_that_does_not_live_long_writes_what_uplinks_have_had_all_the_same(outbox, monkeypatch):
    """Else each life of one that is killed every few seconds would send again what all those before it sent."""
    now = outbox._since = 0.0  # how a time is rounded must not depend on how long this machine runs
    monkeypatch.setattr(outbox, "_clock", SimpleNamespace(monotonic=lambda: now, now=lambda: 0))
    state, series, noted = outbox.uplink("park"), outbox.series("data", "a"), []
    for tenth in range(200):
        now = tenth / 10
        outbox.note(state)
        outbox.store(series, 1, body)
        await outbox.commit()
        noted += [] if outbox._dirty else [tenth / 10]
    assert len([each for each in noted if each <= 2]) >= 5
    assert len([each for each in noted if each > 10]) in (2, 3)
