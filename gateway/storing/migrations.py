"""The shape of the outbox file, and how an older file becomes the newest.

A new file is made by the plain SQL below, so that the running agent never loads sqlite-utils. Opening an older file
loads it once, to migrate. A newer file than this program knows is refused, untouched.
"""

from __future__ import annotations

import sqlite3

VERSION = 1
"""`PRAGMA user_version` of the newest shape."""

# `record` has no index on (series, seq): it would dirty a page per instrument at every commit, four times the writing.
# `seq` grows with `id` within a series, so a binary search over `id` finds any record without one.
SCHEMA = """
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


def create(connection: sqlite3.Connection) -> None:
    """Make the newest shape in an empty file."""
    connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an older file to the newest shape; all or nothing."""
    from sqlite_utils import Database, Migrations  # noqa: PLC0415  # 20 MB that only an upgrade needs

    steps = Migrations("parkgate")

    @steps()
    def m001_first_shape(database: Database) -> None:
        for statement in filter(str.strip, SCHEMA.split(";\n")):
            database.execute(statement)

    steps.apply(Database(connection))
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.commit()
