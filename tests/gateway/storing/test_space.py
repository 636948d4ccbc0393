"""Disks that are full, small, read-only or come back, by real means: mounts of a few MB."""

import json
import random
import shutil
import sqlite3
import subprocess
from types import SimpleNamespace

import pytest

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing import opening, space
from parkgate.gateway.storing import outbox as room
from parkgate.gateway.storing.database import Database, OutboxFault, connect
from parkgate.gateway.storing.intervals import Kept
from parkgate.gateway.storing.outbox import Footing, Outbox
from parkgate.gateway.storing.wal import PAGE


def reopen(path):
    return Outbox.open(path, SystemClock(), 1.0, random.Random(2))


def body(seq, low):
    return json.dumps({"source": "s/g/a", "epoch": "x", "seq": seq, "low": low, "values": {}}).encode()


def noise(rng, size=3_000):
    return lambda *_: rng.randbytes(size)


@pytest.fixture
def disk(tmp_path):
    """A disk of 10 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def remount(path, how):
    subprocess.run(["mount", "-o", f"remount,{how}", path], check=True)


async def rows(box):
    return [(each.series.epoch, each.seq, each.body) for each in await box.read(0, 10_000, 10_000)]


@pytest.mark.root
async def test_on_a_read_only_disk_the_outbox_is_in_memory_and_sends_what_waits(disk):
    box = reopen(disk)
    park = box.uplink("park")
    for _ in range(10):
        box.store(box.series("data", "a"), 7, body)
    await box.commit()
    park.progress.settle(1, 4)
    box.note(park)
    await box.commit(progress=True)
    await box.close()
    before = {each.name: each.read_bytes() for each in disk.iterdir()}
    remount(disk, "ro")
    memory = reopen(disk)
    assert not memory.durable
    assert memory.news[0][:2] == ("not-durable", "")
    assert "Read-only" in memory.news[0][2]["reason"]
    assert memory.epoch > box.epoch
    assert [seq for _, seq, _ in await rows(memory)] == [5, 6, 7, 8, 9, 10]
    state = memory.uplink("park")
    assert (state.progress.position, memory.newest) == (4, 10)
    assert not await memory.writable()
    memory.store(memory.series("data", "a"), 8, body)
    await memory.commit()
    await memory.close()
    assert {each.name: each.read_bytes() for each in disk.iterdir()} == before, "untouched"
    remount(disk, "rw")


@pytest.mark.root
async def test_when_the_disk_takes_things_again_what_waits_in_memory_moves_to_it(disk):
    box = reopen(disk)
    box.uplink("park")
    for _ in range(3):
        box.store(box.series("data", "a"), 7, body)
    await box.commit()
    await box.close()
    remount(disk, "ro")
    memory = reopen(disk)
    park = memory.uplink("park")
    for _ in range(5):
        memory.store(memory.series("data", "a"), 8, body)
    await memory.ask(lambda file: file.descriptions.keep([("a", "rev1", b"{}")], 0))
    memory.beside += [Kept("a", "1min", 0, 3, 4, 0, b"old"), Kept("a", "1min", 60_000, 7, 8, 0, b"new")]
    memory.store(memory.series("data", "a"), 8, body)
    await memory.commit()
    park.progress.settle(4, 5)  # two of the five were delivered meanwhile, and none of the three
    memory.note(park)
    await memory.commit(progress=True)
    remount(disk, "rw")
    assert await memory.writable()
    await memory.close()
    again = reopen(disk)
    assert again.durable
    assert box.epoch < memory.epoch < again.epoch
    found = await rows(again)
    assert [each[:2] for each in found] == [
        *((box.epoch, n) for n in (1, 2, 3)),
        *((memory.epoch, n) for n in (3, 4, 5, 6)),
    ]
    kept = await again.ask(lambda file: [(each.body, each.upto, each.since) for each in file.intervals.all()])
    assert kept == [(b"old", 3, 4), (b"new", 5, 6)], "rows 7 and 8 in memory are 5 and 6 on the disk"
    assert again.uplink("park").progress.position == 0
    assert await again.ask(lambda file: file.descriptions.needed(0)) == [("a", "rev1", b"{}")]
    again.store(again.series("data", "a"), 8, body)
    await again.commit()
    await again.close()


@pytest.mark.root
async def test_a_damaged_outbox_on_a_read_only_disk_is_read_too(disk):
    box = reopen(disk)
    for _ in range(10):
        box.store(box.series("data", "a"), 7, body)
    await box.commit()
    await box.close()
    with (disk / "outbox.sqlite").open("r+b") as file:
        file.write(b"no header any more")
    remount(disk, "ro")
    memory = reopen(disk)
    assert not memory.durable
    assert len(await rows(memory)) == 10
    assert memory.uplink("park").progress.position == 0
    await memory.close()
    remount(disk, "rw")


@pytest.mark.root
async def test_where_a_damaged_outbox_finds_no_room_beside_itself_what_waits_goes_first(disk):
    box, rng = reopen(disk), random.Random(1)
    await box.room(2**31)
    park = box.uplink("park")
    for _ in range(60):
        for _ in range(30):
            box.store(box.series("data", "a"), 7, noise(rng))
        await box.commit()
    park.progress.settle(1, 1_500)
    box.note(park)
    await box.commit(progress=True)
    await box.close()
    (disk / "outbox.suspect").write_text("a test")
    again = reopen(disk)
    assert again.durable
    assert [each.id for each in await again.read(0, 10_000, 10_000)] == list(range(1_501, 1_801))
    (told,) = again.news
    assert told[2]["lost"] == 0
    again.store(again.series("data", "a"), 8, body)
    await again.commit()
    assert again.fault == ""
    await again.close()


async def test_an_outbox_in_memory_is_bounded_and_rows_can_leave_it_when_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "IN_MEMORY", 400_000)
    monkeypatch.setattr(room, "IN_MEMORY", 400_000)

    def refuse(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(opening.Folder, "probe", refuse)
    box, rng = reopen(tmp_path), random.Random(1)
    assert (box.durable, box.budget, await box.room(10**9)) == (False, 350_000, 350_000)
    for _ in range(300):
        box.store(box.series("data", "a"), 7, noise(rng))
    await box.commit()
    assert box.fault
    assert 0 < box.newest < 300
    assert await box.ask(Database.size) <= 400_000
    held = box.newest
    await box.commit(range(1, held + 1))
    assert box.newest > held
    assert not list(tmp_path.glob("outbox.sqlite*"))
    await box.close()


async def test_what_an_uplink_has_had_is_recorded_though_only_some_of_the_records_beside_it_found_room(tmp_path):
    box, rng = reopen(tmp_path), random.Random(1)
    park = box.uplink("park")
    for _ in range(5):
        box.store(box.series("data", "a"), 7, noise(rng))
    await box.commit()
    await box.ask(lambda file: file.limit(file.allocated() + 30_000, 10**6))
    park.progress.settle(1, 4)
    box.note(park)
    for _ in range(20):
        box.store(box.series("data", "a"), 7, noise(rng))
    await box.commit(progress=True)
    assert 5 < box.newest < 25, "some found room"
    await box.ask(lambda file: file.limit(10**8, 10**6))
    await box.commit(progress=True)
    assert box.queued == 0
    await box.close()
    again = reopen(tmp_path)
    assert again.uplink("park").progress.position == 4
    await again.close()


@pytest.mark.root
async def test_on_a_small_disk_the_outbox_stays_below_what_is_free_and_drains_when_it_is_full(disk):
    box, rng = reopen(disk), random.Random(1)
    budget = await box.room(2**31)
    assert 5_000_000 < budget < 9_500_000
    for _ in range(200):
        for _ in range(20):
            box.store(box.series("data", "a"), 7, noise(rng))
        await box.commit()
        if box.fault:
            break
    assert "full" in box.fault
    assert budget < await box.ask(Database.size) < 10_000_000
    assert (disk / "outbox.sqlite-wal").stat().st_size < 1_000_000
    queued, stored = box.queued, box.newest
    assert queued
    await box.commit(range(1, 501))
    assert box.fault == ""
    assert (box.queued, box.newest) == (0, stored + queued)
    await box.close()


@pytest.mark.root
async def test_what_others_fill_of_the_disk_lowers_what_the_outbox_may_use(disk):
    box = reopen(disk)
    before = await box.room(2**31)
    (disk / "others").write_bytes(bytes(4_000_000))
    assert before - 4_100_000 < await box.room(2**31) < before - 3_900_000
    assert await box.room(1_000_000) == 1_000_000
    await box.close()


@pytest.mark.root
async def test_a_full_disk_at_the_start_is_no_reason_to_leave_the_file(disk):
    box = reopen(disk)
    box.store(box.series("data", "a"), 7, body)
    await box.commit()
    await box.close()
    (disk / "others").write_bytes(bytes(shutil.disk_usage(disk).free))
    again = reopen(disk)
    assert len(await rows(again)) == 1
    await again.close()
    (disk / "others").unlink()
    third = reopen(disk)
    assert (third.durable, third.epoch) == (True, box.epoch)
    await third.close()


async def test_space_is_given_back_to_the_disk(outbox, tmp_path):
    rng = random.Random(1)
    for _ in range(1_000):
        outbox.store(outbox.series("data", "a"), 7, noise(rng))
    await outbox.commit()
    await outbox.ask(lambda file: file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    large = (tmp_path / "outbox.sqlite").stat().st_size
    await outbox.commit(range(1, 1_001))
    for _ in range(4):  # each a transaction of half the WAL at most
        await outbox.ask(lambda file: file.give_back(10_000))
    await outbox.ask(lambda file: file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    assert large > 3_000_000
    assert (tmp_path / "outbox.sqlite").stat().st_size < 200_000


async def test_what_found_no_place_while_the_disk_was_full_is_told_when_it_stores_again(outbox, monkeypatch):
    told = []
    outbox.tell = lambda name, subject, **detail: told.append((name, subject, detail))
    monkeypatch.setattr(room, "MAX_QUEUED", 40)
    await outbox.ask(lambda file: file.limit(1, 1))  # as large as it is and no larger
    series = outbox.series("data", "a")
    for ts in (5, 6, 7, 8):
        outbox.store(series, ts, noise(random.Random(1), 9_000))
    await outbox.commit()
    assert outbox.fault
    assert told == []
    await outbox.ask(lambda file: file.limit(10**9, 10**6))
    await outbox.commit()
    assert outbox.fault == ""
    assert [(name, subject) for name, subject, _ in told] == [("not-stored", "a")]
    detail = told[0][2]
    assert "full" in detail.pop("reason")
    assert detail == {"kind": "data", "count": 3, "from_ts": 6, "to_ts": 8}
    assert (outbox.stored, series.seq) == (1, 1)


@pytest.mark.parametrize("most", [1_000_000, 80_000_000])
async def test_its_file_is_held_to_little_more_than_it_may_use(outbox, most):
    assert await outbox.room(most) == most
    (pages,) = await outbox.ask(lambda file: file._connection.execute("PRAGMA max_page_count").fetchone())
    assert pages == (most + max(most // 8, space.LOG)) // PAGE


@pytest.mark.parametrize("name", ["SQLITE_READONLY", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_READ"])
async def test_a_disk_that_fails_while_something_is_asked_ends_the_agent(outbox, name):
    def broken(_):
        error = sqlite3.OperationalError("it failed")
        error.sqlite_errorname = name
        raise error

    with pytest.raises(OutboxFault, match=name):
        await outbox.ask(broken)


@pytest.mark.parametrize("disk_size", [10_000_000, 4_000_000_000, 10**12])
def test_the_reserve_holds_the_wal_and_the_wal_stays_small(disk_size):
    assert space.log(disk_size) <= 4_096_000
    assert space.reserve(disk_size) >= 2 * space.log(disk_size)
    assert space.reserve(disk_size) <= disk_size // 8


def test_reserve_and_wal_are_parts_of_the_disk_and_the_outbox_in_memory_stays_below_its_limit():
    assert (space.log(6_400_063), space.reserve(8_000_007), space.below(807)) == (100_000, 1_000_000, 707)
    assert (space.log(10**12), space.reserve(10**12)) == (4_096_000, 33_554_432)


class Held:
    """A file of so many bytes that notes what it is held to."""

    def __init__(self, allocated):
        self.size = allocated
        self.held = ()

    def allocated(self):
        return self.size

    def limit(self, most, log):
        self.held = (most, log)


@pytest.mark.parametrize(
    ("free", "most", "given", "held"),
    [
        (2_000, 2**40, 1_000_000 + 2_000 * 4_096 - 5_120_000, 1_000_000 + 2_000 * 4_096 - 2_560_000),
        (9_000, 8_000_000, 8_000_000, 8_000_000 + 4_096_000),
        (9_000, 2_000_000, 2_000_000, 2_000_000 + 4_096_000),
        (0, 2**40, 0, 1_000_000 - 2_560_000),
    ],
)
def test_what_is_free_less_a_reserve_is_what_the_outbox_may_use(monkeypatch, tmp_path, free, most, given, held):
    disk = SimpleNamespace(f_blocks=10_000, f_frsize=4_096, f_bavail=free)
    monkeypatch.setattr(space.os, "statvfs", lambda _: disk)
    file = Held(1_000_000)
    assert space.room(file, tmp_path, most) == given
    assert file.held == (held, 640_000)


async def test_a_disk_that_takes_nothing_is_told_as_such(outbox, monkeypatch):
    assert await outbox.writable()

    def full():
        raise OSError("no space left on device")

    monkeypatch.setattr(outbox._opened.folder, "probe", full)
    assert not await outbox.writable()


async def test_what_fits_is_stored_and_news_are_forgotten_only_once_everything_was(outbox, monkeypatch):
    real, seen = outbox._database.commit, []
    outbox.followers.append(seen.extend)

    def small(records, uplinks, removed=()):
        if len(records) > 6:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        real(records, uplinks, removed)

    await outbox.ask(lambda file: file.standing.keep_news(["{}"]))
    outbox._told = False
    monkeypatch.setattr(outbox._database, "commit", small)
    for _ in range(10):
        outbox.store(outbox.series("data", "a"), 7, body)
    await outbox.commit()
    assert [each.seq for each in seen] == [1, 2, 3, 4, 5]
    assert "5" in outbox.fault
    assert await outbox.ask(lambda file: file.standing.news()) == ["{}"]
    await outbox.commit()
    assert [each.seq for each in seen] == list(range(1, 11))
    assert outbox.fault == ""
    assert await outbox.ask(lambda file: file.standing.news()) == []


async def test_no_transaction_is_larger_than_the_wal_should_be(outbox, monkeypatch):
    real, sizes, seen = outbox._database.commit, [], []

    def measured(records, uplinks, removed=(), news=()):
        sizes.append((sum(len(each.body) for each in records), len(uplinks), len(removed)))
        real(records, uplinks, removed, news)

    outbox.followers.append(seen.extend)
    outbox.uplink("park")
    outbox._database.largest = 1_000
    monkeypatch.setattr(outbox._database, "commit", measured)
    for _ in range(100):
        outbox.store(outbox.series("data", "a"), 7, body)
    await outbox.commit(progress=True)
    assert max(size for size, _, _ in sizes) <= 1_000
    assert [each.seq for each in seen] == list(range(1, 101))
    assert sum(uplinks for _, uplinks, _ in sizes) == 1
    sizes.clear()
    for _ in range(100):
        outbox.store(outbox.series("data", "a"), 7, body)
    await outbox.commit([1, 2, 3])
    assert sizes[0] == (0, 0, 3)
    assert await outbox.ask(Database.last_id) == 200
    assert outbox.fault == ""


async def test_pages_are_given_back_no_more_at_once_than_half_a_transaction_may_have(outbox):
    rng = random.Random(1)
    for _ in range(100):
        outbox.store(outbox.series("data", "a"), 7, noise(rng))
    await outbox.commit()
    await outbox.commit(range(1, 101))

    def given_back(file, pages):
        file.largest = 20 * PAGE
        before = file.allocated()
        file.give_back(pages)
        return (before - file.allocated()) // PAGE

    assert [await outbox.ask(lambda file, pages=pages: given_back(file, pages)) for pages in (3, 1_000)] == [3, 10]


async def test_the_wal_is_merged_when_it_has_grown_to_its_size_and_not_at_every_commit(outbox, tmp_path):
    log, rng, sizes = tmp_path / "outbox.sqlite-wal", random.Random(1), []
    await outbox.ask(lambda file: file.limit(10**9, 50 * PAGE))
    for _ in range(25):
        outbox.store(outbox.series("data", "a"), 7, noise(rng))
        await outbox.commit()
        sizes.append(log.stat().st_size // PAGE)
    assert 50 <= max(sizes) < 60


async def test_no_record_passes_one_that_found_no_room(outbox):
    seen, rng = [], random.Random(1)
    outbox.followers.append(seen.extend)
    series = outbox.series("data", "a")
    await outbox.ask(lambda file: setattr(file, "largest", 1_000))
    await outbox.ask(lambda file: file.limit(1, 10**6))  # as large as it is and no larger
    for size in (20, 9_000, 20, 20):
        outbox.store(series, 7, noise(rng, size))
    await outbox.commit()
    assert ([each.seq for each in seen], outbox.queued) == ([1], 3)
    await outbox.ask(lambda file: file.limit(10**9, 10**6))
    await outbox.commit()
    assert outbox.fault == ""
    stored = await outbox.read(0, 9, 9)
    assert [each.seq for each in seen] == [each.seq for each in stored] == [1, 2, 3, 4]
    assert [each.body for each in seen] == [each.body for each in stored]


async def test_what_did_not_fit_together_is_tried_by_half_and_not_together_again(tmp_path):
    said, rng = [], random.Random(1)

    def heard(path):
        connection = connect(path)
        connection.set_trace_callback(said.append)
        return connection

    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(2), Footing(connect=heard))
    await box.ask(lambda file: file.limit(1, 10**6))  # as large as it is and no larger
    for _ in range(4):
        box.store(box.series("data", "a"), 7, noise(rng, 9_000))
    said.clear()
    await box.commit()
    assert box.queued == 4
    assert said.count("BEGIN IMMEDIATE") == 3, "of four, of two, of one"
    await box.close()


async def test_a_file_that_had_no_room_is_no_damaged_one(tmp_path):
    box = reopen(tmp_path)
    await box.ask(lambda file: file.limit(1, 10**6))  # as large as it is and no larger
    box.store(box.series("data", "a"), 7, noise(random.Random(1), 9_000))
    await box.commit()
    assert (box.fault, box.queued) == ("database or disk is full", 1)
    await box.close()
    again = reopen(tmp_path)
    assert (again.epoch, again.news) == (box.epoch, [])
    await again.close()
