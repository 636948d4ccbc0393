"""The agent as `parkgate run` has it, which takes its pulse once it is told to (SIGUSR1): `opcua_agent.py SITE`.

At its end it prints the longest CPU time between two beats, ms: an upper bound of the slices of its event loop, which a
computer that does other things besides does not lengthen.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

from parkgate.config.load import load_site
from parkgate.drivers.catalog import load
from parkgate.gateway import agent
from parkgate.gateway.commands.run import SETTLED, keep_for_ever, loop_factory

BEAT_S = 0.005


async def beat(told: asyncio.Event, longest: list[float]) -> None:
    await told.wait()
    await asyncio.sleep(0)
    before = time.thread_time()
    while True:
        await asyncio.sleep(BEAT_S)
        now = time.thread_time()
        longest[0] = max(longest[0], now - before)
        before = now


async def main(path: Path) -> None:
    site, longest, told = load_site(path), [0.0], asyncio.Event()
    load(site.lines)
    keep_for_ever()
    asyncio.get_running_loop().call_later(SETTLED, keep_for_ever)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    pulse = asyncio.create_task(beat(told, longest))
    await agent.run(site)
    pulse.cancel()
    print(round(1000 * longest[0], 1), flush=True)


with asyncio.Runner(loop_factory=loop_factory()) as runner:
    runner.run(main(Path(sys.argv[1])))
