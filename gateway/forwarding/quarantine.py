"""Rows that an uplink can never have, damaged ones or ones that its broker will never take: set apart and declared."""

from __future__ import annotations

from collections.abc import Sequence

from parkgate.gateway.forwarding.lanes import Message, backfill_messages
from parkgate.gateway.forwarding.trade import Trade
from parkgate.gateway.storing.database import Record

DAMAGED = "damaged"


async def set_apart(trade: Trade, rows: Sequence[int], reason: str) -> list[Message]:
    """Quarantine and declare rows; of a refused pack each goes by itself first: give these messages.

    One of the pack spoilt it, and only that one is refused again.
    """
    name = trade.uplink.name
    found = [record for row in rows for record in await trade.outbox.read(row - 1, row, 1)]
    if len(rows) > 1 and reason != DAMAGED:
        whole = [record for record in found if isinstance(record, Record)]
        return [message for record in whole for message in backfill_messages(trade.topics, [record], 0)]
    await trade.outbox.ask(lambda database: database.quarantine(name, rows, reason))
    for record in found:
        series = record.series
        about = {"kind": series.kind, "epoch": series.epoch} if series else {}
        detail = {**about, "from": record.seq, "to": record.seq, "count": 1, "reason": reason, "uplinks": [name]}
        trade.reader.bar(trade.tell("quarantined", series.instrument if series else "", **detail))
    trade.reader.settle(rows, trade.trusted())
    return []
