"""What must hold in a virtual world, whatever happened: kept from what the gateway commits and sends."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from support.virtual_broker import numbered

from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.outbox import Outbox
from parkgate.simulator.books import DECLARING, Books
from parkgate.simulator.ranges import Ranges

Series = tuple[str, str, str]
"""Kind, instrument and epoch."""
DAY = 86_400.0
_NOBODY, _SENT = 0x10, -1


@dataclass
class Platform:
    """What one uplink's platform was given: the books of its subscriber, and what it had or was told to be lost."""

    books: Books = field(default_factory=Books)
    had: dict[Series, Ranges] = field(default_factory=lambda: defaultdict(Ranges))
    told: dict[Series, Ranges] = field(default_factory=lambda: defaultdict(Ranges))
    floors: dict[Series, int] = field(default_factory=dict)


@dataclass
class Judge:
    """Every committed record, and what each platform had of it."""

    since_reached: Callable[[str], float]
    platforms: dict[str, Platform]
    committed: dict[tuple[Series, int], bytes] = field(default_factory=dict)
    last: dict[Series, int] = field(default_factory=dict)
    rows: int = 0
    numbers: dict[int, tuple[Series, int]] = field(default_factory=dict)

    def opened(self, outbox: Outbox) -> None:
        """Enter what a file holds that a gateway was just started on: it died before it could say so itself."""
        assert outbox.newest >= self.rows, f"{self.rows - outbox.newest} committed records are gone"
        rows = outbox._database.read(self.rows, outbox.newest, 1_000_000, outbox.by_id)
        self.follow([row for row in rows if isinstance(row, Record)])
        assert self.rows == outbox.newest
        outbox.followers.insert(0, self.follow)

    def follow(self, records: Sequence[Record]) -> None:
        """Enter records that were committed, in order and without a hole."""
        for record in records:
            series = (record.series.kind, record.series.instrument, record.series.epoch)
            assert record.seq == self.last.get(series, 0) + 1, f"{series} {record.seq} after {self.last.get(series)}"
            assert record.id == self.rows + 1, f"row {record.id} after row {self.rows}"
            self.last[series], self.rows = record.seq, record.id
            self.committed[series, record.seq] = record.body
            body = json.loads(record.body)
            assert body.get("event") != "loop-failed", body["detail"]
            self._low(series, body["low"])
            if number := body.get("values", {}).get("n"):
                assert number not in self.numbers, f"answer {number} is stored twice"
                self.numbers[number] = (series, record.seq)

    def _low(self, series: Series, low: int) -> None:
        """Hold `low` against what every platform reached within a day had, or was told."""
        for name, platform in self.platforms.items():
            floor = platform.floors.get(series, 1)
            if self.since_reached(name) < DAY - 60:
                settled = Ranges()
                for part in (*platform.had[series], *platform.told[series]):
                    settled.add(*part)
                gaps = settled.gaps(floor, low - 1)
                assert not gaps, f"low {low} of {series} passes {gaps}, which {name} never had"
            platform.floors[series] = max(floor, low)

    def back(self, uplink: str, outbox: Outbox) -> None:
        """Take note of `low` as it stands when a platform is reached that did not hold it for a day."""
        floors = self.platforms[uplink].floors
        for each in outbox.by_id.values():
            series = (each.kind, each.instrument, each.epoch)
            floors[series] = max(floors.get(series, 1), each.low)

    def seen(self, uplink: str, topic: str, payload: bytes, code: int) -> None:
        """Enter what a gateway sent (code -1), or what reached its broker and how that answered."""
        platform = self.platforms[uplink]
        for kind, instrument, text in numbered(topic, payload):
            body = json.loads(text)
            series, seq = (kind, instrument, body["epoch"]), body["seq"]
            assert self.committed.get((series, seq)) == text, f"{uplink} was sent {series} {seq}, not as committed"
            if _SENT < code < _NOBODY:
                platform.had[series].add(seq, seq)
                self._told(platform, body)
        if _SENT < code < _NOBODY:
            platform.books.take(topic, payload, False)  # noqa: FBT003  # not a retained copy

    def _told(self, platform: Platform, body: dict) -> None:
        detail = body.get("detail", {})
        if body.get("event") in DECLARING:
            series = (detail["kind"], body["subject"], detail["epoch"])
            platform.told[series].add(detail["from"], detail["to"])

    def complete(self, uplink: str) -> None:
        """Hold a platform that was drained against everything committed."""
        platform = self.platforms[uplink]
        for series, last in sorted(self.last.items()):
            gaps = platform.had[series].gaps(1, last)
            undeclared = [part for part in gaps if platform.told[series].gaps(*part)]
            assert not undeclared, f"{uplink} lacks {undeclared} of {series}, undeclared"
        for account in platform.books.account():
            assert account.verdict == "COMPLETE", f"{uplink}: {account}"
            assert not account.different
        assert not platform.books.junk
