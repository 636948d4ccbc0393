"""The statistics over a real outbox, in time that jumps: every record against a slow and plain computation."""

import asyncio
import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.averages_bench import Bench, instrument, newest, point, site_of
from support.slow_averages import HOUR, MINUTE, agree, longer, minutes_of
from support.virtual_loop import START, run

from parkgate.config.flag import Flag
from parkgate.config.site import Statistics
from parkgate.drivers.snapshot import Snapshot, unread

DIGITS = {"so2": 2, "o2": 1}
ABOUT = instrument(point("so2", digits=2), point("o2", digits=1), point("serial", type="string:8"))
ABOUT_RULES = Statistics()
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
                self.flags = {self.rng.randrange(2): FLAGS[minutes % len(FLAGS)]}
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
    began = min(each["ts"] for each in snapshots if not each.get("history")) // MINUTE * MINUTE
    for name, digits in DIGITS.items():
        minutes = minutes_of(snapshots, name, digits, max(began, min(starts)), max(starts))
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


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.lists(WHATS, min_size=1, max_size=6))
def test_hours_in_which_anything_happens_are_as_a_slow_computation_has_them(seed, plan):
    judge(*lived(seed, plan, 2 * 3600)[:2])


def test_a_day_with_gaps_calibrations_a_stop_a_clock_step_and_late_data_is_as_a_slow_computation_has_it():
    plan = [("calibration", 40), ("gap", 50), ("late", 80), ("restart", 6), ("back", 7), ("forward", 9), ("kill", 3),
            ("silence", 30), ("calibration", 1)]  # fmt: skip
    snapshots, records, _ = lived(7, plan, 17 * 3600 - 400)
    judge(snapshots, records)
    last = newest(records)
    flags = {said["flag"] for record in last.values() for said in record["points"].values() if "flag" in said}
    assert {"calibration", "no-communication"} <= flags
    assert {period for period, _ in last} == {"1min", "10min", "1h", "1d"}
    assert any(record["revision"] for record in last.values())
    assert any("flag" not in said for (of, _), each in last.items() if of == "1h" for said in each["points"].values())


def course(about, script, *, changes=False, **more):
    """Run a script on a bench: `script(bench)` is a coroutine function; give what it gives."""

    async def main(loop):
        with folder() as data:
            bench = Bench(loop, site_of(Path(data), about, **more), changes=changes)
            await bench.start()
            found = await script(bench)
            await bench.end()
            return found

    return run(main)


def plain(at, value=1.0, **more):
    return Snapshot("a", START + at, (value,), **more)


async def asked(bench, minutes, every=5_000, value=1.0):
    """Store a sample every period for so many minutes, from now on."""
    now = bench.clock.now()
    for at in range(0, minutes * MINUTE, every):
        await bench.until(now + at)
        bench.store(Snapshot("a", bench.clock.now(), (value,)))
    await bench.until(now + minutes * MINUTE)


ONE = instrument(point("so2"))


def test_the_records_of_an_interval_are_committed_within_five_seconds_of_its_end():
    async def script(bench):
        seen = []
        bench.outbox.followers.append(
            lambda records: seen.extend((each.series.kind, each.ts, bench.clock.now()) for each in records)
        )
        await asked(bench, 61)
        await bench.until(START + 61 * MINUTE + 5_000)
        return [(kind, ts, now) for kind, ts, now in seen if kind.startswith("stats/")]

    seen = course(ONE, script)
    lengths = {"stats/1min": MINUTE, "stats/10min": 10 * MINUTE, "stats/1h": HOUR}
    assert [kind for kind, *_ in seen].count("stats/1min") == 61
    assert {kind for kind, *_ in seen} == set(lengths)
    assert all(0 < now - ts - lengths[kind] <= 5_000 for kind, ts, now in seen)


def test_what_comes_late_is_collected_and_corrects_once_a_minute():
    async def script(bench):
        await asked(bench, 3)
        await bench.until(START + 3 * MINUTE + 3_000)
        for second in range(40):
            bench.store(plain(MINUTE + second * 1000 + 500, 3.0, late=True))
            await bench.until(START + 3 * MINUTE + 3_000 + second * 1_000)
        await bench.until(START + 5 * MINUTE)
        return await bench.records("stats")

    records = course(ONE, script)
    again = [each for each in records if each["ts"] == START + MINUTE]
    assert [(each["period"], each["revision"], each["points"]["so2"]["n"]) for each in again] == [
        ("1min", 0, 12), ("1min", 1, 52)]  # fmt: skip
    assert again[1]["points"]["so2"]["avg"] == pytest.approx((12 + 40 * 3) / 52)


