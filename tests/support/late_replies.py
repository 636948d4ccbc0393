"""Instruments that answer late, read through the real driver as fast as it lets us: is any value another question's?"""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass

from support.serial_wire import SerialWire, honest, late, word

from parkgate.config.profile import Point
from parkgate.config.site import Instrument, Line
from parkgate.drivers.faults import Fault, Unreachable
from parkgate.drivers.modbus.driver import ModbusDriver

COUNT = 4
STARTS = (0, 40)
"""Two instruments of one unit, of the same shape: only their registers differ."""


def instrument_at(unit, start, name="", every=1000):
    points = tuple(Point(name=f"p{place}", at=f"holding {start + place}", type="uint16") for place in range(COUNT))
    return Instrument(
        name=name or f"i{unit}-{start}", line="l", unit=unit, every=every, profile="p", protocol="modbus",
        max_gap=0, points=points,
    )  # fmt: skip


def expected(instrument):
    first = int(instrument.points[0].at.split()[1])
    return tuple(word(instrument.unit, first + place) for place in range(COUNT))


@dataclass
class Seen:
    rounds: int = 0
    late: int = 0
    good: int = 0
    wrong: int = 0


async def rounds(transport, count, seed, *, waits=0.02, latest=3.0):
    """Ask `count` times, half of the answers late by up to `latest` timeouts; two units, so that others go on.

    An answer that the machine's load makes later than that is not given. A line that is lost is opened again, as its
    driver wants it.
    """
    rng, seen = random.Random(seed), Seen()

    def answer(wire, question):
        if rng.random() < 0.5:
            seen.late += 1
            return late(waits * (1 + rng.uniform(0.01, latest)), waits * (1 + latest))(wire, question)
        return honest(wire, question)

    everything = [instrument_at(unit, start) for unit in (1, 2) for start in STARTS]
    async with SerialWire(transport) as wire:
        for unit in (1, 2):
            wire.script[unit] = _Endless(answer)
        line = Line(name="l", url=wire.url, timeout=round(1000 * waits), **_settings(transport))
        driver = ModbusDriver(line, everything, lambda: 0)
        async with AsyncExitStack() as stack:
            await _entered(stack, driver)
            while len(wire.asked) < count:
                for each in rng.sample(everything, len(everything)):
                    try:
                        (snapshot,) = await driver.read(each)
                    except Unreachable:
                        await stack.aclose()
                        await _entered(stack, driver)
                    except Fault:
                        await asyncio.sleep(0.002)
                    else:
                        seen.good += 1
                        seen.wrong += snapshot.values != expected(each)
        seen.rounds = len(wire.asked)
    return seen


async def _entered(stack, driver):
    """Open the line, however busy the machine is with others."""
    async with asyncio.timeout(60):
        while True:
            try:
                await stack.enter_async_context(driver)
            except Unreachable:
                await asyncio.sleep(0.1)
            else:
                return


class _Endless:
    """A script that says the same to every question."""

    def __init__(self, entry):
        self._entry = entry

    def __bool__(self):
        return True

    def popleft(self):
        return self._entry


def _settings(transport):
    return {} if transport == "tcp" else {"baudrate": 115_200}
