"""The statistics on a bench: the real loop over a real outbox file, in time that jumps; and what its records say."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

from support.records import validator
from support.virtual_loop import Inline, VirtualClock, VirtualLoop

from parkgate.config.profile import Point
from parkgate.config.site import Gateway, Instrument, Line, Site
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.collecting.statistics import Statistics, Surroundings
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.encode import SnapshotEncoder
from parkgate.gateway.storing.database import connect
from parkgate.gateway.storing.outbox import Footing, Outbox

SOURCE = "test/gw"
REV = "0a1b2c3d"


def point(name, **more):
    return Point(name=name, at="input 0", type=more.pop("type", "float64"), **more)


def instrument(*points, name="a", every=5_000, **more):
    return Instrument(name=name, line="l", every=every, profile="p", protocol="modbus", points=points, **more)


def site_of(folder: Path, *instruments, timezone="Asia/Shanghai", **more) -> Site:
    return Site(
        path=folder / "site.toml",
        gateway=Gateway(site="test", id="gw", data=folder, timezone=timezone),
        uplinks=(),
        lines=(Line(name="l", url="modbus-tcp://h:502"),),
        instruments=instruments,
        **more,
    )


class Bench:
    """A gateway's statistics without the gateway: what a collector would store is stored by the test."""

    def __init__(self, loop: VirtualLoop, site: Site, *, changes: bool = False) -> None:
        self.clock = VirtualClock(loop)
        self.told: list[tuple[str, str, dict]] = []
        self._site = site
        self._changes = changes
        self._lives = 0
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        """Begin as an agent begins: open the outbox, go on from it, let the loops run."""
        self._lives += 1
        site, chance = self._site, random.Random(self._lives)
        self.outbox = Outbox.open(site.gateway.data, self.clock, 5.0, chance, Footing(connect, Inline))
        given = Surroundings(
            self.outbox, self.clock, self.tell, self.clock.true, lambda _: REV, Heart(), SOURCE,
        )  # fmt: skip
        self.statistics = Statistics(site, given, lambda _: self._changes)
        await self.statistics.resume()
        self._tasks = [asyncio.create_task(each()) for each in (self.outbox.run, self.statistics.run)]

    async def end(self, *, killed: bool = False) -> None:
        """End as an agent ends; `killed`, what is not committed is gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not killed:
            await self.outbox.commit()
        await self.outbox.close()

    def tell(self, name: str, subject: str, **detail) -> int:
        self.told.append((name, subject, detail))
        return 0

    def store(self, snapshot: Snapshot) -> int:
        """Store a judged snapshot as the collector does."""
        about = next(each for each in self._site.instruments if each.name == snapshot.instrument)
        encoder = SnapshotEncoder(f"{SOURCE}/{about.name}", self.outbox.epoch, REV, about)
        series = self.outbox.series("data", about.name)
        row = self.outbox.store(series, snapshot.at, lambda seq, low: encoder(snapshot, seq, low))
        self.statistics.take(snapshot, row)
        return row

    async def until(self, at: int) -> None:
        """Let time pass until the wall clock shows at least this (ms UTC)."""
        while self.clock.now() < at:
            await asyncio.sleep(max(0.001, (at - self.clock.now()) / 1000))

    async def records(self, kind: str) -> list[dict]:
        """Give what is stored of a kind (`data`, `stats`), the oldest first, each held to its schema."""
        await self.outbox.commit()
        rows = await self.outbox.read(0, self.outbox.newest, 10**7)
        bodies = [(row.series.kind, json.loads(row.body)) for row in rows if row.series.kind.startswith(kind)]
        check = validator("stats")
        for of, body in bodies:
            if kind == "stats":
                check.validate(body)
                assert of == f"stats/{body['period']}"
        return [body for _, body in bodies]


def newest(records: list[dict]) -> dict[tuple[str, int], dict]:
    """Give the last word on each interval, by period and beginning; revisions count up without a hole."""
    found: dict[tuple[str, int], dict] = {}
    for record in records:
        key = record["period"], record["ts"]
        before = found.get(key)
        assert record["revision"] == (0 if before is None else before["revision"] + 1), record
        assert before is None or before["points"] != record["points"], "a correction that says nothing new"
        found[key] = record
    return found
