"""The outbox's shape."""

import sqlite3

from parkgate.gateway.storing.migrations import VERSION, create, migrate


def shape(connection):
    ours = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE '%sqlite%' ORDER BY name"
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return version, connection.execute(ours).fetchall()


def test_a_file_brought_up_by_migrations_has_the_shape_of_a_new_one():
    new, old = sqlite3.connect(":memory:", isolation_level=None), sqlite3.connect(":memory:")
    create(new)
    migrate(old)
    assert shape(old) == shape(new)
    assert shape(new)[0] == VERSION
    new.close()
    old.close()


def test_migrating_twice_changes_nothing():
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    before = shape(connection)
    migrate(connection)
    assert shape(connection) == before
    connection.close()
