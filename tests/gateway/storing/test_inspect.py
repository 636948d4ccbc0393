"""Looking into an outbox that no agent has open."""

import random

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
    reader.expire([3], 8)
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
