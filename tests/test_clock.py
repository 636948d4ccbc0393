"""A gateway's clock that is wrong, and is set: nothing is lost, nothing out of order, and every mark is right.

The agent is the real one, in a process of its own; libfaketime shifts its wall clock, and nothing else.
"""

import asyncio
import json
from itertools import pairwise

import pytest
from support.broker import Mosquitto, free_port
from support.certificates import Authority
from support.faketime import COMMAND, YEAR, Wall, back_to_1970
from support.river import leaf, seqs, simulated, until, write_site
from support.subscriber import Subscriber

from parkgate.simulator.agent import Agent

NAME = "gas-1"
HOUR = 3600
NEAR = 500
"""Milliseconds between a step and what is told of it: what the two clocks may drift apart between two looks."""


@pytest.fixture
async def park(tmp_path):
    async with simulated(tmp_path / "park", 1, tank=False) as running:
        yield running


@pytest.fixture
async def platform(tmp_path):
    """Give a broker that speaks TLS to the gateway, with its authority's file; and what comes out of it."""
    authority, port = Authority(tmp_path, "ca"), free_port()
    cert, key = authority.issue("broker", address="127.0.0.1")
    config = [f"certfile {cert}", f"keyfile {key}", f"listener {port} 127.0.0.1"]
    async with Mosquitto(config, tls=True) as broker, Subscriber(port, "park/v1/#") as subscriber:
        subscriber.url, subscriber.ca = broker.url, authority.file
        yield subscriber


def site_of(folder, platform, park):
    site = write_site(folder, platform.url, dict(park.urls))
    site.write_text(site.read_text().replace("[[line]]", f'ca = "{platform.ca}"\n[[line]]', 1))
    return site


def snapshots(platform):
    """Give every snapshot that arrived, by `seq`; another body for one `seq` would be a fault."""
    found = {}
    for message in platform.received:
        kind, _, _ = leaf(message).partition("/")
        if kind in ("data", "backfill"):
            body = json.loads(message.payload)
            for each in body if isinstance(body, list) else [body]:
                assert found.setdefault(each["seq"], each)["ts"] == each["ts"]
    return [found[seq] for seq in sorted(found)]


def clock_events(platform):
    """Give what was told of the clock, in the order of `seq`."""
    events = [json.loads(each.payload) for each in platform.received if leaf(each) == "event"]
    found = sorted((each["seq"], each["event"], each["detail"].get("offset")) for each in events)
    return [(event, offset) for _, event, offset in found if event.startswith("clock-")]


async def stored(agent, more):
    """Wait until so many more snapshots are stored."""
    wanted = None
    async with asyncio.timeout(30):
        while True:
            if status := await agent.status():
                (instrument,) = status["instruments"]
                wanted = instrument["seq"] + more if wanted is None else wanted
                if instrument["seq"] >= wanted:
                    return status
            await asyncio.sleep(0.05)


async def ended(agent, platform):
    """Stop the agent; everything that it stored must have arrived."""
    account = await agent.stop(15)
    assert account, agent.errors
    assert account["uplinks"]["park"]["waiting"] == 0
    count = account["instruments"][NAME]["stored"]
    await until(lambda: set(seqs(platform.received, NAME)) == set(range(1, count + 1)))
    return snapshots(platform)


async def test_a_start_in_1970_collects_at_once_and_delivers_once_the_clock_is_set(park, platform, tmp_path):
    wall = Wall(tmp_path, back_to_1970())
    site = site_of(tmp_path, platform, park)
    async with Agent(site, tmp_path / "data", command=COMMAND, secrets=wall.environment) as agent:
        status = await stored(agent, 10)
        assert status["now"] < YEAR * 1000
        await until(lambda: "is not trusted" in agent.errors)
        (uplink,) = (await agent.status())["uplinks"]
        assert "Check this gateway's clock first" in uplink["fault"]
        assert platform.received == []
        was = wall.off
        wall.step(0)
        # The wait behind a certificate that is not trusted is a minute at least: without the event it would be over.
        await until(lambda: seqs(platform.received, NAME), 20)
        await stored(agent, 10)
        arrived = await ended(agent, platform)
    (told,) = clock_events(platform)
    assert told[0] == "clock-set"
    assert abs(told[1] + was * 1000) < NEAR
    before = [each["ts"] < YEAR * 1000 for each in arrived]
    assert before == sorted(before, reverse=True), "first those of 1970, then the others"
    assert sum(before) >= 10
    assert [each.get("clock") for each in arrived] == ["unsynced" if early else None for early in before]
    true = [each["ts"] + told[1] if early else each["ts"] for each, early in zip(arrived, before, strict=True)]
    assert all(0 < later - earlier < 10_000 for earlier, later in pairwise(true)), "the offset puts them right"


async def test_a_clock_that_is_stepped_to_and_fro_loses_and_misorders_nothing(park, platform, tmp_path):
    wall = Wall(tmp_path)
    site = site_of(tmp_path, platform, park)
    steps = [0, -HOUR, 0, HOUR, 0, 10 * YEAR, 0, -10 * YEAR, 0]
    async with Agent(site, tmp_path / "data", command=COMMAND, secrets=wall.environment) as agent:
        for off in steps:
            wall.step(off)
            await stored(agent, 5)
        arrived = await ended(agent, platform)
    jumps = [later - earlier for earlier, later in pairwise(steps)]
    events = clock_events(platform)
    assert [event for event, _ in events] == [
        *["clock-stepped"] * 4, "clock-stepped", "clock-set", "clock-stepped", "clock-set",
    ]  # fmt: skip
    assert all(abs(offset - jump * 1000) < NEAR for (_, offset), jump in zip(events, jumps, strict=True))
    # Which step each was stamped in: by `ts` less the offsets told so far, true time goes on from one to the next.
    eras, true = [0], [arrived[0]["ts"]]
    told = [0]
    for _, offset in events:
        told.append(told[-1] + offset)
    for each in arrived[1:]:
        era = eras[-1]
        while not -NEAR < each["ts"] - told[era] - true[-1] < 10_000:
            era += 1
        eras.append(era)
        true.append(each["ts"] - told[era])
    assert set(eras) == set(range(len(steps)))
    far = {index for index, off in enumerate(steps) if abs(off) >= YEAR}
    assert [each.get("clock") for each in arrived] == ["unsynced" if era in far else None for era in eras]
