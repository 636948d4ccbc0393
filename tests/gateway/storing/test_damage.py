"""Damaged outboxes, on real files: what is kept, what is declared, and what is left alone."""

import json
import os
import random
import sqlite3
from datetime import UTC, datetime

import pytest
from chaos import damage

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing import wal
from parkgate.gateway.storing.folder import Folder
from parkgate.gateway.storing.migrations import VERSION
from parkgate.gateway.storing.outbox import Outbox

NOTES = b"this is not a database, but somebody's notes\n" * 200


def reopen(path):
    return Outbox.open(path, SystemClock(), 1.0, random.Random(2))


def body(seq, low, epoch="", text=""):
    values = {"text": text}
    return json.dumps({"source": "site/gw/a", "epoch": epoch, "seq": seq, "low": low, "values": values}).encode()


async def filled(path, commits=20, each=10):
    """Make an outbox of one series whose uplink has had the first half of it."""
    box = reopen(path)
    series, park = box.series("data", "a"), box.uplink("park")
    for _ in range(commits):
        for _ in range(each):
            box.store(series, 7, lambda seq, low: body(seq, low, box.epoch, os.urandom(300).hex()))
        await box.commit()
    park.progress.settle(1, commits * each // 2)
    box.note(park)
    await box.commit(progress=True)
    return box


async def killed(path, box):
    """End an outbox as kill -9 does."""
    kept = {each: each.read_bytes() for each in path.iterdir() if each.is_file()}
    await box.close()
    for each, content in kept.items():
        damage.write(each, content)


def aside(path):
    return sorted(each.name for each in path.glob("outbox-damaged-*"))


async def rows(box):
    return [each.id for each in await box.read(0, 10_000, 10_000)]


async def test_sixty_damaged_outboxes():
    for row in await damage.run(60, seed=20_000):
        assert row.ok, row


async def test_an_outbox_that_was_killed_goes_on_in_its_epoch(tmp_path):
    box = await filled(tmp_path)
    await killed(tmp_path, box)
    again = reopen(tmp_path)
    assert (again.epoch, again.news, again.newest) == (box.epoch, [], 200)
    assert aside(tmp_path) == []
    await again.close()


@pytest.mark.parametrize("cut", [1, 100, 4_000, 4_120])
async def test_the_torn_last_transaction_of_a_power_cut_is_no_damage(tmp_path, cut):
    box = await filled(tmp_path)
    before = (tmp_path / "outbox.open").read_bytes()
    box.store(box.series("data", "a"), 7, body)
    await box.commit()
    await killed(tmp_path, box)
    damage.write(tmp_path / "outbox.open", before)  # nothing was published of what was not synced
    log = tmp_path / "outbox.sqlite-wal"
    damage.write(log, log.read_bytes()[:-cut])
    again = reopen(tmp_path)
    assert (again.epoch, again.news, again.newest) == (box.epoch, [], 200)
    await again.close()


async def test_a_bad_frame_in_the_middle_of_the_wal_drops_nothing_silently(tmp_path):
    box = await filled(tmp_path)
    await killed(tmp_path, box)
    log = bytearray((tmp_path / "outbox.sqlite-wal").read_bytes())
    log[len(log) // 2] ^= 1
    damage.write(tmp_path / "outbox.sqlite-wal", bytes(log))
    before = {each.name: each.read_bytes() for each in tmp_path.glob("outbox.sqlite*")}
    again = reopen(tmp_path)
    assert again.epoch > box.epoch
    assert again.news[0][2]["reason"] == "the WAL is damaged"
    assert len(await rows(again)) >= 190
    kept = {each.name.partition(".")[2]: each.read_bytes() for each in tmp_path.glob("outbox-damaged-*")}
    assert kept == {name.partition(".")[2]: content for name, content in before.items()}, "as they were found"
    await again.close()


@pytest.mark.parametrize("kind", ["empty", "text", "folder", "gone", "wal gone"])
async def test_whatever_stands_there_the_outbox_runs(tmp_path, kind):
    box = await filled(tmp_path)
    await killed(tmp_path, box)
    path = tmp_path / "outbox.sqlite"
    match kind:
        case "empty":
            damage.write(path, b"")
        case "text":
            damage.write(path, NOTES)
            (tmp_path / "outbox.sqlite-wal").unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "gone":
            path.unlink()
        case "wal gone":
            (tmp_path / "outbox.sqlite-wal").unlink()
    again = reopen(tmp_path)
    assert again.durable
    assert again.epoch > box.epoch
    assert again.news[0][0] == "outbox-damaged"
    kept = set(await rows(again))
    assert kept == (set(range(1, 201)) if kind in {"empty", "folder", "gone"} else set()), "the WAL still has them"
    assert aside(tmp_path)
    again.store(again.series("data", "a"), 8, body)
    await again.commit()
    await again.close()
    once_more = reopen(tmp_path)
    assert (once_more.epoch, once_more.news) == (again.epoch, [])
    await once_more.close()


async def test_what_is_lost_is_declared_and_what_was_delivered_is_not(tmp_path):
    box = await filled(tmp_path)
    await box.close()
    path = tmp_path / "outbox.sqlite"
    standing = damage.places(damage.Case(tmp_path, random.Random(1)))
    content = bytearray(path.read_bytes())
    gone = {}
    for row in (30, 150):
        ((_, page),) = standing[row]
        content[(page - 1) * 4096 : page * 4096] = bytes(4096)
        gone[row] = sorted(each for each, places in standing.items() if ("page", page) in places)
    damage.write(path, bytes(content))
    again = reopen(tmp_path)
    told, *declared = again.news
    assert told[:2] == ("outbox-damaged", "")
    assert told[2]["file"] == aside(tmp_path)[0]
    assert told[2]["records"] == 200 - len(gone[30]) - len(gone[150])
    first, last = gone[150][0], gone[150][-1]
    assert declared == [("damaged", "a", {
        "kind": "data", "epoch": box.epoch, "from": first, "to": last, "count": last - first + 1,
        "reason": told[2]["reason"], "uplinks": ["park"]})]  # fmt: skip
    park = again.uplink("park")
    assert (park.progress.position, park.expired) == (100, len(gone[150]))
    assert park.progress.covers(first)
    assert set(await rows(again)) == set(range(1, 201)) - set(gone[30]) - set(gone[150])
    assert [(each.kind, each.instrument, each.seq) for each in again.by_id.values()] == [("data", "a", 200)]
    await again.close()


async def test_what_nobody_was_told_yet_is_told_at_the_next_start(tmp_path):
    box = await filled(tmp_path)
    await box.close()
    damage.write(tmp_path / "outbox.sqlite", NOTES)
    again = reopen(tmp_path)
    told = again.news
    await again.close()
    third = reopen(tmp_path)
    assert third.news == told
    third.store(third.series("event", ""), 7, body)
    await third.commit()
    await third.close()
    fourth = reopen(tmp_path)
    assert fourth.news == []
    await fourth.close()


async def test_without_its_seal_an_uplink_is_sent_everything_again_and_a_series_is_told_by_its_records(tmp_path):
    box = await filled(tmp_path)
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    connection.execute("UPDATE uplink SET position = 190")
    connection.execute("UPDATE series SET seq = 3")
    connection.execute("DELETE FROM record WHERE id <= 10")
    connection.close()
    again = reopen(tmp_path)
    assert again.news[0][2]["reason"] == "series"
    assert again.by_id[1].row() == (1, box.epoch, "data", "a", 200, 1)
    assert again.uplink("park").progress.position == 10
    assert again.series("data", "a").epoch == again.epoch
    await again.commit(progress=True)
    await again.close()
    third = reopen(tmp_path)
    assert third.uplink("park").progress.position == 10
    assert third.uplink("new").progress.position == third.newest
    await third.close()


async def test_descriptions_alarms_and_quarantined_rows_come_over(tmp_path):
    box = await filled(tmp_path)
    await box.ask(lambda file: file.descriptions.keep([("a", "rev1", b"{}")], 0))
    await box.ask(lambda file: file.quarantine("park", [7], "0x99"))
    row = box.store(box.series("alarm", "gas-1"), 7, lambda seq, low: b'{"source":"s/g/gas-1","seq":1}', urgent=True)
    await box.commit()
    await box.close()
    (tmp_path / "outbox.suspect").write_text("seen at run time")
    again = reopen(tmp_path)
    assert again.news[0][2]["reason"] == "seen at run time"
    assert await again.ask(lambda file: file.descriptions.needed(0)) == [("a", "rev1", b"{}")]
    assert await again.ask(lambda file: file.quarantined()) == {"park": 1}
    assert await again.ask(lambda file: file.urgent(0, 9)) == [row]
    await again.close()
    assert not (tmp_path / "outbox.suspect").exists()


@pytest.mark.parametrize("version", [0, VERSION + 1, 99])
async def test_a_flipped_version_is_damage_and_not_a_newer_file(tmp_path, version):
    box = await filled(tmp_path)
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    again = reopen(tmp_path)
    assert again.epoch > box.epoch
    assert len(await rows(again)) == 200
    await again.close()


@pytest.mark.parametrize("harm", ["UPDATE uplink SET ahead = 'x'", "DROP TABLE uplink", "DROP TABLE identity"])
async def test_tables_that_are_not_ours_any_more_are_damage(tmp_path, harm):
    box = await filled(tmp_path)
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite")
    connection.execute(harm)
    connection.commit()
    connection.close()
    again = reopen(tmp_path)
    assert again.epoch > box.epoch
    assert len(await rows(again)) == 200
    await again.close()


async def test_an_older_copy_that_is_put_back_with_its_epoch_begins_another(tmp_path):
    box = await filled(tmp_path)
    await box.close()
    copy = {name: (tmp_path / name).read_bytes() for name in ("outbox.sqlite", "epoch")}
    (tmp_path / "outbox.sqlite").rename(tmp_path / "newer")
    for name, content in copy.items():
        (tmp_path / name).write_bytes(content)
    again = reopen(tmp_path)
    assert again.epoch > box.epoch
    await again.close()


async def test_two_damaged_files_of_one_second_are_both_kept(tmp_path):
    clock = SystemClock()
    clock.now = lambda: int(datetime(2026, 11, 25, 10, 15, 30, tzinfo=UTC).timestamp() * 1000)
    for _ in range(2):
        (tmp_path / "outbox.sqlite").write_bytes(NOTES)
        await Outbox.open(tmp_path, clock, 1.0, random.Random(1)).close()
    assert aside(tmp_path) == ["outbox-damaged-20261125T101530Z-2.sqlite", "outbox-damaged-20261125T101530Z.sqlite"]


@pytest.mark.parametrize("step", range(1, 5))
async def test_setting_aside_that_is_cut_off_goes_on_at_the_next_start(tmp_path, step, monkeypatch):
    box = await filled(tmp_path)
    await killed(tmp_path, box)
    damage.write(tmp_path / "outbox.sqlite", b"")
    real, calls = Folder._sync, []

    def cut(folder):
        calls.append(1)
        if len(calls) == step:
            raise KeyboardInterrupt
        real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "_sync", cut)
        with pytest.raises(KeyboardInterrupt):
            reopen(tmp_path)
    again = reopen(tmp_path)
    assert len(await rows(again)) == 200
    assert again.news[0][0] == "outbox-damaged"
    await again.close()


async def test_corruption_met_while_running_is_remembered_for_the_next_start(tmp_path, monkeypatch):
    box = await filled(tmp_path)

    def broken(_):
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error

    with pytest.raises(Exception, match="SQLITE_CORRUPT"):
        await box.ask(broken)
    await box.close()
    again = reopen(tmp_path)
    assert "SQLITE_CORRUPT" in again.news[0][2]["reason"]
    await again.close()


def test_the_log_of_sqlite_is_read_as_sqlite_reads_it(tmp_path):
    connection = sqlite3.connect(tmp_path / "file", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    for number in range(5):
        connection.execute("INSERT INTO t VALUES (?)", (number,))
    log = (tmp_path / "file-wal").read_bytes()
    connection.close()
    sound, found = wal.frames(log)
    assert sound
    assert all(each.linked for each in found)
    assert sum(each.commit for each in found) == 6
    assert wal.replayed(found) == wal.committed(found) == len(found)
    assert not wal.damaged(log)
    for place in range(32, len(log) - 2 * 4120, 97):  # anywhere before the last two transactions
        bad = bytearray(log)
        bad[place] ^= 4
        assert wal.damaged(bytes(bad)), place


def torn(rng, before, after):
    """Give a file after a power cut: of each sector that was written since the last sync what was, or what is."""
    size = rng.choice((len(before), len(after), rng.randrange(len(before), len(after) + 1)))
    sectors = []
    for start in range(0, size, 512):
        old, new = before[start : start + 512], after[start : start + 512]
        sectors.append(new if rng.random() < 0.6 else old + bytes(len(new) - len(old)))
    return b"".join(sectors)[:size]


@pytest.mark.parametrize("seed", range(10))
def test_power_cuts_one_after_another_are_never_taken_for_damage(tmp_path, seed):
    rng = random.Random(seed)
    path, log = tmp_path / "file", tmp_path / "file-wal"
    for _ in range(6):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 40")
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
        before = after = log.read_bytes() if log.exists() else b""
        for _ in range(rng.randint(2, 8)):
            before = log.read_bytes()
            rows = [(rng.randbytes(rng.randint(1, 3_000)),) for _ in range(rng.randint(1, 9))]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO t VALUES (?)", rows)
            main = path.read_bytes()
            connection.execute("COMMIT")
            after = log.read_bytes()
            assert not wal.damaged(after)
        connection.close()
        path.write_bytes(main)
        if after[:32] == before[:32]:
            log.write_bytes(torn(rng, before, after))
            assert not wal.damaged(log.read_bytes())
        else:
            log.write_bytes(before)
