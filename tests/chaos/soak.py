"""A park at 5,000 points/s for half an hour, its link cut every minute: balanced, and nothing grows.

Run as `python -m chaos.soak MINUTES` it prints a line a minute.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from chaos.crash_loop import UNLIMITED, drained
from chaos.row import Row
from support.broker import Mosquitto
from support.farm import Farm
from support.ledger import Ledger, duplicates
from support.process import Footprint
from support.proxy import Proxy

from parkgate.simulator.agent import Agent
from parkgate.simulator.platform import Platform

INSTRUMENTS, POINTS = 50, 100
CUT = 5.0
"""Seconds that the link is away."""
WAL = 16.0
GROWTH = 5.0
"""MB."""
ASKED = 2
"""Connections to the control socket that the last questions may have left."""


@dataclass
class Seen:
    """What was seen of the agent from outside: its footprint once a minute while all was well, and its largest WAL."""

    footprints: list[Footprint] = field(default_factory=list)
    wal: float = 0.0
    cuts: int = 0
    account: dict = field(default_factory=dict)


def run(minutes: float = 30, every: float = 60) -> list[Row]:
    """Let a park run, its link cut each `every` seconds for `CUT`."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder), minutes * 60, every))


async def _run(folder: Path, seconds: float, every: float) -> list[Row]:
    ledger, seen = Ledger("farm/gw"), Seen()
    async with (
        Farm(INSTRUMENTS, POINTS) as farm,
        Mosquitto(UNLIMITED) as broker,
        Platform(broker.url) as platform,
        Proxy(broker.port) as link,
    ):
        site = farm.write_site(folder, f"mqtt://127.0.0.1:{link.port}")
        async with Agent(site, folder / "data") as agent:
            wal = asyncio.create_task(_watch(folder / "data" / "outbox.sqlite-wal", seen))
            await _cut_now_and_then(agent, link, seconds, every, seen)
            await drained(agent)
            seen.footprints.append(Footprint.of(agent._process.pid))
            wal.cancel()
            seen.account = dict(await agent.stop(20) or {})
        ledger.note(folder / "data")
        await platform.until(lambda books: not ledger.lost(books), 20)
        return _rows(ledger, platform, seen, seconds)


async def _cut_now_and_then(agent: Agent, link: Proxy, seconds: float, every: float, seen: Seen) -> None:
    began = time.monotonic()
    await drained(agent)
    troubles = cycle((link.refuse, link.stall, link.half_open, link.cut))
    for trouble in islice(troubles, round(seconds / every)):
        await asyncio.sleep(every - CUT)
        seen.footprints.append(Footprint.of(agent._process.pid))
        print(f"{time.monotonic() - began:5.0f} s  WAL {seen.wal:.1f} MB  {seen.footprints[-1]}", flush=True)
        waiting = trouble()
        if waiting is not None:
            await waiting
        seen.cuts += 1
        await asyncio.sleep(CUT)
        link.heal()
        await link.accept()


async def _watch(wal: Path, seen: Seen) -> None:
    while True:
        with suppress(FileNotFoundError):
            seen.wal = max(seen.wal, os.stat(wal).st_size / 1e6)  # noqa: PTH116  never waits, so no thread for it
        await asyncio.sleep(0.1)


def _rows(ledger: Ledger, platform: Platform, seen: Seen, seconds: float) -> list[Row]:
    books, marks = platform.books, seen.footprints
    lost, different = len(ledger.lost(books)), len(ledger.different(books))
    settled, end = marks[min(5, len(marks)) - 1], marks[-1]
    each = seen.account["uplinks"]["park"]
    balanced = seen.account["stored"] == each["delivered"] + each["waiting"] + each["expired"] + each["quarantined"]
    reads = sum(one["stored"] for one in seen.account["instruments"].values())
    return [
        Row(f"{seconds / 60:.1f} minutes, {seen.cuts} cuts, {reads * POINTS / seconds:.0f} points/s",
            f"{len(ledger.digests)} committed, {lost} lost, {different} different, {duplicates(books)} resends",
            "0 lost, 0 different", lost == different == books.junk == 0),
        Row("the agent's own account", f"{each}", "stored = delivered + waiting + expired + quarantined", balanced),
        Row("WAL", f"{seen.wal:.1f} MB", f"<= {WAL:.0f} MB", seen.wal <= WAL),
        Row("memory", f"{settled.resident:.1f} MB, at the end {end.resident:.1f} MB", f"+ {GROWTH:.0f} MB at most",
            end.resident <= settled.resident + GROWTH),
        Row("files and threads", f"{settled.files} and {settled.threads}, at the end {end.files} and {end.threads}",
            "as many, but for what was just asked",
            end.files <= settled.files + ASKED and end.threads == settled.threads),
        Row("CPU", f"{100 * (end.cpu - marks[0].cpu) / seconds:.0f} % of a core", "-", ok=True),
    ]  # fmt: skip


if __name__ == "__main__":
    for line in run(float(sys.argv[1])):
        print(line)
