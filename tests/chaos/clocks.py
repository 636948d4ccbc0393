"""A gateway's clock that is wrong, and is set: the real agent in a process whose wall clock libfaketime shifts.

`woken_in_1970` and `stepped` make what happened, `run` the table; the judging functions tell whether it is as designed.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from chaos.row import Row
from support.broker import Mosquitto, free_port
from support.certificates import Authority
from support.faketime import COMMAND, YEAR, Wall, back_to_1970
from support.river import leaf, seqs, simulated, until, write_site
from support.subscriber import Subscriber

from parkgate.simulator.agent import Agent

NAME = "gas-1"
HOUR = 3600
STEPS = (0, -HOUR, 0, HOUR, 0, 10 * YEAR, 0, -10 * YEAR, 0)
"""Seconds that the clock is off, one after the other."""
EVENTS = [*["clock-stepped"] * 5, "clock-set", "clock-stepped", "clock-set"]
"""What is told of them: after a leap of years the way back is where the clock is believed again."""
NEAR = 500
"""Milliseconds between a step and what is told of it: what the two clocks may drift apart between two looks."""
_APART = 10_000
"""Milliseconds: more than there is between two snapshots even on a machine that has no time."""


@dataclass(frozen=True)
class Seen:
    """What came of a run: how far the clock was off, what arrived by `seq`, what was told of the clock.

    `stored` is how many snapshots the agent's account names, `fault` the uplink's while the clock was wrong, and
    `early` how many messages arrived then.
    """

    steps: tuple[int, ...]
    arrived: list[Mapping[str, Any]]
    events: list[tuple[str, int]]
    stored: int
    fault: str = ""
    early: int = 0


@asynccontextmanager
async def _gateway(folder: Path, wall: Wall) -> AsyncIterator[tuple[Agent, Subscriber]]:
    """Run an agent of one instrument beside a broker that speaks TLS, and hear what comes out of that."""
    authority, port = Authority(folder, "ca"), free_port()
    cert, key = authority.issue("broker", address="127.0.0.1")
    config = [f"certfile {cert}", f"keyfile {key}", f"listener {port} 127.0.0.1"]
    async with (
        simulated(folder / "park", 1, tank=False) as park,
        Mosquitto(config, tls=True) as broker,
        Subscriber(port, "park/v1/#") as platform,
    ):
        site = write_site(folder, broker.url, dict(park.urls))
        site.write_text(site.read_text().replace("[[line]]", f'ca = "{authority.file}"\n[[line]]', 1))
        async with Agent(site, folder / "data", command=COMMAND, secrets=wall.environment) as agent:
            yield agent, platform


async def woken_in_1970(folder: Path) -> Seen:
    """Start in 1970, and set the clock right once the broker's certificate was refused."""
    wall = Wall(folder, back_to_1970())
    steps = (wall.off, 0)
    async with _gateway(folder, wall) as (agent, platform):
        await _stored(agent, 10)
        await until(lambda: "is not trusted" in agent.errors)
        (uplink,) = (await _stored(agent, 1))["uplinks"]
        early = len(platform.received)
        wall.step(0)
        # The wait behind a certificate that is not trusted is a minute at least, unless the clock's being set ends it.
        await until(lambda: seqs(platform.received, NAME), 20)
        await _stored(agent, 10)
        return await _ended(agent, platform, steps, fault=uplink["fault"], early=early)


async def stepped(folder: Path) -> Seen:
    """Step the clock to and fro in a running agent."""
    wall = Wall(folder)
    async with _gateway(folder, wall) as (agent, platform):
        for off in STEPS:
            wall.step(off)
            await _stored(agent, 5)
        return await _ended(agent, platform, STEPS)


async def _stored(agent: Agent, more: int) -> Mapping[str, Any]:
    """Wait until so many more snapshots are stored; give the agent's status."""
    wanted = None
    async with asyncio.timeout(30):
        while True:
            if status := await agent.status():
                (instrument,) = status["instruments"]
                wanted = instrument["seq"] + more if wanted is None else wanted
                if instrument["seq"] >= wanted:
                    return status
            await asyncio.sleep(0.05)


