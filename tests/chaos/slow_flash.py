"""A gateway of a quarter of a core and 128 MB whose flash takes 100 ms a sync: nothing is late that must not be.

Each fsync and fdatasync of the agent is delayed by a preloaded library (made by cc, else strace does it); a cgroup
holds the agent. Whether polling keeps its period is seen at the instruments. Needs root.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from chaos.backlog import ALARMS, NOTING, percentile
from chaos.crash_loop import UNLIMITED, drained
from chaos.row import Row
from support.broker import Mosquitto
from support.cgroup import Cgroup
from support.farm import Farm
from support.process import Footprint
from support.receiver import Receiver, Verdict

from parkgate.simulator.agent import Agent

INSTRUMENTS, POINTS, PERIOD = 25, 100, 1.0
CORES, MEMORY = 0.25, 128 * 1024 * 1024
DELAY_US = 100_000
LATE, ALARM = 5.0, 1_000.0
"""The percent of the period that a read may be late, and the milliseconds of an alarm; both at the 99th percentile."""
_SOURCE = Path(__file__).parents[1] / "support" / "slow_sync.c"


def run(seconds: float = 120) -> list[Row]:
    """Let a park run on such a gateway for so long."""
    with tempfile.TemporaryDirectory() as folder, Cgroup(CORES, MEMORY) as group:
        return asyncio.run(_run(Path(folder), group, seconds))


def slowed(folder: Path) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Give what begins a command line whose syncs are slow, and the environment that goes with it."""
    if compiler := shutil.which("cc"):
        library = folder / "slow_sync.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
        return (), {"LD_PRELOAD": str(library), "SLOW_SYNC_US": str(DELAY_US)}
    delay = f"inject=fsync,fdatasync:delay_enter={DELAY_US}"
    # -D: the agent stays the child that is told to stop, and strace stands aside.
    quiet = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null")
    return (*quiet, "-e", "trace=fsync,fdatasync", "-e", delay), {}


async def _run(folder: Path, group: Cgroup, seconds: float) -> list[Row]:
    prefix, environment = slowed(folder)
    async with (
        Farm(INSTRUMENTS, POINTS) as farm,
        Mosquitto(UNLIMITED) as broker,
        Receiver(broker.port, "farm/gw") as receiver,
    ):
        site = farm.write_site(folder, broker.url, every=f"{PERIOD:.0f}s", alarms=ALARMS)
        command = (*group.command, *prefix, *NOTING)
        async with Agent(site, folder / "data", command=command, secrets=environment) as agent:
            await drained(agent)
            await asyncio.sleep(2)
            began, before = time.monotonic(), Footprint.of(agent._process.pid)
            await farm.asked()
            await asyncio.sleep(seconds)
            asked = await farm.asked()
            took, after = time.monotonic() - began, Footprint.of(agent._process.pid)
            account = dict(await agent.stop(20) or {})
        verdict = await receiver.judge(folder / "data")
        committed = json.loads((folder / "committed.json").read_text())
    figures = f"{100 * (after.cpu - before.cpu) / took:.0f} % of a core, {after.resident:.0f} MB; {group.throttled}"
    return _rows(asked, took, account, verdict, len(committed), figures)


def lateness(asked: list[list[float]]) -> list[float]:
    """Give how late each read was behind its instrument's earliest place in the period, percent of it, ascending."""
    late: list[float] = []
    for times in asked:
        first = times[0] % PERIOD
        places = [(each - first + PERIOD / 2) % PERIOD for each in times]
        late += [100 * (each - min(places)) / PERIOD for each in places]
    return sorted(late)


def _rows(
    asked: list[list[float]], took: float, account: dict, verdict: Verdict, committed: int, figures: str
) -> list[Row]:
    reads, wanted = sum(map(len, asked)), int(took / PERIOD) * INSTRUMENTS
    late = percentile(lateness(asked))
    alarms = verdict.delays("alarm")
    each = account.get("uplinks", {}).get("park", {})
    return [
        Row(f"{reads * POINTS / took:.0f} points/s delivered", f"{verdict.committed} committed, {verdict.lost} lost, "
            f"{verdict.different} different; {committed} told, {each}", "0 lost, none waiting",
            verdict.lost == verdict.different == each.get("waiting") == 0 < committed),
        Row("polling keeps its period, p99", f"{late:.1f} % late, {reads} of {wanted} reads", f"< {LATE:.0f} %",
            late < LATE and reads >= wanted),
        Row("alarm, register to platform, p99", f"{percentile(alarms):.0f} ms of {len(alarms)}", f"< {ALARM:.0f} ms",
            bool(alarms) and percentile(alarms) < ALARM),
        Row("what the agent used", figures, "-", ok=True),
    ]  # fmt: skip
