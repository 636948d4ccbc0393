"""A long backlog drains: live snapshots and alarms must hardly notice.

The same park runs twice, with an empty outbox and with a million snapshots in it; the figures are from `ts` to the
subscriber, and from the commit to the subscriber.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chaos.crash_loop import UNLIMITED, drained
from chaos.row import Row
from support.broker import Mosquitto
from support.farm import Farm
from support.receiver import Receiver, Verdict

from parkgate.config.load import load_site
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.messages.alarms import transition
from parkgate.gateway.messages.encode import Encode, SnapshotEncoder, meta
from parkgate.gateway.storing.outbox import Outbox
from parkgate.simulator.agent import Agent

INSTRUMENTS, POINTS = 20, 20
RATIO, ALARM = 1.5, 200.0
"""How much slower live snapshots may be, and the milliseconds that an alarm may take; both at the 99th percentile."""
NOTING = (sys.executable, str(Path(__file__).with_name("noting_agent.py")))
"""Runs an agent that notes when each record was committed."""
ALARMS = (0, 1, 2, 3)
"""The points that alarm: about twelve transitions a second, the first with the third reading, when the link is up."""
OLD_ALARMS = 20
"""Alarms that stand at the very end of the backlog."""
INSTRUMENT = "gas-1"
"""Whose alarms these are: it is on no line of the site."""
_AT_ONCE = 5_000
_PAST = 3_600_000


@dataclass(frozen=True)
class Seen:
    """One run: what the platform judged, when each record was committed, and what the agent did meanwhile."""

    verdict: Verdict
    committed: dict[tuple[str, str, int], float]
    began: float
    seconds: float

    def during(self) -> Seen:
        """Give the same with only what was measured since the start and came before the backlog's last pack."""
        end = max(self.verdict.packs, default=0.0)
        inside = [each for each in self.verdict.arrivals if self.began <= each[3] and each[4] <= end]
        return Seen(Verdict(**vars(self.verdict) | {"arrivals": inside}), self.committed, self.began, self.seconds)

    def sending(self, kind: str) -> list[float]:
        """Give how long records took from their commit to the platform, milliseconds, ascending."""
        came = self.verdict.arrivals
        return sorted(at - self.committed[of, name, seq] for of, name, seq, _, at in came
                      if of == kind and (of, name, seq) in self.committed)  # fmt: skip


