"""The outbox's shape, and a file of the first version brought to it."""

import random
import sqlite3
import zlib

import pytest

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing.epoch import machine
from parkgate.gateway.storing.migrations import VERSION, create, migrate
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.seal import checksum

VERSION_1 = """
CREATE TABLE identity (
    epoch TEXT NOT NULL,             -- one life of this file on this machine: counter and random part
    machine TEXT NOT NULL            -- digest of the machine's id; another machine begins another epoch
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    kind TEXT NOT NULL,              -- data, event
    instrument TEXT NOT NULL,        -- empty for the gateway's own series
    seq INTEGER NOT NULL,            -- the last number given
    low INTEGER NOT NULL,            -- everything below it was settled on every uplink
    UNIQUE (epoch, kind, instrument)
);
CREATE TABLE record (
    id INTEGER PRIMARY KEY,          -- 1, 2, 3 … in the order of storing
    series INTEGER NOT NULL REFERENCES series (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,             -- milliseconds UTC
    crc INTEGER NOT NULL,            -- CRC-32 of the row and its payload: SQLite does not notice most flipped bits
    body BLOB NOT NULL               -- the payload, zlib
);
CREATE TABLE uplink (
    name TEXT PRIMARY KEY,
    born INTEGER NOT NULL,           -- rows up to here were stored before this uplink was configured
    position INTEGER NOT NULL,       -- rows up to here are settled
    ahead TEXT NOT NULL,             -- settled ranges above, JSON
    connections INTEGER NOT NULL,
    reached INTEGER NOT NULL,        -- when it last took something, milliseconds UTC; 0 never
    expired INTEGER NOT NULL         -- rows that left before they were delivered, each declared
) WITHOUT ROWID;
CREATE TABLE quarantine (
    uplink TEXT NOT NULL,
    record INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (uplink, record)
) WITHOUT ROWID;
CREATE TABLE meta (
    instrument TEXT NOT NULL,
    rev TEXT NOT NULL,
    body BLOB NOT NULL,
    until INTEGER,                   -- the last row that may refer to it; null while it is in use
    PRIMARY KEY (instrument, rev)
) WITHOUT ROWID;
CREATE TABLE cleared (               -- whose retained topics an uplink was told to forget
    uplink TEXT NOT NULL,
    instrument TEXT NOT NULL,
    PRIMARY KEY (uplink, instrument)
) WITHOUT ROWID;
"""
BODIES = {row: b'{"n":%d}' % row for row in range(1, 6)}


def old(path):
    """Write an outbox as version 1 did: two series, an uplink that is behind, a quarantined row, two descriptions."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"BEGIN; {VERSION_1} PRAGMA user_version = 1; COMMIT;")
    many = connection.executemany
    many("INSERT INTO identity VALUES (?, ?)", [("0007-k3f9a1", machine())])
    many("INSERT INTO series VALUES (?, '0007-k3f9a1', ?, ?, ?, 1)", [(1, "data", "a", 3), (2, "event", "", 2)])
    rows = [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 1, 3), (5, 2, 2)]
    many("INSERT INTO record VALUES (?, ?, ?, 7, ?, ?)",
         [(*row, checksum(*row, 7, BODIES[row[0]]), zlib.compress(BODIES[row[0]])) for row in rows])  # fmt: skip
    many("INSERT INTO uplink VALUES (?, 0, 2, '[[4,4]]', 3, 9, 1)", [("park",)])
    many("INSERT INTO quarantine VALUES (?, 2, '0x99')", [("park",)])
    many("INSERT INTO meta VALUES (?, ?, x'7b7d', ?)", [("a", "rev1", 2), ("a", "rev2", None)])
    many("INSERT INTO cleared VALUES (?, ?)", [("park", "gone")])
    connection.close()


def shape(connection):
    ours = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE '%sqlite%' ORDER BY name"
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return version, connection.execute(ours).fetchall()


def test_a_file_brought_up_has_the_shape_of_a_new_one(tmp_path):
    old(tmp_path / "old")
    past, new = (sqlite3.connect(where, isolation_level=None) for where in (tmp_path / "old", ":memory:"))
    migrate(past)
    create(new)
    assert shape(past) == shape(new)
    assert shape(new)[0] == VERSION
    past.close()
    new.close()


async def test_an_outbox_of_the_first_version_goes_on_with_everything_it_had(tmp_path):
    old(tmp_path / "outbox.sqlite")
    (tmp_path / "epoch").write_text("0007-k3f9a1\n")
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    assert (box.epoch, box.newest, box.news) == ("0007-k3f9a1", 5, [])
    assert {each.id: each.body for each in await box.read(0, 9, 9)} == BODIES
    assert [each.row() for each in box.by_id.values()] == [
        (1, "0007-k3f9a1", "data", "a", 3, 1), (2, "0007-k3f9a1", "event", "", 2, 1)]  # fmt: skip
    assert box.uplink("park").row() == ("park", 0, 2, "[[4,4]]", 3, 9, 1)
    assert await box.ask(lambda file: file.quarantined()) == {"park": 1}
    assert await box.ask(lambda file: file.descriptions.needed(0)) == [("a", "rev1", b"{}"), ("a", "rev2", b"{}")]
    assert await box.ask(lambda file: file.descriptions.cleared("park")) == {"gone"}
    box.store(box.series("data", "a"), 1, lambda seq, _: b"%d" % seq)
    await box.commit()
    await box.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    assert again.epoch == "0007-k3f9a1"
    assert (await again.read(5, 9, 9))[0].body == b"4"
    await again.close()


def test_a_migration_that_fails_changes_nothing(tmp_path):
    old(tmp_path / "old")
    connection = sqlite3.connect(tmp_path / "old", isolation_level=None)
    connection.execute("CREATE TABLE urgent (x)")
    before = shape(connection)
    with pytest.raises(sqlite3.OperationalError, match="urgent"):
        migrate(connection)
    assert shape(connection) == before
    connection.close()


async def test_a_file_of_version_2_gets_what_is_new_and_keeps_the_rest(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    box.store(box.series("data", "a"), 1, lambda seq, _: b"%d" % seq)
    await box.commit()
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    connection.execute("DROP TABLE interval")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    assert (again.epoch, again.newest, again.news) == (box.epoch, 1, [])
    assert await again.ask(lambda file: file.intervals.all()) == []
    await again.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    new = sqlite3.connect(":memory:", isolation_level=None)
    create(new)
    assert shape(connection) == shape(new)
    connection.close()
    new.close()


async def test_an_outbox_of_the_second_version_goes_on_and_can_keep_marks(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    epoch = box.epoch
    box.store(box.series("data", "a"), 1, lambda seq, _: b"%d" % seq)
    await box.commit()
    await box.close()
    file = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    file.executescript("DROP TABLE mark; PRAGMA user_version = 2;")
    file.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    assert (again.epoch, again.news, again.newest) == (epoch, [], 1)
    again.store(again.series("data", "a"), 1, lambda seq, _: b"%d" % seq, mark=b"far")
    await again.commit()
    assert await again.ask(lambda file: file.marks.all()) == {again.series("data", "a").id: b"far"}
    new = sqlite3.connect(":memory:", isolation_level=None)
    create(new)
    assert await again.ask(lambda file: shape(file._connection)) == shape(new)
    new.close()
    await again.close()
