"""A link that is gone without a word: the agent in a network namespace, all packets to and from its broker dropped.

Once while nothing is to be sent and once while it sends. It must be noticed within 15 s, and nothing may be lost once
the link is back. Needs root.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from chaos.crash_loop import UNLIMITED, drained
from chaos.row import Row
from support.broker import Mosquitto, free_port
from support.farm import Farm
from support.ledger import Ledger
from support.netns import Namespace

from parkgate.simulator.agent import COMMAND, Agent
from parkgate.simulator.platform import Platform

NOTICED = 15.0
AWAY = 20.0
"""Seconds that the link is away at least."""
PERIODS = {"idle": "10min", "sending": "500ms"}
"""How often the instruments are read: idle, nothing is sent while the link is away."""


def run() -> list[Row]:
    """Lose the link without a word, idle and sending at once."""
    return asyncio.run(_both())


async def _both() -> list[Row]:
    both = await asyncio.gather(*(_lose(case) for case in PERIODS))
    return [row for rows in both for row in rows]


async def _lose(case: str) -> list[Row]:
    ledger = Ledger("farm/gw")
    with tempfile.TemporaryDirectory() as name, Namespace() as space:
        folder, port = Path(name), free_port()
        async with (
            Farm(2, 10, space.here) as farm,
            Mosquitto((*UNLIMITED, f"listener {port} {space.here}")) as broker,
            Platform(broker.url) as platform,
        ):
            site = farm.write_site(folder, f"mqtt://{space.here}:{port}", every=PERIODS[case])
            async with Agent(site, folder / "data", command=(*space.command, *COMMAND)) as agent:
                await drained(agent)
                await asyncio.sleep(1)  # the last PUBACKs of the greeting
                noticed = await _away(agent, space, port)
                began = time.monotonic()
                await drained(agent)
                back = time.monotonic() - began
                assert await agent.stop(20) is not None, agent.errors
            ledger.note(folder / "data")
            await platform.until(lambda books: not ledger.lost(books), 20)
            return _rows(case, noticed, back, ledger, platform)


async def _away(agent: Agent, space: Namespace, port: int) -> float:
    """Drop everything for a while, and give how long it took the agent to notice."""
    space.drop(port)
    began = time.monotonic()
    try:
        async with asyncio.timeout(90):
            while await _uplink(agent) == "online":
                await asyncio.sleep(0.05)
        noticed = time.monotonic() - began
        await asyncio.sleep(max(0.0, AWAY - noticed))
    finally:
        space.drop(port, on=False)
    return noticed


async def _uplink(agent: Agent) -> str:
    status = await agent.status()
    assert status is not None, agent.errors
    return status["uplinks"][0]["state"]


def _rows(case: str, noticed: float, back: float, ledger: Ledger, platform: Platform) -> list[Row]:
    lost, different = len(ledger.lost(platform.books)), len(ledger.different(platform.books))
    said = any(each.kind == "event" and each.received for each in platform.books.account())
    return [
        Row(f"{case}: noticed", f"{noticed:.1f} s, in use {back:.1f} s after its return", f"<= {NOTICED:.0f} s",
            noticed <= NOTICED),
        Row(f"{case}: kept", f"{len(ledger.digests)} committed, {lost} lost, {different} different", "0 lost",
            lost == different == 0 and said),
    ]  # fmt: skip
