"""The real agent of a site on a machine whose kernel does not say whether its clock is right.

libfaketime shifts what the clocks show, but not what adjtimex(2) answers: on a machine with time synchronisation the
agent would rightly believe every step.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from pathlib import Path

from parkgate.config.load import load_site
from parkgate.gateway.agent import Agent, World
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.run import loop_factory


class Undisciplined(SystemClock):
    """The machine's clocks; nobody says whether they are right."""

    def synchronised(self) -> bool | None:
        return None


async def _main(site: Path) -> None:
    agent = Agent(load_site(site), World(clock=Undisciplined(), rng=random.SystemRandom()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    account = await agent.run()
    print(json.dumps({"account": account}), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_main(Path(sys.argv[1])))
