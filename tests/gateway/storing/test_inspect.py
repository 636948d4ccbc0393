"""Looking into an outbox that no agent has open."""

import os
import random
import sqlite3

import pytest

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.storing.inspect import inspect
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader


async def test_the_account_of_a_closed_outbox_balances(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    reader = Reader(box, box.uplink("park"), [])
    for _ in range(10):
        box.store(box.series("data", "a"), 1, lambda *_: b"{}")
    await box.commit()
    reader.settle([1, 2, 5], 7)
    await box.ask(lambda file: file.quarantine("park", [5], "0x99"))
    reader.expire([(3, 3)], 8)
    await box.commit()
    await box.close()
    found = inspect(tmp_path)
    assert found["stored"] == 10
    assert found["epoch"] == box.epoch
    (park,) = found["uplinks"]
    assert park == {"name": "park", "delivered": 2, "waiting": 6, "expired": 1, "quarantined": 1}
    assert found["stored"] == sum(park[key] for key in ("delivered", "waiting", "expired", "quarantined"))


def test_where_there_is_no_outbox_there_is_nothing_to_tell(tmp_path):
    assert inspect(tmp_path) is None


async def test_an_outbox_that_an_agent_has_open_is_left_to_it(outbox, tmp_path):
    assert outbox.stored == 0
    with pytest.raises(OutboxFault, match="ask it"):
        inspect(tmp_path)


async def test_the_size_counts_what_stands_in_the_wal(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    await box.close()
    path = tmp_path / "outbox.sqlite"
    assert inspect(tmp_path)["bytes"] == path.stat().st_size
    wal = sqlite3.connect(path)
    wal.execute("pragma user_version = 9")
    wal.commit()
    found = inspect(tmp_path)
    sizes = [each.stat().st_size for each in (path, tmp_path / "outbox.sqlite-wal")]
    wal.close()
    assert sizes[1] > 0
    assert found["bytes"] == sum(sizes)


def test_a_folder_in_place_of_the_outbox_is_a_fault(tmp_path):
    (tmp_path / "outbox.sqlite").mkdir()
    with pytest.raises(OutboxFault, match="cannot be read"):
        inspect(tmp_path)


def test_an_empty_file_is_not_opened_for_its_wal_would_be_deleted(tmp_path):
    (tmp_path / "outbox.sqlite").touch()
    (tmp_path / "outbox.sqlite-wal").write_bytes(b"all there is")
    with pytest.raises(OutboxFault, match="empty"):
        inspect(tmp_path)
    assert (tmp_path / "outbox.sqlite-wal").read_bytes() == b"all there is"


def test_a_data_folder_of_another_user_is_a_fault_that_names_the_group(tmp_path):
    tmp_path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        with pytest.raises(OutboxFault, match="join the group parkgate, or use sudo"):
            inspect(tmp_path)
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o700)


async def test_a_folder_with_odd_letters_in_its_name_is_read_all_the_same(tmp_path):
    folder = tmp_path / "1# 50%?"
    folder.mkdir()
    await Outbox.open(folder, SystemClock(), 1.0, random.Random(1)).close()
    assert inspect(folder)["stored"] == 0
