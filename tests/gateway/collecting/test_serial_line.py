"""A serial line of ten units on a real pseudo-terminal, read by the real driver in the real loop of a line."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress

import pytest
from support.late_replies import expected, instrument_at
from support.serial_wire import SerialWire, word

from parkgate.config.profile import Point
from parkgate.config.site import Line
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.modbus.plan import Block
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.collecting.collector import Collector, Given, Station
from parkgate.gateway.collecting.origins import Origins
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.encode import SnapshotEncoder
from parkgate.gateway.processing.validity import Judge

UNITS, SILENT = range(1, 11), {2, 5, 9}
EVERY, WAIT = 2_000, 300


def line_of(wire, outbox, *, every=EVERY):
    """The loop of a line with an instrument for each of `UNITS`."""
    return collecting(wire, outbox, [instrument_at(unit, 0, f"i{unit}", every) for unit in UNITS])


def wide(name, unit, every, count):
    """An instrument that takes a question a point."""
    points = tuple(Point(name=f"p{place}", at=f"holding {10 * place}", type="uint16") for place in range(count))
    return instrument_at(unit, 0, name, every).model_copy(update={"points": points})


@asynccontextmanager
async def collecting(wire, outbox, instruments):
    """The loop of a line with these instruments, and the events that it tells."""
    stations = [
        Station(each, outbox.series("data", each.name), Judge.of(each), SnapshotEncoder("s", outbox.epoch, "r", each))
        for each in instruments
    ]
    told, clock = [], SystemClock()

    async def describe(instrument):
        raise AssertionError(instrument)

    given = Given(
        outbox, clock, random.Random(1), open_driver, lambda name, subject, **_: told.append((name, subject)),
        lambda: None, lambda _: False, Origins(), describe,
    )  # fmt: skip
    line = Line(name="l", url=wire.url, baudrate=115_200, timeout=WAIT)
    collector = Collector(line, stations, given, Heart(clock.monotonic))
    running = asyncio.create_task(collector.run())
    try:
        yield collector, told
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(holds):
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


def answering(collector, units):
    stations = collector.state.stations
    return all(
        (latest := stations[f"i{unit}"].latest) and latest.values == expected(stations[f"i{unit}"].instrument)
        for unit in units
    )


async def test_seven_units_keep_their_periods_beside_three_that_are_silent(outbox):
    well = set(UNITS) - SILENT
    async with SerialWire("rtu", units=frozenset(well)) as wire, line_of(wire, outbox) as (collector, told):
        stations = collector.state.stations
        await until(lambda: all(stations[f"i{unit}"].reads >= 4 for unit in UNITS) and answering(collector, well))
        assert all(stations[f"i{unit}"].failed == stations[f"i{unit}"].reads for unit in SILENT)
        # A busy machine may cost a turn now and then; the silent ones cost none.
        assert all(stations[f"i{unit}"].failed <= stations[f"i{unit}"].reads / 2 for unit in well)
        assert all(collector.schedule.missed[f"i{unit}"] <= 1 for unit in well)
        assert {f"i{unit}" for unit in SILENT} <= {subject for name, subject in told if name == "silent"}


async def test_a_serial_port_that_is_pulled_and_put_back_is_read_again_without_a_restart(outbox, tmp_path):
    wire = SerialWire("rtu", path=str(tmp_path / "ttyS1"))
    async with wire, line_of(wire, outbox, every=200) as (collector, told):
        await until(lambda: answering(collector, UNITS))
        for _ in range(2):
            wire.unplug()
            await until(lambda: not collector.state.up)
            assert "ttyS1" in collector.state.fault
            wire.plug()
            await until(lambda: collector.state.up and not any(s.silent for s in collector.state.stations.values()))
        assert [event for event in told if event[1] == "l"] == [
            ("line-up", "l"),
            *[("line-down", "l"), ("line-up", "l")] * 2,
        ]


async def test_a_fast_instrument_goes_between_the_questions_of_a_slow_one_and_people_between_the_turns(outbox):
    slow = wide("slow", 1, 10_000, 40)
    fast = instrument_at(2, 0, "fast", 50)
    async with SerialWire("rtu") as wire, collecting(wire, outbox, [slow, fast]) as (collector, _):
        stations = collector.state.stations
        await until(lambda: stations["slow"].latest)
        order = [question.unit for question in wire.asked]
        first, last = order.index(1), len(order) - 1 - order[::-1].index(1)
        assert 2 in order[first:last], "its turn of many questions is not in one piece"
        assert stations["slow"].latest.values == tuple(word(1, 10 * place) for place in range(40))

        async def work(driver):
            return await driver.ask(7, Block("holding", 5, 1, ()))

        assert await collector.visit(work) == word(7, 5).to_bytes(2, "big")


async def test_a_line_that_is_lost_under_somebodys_question_is_opened_again_at_its_next_turn(outbox):
    async with SerialWire("rtu") as wire, collecting(wire, outbox, [instrument_at(1, 0, "i1", 100)]) as (collector, _):
        station = collector.state.stations["i1"]
        await until(lambda: station.latest)

        async def work(driver):
            raise Unreachable("gone", where="l", hint="Look.")

        with pytest.raises(Unreachable):
            await collector.visit(work)
        reads = station.reads
        await until(lambda: station.reads > reads + 1)
        assert not station.silent


async def test_dead_units_that_are_read_often_do_not_take_a_living_slow_one_off_the_line(outbox):
    instruments = [
        instrument_at(1, 0, "well", 1_000),
        *(instrument_at(unit, 0, f"dead{unit}", 200) for unit in (2, 3, 4)),
    ]
    async with (
        SerialWire("rtu", units=frozenset({1})) as wire,
        collecting(wire, outbox, instruments) as (collector, told),
    ):
        stations = collector.state.stations
        await until(lambda: stations["well"].reads >= 5 and stations["dead2"].reads >= 15)
        assert stations["well"].failed <= stations["well"].reads / 2, "a busy machine may cost a turn"
        assert ("line-down", "l") not in told


async def test_a_line_with_too_many_fast_instruments_still_ends_a_slow_ones_turn(outbox):
    slow = wide("slow", 1, 2_000, 8)
    fast = [instrument_at(unit, 0, f"fast{unit}", 5) for unit in (2, 3)]
    async with SerialWire("rtu") as wire, collecting(wire, outbox, [slow, *fast]) as (collector, _):
        await until(lambda: collector.state.stations["slow"].reads >= 3)
        assert collector.state.stations["slow"].failed <= 1
