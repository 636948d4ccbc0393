"""A late reply is never taken for that to another question: neither on a serial port nor through a serial server."""

import pytest
from support.late_replies import rounds

from parkgate.drivers.modbus import rests


@pytest.mark.parametrize("transport", ["rtu", "rtu-over-tcp"])
async def test_no_late_reply_is_taken_for_that_to_another_question(transport):
    seen = await rounds(transport, 120, seed=1, waits=0.05)
    assert seen.wrong == 0
    assert seen.late > 30 < seen.good


async def test_without_the_rest_late_replies_would_be_taken(monkeypatch):
    monkeypatch.setattr(rests.Rests, "owe", lambda *_: None)
    assert (await rounds("rtu", 300, seed=2)).wrong > 0
