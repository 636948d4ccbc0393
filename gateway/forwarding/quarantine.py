"""Rows that an uplink can never have, damaged ones or ones that its broker will never take: set apart and declared."""

from __future__ import annotations

from collections.abc import Sequence

from parkgate.gateway.forwarding.lanes import Message, backfill_messages
from parkgate.gateway.forwarding.trade import Trade
from parkgate.gateway.storing.database import Record

DAMAGED = "damaged"


class Quarantine:
    """The rows of one session that are to be set apart; its length is how many lots of them wait."""

    def __init__(self, trade: Trade) -> None:
        self._trade = trade
        self._waiting: list[tuple[Sequence[int], str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, rows: Sequence[int], reason: str) -> None:
        """Take rows that were refused in one message, or that are damaged."""
        self._waiting.append((rows, reason))

    async def set_apart(self) -> list[Message]:
        """Note and declare what waits; what the disk has no room to note waits on.

        Of a refused pack each row goes by itself first: give these messages. One of the pack spoilt it, and only that
        one is refused again.
        """
        waiting, self._waiting = self._waiting, []
        again: list[Message] = []
        for rows, reason in waiting:
            outbox, topics = self._trade.outbox, self._trade.topics
            found = [record for row in rows for record in await outbox.read(row - 1, row, 1)]
            if len(rows) > 1 and reason != DAMAGED:
                for record in found:
                    if isinstance(record, Record):
                        again += backfill_messages(topics, [record], 0)
            else:
                await self._declare(rows, reason)
        return again

    async def _declare(self, rows: Sequence[int], reason: str) -> None:
        trade, name = self._trade, self._trade.uplink.name
        if not await trade.outbox.write(lambda database: database.quarantine(name, rows, reason)):
            self.add(rows, reason)
            return
        for record in [record for row in rows for record in await trade.outbox.read(row - 1, row, 1)]:
            series = record.series
            about = {"kind": series.kind, "epoch": series.epoch} if series else {}
            detail = {**about, "from": record.seq, "to": record.seq, "count": 1, "reason": reason, "uplinks": [name]}
            trade.reader.bar(trade.tell("quarantined", series.instrument if series else "", **detail))
        trade.reader.settle(rows, trade.trusted())
