"""One line's loop on a bench: a driver and a clock that the test holds."""

import asyncio
import json
import random

import pytest

from parkgate.config.profile import Point
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Standing
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.collecting.collector import Collector, Given, Station
from parkgate.gateway.collecting.origins import Origins
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.encode import SnapshotEncoder
from parkgate.gateway.processing.validity import Judge

LINE = Line(name="cems", url="modbus-tcp://127.0.0.1:502")
START = 1_763_890_000_000


class Jumping:
    """A clock that jumps instead of waiting, and stops the test's loop at its end."""

    def __init__(self, seconds):
        self.elapsed = 0.0
        self.end = seconds

    def now(self):
        return START + round(self.elapsed * 1000)

    def monotonic(self):
        return self.elapsed

    async def sleep(self, seconds):
        self.elapsed += max(0.0, seconds)
        if self.elapsed >= self.end:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


class Wire:
    """A driver that answers as the test's script says: `answer(instrument, now)` gives a value or a fault to raise."""

    def __init__(self, clock, answer):
        self.clock = clock
        self.answer = answer
        self.opened = []
        self.open = False
        self.fails_to_open = lambda now: None
        self.identified = []
        self.identities = lambda name: None
        self.known = lambda instrument: instrument
        self.units = ()

    async def __aenter__(self):
        self.opened.append(self.clock.elapsed)
        if fault := self.fails_to_open(self.clock.elapsed):
            raise fault
        self.open = True
        return self

    async def __aexit__(self, *_):
        self.open = False

    async def read(self, instrument, between=None):
        assert self.open
        said = self.answer(instrument.name, self.clock.elapsed)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, list) else (Snapshot(instrument.name, self.clock.now(), (said,)),)

    def standing(self, instrument):
        return Standing(units=self.units)

    def described(self, instrument):
        return self.known(instrument)

    async def identify(self, instrument):
        assert self.open
        self.identified.append(instrument.name)
        said = self.identities(instrument.name)
        if isinstance(said, Exception):
            raise said
        return said


def instrument(name, every=1000):
    point = Point(name="so2", at="input 0", type="float32", range=(0, 100))
    return Instrument(name=name, line="cems", every=every, profile="p", protocol="modbus", points=(point,))


class Bench:
    def __init__(self, outbox, seconds, answer, names=("a", "b")):
        self.outbox = outbox
        self.told = []
        self.averaged = []
        self.reasons = []
        self.details = []
        self.clock = Jumping(seconds)
        self.wire = Wire(self.clock, answer)
        self.changes = 0
        self.described = []
        stations = [
            Station(
                each, outbox.series("data", each.name), Judge.of(each), SnapshotEncoder("s", outbox.epoch, "r", each)
            )
            for each in map(instrument, names)
        ]
        self.wrong = set()
        self.origins = Origins()
        self.heart = Heart(self.clock.monotonic)
        given = Given(
            outbox, self.clock, random.Random(1), lambda *_: self.wire, self.tell, self.changed,
            self.wrong.__contains__, self.origins, self.describe, lambda *stored: self.averaged.append(stored),
        )  # fmt: skip
        self.collector = Collector(LINE, stations, given, self.heart)

    def tell(self, name, subject, reason=None, **detail):
        self.told.append((name, subject))
        self.reasons.append(reason)
        self.details.append(detail)

    def changed(self):
        self.changes += 1

    async def describe(self, instrument, *, simulated):
        self.described.append(instrument)
        rev = "simulated" if simulated else f"r{len(self.described)}"
        return SnapshotEncoder("s", self.outbox.epoch, rev, instrument)

    async def run(self):
        with pytest.raises(asyncio.CancelledError):
            await self.collector.run()
        await self.outbox.commit()
        rows = await self.outbox.read(0, 10**6, 10**6)
        return [(each.series.instrument, json.loads(each.body)) for each in rows]


def fault(kind):
    return kind("nothing", where="cems", hint="Look.")
