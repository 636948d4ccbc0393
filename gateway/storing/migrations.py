"""The shape of the outbox file, and how an older file becomes the newest.

A newer file than this program knows is refused, untouched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator

from parkgate.gateway.storing.seal import sealed
from parkgate.gateway.storing.transaction import Transaction

VERSION = 3
"""`PRAGMA user_version` of the newest shape."""

# `record` has no index on (series, seq): it would dirty a page per instrument at every commit, four times the writing.
# `seq` grows with `id` within a series, so a binary search over `id` finds any record without one.
SCHEMA = """
CREATE TABLE identity (
    epoch TEXT NOT NULL,             -- one life of this file on this machine: counter and random part
    machine TEXT NOT NULL,           -- digest of the machine's id; another machine begins another epoch
    since INTEGER,                   -- a new uplink begins behind this row; null: behind the newest
    crc INTEGER NOT NULL             -- the seal of the row, here and below: a flipped bit would use numbers again
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    kind TEXT NOT NULL,              -- data, event
    instrument TEXT NOT NULL,        -- empty for the gateway's own series
    seq INTEGER NOT NULL,            -- the last number given
    low INTEGER NOT NULL,            -- everything below it was settled on every uplink
    crc INTEGER NOT NULL,
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
CREATE TABLE urgent (
    id INTEGER PRIMARY KEY           -- the rows of alarms: they are sent first
);
CREATE TABLE uplink (
    name TEXT PRIMARY KEY,
    born INTEGER NOT NULL,           -- rows up to here were stored before this uplink was configured
    position INTEGER NOT NULL,       -- rows up to here are settled
    ahead TEXT NOT NULL,             -- settled ranges above, JSON
    connections INTEGER NOT NULL,
    reached INTEGER NOT NULL,        -- when it last took something, milliseconds UTC; 0 never
    expired INTEGER NOT NULL,        -- rows that left before they were delivered, each declared
    crc INTEGER NOT NULL
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
    crc INTEGER NOT NULL,
    PRIMARY KEY (instrument, rev)
) WITHOUT ROWID;
CREATE TABLE news (
    event TEXT NOT NULL              -- what opening the file found out and nobody was told yet, JSON
);
CREATE TABLE cleared (               -- whose retained topics an uplink was told to forget
    uplink TEXT NOT NULL,
    instrument TEXT NOT NULL,
    PRIMARY KEY (uplink, instrument)
) WITHOUT ROWID;
CREATE TABLE mark (
    series INTEGER PRIMARY KEY,      -- snapshots of an instrument that keeps a history of its own
    mark BLOB NOT NULL,              -- how far it was read: its driver's business
    crc INTEGER NOT NULL
);
"""


_RESHAPED = {
    "identity": "SELECT epoch, machine, NULL FROM identity",
    "series": "SELECT id, epoch, kind, instrument, seq, low FROM series",
    "uplink": "SELECT name, born, position, ahead, connections, reached, expired FROM uplink",
    "meta": "SELECT instrument, rev, body, until FROM meta",
}
"""What version 1 says in the tables that are sealed since version 2: a few rows each."""


def statements() -> Iterator[str]:
    """Give the statements that make the newest shape, one by one."""
    return (statement.strip() for statement in SCHEMA.split(";\n") if statement.strip())


def create(connection: sqlite3.Connection) -> None:
    """Make the newest shape in an empty file."""
    with Transaction(connection):
        for statement in statements():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an older file to the newest shape; all or nothing."""
    with Transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 1:
            _seal(connection)
        else:  # since then tables were only ever added
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            _make(connection, there)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _seal(connection: sqlite3.Connection) -> None:
    """Bring a file of version 1 to the newest shape."""
    kept = {table: connection.execute(query).fetchall() for table, query in _RESHAPED.items()}
    for table in kept:
        connection.execute(f"DROP TABLE {table}")
    _make(connection, {"record", "quarantine", "cleared"})
    for table, rows in kept.items():
        if rows:
            places = ", ".join("?" * (len(rows[0]) + 1))
            query = f"INSERT INTO {table} VALUES ({places})"  # noqa: S608  # our own names
            connection.executemany(query, [sealed(table, *row) for row in rows])


def _make(connection: sqlite3.Connection, there: Container[str]) -> None:
    """Make the tables that are not there."""
    for statement in statements():
        if statement.split()[2] not in there:
            connection.execute(statement)


def shape(connection: sqlite3.Connection) -> set[str]:
    """Give the tables of a file as they were made."""
    return {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'table'")}
