"""Which message goes next, pure: alarms; what a connection must begin with; then live > backfill, over one send window.

An alarm refers to no description, so it passes the greeting too. Backfill goes beside the live lane: it may use its
share of the window, as far as its ramp allows, and one place is kept for it while live messages wait too, so that
neither starves the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from parkgate.gateway.forwarding.ramp import Ramp
from parkgate.gateway.messages.encode import MAX_PAYLOAD, pack
from parkgate.gateway.messages.topics import Topics
from parkgate.gateway.storing.database import Record


class Lane(IntEnum):
    """In the order of sending."""

    ALARM = 0
    GREETING = 1
    LIVE = 2
    BACKFILL = 3


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to the broker in one piece, and the rows of the outbox it carries (ascending)."""

    lane: Lane
    topic: str
    payload: bytes
    rows: tuple[int, ...] = ()
    retain: bool = False


@dataclass(slots=True)
class Lanes:
    """The messages that wait for a place in the send window."""

    share: float = 1 / 3
    ramp: Ramp = field(default_factory=lambda: Ramp(MAX_PAYLOAD))
    waiting: tuple[deque[Message], ...] = field(default_factory=lambda: tuple(deque() for _ in Lane))
    flying: list[int] = field(default_factory=lambda: [0] * len(Lane))
    live_bytes: int = 0
    late_bytes: int = 0
    """Bytes of backfill that wait for their PUBACK."""

    def add(self, message: Message) -> None:
        """Put a message at the end of its lane."""
        self.waiting[message.lane].append(message)
        if message.lane is Lane.LIVE:
            self.live_bytes += len(message.payload)

    def first(self, message: Message) -> None:
        """Put a message at the head of its lane."""
        self.waiting[message.lane].appendleft(message)
        if message.lane is Lane.LIVE:
            self.live_bytes += len(message.payload)

    def clear_rows(self) -> None:
        """Forget the messages that wait with rows; the outbox has them."""
        for lane in (Lane.ALARM, Lane.LIVE, Lane.BACKFILL):
            self.waiting[lane].clear()
        self.live_bytes = 0

    def clear(self) -> None:
        """Forget the messages that wait; those in the window stay."""
        for lane in self.waiting:
            lane.clear()
        self.live_bytes = 0

    def done(self, message: Message) -> None:
        """Free the place of a message in the window."""
        self.flying[message.lane] -= 1
        if message.lane is Lane.BACKFILL:
            self.late_bytes -= len(message.payload)

    def next(self, window: int) -> Message | None:
        """Take the message to send now; None while the window is full, or nothing may go."""
        lane = self._lane(window - sum(self.flying), window)
        if lane is None:
            return None
        message = self.waiting[lane].popleft()
        self.flying[lane] += 1
        if lane is Lane.LIVE:
            self.live_bytes -= len(message.payload)
        if lane is Lane.BACKFILL:
            self.late_bytes += len(message.payload)
        return message

    @property
    def greeted(self) -> bool:
        """Tell whether everything of the greeting lane was acknowledged."""
        return not self.waiting[Lane.GREETING] and not self.flying[Lane.GREETING]

    def _lane(self, free: int, window: int) -> Lane | None:
        if free <= 0:
            return None
        if self.waiting[Lane.ALARM]:
            return Lane.ALARM
        if not self.greeted:
            # Nothing else passes the greeting: a snapshot must not arrive before the meta record it refers to.
            return Lane.GREETING if self.waiting[Lane.GREETING] else None
        late = self._late(window)
        kept = late and not self.flying[Lane.BACKFILL] and window > 1
        if self.waiting[Lane.LIVE] and free > kept:
            return Lane.LIVE
        return Lane.BACKFILL if late else None

    def _late(self, window: int) -> bool:
        """Tell whether backfill may go now, live messages apart."""
        waiting = self.waiting[Lane.BACKFILL]
        if not waiting or self.flying[Lane.BACKFILL] >= max(1, int(window * self.share)):
            return False
        return self.ramp.admits(self.late_bytes, len(waiting[0].payload))


def live_message(topics: Topics, record: Record) -> Message:
    """Give the message of a record that was just stored; of snapshots, the broker keeps the newest."""
    series = record.series
    lane = Lane.ALARM if series.kind == "alarm" else Lane.LIVE
    topic = topics.live(series.kind, series.instrument)
    return Message(lane, topic, record.body, (record.id,), retain=series.kind == "data")


def backfill_messages(topics: Topics, records: Sequence[Record], limit: int) -> list[Message]:
    """Pack stored snapshots by instrument into messages of at most `limit` bytes; other records go one by one.

    The messages stand in the order of the oldest row of each.
    """
    packs: dict[str, list[Record]] = {}
    sizes: dict[str, int] = {}
    messages: list[Message] = []
    for record in records:
        instrument = record.series.instrument
        if record.series.kind != "data":
            topic = topics.live(record.series.kind, instrument)
            lane = Lane.ALARM if record.series.kind == "alarm" else Lane.BACKFILL
            messages.append(Message(lane, topic, record.body, (record.id,)))
            continue
        sizes[instrument] = sizes.get(instrument, 0) + len(record.body) + 2
        if sizes[instrument] > limit and instrument in packs:
            messages.append(_packed(topics, packs.pop(instrument)))
            sizes[instrument] = len(record.body) + 2
        packs.setdefault(instrument, []).append(record)
    messages.extend(_packed(topics, records) for records in packs.values())
    return sorted(messages, key=lambda message: message.rows[0])


def _packed(topics: Topics, records: Sequence[Record]) -> Message:
    payload = pack([each.body for each in records])
    topic = topics.backfill(records[0].series.instrument)
    return Message(Lane.BACKFILL, topic, payload, tuple(each.id for each in records))