async def _ended(
    agent: Agent, platform: Subscriber, steps: tuple[int, ...], *, fault: str = "", early: int = 0
) -> Seen:
    """Stop the agent, which drains; give what arrived."""
    account = await agent.stop(15)
    assert account, agent.errors
    stored = account["instruments"][NAME]["stored"]
    await until(lambda: any(b'"stopped"' in each.payload for each in platform.received))  # behind every snapshot
    return Seen(steps, _snapshots(platform), _clock_events(platform), stored, fault, early)


def _snapshots(platform: Subscriber) -> list[Mapping[str, Any]]:
    """Give every snapshot that arrived, by `seq`; one `seq` has one `ts`."""
    found: dict[int, Mapping[str, Any]] = {}
    for message in platform.received:
        if leaf(message).partition("/")[0] in ("data", "backfill"):
            body = json.loads(message.payload)
            for each in body if isinstance(body, list) else [body]:
                assert found.setdefault(each["seq"], each)["ts"] == each["ts"]
    return [found[seq] for seq in sorted(found)]


def _clock_events(platform: Subscriber) -> list[tuple[str, int]]:
    """Give what was told of the clock, in the order of `seq`."""
    events = [json.loads(each.payload) for each in platform.received if leaf(each) == "event"]
    told = sorted((each["seq"], each["event"], each["detail"]) for each in events if each["event"].startswith("clock-"))
    return [(event, detail["offset"]) for _, event, detail in told]


def whole(seen: Seen) -> bool:
    """Tell whether everything that was stored arrived, from 1 on without a hole."""
    return [each["seq"] for each in seen.arrived] == list(range(1, seen.stored + 1))


def told_truly(seen: Seen) -> bool:
    """Tell whether every step was told with its offset, and no other."""
    jumps = [(later - earlier) * 1000 for earlier, later in pairwise(seen.steps)]
    offsets = [offset for _, offset in seen.events]
    return len(jumps) == len(offsets) and all(abs(a - b) < NEAR for a, b in zip(jumps, offsets, strict=True))


def steps_of(seen: Seen) -> list[int] | None:
    """Give, for each snapshot, the step that its `ts` was stamped after; None if their order is not that of reading.

    `ts` follows the clock: less the offsets told so far, true time goes on from one snapshot to the next.
    """
    off = [0]
    for _, offset in seen.events:
        off.append(off[-1] + offset)
    step, true, found = 0, seen.arrived[0]["ts"], []
    for each in seen.arrived:
        while not -NEAR < each["ts"] - off[step] - true < _APART:
            step += 1
            if step == len(off):
                return None
        true = each["ts"] - off[step]
        found.append(step)
    return found


def marked_truly(seen: Seen, steps: Sequence[int] | None) -> bool:
    """Tell whether exactly those are marked that were stamped while the clock was years off, and there are some."""
    if steps is None or set(steps) != set(range(len(seen.steps))):
        return False
    far = {step for step, off in enumerate(seen.steps) if abs(off) >= YEAR}
    return [each.get("clock") for each in seen.arrived] == ["unsynced" if step in far else None for step in steps]


def run() -> list[Row]:
    """Wake in 1970; step to and fro; tell what came of it."""
    rows = []
    for case, happening, events in (
        ("a start in 1970, then set", woken_in_1970, ["clock-set"]),
        ("steps of -1 h, +1 h, +10 y, -10 y and back", stepped, EVENTS),
    ):
        with tempfile.TemporaryDirectory(prefix="clocks-") as folder:
            seen = asyncio.run(happening(Path(folder)))
        marks = sum("clock" in each for each in seen.arrived)
        figure = f"{len(seen.arrived)} of {seen.stored} arrived, {marks} unsynced, {len(seen.events)} steps told"
        right = whole(seen) and told_truly(seen) and marked_truly(seen, steps_of(seen))
        ok = right and [event for event, _ in seen.events] == events
        rows.append(Row(case, figure, "every seq in order; marks and offsets exact", ok))
    return rows