def test_minutes_in_which_nothing_comes_and_those_in_which_the_agent_was_off_are_given():
    async def script(bench):
        await asked(bench, 2)
        await bench.until(START + 5 * MINUTE + 2_000)
        await bench.end()
        await bench.until(START + 9 * MINUTE + 30_000)
        await bench.start()
        await bench.until(START + 11 * MINUTE + 2_000)
        return await bench.records("stats")

    records = course(ONE, script)
    minutes = {(each["ts"] - START) // MINUTE: each for each in records if each["period"] == "1min"}
    assert sorted(minutes) == list(range(11))
    assert [each["points"]["so2"]["n"] for each in minutes.values()] == [12, 12, *[0] * 9]
    assert {each["points"]["so2"].get("flag") for each in minutes.values()} == {None, "no-communication"}
    (ten,) = [each for each in records if each["period"] == "10min"]
    assert ten["points"]["so2"] == {
        "avg": 1.0,
        "min": 1.0,
        "max": 1.0,
        "n": 24,
        "valid": 24,
        "flag": "no-communication",
    }


def test_of_a_long_time_off_the_last_day_is_given_and_the_rest_is_told():
    async def script(bench):
        await asked(bench, 1)
        await bench.until(START + MINUTE + 2_000)
        await bench.end()
        await bench.until(START + 30 * HOUR)
        await bench.start()
        await bench.until(START + 30 * HOUR + 10_000)
        return await bench.records("stats"), bench.told

    records, told = course(ONE, script)
    given_at = sorted(each["ts"] for each in records if each["period"] == "1min")
    assert len(given_at) == 1 + 1_500 + 1, "one more ended meanwhile"
    ((_, name, gap),) = [each for each in told if each[0] == "statistics-gap"]
    assert (name, gap["to"]) == ("a", given_at[1])


def test_an_hour_that_can_still_be_saved_is_warned_of_once_and_a_lost_one_no_more():
    async def script(bench):
        await asked(bench, 10)
        await bench.until(START + 26 * MINUTE + 10_000)
        risk = [(each, bench.clock.now()) for each in bench.told]
        await asked(bench, 30)
        await bench.until(START + 3 * HOUR)
        return risk, bench.told

    early, told = course(ONE, script)
    warned = [each for each in told if each[0] == "hour-at-risk"]
    assert [each for each, _ in early] == warned[:1]
    assert warned[0] == ("hour-at-risk", "a", {"hour": START, "points": ["so2"], "invalid": 15})
    assert [each[2]["hour"] for each in warned] == [START, START + HOUR, START + 2 * HOUR]


def test_a_warning_is_not_said_again_behind_a_restart_nor_forgotten():
    async def script(bench):
        await bench.until(START + 10 * MINUTE + 2_000)
        await bench.end()
        await bench.start()
        await bench.until(START + 14 * MINUTE + 30_000)
        before = list(bench.told)
        await bench.until(START + 40 * MINUTE)
        return before, bench.told

    before, told = course(ONE, script)
    assert before == []
    assert [name for name, *_ in told] == ["hour-at-risk"]


def test_values_too_old_to_correct_are_told_and_change_nothing():
    async def script(bench):
        await asked(bench, 2)
        await bench.until(START + 5 * HOUR)
        bench.store(plain(30_000, late=True))
        await bench.until(START + 5 * HOUR + 2 * MINUTE)
        return await bench.records("stats"), bench.told

    more = {"statistics": ABOUT_RULES.model_copy(update={"corrections": 2 * HOUR})}
    records, told = course(ONE, script, **more)
    assert not any(each["revision"] for each in records)
    assert ("statistics-too-late", "a", {"count": 1, "from": START, "to": START}) in told


def test_only_the_periods_that_an_instrument_wants_are_sent_and_a_restart_loses_none():
    async def script(bench):
        await asked(bench, 61)
        await bench.end(killed=True)
        await bench.start()
        await asked(bench, 60)
        await bench.until(START + 121 * MINUTE + 5_000)
        return await bench.records("stats")

    about = instrument(point("so2"), statistics=("1h",))
    records = course(about, script)
    assert [(each["period"], each["points"]["so2"]["n"] > 700) for each in records] == [("1h", True)] * 2


def test_an_instrument_of_many_points_gives_an_interval_in_several_records():
    many = instrument(*(point(f"a_rather_long_name_of_point_{each:03}") for each in range(450)), every=20_000)

    async def script(bench):
        for at in (1_000, 21_000, 41_000):
            await bench.until(START + at)
            bench.store(Snapshot("a", START + at, tuple(-1.2345678e-100 * each for each in range(450))))
        await bench.until(START + MINUTE + 2_000)
        return await bench.records("stats")

    records = course(many, script)
    assert [(each["revision"], len(each["points"])) for each in records] == [(0, 200), (0, 200), (0, 50)]
    assert len({name for each in records for name in each["points"]}) == 450
    assert all(len(json.dumps(each)) < 60_000 for each in records)


@settings(max_examples=5)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 1_500), min_size=1, max_size=4), st.booleans())
def test_with_restarts_the_records_are_the_same_as_without(seed, stops, changes):
    """The agent is started again between two samples, some of them late; nothing that was committed is lost."""

    def day(restarts):
        async def script(bench):
            rng = random.Random(seed)
            for turn in range(0, 25 * 60, 5):
                at = turn * 1000
                await bench.until(START + at)
                if rng.random() < 0.9:
                    bench.store(plain(at, rng.uniform(0, 9), flags={0: Flag.FAULT} if rng.random() < 0.1 else {}))
                if rng.random() < 0.02 and not changes:
                    bench.store(plain(max(0, at - rng.randrange(900_000)), 5.0, late=True))
                if any(turn <= stop < turn + 5 for stop in restarts):
                    await bench.end()
                    await bench.start()
            await bench.until(START + 26 * MINUTE)
            return await bench.records("stats")

        return course(ONE, script, changes=changes)

    def said(records):
        return sorted(json.dumps([each["period"], each["ts"], each["revision"], each["points"]]) for each in records)

    if changes:  # nobody looked between the last report before a stop and the first behind it: that is told
        assert len(said(day(stops))) == len(said(day([])))
    else:
        assert said(day(stops)) == said(day([]))


