"""Every answer of a broker, one by one: the designed fate, and refused is never taken for delivered."""

import pytest
from chaos import fates


def code_name(code):
    return f"0x{code:02X}" if isinstance(code, int) else str(code)


@pytest.mark.parametrize(("code", "nobody"), fates.PUBACKS, ids=code_name)
async def test_each_puback_decides_its_rows_fate_and_a_refused_row_is_never_counted_as_delivered(outbox, code, nobody):
    seen = await fates.puback(outbox, code, nobody)
    fate = fates.PUBACKS[code, nobody]
    assert seen == fates.PubackSeen(fate, refused=0, delivered=int(fate != fates.APART))


@pytest.mark.parametrize("code", fates.CONNACKS, ids=code_name)
async def test_each_connack_code_is_its_fault_and_its_wait_and_costs_no_row(outbox, code):
    fault, wait = fates.CONNACKS[code]
    seen = await fates.connack_code(outbox, code)
    assert fates.as_designed(seen, fault, wait), seen


@pytest.mark.parametrize(
    ("code", "then"), [(0x84, (4, 1, True)), (0x9A, (5, 1, False)), (0x9B, (5, 0, True))], ids=code_name
)
async def test_what_a_broker_does_not_speak_is_said_otherwise_at_the_next_try(outbox, code, then):
    seen = await fates.connack_code(outbox, code)
    assert seen.spoken == [(5, 1, True), then]


@pytest.mark.parametrize("code", fates.DISCONNECTS, ids=code_name)
async def test_each_disconnect_code_is_its_fault_and_its_wait_and_costs_no_row(outbox, code):
    fault, wait = fates.DISCONNECTS[code]
    seen = await fates.disconnect_code(outbox, code)
    assert fates.as_designed(seen, fault, wait), seen
