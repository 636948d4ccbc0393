"""Derived points through the whole agent: stored, described, shown, and a totaliser that goes on behind a restart."""

import asyncio
import json
import random

from support.derived import METER, entry, write

from parkgate.config.load import load_site
from parkgate.drivers.driver import Standing
from parkgate.drivers.faults import Silent
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.agent import Agent, World
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.collecting.resuming import resume
from parkgate.gateway.messages.encode import SnapshotEncoder, meta
from parkgate.gateway.processing.derive import derivers


class Quick(SystemClock):
    """The machine's clock, but turns are short."""

    async def sleep(self, seconds):
        await asyncio.sleep(min(seconds, 0.02))


class Meter:
    """A driver whose totaliser goes on by one a read; `silent` reads fail."""

    def __init__(self, total, silent=()):
        self.total, self.silent, self.reads = total, silent, 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def read(self, instrument, between=None):
        self.reads += 1
        self.total += 1.0
        if self.reads in self.silent:
            raise Silent("no answer", where=instrument.name, hint="")
        return (Snapshot(instrument.name, self.reads, (1.0, self.total)),)

    def standing(self, instrument):
        return Standing()

    def described(self, instrument):
        return instrument

    async def identify(self, instrument):
        return None


async def life(site, meter, reads):
    """Run an agent for so many reads; give the bodies of what it stored of the meter, and its descriptions."""
    agent = Agent(site, World(Quick(), random.Random(1), lambda *_: meter))
    running = asyncio.create_task(agent.run())
    begin = meter.reads
    async with asyncio.timeout(20):
        while meter.reads < begin + reads:
            await asyncio.sleep(0.01)
    await agent.outbox.commit()
    rows = await agent.outbox.read(0, agent.outbox.newest, 10_000)
    metas = await agent.metas(0)
    agent.stop()
    await asyncio.wait_for(running, 20)
    return [json.loads(row.body) for row in rows if row.series.kind == "data"], [json.loads(meta[2]) for meta in metas]


def counts(bodies):
    return [body["values"].get("counted", body.get("invalid", {}).get("counted", {}).get("flag")) for body in bodies]


def parted(bodies, total):
    """Give what was stored before the first reading of this total, and from it on."""
    place = next(index for index, body in enumerate(bodies) if body["values"].get("total") == total)
    return bodies[:place], bodies[place:]


async def test_what_is_derived_is_stored_described_and_goes_on_behind_a_restart(tmp_path):
    site = load_site(write(tmp_path, entry("meter", every="20ms")))
    first, (meta,) = await life(site, Meter(990.0, silent=(3,)), 5)
    assert counts(first)[:5] == ["warm-up", 1.0, "no-communication", 2.0, 1.0]
    assert {key: meta["points"]["counted"][key] for key in ("unit", "formula", "of", "with")} == {
        "unit": "m3",
        "formula": "totaliser_difference",
        "of": {"total": "total"},
        "with": {"rollover": 1000, "largest": 0},
    }
    both, _ = await life(site, Meter(5_000.0), 2)
    before, behind = parted(both, 5_001.0)
    last = max(body["values"]["total"] for body in before if "total" in body["values"])
    assert counts(behind)[:2] == [5_001.0 - last, 1.0]


async def test_what_another_configuration_stored_is_not_counted_from(tmp_path):
    site = load_site(write(tmp_path, entry("meter", every="20ms")))
    await life(site, Meter(100.0), 2)
    other = load_site(write(tmp_path, entry("meter", "points.total.scale = 0.001", every="20ms")))
    both, _ = await life(other, Meter(5_000.0), 2)
    assert counts(parted(both, 5_001.0)[1])[:2] == ["warm-up", 1.0]


async def test_where_nothing_was_stored_nothing_is_resumed(tmp_path, outbox):
    (about,) = load_site(write(tmp_path, entry("meter"))).instruments
    derive = derivers([about])
    await resume("xuwei/gw-01", [about], derive, outbox)
    assert derive["meter"].remembers


async def test_what_came_out_of_a_history_is_not_counted_from(tmp_path, outbox):
    (about,) = load_site(write(tmp_path, entry("meter"))).instruments
    source = "xuwei/gw-01"
    encoder = SnapshotEncoder(f"{source}/meter", outbox.epoch, meta(f"{source}/meter", about)[0], about)
    derive = derivers([about])["meter"]
    for at, total, late in ((1, 100.0, False), (5, 110.0, False), (3, 105.0, True)):  # an outage, and what filled it
        snapshot = derive(Snapshot("meter", at, (1.0, total), late=late))
        outbox.store(outbox.series("data", "meter"), at, lambda seq, low, it=snapshot: encoder(it, seq, low), late=late)
    await outbox.commit()
    again = derivers([about])
    await resume(source, [about], again, outbox)
    assert again["meter"](Snapshot("meter", 7, (1.0, 111.0))).values[2] == 1.0


class Telling(Meter):
    """A driver whose server tells what the profile lacks of both points."""

    def described(self, instrument):
        points = (
            point.model_copy(update={"unit": point.unit or "L", "range": (0, 1e6)}) for point in instrument.points
        )
        return instrument.model_copy(update={"points": tuple(points)})


async def test_it_goes_on_from_what_was_stored_under_what_the_server_told(tmp_path):
    site = load_site(write(tmp_path, entry("meter", every="20ms"), meter=METER.replace('unit = "m3/h", ', "")))
    _, metas = await life(site, Telling(990.0), 4)
    assert metas[-1]["points"]["flow"]["unit"] == "L"
    both, _ = await life(site, Telling(5_000.0), 4)
    before, behind = parted(both, 5_001.0)
    last = max(body["values"]["total"] for body in before)
    assert counts(behind)[:2] == [5_001.0 - last, 1.0]


async def test_it_does_not_where_the_unit_of_what_is_counted_is_what_the_server_told(tmp_path):
    site = load_site(write(tmp_path, entry("meter", every="20ms"), meter=METER.replace('unit = "m3", ', "")))
    await life(site, Telling(990.0), 4)
    both, _ = await life(site, Telling(5_000.0), 4)
    assert counts(parted(both, 5_001.0)[1])[:2] == ["warm-up", 1.0]


async def test_a_configuration_that_cannot_be_read_any_more_is_another_one(tmp_path, outbox):
    (about,) = load_site(write(tmp_path, entry("meter"))).instruments
    await outbox.write(lambda database: database.trail.keep([("meter", "0badc0de", 'xuwei/gw-01/meter{"old": 1}')]))
    encoder = SnapshotEncoder("xuwei/gw-01/meter", outbox.epoch, "0badc0de", about)
    derive = derivers([about])
    snapshot = derivers([about])["meter"](Snapshot("meter", 1, (1.0, 5.0)))
    outbox.store(outbox.series("data", "meter"), 1, lambda seq, low: encoder(snapshot, seq, low))
    await outbox.commit()
    await resume("xuwei/gw-01", [about], derive, outbox)
    assert derive["meter"].remembers
