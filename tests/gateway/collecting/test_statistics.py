"""The statistics over a real outbox, in time that jumps: every record against a slow and plain computation."""

import asyncio
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from support.averages_bench import Bench, instrument, newest, point, site_of
from support.slow_averages import MINUTE, agree, longer, minutes_of
from support.virtual_loop import run

from parkgate.config.flag import Flag
from parkgate.drivers.snapshot import Snapshot, unread

DIGITS = {"so2": 2, "o2": 1}
ABOUT = instrument(point("so2", digits=2), point("o2", digits=1), point("serial", type="string:8"))
FLAGS = (Flag.CALIBRATION, Flag.MAINTENANCE, Flag.FAULT, Flag.NO_COMMUNICATION, Flag.OUT_OF_RANGE)


def folder():
    return tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


class Day:
    """A stack that is asked every 5 s, and what happens to it, drawn from a chance."""

    def __init__(self, bench, rng):
        self.bench = bench
        self.rng = rng
        self.flags = {}
        self.reads = True
        self.silent = False

    def answer(self, at, *, late=False):
        values = (round(self.rng.uniform(0, 300), 2), round(self.rng.uniform(0, 21), 1), "A1")
        flags = {} if late else dict(self.flags)
        return Snapshot("a", at, values, flags=flags, late=late)

    async def ask(self):
        """Take turns every 5 s of real time, whatever the clock shows; for ever."""
        while True:
            if self.reads:
                now = self.bench.clock.now()
                self.bench.store(unread(ABOUT, now) if self.silent else self.answer(now))
            await asyncio.sleep(5)

    async def happen(self, what):
        kind, minutes = what
        bench, clock = self.bench, self.bench.clock
        match kind:
            case "calibration":
                self.flags = {self.rng.randrange(2): self.rng.choice(FLAGS)}
            case "silence":
                self.silent = True
            case "gap":
                self.reads = False
            case "late":
                since = clock.now() - minutes * MINUTE
                for each in range(since, since + minutes * MINUTE // 2, 7_000):
                    bench.store(self.answer(each, late=True))
            case "forward" | "back":
                clock.step(minutes * MINUTE // 3 * (1 if kind == "forward" else -1) + 1_234)
            case "restart" | "kill":
                self.reads = False
                await bench.end(killed=kind == "kill")
                await asyncio.sleep(minutes * 11)
                await bench.start()
        await asyncio.sleep(minutes * 30)
        self.flags, self.reads, self.silent = {}, True, False
        clock.right()


def lived(seed, plan, seconds):
    """Let a day happen; give its snapshots and its statistics as the outbox has them, and what was told."""

    async def main(loop):
        with folder() as data:
            bench = Bench(loop, site_of(Path(data), ABOUT))
            await bench.start()
            day = Day(bench, random.Random(seed))
            asking = asyncio.create_task(day.ask())
            pause = seconds / (len(plan) + 1)
            for what in plan:
                await asyncio.sleep(pause)
                await day.happen(what)
            await asyncio.sleep(pause)
            day.reads = False
            await asyncio.sleep(65)  # what came last is closed too
            asking.cancel()
            found = await bench.records("data"), await bench.records("stats"), bench.told
            await bench.end()
            return found

    return run(main)


def judge(snapshots, records):
    """Hold every record of a day against the slow computation."""
    last = newest(records)
    starts = [start for period, start in last if period == "1min"]
    for name, digits in DIGITS.items():
        minutes = minutes_of(snapshots, name, digits, min(starts), max(starts))
        open_still = {start for start in minutes if start > max(starts)}
        for start in minutes.keys() - open_still:
            said = last["1min", start]["points"][name]
            assert agree(said, minutes[start], digits), (start, said, minutes[start])
        told = {start: last["1min", start]["points"][name] for start in minutes.keys() - open_still}
        expected = longer(told, digits)
        for (period, start), said in expected.items():
            if (period, start) in last:
                assert agree(last[period, start]["points"][name], said, digits), (period, start, said)
        missing = expected.keys() - last.keys()
        newest_of = {period: max(start for of, start in expected if of == period) for period, _ in expected}
        assert all(start == newest_of[period] for period, start in missing), "only the last may still be open"
    assert all(record["points"].keys() == {"so2", "o2"} for record in records), "a text has no mean"


KINDS = ("calibration", "silence", "gap", "late", "forward", "back", "restart", "kill")
WHATS = st.tuples(st.sampled_from(KINDS), st.integers(1, 90))


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.lists(WHATS, min_size=1, max_size=6))
def test_hours_in_which_anything_happens_are_as_a_slow_computation_has_them(seed, plan):
    judge(*lived(seed, plan, 3 * 3600)[:2])


def test_a_day_with_gaps_calibrations_a_stop_a_clock_step_and_late_data_is_as_a_slow_computation_has_it():
    plan = [("calibration", 40), ("gap", 50), ("late", 80), ("restart", 6), ("back", 7), ("forward", 9), ("kill", 3),
            ("silence", 30), ("calibration", 1)]  # fmt: skip
    snapshots, records, _ = lived(7, plan, 20 * 3600)
    judge(snapshots, records)
    last = newest(records)
    flags = {said["flag"] for record in last.values() for said in record["points"].values() if "flag" in said}
    assert {"calibration", "no-communication"} <= flags or len(flags) > 1
    assert {period for period, _ in last} == {"1min", "10min", "1h", "1d"}
    assert any(record["revision"] for record in last.values())
    assert any("flag" not in said for (of, _), each in last.items() if of == "1h" for said in each["points"].values())
