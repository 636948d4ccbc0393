"""Every fault of a Modbus wire, on every transport: the table of docs/decisions/0019, and no wrong value."""

from chaos.modbus_faults import faults


async def test_every_fault_on_every_transport_ends_as_designed_and_delays_nobody():
    rows = await faults()
    assert [row for row in rows if not row.ok] == []
    assert len(rows) == 3 * 23 - 1
