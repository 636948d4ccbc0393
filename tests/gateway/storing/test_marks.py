"""How far a history was read, kept in the transaction of the record that it is true behind."""

import random
import sqlite3

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing.outbox import Outbox


def store(box, name, mark=b""):
    box.store(box.series("data", name), 7, lambda seq, low: b"%d" % seq, mark=mark)


async def marks(box):
    return dict(await box.ask(lambda database: database.marks.all()))


async def test_a_mark_is_there_from_the_commit_of_its_record_on_and_stays(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    store(box, "a", b"first")
    store(box, "b")
    assert await marks(box) == {}
    await box.commit()
    a = box.series("data", "a").id
    assert await marks(box) == {a: b"first"}
    store(box, "a", b"second")
    store(box, "a")
    await box.commit()
    await box.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    assert again.series("data", "a").id == a
    assert await marks(again) == {a: b"second"}
    await again.close()


async def test_a_mark_that_is_not_what_was_stored_is_left_out_and_the_file_goes_on(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    store(box, "a", b"of a")
    store(box, "b", b"of b")
    await box.commit()
    await box.close()
    file = sqlite3.connect(tmp_path / "outbox.sqlite")
    file.execute("UPDATE mark SET mark = x'00' WHERE series = 1")
    file.commit()
    file.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    assert again.news == []
    assert list((await marks(again)).values()) == [b"of b"]
    await again.close()
