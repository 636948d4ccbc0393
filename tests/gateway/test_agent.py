"""The agent's own part: order, supervision, the commit window, the account."""

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from parkgate.config.profile import Point
from parkgate.config.site import Gateway, Instrument, Line, Outbox, Site, Uplink
from parkgate.drivers.driver import Standing
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.agent import Agent, World, commit_window
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.collecting.collector import Collector
from parkgate.gateway.control.client import ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.storing.database import Database, OutboxFault


class Quick(SystemClock):
    """The machine's clock, but back-off and turns are short."""

    async def sleep(self, seconds):
        await asyncio.sleep(min(seconds, 0.02))


class Wire:
    """A driver that answers."""

    def __init__(self, *_):
        self.reads = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def read(self, instrument, between=None):
        self.reads += 1
        return (Snapshot(instrument.name, 1, (1.0,)),)

    def standing(self, instrument):
        return Standing()

    def described(self, instrument):
        return instrument

    async def identify(self, instrument):
        return None


def site_of(folder: Path, every=20, **outbox) -> Site:
    point = Point(name="so2", at="input 0", type="float32")
    instrument = Instrument(name="a", line="cems", every=every, profile="p", protocol="modbus", points=(point,))
    return Site(
        path=folder / "site.toml",
        gateway=Gateway(site="test", id="gw", data=folder / "data"),
        uplinks=(Uplink(name="park", url="mqtt://127.0.0.1:1"),),
        outbox=Outbox(**outbox),
        lines=(Line(name="cems", url="modbus-tcp://127.0.0.1:1"),),
        instruments=(instrument,),
    )


@pytest.mark.parametrize(("every", "window"), [(50, 0.2), (1000, 1.0), (5000, 5.0), (60_000, 5.0)])
def test_the_commit_window_is_the_shortest_period_within_bounds(tmp_path, every, window):
    assert commit_window(site_of(tmp_path, every)) == window


def test_a_commit_window_of_the_site_file_is_taken_as_it_is(tmp_path):
    assert commit_window(site_of(tmp_path, commit=700)) == 0.7


async def test_a_loop_that_fails_is_started_again_and_told_and_the_agent_lives(tmp_path, monkeypatch):
    wire = Wire()
    crashes = [ZeroDivisionError("a fault of ours"), ZeroDivisionError("a fault of ours")]
    run = Collector.run

    async def fragile(self):
        if crashes:
            raise crashes.pop()
        await run(self)

    monkeypatch.setattr(Collector, "run", fragile)
    agent = Agent(site_of(tmp_path), World(Quick(), random.Random(1), lambda *_: wire))
    running = asyncio.create_task(agent.run())
    async with asyncio.timeout(20):
        while wire.reads < 6:
            await asyncio.sleep(0.01)
    status = await asyncio.to_thread(ask, tmp_path / "data" / SOCKET, {"verb": "status"})
    agent.stop()
    account = await asyncio.wait_for(running, 20)
    assert status["instruments"][0]["state"] == "answering"
    assert status["uplinks"][0]["state"] == "offline"
    assert "127.0.0.1" in status["uplinks"][0]["fault"]
    assert account["collected"] == account["stored"]
    assert account["uplinks"]["park"]["waiting"] == account["stored"]
    again = Agent(site_of(tmp_path), World(Quick(), random.Random(1), lambda *_: wire))
    started = asyncio.create_task(again.run())
    async with asyncio.timeout(20):
        while not (tmp_path / "data" / SOCKET).exists():
            await asyncio.sleep(0.01)
    rows = await again.outbox.read(0, account["stored"], 10_000)
    again.stop()
    await asyncio.wait_for(started, 20)
    events = [row.body for row in rows if row.series.kind == "event"]
    assert sum(b'"loop-failed"' in body for body in events) == 2
    assert b'"stopped"' in events[-1]


async def test_a_disk_that_fails_ends_the_agent_with_its_fault(tmp_path, monkeypatch):
    def broken(*_):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_WRITE"
        raise error

    agent = Agent(site_of(tmp_path), World(Quick(), random.Random(1), Wire))
    monkeypatch.setattr(Database, "commit", broken)
    with pytest.raises(OutboxFault, match="SQLITE_IOERR_WRITE"):
        await asyncio.wait_for(agent.run(), 20)


async def test_what_is_told_to_the_platform_is_english_whatever_the_technician_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    agent = Agent(site_of(tmp_path), World(Quick(), random.Random(1), Wire))
    running = asyncio.create_task(agent.run())
    async with asyncio.timeout(20):
        while not agent.forwarders or not agent.forwarders[0].fault:
            await asyncio.sleep(0.01)
    assert not agent.forwarders[0].fault.isascii()
    agent.stop()
    await asyncio.wait_for(running, 20)
    again = Agent(site_of(tmp_path), World(Quick(), random.Random(1), Wire))
    started = asyncio.create_task(again.run())
    async with asyncio.timeout(20):
        while not (tmp_path / "data" / SOCKET).exists():
            await asyncio.sleep(0.01)
    events = [row.body for row in await again.outbox.read(0, 10_000, 10_000) if row.series.kind == "event"]
    again.stop()
    await asyncio.wait_for(started, 20)
    assert any(b'"uplink-offline"' in body for body in events)
    assert all(body.isascii() for body in events)
