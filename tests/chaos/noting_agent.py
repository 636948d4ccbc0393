"""The real agent of a site that notes when each record was committed: `noting_agent.py SITE`.

As its followers are told, it stands in committed.json beside the site file once the agent has ended; its account is
printed as ever.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from pathlib import Path

from parkgate.config.load import load_site
from parkgate.gateway.agent import Agent, real_world
from parkgate.gateway.commands.run import loop_factory


async def _note(agent: Agent, committed: list[tuple[str, str, int, float]]) -> None:
    while not agent.collectors:  # the last that is made before the loops start
        await asyncio.sleep(0.05)
    agent.outbox.followers.insert(0, lambda records: committed.extend(
        (each.series.kind, each.series.instrument, each.seq, time.time() * 1000) for each in records
    ))  # fmt: skip


async def _main(site: Path) -> None:
    agent, committed = Agent(load_site(site), real_world()), []
    noting = asyncio.create_task(_note(agent, committed))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    gc.collect()
    gc.freeze()
    account = await agent.run()
    await noting
    (site.parent / "committed.json").write_text(json.dumps(committed))
    print(json.dumps({"account": account}), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_main(Path(sys.argv[1])))
