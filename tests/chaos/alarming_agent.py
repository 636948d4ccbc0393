"""The real agent of a site, in whose outbox an alarm is put now and then: `alarming_agent.py SECONDS SITE`.

Nothing makes alarms yet, and their lane must be measured. When each record was committed, as the agent's followers are
told, stands in committed.json beside the site file once the agent has ended; its account is printed as ever.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from pathlib import Path

import orjson

from parkgate.config.load import load_site
from parkgate.gateway.agent import Agent, real_world
from parkgate.gateway.commands.run import loop_factory
from parkgate.gateway.messages.encode import Encode

INSTRUMENT = "gas-1"


def alarm(source: str, epoch: str, ts: int) -> Encode:
    """Encode an alarm of `INSTRUMENT` as the contract has it."""

    def encode(seq: int, low: int) -> bytes:
        return orjson.dumps({
            "source": f"{source}/{INSTRUMENT}", "epoch": epoch, "seq": seq, "low": low, "ts": ts, "point": "h2s",
            "alarm": "high", "state": "active", "acknowledged": False, "latched": True, "value": 12.0, "limit": 10,
            "priority": "urgent",
        })  # fmt: skip

    return encode


async def _alarms(agent: Agent, seconds: float, committed: list[tuple[str, str, int, float]]) -> None:
    while not agent.collectors:  # the last that is made before the loops start
        await asyncio.sleep(0.05)
    outbox, source = agent.outbox, f"{agent.site.gateway.site}/{agent.site.gateway.id}"
    outbox.followers.insert(0, lambda records: committed.extend(
        (each.series.kind, each.series.instrument, each.seq, time.time() * 1000) for each in records
    ))  # fmt: skip
    series = outbox.series("alarm", INSTRUMENT)
    while True:
        await asyncio.sleep(seconds)
        now = time.time_ns() // 1_000_000
        outbox.store(series, now, alarm(source, outbox.epoch, now), urgent=True)


async def _main(site: Path, seconds: float) -> None:
    agent, committed = Agent(load_site(site), real_world()), []
    alarms = asyncio.create_task(_alarms(agent, seconds, committed))

    def stop() -> None:
        alarms.cancel()  # what is put in while the agent leaves waits for its next start
        agent.stop()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    gc.collect()
    gc.freeze()
    account = await agent.run()
    (site.parent / "committed.json").write_text(json.dumps(committed))
    print(json.dumps({"account": account}), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_main(Path(sys.argv[2]), float(sys.argv[1])))
