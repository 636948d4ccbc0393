"""A small site at full length: simulated instruments, a real mosquitto, the agent as its own process, and the books."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.scripted_broker import Publish

from parkgate.simulator.books import Books
from parkgate.simulator.park import Park
from parkgate.simulator.scenario import load_scenario

ROOT = "park/v1/test/gw"

SITE = """
[gateway]
site = "test"
id = "gw"
data = "{data}"
[[uplink]]
name = "park"
url = "{url}"
"""

TANK = """
[[line]]
name = "tanks"
url = "{tanks}"
security = "none"
[[instrument]]
name = "tank"
line = "tanks"
profile = "tank-opcua"
node = "T1"
every = "200ms"
"""

LINE = """
[[line]]
name = "l{n}"
url = "{address}"
timeout = "{timeout}"
[[instrument]]
name = "gas-{n}"
line = "l{n}"
profile = "gas-detector-generic"
every = "200ms"
"""


def write_site(folder: Path, url: str, lines: dict[str, str], *, timeout: str = "1s") -> Path:
    """Write a site of the Modbus lines l1, l2 …, and of an OPC UA line `tanks` if it is there; one instrument each."""
    text = SITE.format(data=folder / "data", url=url)
    if "tanks" in lines:
        text += TANK.format(tanks=lines["tanks"])
    for n in range(1, len(lines) + ("tanks" not in lines)):
        text += LINE.format(n=n, address=lines[f"l{n}"], timeout=timeout)
    path = folder / "site.toml"
    path.write_text(text)
    return path


def simulated(folder: Path, count: int, *, tank: bool = True) -> Park:
    """Give a park of one tank on OPC UA (unless without) and `count` gas detectors on Modbus TCP, on free ports."""
    lines = {"tanks": "opc.tcp://127.0.0.1:4840/test"} if tank else {}
    lines |= {f"l{n}": f"modbus-tcp://127.0.0.1:{500 + n}" for n in range(1, count + 1)}
    folder.mkdir(exist_ok=True)
    write_site(folder, "mqtt://127.0.0.1:1883", lines).rename(folder / "park.toml")
    scenario = folder / "scenario.toml"
    scenario.write_text('title = "Test"\nseed = 1\nstart = 2026-01-01T00:00:00Z\nsite = "park.toml"\nstep = "100ms"\n')
    return Park(load_scenario(scenario), any_port=True)


def booked(messages: list[Publish]) -> Books:
    """Keep the books of what a subscriber received."""
    books = Books()
    for message in messages:
        books.take(message.topic, message.payload, message.retain)
    return books


def leaf(message: Publish) -> str:
    """Give a topic below the gateway's root."""
    return message.topic.removeprefix(ROOT + "/")


def seqs(messages: list[Publish], instrument: str, *, of: tuple[str, ...] = ("data", "backfill")) -> list[int]:
    """Give every `seq` of an instrument, in the order of arrival."""
    found: list[int] = []
    for message in messages:
        kind, _, name = leaf(message).partition("/")
        if kind in of and name == instrument:
            body = json.loads(message.payload)
            found += [each["seq"] for each in (body if isinstance(body, list) else [body])]
    return found


async def until(condition, seconds: float = 30) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # what is waited for happens in other processes
            await asyncio.sleep(0.02)
