"""kill -9 of the whole agent, at any instant, with its instruments running and the way to its broker breaking.

Some die while they start, some in the middle of a commit (the WAL has just begun to grow), the others whenever. The
judge is a subscriber that is never cut off; after each death the outbox is copied, so that it is known what was
committed. Everything committed must arrive with its bytes, and nothing that was not.
"""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from chaos.row import Row
from support.broker import Mosquitto
from support.farm import Farm
from support.ledger import Ledger, duplicates
from support.proxy import DOWN, Proxy

from parkgate.simulator.agent import Agent
from parkgate.simulator.platform import Platform

INSTRUMENTS, POINTS = 6, 10
STARTING = 0.9
"""Seconds: an agent needs about so long to start, and dies somewhere within."""
BACK = 3.0
UNLIMITED = ("max_queued_messages 0", "max_inflight_messages 1000")
"""mosquitto drops nothing that its subscriber is slow to take."""


Trouble = Callable[[Proxy], Awaitable[None] | None]
TROUBLED = 0.6


def _slow(proxy: Proxy) -> None:
    proxy.delay, proxy.jitter = 0.1, 0.1


def _trickling(proxy: Proxy) -> None:
    proxy.trickle = 40


def _flipping(proxy: Proxy) -> None:
    proxy.flips = 5


LINK: tuple[Trouble, ...] = (
    Proxy.cut, Proxy.reset, Proxy.half_open, Proxy.stall, lambda proxy: proxy.stall(DOWN), Proxy.refuse,
    _slow, _trickling,
)  # fmt: skip
"""What happens to the way to the broker; no flipped bits: they would be TCP's to notice."""
WIRE: tuple[Trouble, ...] = (*LINK, _flipping)
"""What happens to the first instrument's wire."""


class Loop:
    """One crash loop: the agent's folder, what breaks around it, and what was seen."""

    def __init__(self, folder: Path, site: Path, link: Proxy, wire: Proxy, rng: random.Random) -> None:
        self.site = site
        self.data = folder / "data"
        self.link = link
        self.wire = wire
        self.rng = rng
        self.ledger = Ledger("farm/gw")
        self.starts: list[float] = []
        self.troubles = 0
        self.deaths: dict[str, int] = {}

    async def cycle(self) -> None:
        """Start an agent, break its link and a wire or not, kill it, and note what it had committed."""
        how = self.rng.choices(["starting", "committing", "running"], [3, 3, 4])[0]
        began = time.monotonic()
        async with Agent(self.site, self.data) as agent:
            if how == "starting":
                await asyncio.sleep(self.rng.uniform(0, STARTING))
            else:
                await self._answering(agent, began)
                await self._trouble()
                await asyncio.sleep(self.rng.uniform(0, 1))
            if how == "committing":
                await asyncio.to_thread(_until_changed, self.data / "outbox.sqlite-wal")
            agent._process.send_signal(signal.SIGKILL)
            await agent.ended
        self.deaths[how] = self.deaths.get(how, 0) + 1
        await asyncio.to_thread(self.ledger.note, self.data)

    async def _answering(self, agent: Agent, began: float) -> None:
        async with asyncio.timeout(30):
            while await agent.status() is None:
                assert not agent.ended.done(), agent.errors
                await asyncio.sleep(0.01)
        self.starts.append(time.monotonic() - began)

    async def _trouble(self) -> None:
        for proxy, troubles in ((self.link, LINK), (self.wire, WIRE)):
            await proxy.accept()
            proxy.heal()
            if self.rng.random() < TROUBLED:
                self.troubles += 1
                trouble = self.rng.choice(troubles)(proxy)
                if trouble is not None:
                    await trouble

    async def end(self) -> None:
        """Let the last agent send everything, and leave as it should."""
        for proxy in (self.link, self.wire):
            await proxy.accept()
            proxy.heal()
            proxy.reset()
        async with Agent(self.site, self.data) as agent:
            await drained(agent)
            assert await agent.stop(20) is not None, agent.errors
        self.ledger.note(self.data)


def _until_changed(file: Path, seconds: float = 1.0) -> None:
    """Wait until a file has just been written to: for a WAL, a commit is under way."""
    before, began = _stamp(file), time.monotonic()
    while _stamp(file) == before and time.monotonic() - began < seconds:
        time.sleep(0.0002)  # an instant later the commit is over


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


async def drained(agent: Agent, seconds: float = 120) -> None:
    """Wait until the agent's uplink is online and next to nothing waits."""
    async with asyncio.timeout(seconds):
        while True:
            status = await agent.status()
            if status and all(each["state"] == "online" and each["waiting"] < 50 for each in status["uplinks"]):
                return
            assert not agent.ended.done(), agent.errors
            await asyncio.sleep(0.1)


def run(cycles: int = 300, seed: int = 1) -> list[Row]:
    """Kill an agent so many times, and give what became of its records."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder), cycles, random.Random(seed)))


async def _run(folder: Path, cycles: int, rng: random.Random) -> list[Row]:
    async with (
        Farm(INSTRUMENTS, POINTS) as farm,
        Mosquitto(UNLIMITED) as broker,
        Platform(broker.url) as platform,
        Proxy(broker.port, rng) as link,
        Proxy(farm.ports[0], rng) as wire,
    ):
        farm.ports[0] = wire.port
        site = farm.write_site(folder, f"mqtt://127.0.0.1:{link.port}", every="100ms")
        loop = Loop(folder, site, link, wire, rng)
        for _ in range(cycles):
            await loop.cycle()
        await loop.end()
        await platform.until(lambda books: not loop.ledger.lost(books), 20)
        return _rows(loop, platform)


def _rows(loop: Loop, platform: Platform) -> list[Row]:
    books, ledger = platform.books, loop.ledger
    lost, different, early = len(ledger.lost(books)), len(ledger.different(books)), ledger.never_stored(books)
    holes = sum(len(each.missing) for each in books.account())
    deaths = ", ".join(f"{count} {how}" for how, count in sorted(loop.deaths.items()))
    starts = sorted(loop.starts) or [0.0]
    return [
        Row(f"kill -9: {deaths}; {loop.troubles} troubles of link and wire",
            f"{len(ledger.digests)} committed, {lost} lost, {holes} holes", "0 lost", lost == holes == 0),
        Row("one identity, one payload", f"{different} different, {duplicates(books)} identical resends, "
            f"{books.junk} junk", "0 different", different == books.junk == 0),
        Row("published before its commit", str(early), "0", early == 0),
        Row("running again", f"median {starts[len(starts) // 2]:.2f} s, worst {starts[-1]:.2f} s", f"< {BACK:.0f} s",
            starts[-1] < BACK),
    ]  # fmt: skip
