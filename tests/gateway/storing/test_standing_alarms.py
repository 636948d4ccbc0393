"""The alarms that stand, in the outbox file: one with their records, through damage, memory and older shapes."""

import json
import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing.database import Database, Record, Series
from parkgate.gateway.storing.migrations import VERSION, create
from parkgate.gateway.storing.opening import _append
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.standing_alarms import StandingAlarms, key_of


def reopen(path):
    return Outbox.open(path, SystemClock(), 1.0, random.Random(2))


def record(box, *, state="active", point="h2s", alarm="high", **more):
    """Store a transition; the test commits."""

    def encode(seq, low):
        about = {"source": "xuwei/gw-01/gas-1", "epoch": box.epoch, "seq": seq, "low": low}
        return json.dumps({**about, "point": point, "alarm": alarm, "state": state, **more}).encode()

    return box.store(box.series("alarm", "gas-1"), 7, encode, urgent=True)


async def standing(box):
    return [(*row[:3], json.loads(row[3])["seq"]) for row in await box.ask(lambda file: file.alarms.all())]


HIGH = ("gas-1", "h2s", "high")


async def test_what_is_active_stands_by_its_newest_record_and_what_is_cleared_does_not(outbox):
    record(outbox)
    record(outbox, alarm="low")
    await outbox.commit()
    assert sorted(await standing(outbox)) == [(*HIGH, 1), ("gas-1", "h2s", "low", 2)]
    record(outbox, acknowledged=True)
    record(outbox, alarm="low", state="cleared")
    await outbox.commit()
    assert await standing(outbox) == [(*HIGH, 3)]


async def test_it_survives_a_stop(tmp_path):
    box = reopen(tmp_path)
    record(box)
    await box.commit()
    await box.close()
    box = reopen(tmp_path)
    assert await standing(box) == [(*HIGH, 1)]
    await box.close()


def test_a_record_and_what_stands_are_one_transaction():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection)
    database, series = Database(connection), Series(1, "0001-abcdef", "alarm", "gas-1", 1, 1)
    body = b'{"point":"h2s","alarm":"high","state":"active"}'
    taken = Record(1, series, 1, 7, body)
    with pytest.raises(sqlite3.IntegrityError):
        database.commit([taken, taken], [])
    assert database.alarms.all() == []
    with pytest.raises(sqlite3.Error):
        database.commit([taken], [("too", "few")])
    assert database.alarms.all() == []
    database.commit([taken], [])
    assert database.alarms.all() == [(*HIGH, body)]
    connection.close()


@given(st.binary(max_size=40) | st.from_type(dict).map(lambda each: json.dumps({str(key): 1 for key in each}).encode()))
def test_what_is_no_transition_changes_nothing(body):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection)
    alarms = StandingAlarms(connection)
    alarms.note([("gas-1", body)])
    assert key_of(body) is None
    assert alarms.all() == []
    connection.close()


async def test_an_outbox_of_the_second_version_goes_on_with_everything_it_had(tmp_path):
    box = reopen(tmp_path)
    box.store(box.series("data", "a"), 7, lambda *_: b'{"values":{}}')
    await box.commit()
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
    connection.executescript("DROP TABLE alarm; PRAGMA user_version = 2;")
    connection.close()
    again = reopen(tmp_path)
    assert (again.epoch, again.newest, again.news) == (box.epoch, 1, [])
    assert await again.ask(lambda file: file._connection.execute("PRAGMA user_version").fetchone()) == (VERSION,)
    record(again)
    await again.commit()
    assert await standing(again) == [(*HIGH, 1)]
    await again.close()


HARM = {
    "a changed row": "UPDATE alarm SET point = 'co'",
    "a lost row": "DROP TABLE alarm",
    "another table": "UPDATE series SET low = 99",
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
async def test_behind_damage_it_is_told_by_the_records_too(tmp_path, harm):
    box = reopen(tmp_path)
    for state in ("active", "cleared", "active"):
        record(box, state=state)
    record(box, alarm="low")
    record(box, alarm="low", state="cleared")
    await box.commit()
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite")
    connection.execute(harm)
    connection.commit()
    connection.close()
    again = reopen(tmp_path)
    assert again.epoch > box.epoch
    assert await standing(again) == [(*HIGH, 3)]
    await again.close()


async def test_behind_damage_an_alarm_stands_whose_record_has_left_long_ago(tmp_path):
    box = reopen(tmp_path)
    row = record(box)
    await box.commit()
    await box.commit(removed=[row])
    await box.close()
    connection = sqlite3.connect(tmp_path / "outbox.sqlite")
    connection.execute("UPDATE identity SET epoch = 'x'")
    connection.commit()
    connection.close()
    again = reopen(tmp_path)
    assert await standing(again) == [(*HIGH, 1)]
    await again.close()


def test_what_stood_in_memory_stands_on_the_disk_it_moves_to():
    memory, disk = (sqlite3.connect(":memory:", isolation_level=None) for _ in range(2))
    for each in (memory, disk):
        create(each)
    source, target = Database(memory), Database(disk)
    active, cleared = (f'{{"point":"h2s","alarm":"high","state":"{each}"}}'.encode() for each in ("active", "cleared"))
    old, new = (Series(1, epoch, "alarm", "gas-1", 1, 1) for epoch in ("0001-abcdef", "0002-abcdef"))
    target.commit([Record(1, old, 1, 7, active), Record(2, old, 2, 7, active.replace(b"h2s", b"co"))], [])
    source.commit([Record(1, new, 1, 7, active)], [])
    source.commit([Record(2, new, 2, 7, active.replace(b"high", b"low"))], [])
    source.commit([Record(3, new, 3, 7, cleared)], [])
    _append(source, "0002-abcdef", target)
    assert [each[1:3] for each in target.alarms.all()] == [("co", "high"), ("h2s", "low")], (
        "and what memory knew not of"
    )
    memory.close()
    disk.close()