def test_a_history_that_fills_an_outage_makes_its_minutes_valid():
    async def script(bench):
        for second in range(0, 8 * 60, 10):
            await bench.until(START + second * 1000)
            out = 125 <= second < 365
            bench.store(unread(ONE, START + second * 1000) if out else plain(second * 1000, 2.0))
        for second in range(130, 360, 15):
            bench.store(plain(second * 1000, 4.0, late=True))
        await bench.until(START + 10 * MINUTE + 5_000)
        return await bench.records("stats")

    last = newest(course(ONE, script, changes=True))
    outage = [last["1min", START + minute * MINUTE] for minute in range(2, 6)]
    assert [each["points"]["so2"].get("flag") for each in outage] == [None] * 4
    assert outage[1]["points"]["so2"]["avg"] == 4.0
    assert all(each["revision"] == 1 for each in outage)
    assert last["10min", START]["points"]["so2"]["n"] > 48


def test_a_history_that_came_just_before_a_restart_fills_the_same_time():
    def lasting(*, restart):
        async def script(bench):
            for second in range(0, 8 * 60, 10):
                await bench.until(START + second * 1000)
                out = 125 <= second < 365
                bench.store(unread(ONE, START + second * 1000) if out else plain(second * 1000, 2.0))
                if second == 370:
                    for told in range(130, 360, 15):
                        bench.store(plain(told * 1000, 4.0, late=True))
                    if restart:
                        await bench.end()
                        await bench.start()
            await bench.until(START + 10 * MINUTE + 5_000)
            return newest(await bench.records("stats"))

        return course(ONE, script, changes=True)

    plainly, again = lasting(restart=False), lasting(restart=True)
    minutes = [("1min", START + minute * MINUTE) for minute in range(6)]
    assert [again[each]["points"] for each in minutes] == [plainly[each]["points"] for each in minutes]
    ten_of_fifty = again["1min", START + 6 * MINUTE]["points"]["so2"]["avg"]  # nobody looked for ten seconds
    assert ten_of_fifty == pytest.approx((10 * 4.0 + 40 * 2.0) / 50, abs=1e-4)


def test_what_the_file_has_is_not_held_in_memory_though_something_always_waits():
    async def script(bench):
        stored = bench.outbox.commit

        async def busy(*args, **more):
            bench.store(plain(bench.clock.now() - START, 1.0))
            await stored(*args, **more)
            bench.store(plain(bench.clock.now() - START, 1.0))  # as other lines do while the disk is at work

        bench.outbox.commit = busy
        await bench.until(START + 30 * MINUTE)
        held = len(bench.statistics._recent)  # what is not in the file yet is nowhere else
        return held, await bench.records("stats")

    held, records = course(ONE, script)
    assert len(records) > 30
    assert held <= 2


def test_what_was_read_in_another_unit_before_a_restart_is_averaged_with_nothing():
    """Half an hour in mg/m3, half an hour in ppm: no mean of an hour is both, and the minute of the change neither."""

    async def script(bench):
        for second in range(0, 65 * 60, 5):
            await bench.until(START + second * 1000)
            if second == 30 * 60 + 30:
                await bench.end()
                bench._site = site_of(bench._site.gateway.data, instrument(point("so2", unit="ppm")))
                await bench.start()
            bench.store(plain(second * 1000, 28.6 if second < 30 * 60 + 30 else 10.0))
        return newest(await bench.records("stats"))

    last = course(instrument(point("so2", unit="mg/m3")), script)
    hour = last["1h", START]["points"]["so2"]
    assert (hour["avg"], hour["flag"]) == (10.0, "no-communication")
    change = last["1min", START + 30 * MINUTE]["points"]["so2"]
    assert (change["avg"], change["n"], change["flag"]) == (10.0, 6, "no-communication")
    assert last["1min", START + 29 * MINUTE]["points"]["so2"]["avg"] == 28.6, "what was sent stays"
