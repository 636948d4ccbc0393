"""One line's loop, with a driver and a clock that the test holds."""

import asyncio
import json
import random

import pytest

from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument, Line
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.collecting.collector import LONGEST_WAIT, Collector, Station
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

    async def __aenter__(self):
        self.opened.append(self.clock.elapsed)
        if fault := self.fails_to_open(self.clock.elapsed):
            raise fault
        self.open = True
        return self

    async def __aexit__(self, *_):
        self.open = False

    async def read(self, instrument):
        assert self.open
        said = self.answer(instrument.name, self.clock.elapsed)
        if isinstance(said, Exception):
            raise said
        return (Snapshot(instrument.name, self.clock.now(), (said,)),)


def instrument(name, every=1000):
    point = Point(name="so2", at="input 0", type="float32", range=(0, 100))
    return Instrument(name=name, line="cems", every=every, profile="p", protocol="modbus", points=(point,))


class Bench:
    def __init__(self, outbox, seconds, answer, names=("a", "b")):
        self.outbox = outbox
        self.told = []
        self.clock = Jumping(seconds)
        self.wire = Wire(self.clock, answer)
        self.changes = 0
        stations = [
            Station(
                each, outbox.series("data", each.name), Judge.of(each), SnapshotEncoder("s", outbox.epoch, "r", each)
            )
            for each in map(instrument, names)
        ]
        self.collector = Collector(
            LINE,
            stations,
            outbox=outbox,
            clock=self.clock,
            rng=random.Random(1),
            open_driver=lambda *_: self.wire,
            tell=lambda name, subject, **detail: self.told.append((name, subject)),
            changed=self.changed,
        )

    def changed(self):
        self.changes += 1

    async def run(self):
        with pytest.raises(asyncio.CancelledError):
            await self.collector.run()
        await self.outbox.commit()
        rows = await self.outbox.read(0, 10**6, 10**6)
        return [(each.series.instrument, json.loads(each.body)) for each in rows]


def fault(kind):
    return kind("nothing", where="cems", hint="Look.")


async def test_every_turn_of_every_instrument_stores_a_snapshot(outbox):
    bench = Bench(outbox, 10.2, lambda name, now: 12.5)
    stored = await bench.run()
    for name in ("a", "b"):
        mine = [body for instrument, body in stored if instrument == name]
        assert [body["seq"] for body in mine] == list(range(1, len(mine) + 1))
        assert len(mine) == 11
        assert all(body["values"] == {"so2": 12.5} for body in mine)
    assert bench.told == [("line-up", "cems")]
    assert bench.changes == 0


async def test_a_silent_instrument_stands_as_no_communication_and_the_other_goes_on(outbox):
    bench = Bench(outbox, 10.2, lambda name, now: fault(Silent) if name == "a" and 3 < now < 7 else 1.0)
    stored = await bench.run()
    flagged = [body for name, body in stored if body.get("invalid")]
    assert {body["invalid"]["so2"]["flag"] for body in flagged} == {"no-communication"}
    assert {name for name, body in stored if body.get("invalid")} == {"a"}
    assert len(flagged) == 3
    assert len([1 for name, _ in stored if name == "b"]) == 11
    assert bench.told == [("line-up", "cems"), ("silent", "a"), ("answering", "a")]
    assert bench.changes == 2
    assert len(bench.wire.opened) == 1, "one silent instrument does not close the line"


async def test_a_garbled_answer_is_not_used(outbox):
    bench = Bench(outbox, 3.2, lambda name, now: fault(Garbled) if now > 1.5 else 1.0, names=("a",))
    stored = await bench.run()
    assert [sorted(body["values"]) for _, body in stored] == [["so2"], ["so2"], [], []]


async def test_a_value_is_judged_before_it_is_stored(outbox):
    bench = Bench(outbox, 0.5, lambda name, now: 250.0, names=("a",))
    ((_, body),) = await bench.run()
    assert body["invalid"] == {"so2": {"flag": Flag.OUT_OF_RANGE, "value": 250.0}}


async def test_a_line_that_is_lost_is_opened_again_and_no_turn_is_left_out_meanwhile(outbox):
    lost = [False]

    def answer(name, now):
        if now > 5 and not lost[0]:
            lost[0] = True
            return fault(Unreachable)
        return 1.0

    bench = Bench(outbox, 20.2, answer)
    bench.wire.fails_to_open = lambda now: fault(Unreachable) if 5 < now < 12 else None
    stored = await bench.run()
    for name in ("a", "b"):
        assert [body["seq"] for instrument, body in stored if instrument == name] == list(range(1, 22))
    dead = [body["ts"] - START for _, body in stored if body.get("invalid")]
    assert min(dead) >= 5000
    assert 12_000 <= max(dead) <= (12 + LONGEST_WAIT) * 1000
    assert bench.told[:3] == [("line-up", "cems"), ("line-down", "cems"), ("silent", "b")]
    assert bench.told[-1][0] == "answering"
    assert [each for each in bench.told if each[0] == "line-up"] == [("line-up", "cems")] * 2
    assert not bench.wire.open, "leaving the loop leaves the line"


async def test_a_line_that_was_never_up_is_told_once_and_tried_with_back_off(outbox):
    bench = Bench(outbox, 60.2, lambda name, now: 1.0)
    bench.wire.fails_to_open = lambda now: fault(Unreachable)
    stored = await bench.run()
    assert len(stored) == 2 * 61
    assert bench.told == [("line-down", "cems"), ("silent", "a"), ("silent", "b")]
    assert 6 <= len(bench.wire.opened) < 61
    gaps = [later - sooner for sooner, later in zip(bench.wire.opened, bench.wire.opened[1:], strict=False)]
    assert max(gaps) <= LONGEST_WAIT + 1


async def test_status_counts_reads_failures_and_keeps_the_last_snapshot(outbox):
    bench = Bench(outbox, 4.2, lambda name, now: fault(Silent) if now > 2.5 else 7.0, names=("a",))
    await bench.run()
    station = bench.collector.state.stations["a"]
    assert (station.reads, station.failed, station.silent) == (5, 2, True)
    assert station.latest.flags == {0: Flag.NO_COMMUNICATION}
    assert "Look." in station.fault
