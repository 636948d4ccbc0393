"""The real agent on a small file system of its own: full while it runs, and read-only when it starts. Needs root."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from chaos.crash_loop import UNLIMITED, drained
from chaos.row import Row
from support.broker import Mosquitto
from support.farm import Farm
from support.ledger import Ledger
from support.mount import small_disk, writable

from parkgate.simulator.agent import Agent
from parkgate.simulator.platform import Platform

SIZE = 4 * 1024 * 1024
PERIOD = 0.2
INSTRUMENTS = 2
LIVE = 20
"""Snapshots of an instrument that arrive from a disk that takes nothing."""
FULL = 5.0
"""Seconds that the disk stays full at least."""
FELT = 60.0
"""Seconds within which the outbox must have come to need a block."""


def run() -> list[Row]:
    """Fill the disk under an agent, and start another on a disk that is read-only."""
    rows = []
    for troubled in (_filled, _read_only):
        with small_disk(SIZE) as folder:
            rows += asyncio.run(troubled(folder))
    return rows


def fill(path: Path) -> None:
    """Let a file grow until the disk takes no more."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def _full(folder: Path, agent: Agent) -> object:
    """Keep the disk full for a while, and until the agent tells a fault; give the first that it told.

    An outbox lives on for some time within the blocks that it has: in a log that has grown already, and in the place
    of what was delivered. What it gives back of them others take at once, so that it must come to need one.
    """
    began, fault = time.monotonic(), None
    while (passed := time.monotonic() - began) < FULL or (not fault and passed < FELT):
        await asyncio.to_thread(fill, folder / "full")
        fault = fault or ((await agent.status() or {}).get("outbox") or {}).get("fault")
        await asyncio.sleep(0.05)
    return fault


async def _filled(folder: Path) -> list[Row]:
    ledger = Ledger("farm/gw")
    async with Farm(INSTRUMENTS, 20) as farm, Mosquitto(UNLIMITED) as broker, Platform(broker.url) as platform:
        site = farm.write_site(folder, broker.url, every=f"{PERIOD * 1000:.0f}ms")
        async with Agent(site, folder / "data") as agent:
            await drained(agent)
            await platform.until(lambda books: all(books.received(f"farm/gw/i{n}") for n in range(INSTRUMENTS)), 60)
            await asyncio.to_thread(fill, folder / "full")
            left = os.statvfs(folder).f_bavail
            await farm.asked()
            began = time.monotonic()
            said = await _full(folder, agent)
            seconds = time.monotonic() - began
            reads = sum(map(len, await farm.asked()))
            (folder / "full").unlink()
            await drained(agent)
            account = dict(await agent.stop(20) or {})
        ledger.note(folder / "data")
        await platform.until(lambda books: not ledger.lost(books), 20)
    wanted = int(seconds / PERIOD) * INSTRUMENTS
    lost, different = len(ledger.lost(platform.books)), len(ledger.different(platform.books))
    kept = account.get("collected") == account.get("stored")
    return [
        Row("a disk that fills up: polling meanwhile", f"{reads} of {wanted} reads", "none missed",
            reads >= wanted - INSTRUMENTS),
        Row("a disk that fills up: said by status", f"{left} blocks left; {seconds:.0f} s; {said}", "a fault",
            bool(said)),
        Row("a disk that fills up: kept", f"{account}; {lost} lost, {different} different", "0 lost, all stored",
            lost == different == 0 and kept),
    ]  # fmt: skip


async def _read_only(folder: Path) -> list[Row]:
    ledger, durable = Ledger("farm/gw"), []

    def hear(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  as the platform tells it
        if topic.endswith("/status"):
            durable.append(json.loads(payload).get("durable", True))

    async with (
        Farm(INSTRUMENTS, 20) as farm,
        Mosquitto(UNLIMITED) as broker,
        Platform(broker.url, listener=hear) as platform,
    ):
        site = farm.write_site(folder, broker.url, every=f"{PERIOD * 1000:.0f}ms")
        (folder / "data").mkdir()
        writable(folder, yes=False)
        async with Agent(site, folder / "data") as agent:
            arrived = await platform.until(lambda books: books.received("farm/gw/i0") > LIVE, 60)
            in_memory = set(durable)
            writable(folder, yes=True)
            account = dict(await agent.stop(20) or {})
        durable.clear()
        async with Agent(site, folder / "data") as agent:
            await drained(agent)
            assert await agent.stop(20) is not None, agent.errors
        ledger.note(folder / "data")
        await platform.until(lambda books: not ledger.lost(books), 20)
    lost, different = len(ledger.lost(platform.books)), len(ledger.different(platform.books))
    holes = sum(len(each.missing) for each in platform.books.account())
    return [
        Row("a read-only disk: durable, by its status", f"{in_memory}, then {set(durable)}", "False, then True",
            arrived and False in in_memory and durable and False not in durable),
        Row("a read-only disk: kept", f"{account.get('stored')} in memory, {len(ledger.digests)} on the disk then; "
            f"{lost} lost, {different} different, {holes} holes", "0 lost",
            bool(account) and lost == different == holes == 0),
    ]  # fmt: skip