def percentile(values: list[float], share: float = 0.99) -> float:
    """Give a percentile of ascending values; nothing is 0."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def run(rows: int = 1_000_000, seconds: float = 60) -> list[Row]:
    """Measure with an empty outbox for so long, then with so many snapshots in it until they are sent."""
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as full:
        without = asyncio.run(_run(Path(empty), 0, seconds))
        draining = asyncio.run(_run(Path(full), rows, 0))
    return _rows(rows, without, draining)


async def _run(folder: Path, rows: int, seconds: float) -> Seen:
    async with (
        Farm(INSTRUMENTS, POINTS) as farm,
        Mosquitto(UNLIMITED) as broker,
        Receiver(broker.port, "farm/gw") as receiver,
    ):
        site = farm.write_site(folder, broker.url, every="1s", commit="200ms", alarms=ALARMS)
        if rows:
            await fill(site, rows)
        async with Agent(site, folder / "data", command=NOTING) as agent:
            began = time.time() * 1000
            await drained(agent, 1800)
            took = time.time() - began / 1000
            await asyncio.sleep(seconds)
            assert await agent.stop(20) is not None, agent.errors
        verdict = await receiver.judge(folder / "data")
        committed = json.loads((folder / "committed.json").read_text())
        return Seen(verdict, {(kind, name, seq): at for kind, name, seq, at in committed}, began, took)


async def fill(site_file: Path, rows: int) -> None:
    """Fill the outbox of a site that never ran with snapshots of the last hour, all still to be sent; then alarms."""
    site = load_site(site_file)
    box, rng = Outbox.open(site.gateway.data, SystemClock(), 1.0, random.Random(1)), random.Random(1)
    box.uplink("park")
    sources = {each.name: f"{site.gateway.site}/{site.gateway.id}/{each.name}" for each in site.instruments}
    revs = {each.name: meta(sources[each.name], each) for each in site.instruments}
    described = [(name, rev, body) for name, (rev, body) in revs.items()]
    await box.ask(lambda database: database.descriptions.keep(described, box.newest))
    encoders = [SnapshotEncoder(sources[each.name], box.epoch, revs[each.name][0], each) for each in site.instruments]
    began = time.time_ns() // 1_000_000 - _PAST
    for number in range(rows):
        place = number % len(encoders)
        name, at = site.instruments[place].name, began + number * _PAST // rows
        values = tuple(round(rng.uniform(0, 300), 2) for _ in range(POINTS))
        snapshot, encoder = Snapshot(name, at, values), encoders[place]
        box.store(box.series("data", name), at, lambda seq, low, e=encoder, s=snapshot: e(s, seq, low))
        if number % _AT_ONCE == _AT_ONCE - 1:
            await box.commit()
    for _ in range(OLD_ALARMS):
        encode = old_alarm(f"{site.gateway.site}/{site.gateway.id}", box.epoch, began + _PAST)
        box.store(box.series("alarm", INSTRUMENT), began + _PAST, encode, urgent=True)
    await box.commit(progress=True)
    await box.close()


def old_alarm(source: str, epoch: str, ts: int) -> Encode:
    """Encode an alarm of `INSTRUMENT` as the contract has it."""
    fields = {
        "point": "h2s", "alarm": "high", "kind": "above", "state": "active", "acknowledged": False, "latched": True,
        "value": 12.0, "limit": 10, "priority": "urgent", "since": ts,
    }  # fmt: skip
    return transition(f"{source}/{INSTRUMENT}", epoch, ts, "00000000", fields)


def _rows(count: int, without: Seen, draining: Seen) -> list[Row]:
    during = draining.during()
    live = percentile(without.verdict.delays("data")), percentile(during.verdict.delays("data"))
    stored = percentile(without.sending("data")), percentile(during.sending("data"))
    alarms = during.verdict.delays("alarm")
    alarm = percentile(alarms)
    verdict = draining.verdict
    old = [each[4] for each in verdict.arrivals if each[:2] == ("alarm", INSTRUMENT) and each[2] <= OLD_ALARMS]
    passed = sum(each < max(old, default=0.0) for each in verdict.packs)
    return [
        Row("the backlog is drained", f"{count} in {draining.seconds:.0f} s; {verdict.committed} committed, "
            f"{verdict.lost} lost, {verdict.different} different, {verdict.duplicates} resends", "0 lost",
            verdict.lost == verdict.different == 0 < verdict.committed),
        Row("live, measured to platform, p99",
            f"{live[0]:.0f} ms, draining {live[1]:.0f} ms ({live[1] / live[0]:.2f} x)", f"<= {RATIO} x",
            live[1] <= RATIO * live[0]),
        Row("live, commit to platform, p99", f"{stored[0]:.0f} ms, draining {stored[1]:.0f} ms", "-", ok=True),
        Row("alarm, register to platform, p99", f"{alarm:.0f} ms of {len(alarms)} (empty outbox: "
            f"{percentile(without.verdict.delays('alarm')):.0f} ms)", f"<= {ALARM:.0f} ms", alarm <= ALARM),
        Row("alarms at the end of the backlog come first",
            f"{len(old)} of {OLD_ALARMS}, behind {passed} of {len(verdict.packs)} packs", "before half of it",
            len(old) == OLD_ALARMS and passed < len(verdict.packs) / 2),
        Row("live and alarms pass the backlog", f"{len(during.verdict.delays('data'))} and {len(alarms)} came before "
            "its end", "some", bool(alarms) and bool(during.verdict.delays("data"))),
    ]  # fmt: skip
